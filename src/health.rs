//! `headwater health`: asks a door whether it can do its work. For whatever watches a server and has no HTTP client of its
//! own, such as a container's health check.

use std::time::Duration;

use serde_json::Value;
use url::Url;

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
    /// Nobody answers.
    #[error("{0} does not answer")]
    Unreachable(Url, #[source] reqwest::Error),
    /// The door says why.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks, and prints the answer.
///
/// # Errors
/// If there is no answer, or it is no.
pub async fn run(options: Options) -> Result<(), Error> {
    let answer = ask(&options.url).await.map_err(|error| Error::Unreachable(options.url, error.without_url()))?;
    let is_ready = answer["ready"] == true;
    if options.json {
        println!("{answer}");
    } else if is_ready {
        println!("ready");
    }
    let why = || answer["detail"].as_str().unwrap_or("that is no answer of a door of Headwater").to_owned();
    if is_ready { Ok(()) } else { Err(Error::NotReady(why())) }
}

/// What `GET /readyz` says, or null if it is not JSON.
async fn ask(door: &Url) -> Result<Value, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build()?;
    let url = format!("{}/readyz", door.as_str().trim_end_matches('/'));
    let body = client.get(url).send().await?.bytes().await?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}
