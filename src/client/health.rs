//! `headwater health`: asks a door whether it can do its work. For whatever watches a server and has no HTTP client of its
//! own, such as a container's health check.

use std::time::Duration;

use program::output::{self, StdoutError};
use serde_json::Value;
use url::Url;

use crate::answer;
use crate::error::Error as ClientError;

/// A door that takes longer is as good as none.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Asks the door whether it can do its work. Ends with 0 if it can, and with 3 and the reasons if not.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where the door is.
    #[arg(long, env = "HEADWATER_URL", value_name = "URL", default_value = "http://127.0.0.1:7300")]
    pub url: Url,

    /// Print the door's answer as it is.
    #[arg(long)]
    pub json: bool,
}

/// Why nothing can be done through that door.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers, or no door.
    #[error(transparent)]
    Door(#[from] ClientError),
    /// The door says why.
    #[error("not ready: {0}")]
    NotReady(String),
    /// Standard output can't be written.
    #[error(transparent)]
    Output(#[from] StdoutError),
}

/// Asks, and prints the answer.
///
/// # Errors
/// If there is no answer, or it is no, or it can't be printed.
pub async fn run(options: Options) -> Result<(), Error> {
    let answer = ask(&options.url).await?;
    let is_ready = answer["ready"] == true;
    if options.json {
        output::json(&answer.to_string())?;
    } else if is_ready {
        output::text("ready\n")?;
    }
    let why = || answer["detail"].as_str().unwrap_or("that is no answer of a door of Headwater").to_owned();
    if is_ready { Ok(()) } else { Err(Error::NotReady(why())) }
}

/// What `GET /readyz` says, or null if it is not JSON.
async fn ask(door: &Url) -> Result<Value, ClientError> {
    let url = format!("{}/readyz", door.as_str().trim_end_matches('/'));
    let unreached = |source: reqwest::Error| ClientError::Unreached { url: url.clone(), source: source.without_url() };
    let answer = answer::client(ANSWER_WITHIN).map_err(unreached)?.get(&url).send().await.map_err(unreached)?;
    Ok(serde_json::from_slice(&answer::body(answer, &url).await?).unwrap_or_default())
}
