//! How what there is gets asked for and told: as of when, for whom, and from which door.

use clap::Args;
use program::output;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::door::{Door, asked};
use crate::error::Error as ClientError;
use crate::place::Options as Place;

use super::error::Error;

/// How it is asked and told.
#[derive(Clone, Debug, Args)]
pub(crate) struct How {
    /// As it was then: a position, or an RFC 3339 time.
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<String>,

    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    place: Place,
}

impl How {
    /// Asks for what is at `path`, and prints it as the door says it or as `show` does.
    pub(crate) async fn tell(&self, path: &str, show: impl FnOnce(&Value) -> String) -> Result<(), Error> {
        let (door, path) = (self.door()?, asked(path, &self.query()));
        match self.json {
            true => output::json(door.get::<Box<RawValue>>(&path).await?.get()),
            false => output::text(&show(&door.get(&path).await?)),
        }?;
        Ok(())
    }

    pub(super) fn door(&self) -> Result<Door, ClientError> {
        Door::of(&self.place)
    }

    pub(super) fn query(&self) -> Vec<(&str, &str)> {
        self.at.iter().map(|at| ("at", at.as_str())).collect()
    }
}
