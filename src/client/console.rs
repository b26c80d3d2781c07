//! `headwater console`: the link with which a browser signs in to the console.
//!
//! Always: the token is in the fragment of the link, which a browser sends to nobody. It is the token that the command itself uses, and the server
//! was asked whose it is.

use api::path::WHOAMI;
use api::principal::WhoAmI;
use clap::Args;
use program::output;
use schema::command::Role;
use serde_json::json;

use crate::api_client::ApiClient;
use crate::endpoint::Options as Endpoint;
use crate::exchange::Error;

/// Which server's console.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The link has the token behind the #, which a browser keeps to itself: the console takes it out of the address at once, and forgets it \
within half a minute after its last tab is closed. Who has the link can do what the token allows, so give it to nobody. An auditor's token is enough to look.\n\n\
Where the browser and the server are on two machines, the server needs https://: without it a browser can't check proofs.\n\n\
Examples:\n  \
headwater console\n  \
headwater console --context lund\n  \
xdg-open \"$(headwater console --json | jq -r .link)\"")]
pub struct Options {
    #[command(flatten)]
    endpoint: Endpoint,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the link.
///
/// # Errors
/// If the server refuses the token or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let client = ApiClient::from_options(&options.endpoint)?;
    let WhoAmI { name, role, .. } = client.get(WHOAMI).await?;
    let link = client.console_link();
    let role = match role {
        Role::Admin => "admin",
        Role::Auditor => "auditor",
    };
    match options.json {
        true => output::json(&json!({"link": link, "name": name, "role": role}).to_string()),
        false => output::text(&format!(
            "With this link a browser is {name} ({role}) at {}. Give it to nobody:\n\n  {link}\n",
            client.url()
        )),
    }?;
    Ok(())
}
