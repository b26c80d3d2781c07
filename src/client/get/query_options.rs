//! The options of commands that read one answer: as of when, in which format, and from which server.

use api::query::AT;
use clap::Args;
use program::output;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api_client::{ApiClient, with_query};
use crate::endpoint::Options as Endpoint;
use crate::error::Error as ClientError;

use super::output_format::OutputFormat;
use crate::exchange::Error;

/// As of when to read, from which server, and how to print the answer.
#[derive(Clone, Debug, Args)]
pub(crate) struct QueryOptions {
    /// The state as of a position, an RFC 3339 time, or a mark.
    #[arg(long, value_name = "POSITION|TIME|mark:NAME")]
    at: Option<String>,

    /// Print the server's JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

impl QueryOptions {
    /// Gets `path`, and prints the server's JSON, or what `show` makes of it.
    pub(crate) async fn print(&self, path: &str, show: impl FnOnce(&Value) -> String) -> Result<(), Error> {
        if self.json {
            return self.print_json(path).await;
        }
        output::text(&show(&self.client()?.get(&with_query(path, &self.query())).await?))?;
        Ok(())
    }

    /// Gets `path`, and prints the server's JSON.
    pub(super) async fn print_json(&self, path: &str) -> Result<(), Error> {
        output::json(self.client()?.get::<Box<RawValue>>(&with_query(path, &self.query())).await?.get())?;
        Ok(())
    }

    /// The format unless another one is asked for.
    pub(super) fn default_format(&self) -> OutputFormat {
        if self.json { OutputFormat::Json } else { OutputFormat::Table }
    }

    pub(crate) fn client(&self) -> Result<ApiClient, ClientError> {
        ApiClient::from_options(&self.endpoint)
    }

    pub(crate) fn query(&self) -> Vec<(&str, &str)> {
        self.at.iter().map(|at| (AT, at.as_str())).collect()
    }
}
