//! `headwater get`: what there is, as a table for people or as the door's JSON.
//!
//! Always: all pages of a list; with `--json` what the door says, value for value.  Absent on purpose: changing anything.

mod columns;
mod error;
mod how;
mod outline;
pub mod table;

use std::io::IsTerminal as _;

use clap::Args;
use schema::id::Id;
use serde::Serialize;
use serde_json::value::RawValue;

pub use self::columns::Kind;
pub use self::error::Error;
pub(crate) use self::how::How;
use program::output;

/// What to show.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
  headwater get nodes                     every node and its state\n  \
  headwater get node node-1               all that is known of one\n  \
  headwater get documents --at 120        documents as of position 120\n  \
  headwater get fleet --json              the counts, for a program")]
pub struct Options {
    /// What sort of thing. The singular does as well.
    #[arg(value_name = "KIND")]
    kind: Kind,

    /// Which one; left out, all of them.
    #[arg(value_name = "ID")]
    id: Option<Id>,

    #[command(flatten)]
    how: How,
}

/// Shows it.
///
/// # Errors
/// If the door refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let Options { kind, id, how } = options;
    let path = format!("/v1/{}", kind.name());
    match id {
        None if kind.is_list() => list(kind, &path, &how).await,
        None => how.tell(&path, outline::written).await,
        Some(id) => how.tell(&format!("{path}/{id}"), outline::written).await,
    }
}

async fn list(kind: Kind, path: &str, how: &How) -> Result<(), Error> {
    let (door, query) = (how.door()?, how.query());
    match how.json {
        true => output::json(&written(&door.list::<Box<RawValue>>(path, &query).await?)),
        false => output::text(&table::written(kind.columns(), &door.list(path, &query).await?, width())),
    }?;
    Ok(())
}

/// JSON in the door's own words.
fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("BUG: what was read as JSON can be written as JSON")
}

/// The columns of the terminal, if the output is one.
#[must_use]
pub fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
