//! The options of commands that read one answer: as of when, in which format, and from which server.

use api::query::AT;
use clap::Args;
use program::output;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api_client::{ApiClient, with_query};
use crate::endpoint::Options as Endpoint;
use crate::error::Error as ClientError;

use super::Error;

/// As of when to read, from which server, and how to print the answer.
#[derive(Clone, Debug, Args)]
pub(crate) struct QueryOptions {
    /// The state as of a position or an RFC 3339 time.
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<String>,

    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

impl QueryOptions {
    /// Gets `path`, and prints the server's JSON, or what `show` makes of it.
    pub(crate) async fn print(&self, path: &str, show: impl FnOnce(&Value) -> String) -> Result<(), Error> {
        let (client, path) = (self.client()?, with_query(path, &self.query()));
        match self.json {
            true => output::json(client.get::<Box<RawValue>>(&path).await?.get()),
            false => output::text(&show(&client.get(&path).await?)),
        }?;
        Ok(())
    }

    pub(super) fn client(&self) -> Result<ApiClient, ClientError> {
        ApiClient::from_options(&self.endpoint)
    }

    pub(super) fn query(&self) -> Vec<(&str, &str)> {
        self.at.iter().map(|at| (AT, at.as_str())).collect()
    }
}
