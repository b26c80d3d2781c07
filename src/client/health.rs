//! `headwater health`: asks a server whether it can do its work. For monitors that have no HTTP client, such as the health check of a
//! container.

use std::time::Duration;

use api::path::READY;
use program::output::{self, StdoutError};
use serde_json::Value;
use tls::authorities::Authorities;
use url::Url;

use crate::endpoint::CaOption;
use crate::error::Error as ClientError;
use crate::http_answer::{http_client, read_body};

/// A server that takes longer counts as not reachable.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the server whether it can do its work. Ends with 0 if it can, and with 3 and the reasons if not.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The URL of the server.
    #[arg(long, env = "HEADWATER_URL", value_name = "URL", default_value = "http://127.0.0.1:7300")]
    pub url: Url,

    #[command(flatten)]
    authorities: CaOption,

    /// Print the server's answer as it is.
    #[arg(long)]
    pub json: bool,
}

/// Why the server counts as not ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer, or one that can't be read.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// The server says that it is not ready, and why.
    #[error("not ready: {0}")]
    NotReady(String),
    /// Standard output can't be written.
    #[error(transparent)]
    Output(#[from] StdoutError),
}

/// Asks the server, and prints its answer.
///
/// # Errors
/// If there is no answer, the server is not ready, or the answer can't be printed.
pub async fn run(options: Options) -> Result<(), Error> {
    let authorities = Authorities::from(options.authorities.ca_file.as_deref());
    let answer = get_readiness(&options.url, &authorities).await?;
    let is_ready = answer["ready"] == true;
    if options.json {
        output::json(&answer.to_string())?;
    } else if is_ready {
        output::text("ready\n")?;
    }
    let reason = || answer["detail"].as_str().unwrap_or("no server of Headwater answers like that").to_owned();
    if is_ready { Ok(()) } else { Err(Error::NotReady(reason())) }
}

/// The answer to `GET /readyz`, or null if it is not JSON.
async fn get_readiness(server: &Url, authorities: &Authorities) -> Result<Value, ClientError> {
    let url = format!("{}{READY}", server.as_str().trim_end_matches('/'));
    let get = http_client(&url, authorities, ANSWER_TIMEOUT)?.get(&url);
    let answer = get.send().await.map_err(|error| ClientError::unreachable(&url, error))?;
    Ok(serde_json::from_slice(&read_body(answer, &url).await?).unwrap_or_default())
}
