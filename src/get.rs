//! `headwater get`: what there is, as a table for people or as the door's JSON.
//!
//! Always: all pages of a list; with `--json` exactly what the door says; control characters of what others wrote reach no
//! terminal. Absent on purpose: changing anything.

mod columns;
mod how;
mod outline;
pub mod table;

use std::io::IsTerminal as _;

use clap::Args;
use schema::id::Id;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use self::columns::Kind;
pub(crate) use self::how::How;
use crate::client::door::Door;
use crate::client::error::Error;

/// What to show.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
  headwater get nodes                     every node and its state\n  \
  headwater get node node-1               all that is known of one\n  \
  headwater get documents --at 120        the documents as they were at position 120\n  \
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
/// If the door refuses or can't be reached.
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
    how::print(&match how.json {
        true => line(&all::<Box<RawValue>>(&door, path, &query).await?),
        false => table::written(kind.columns(), &all(&door, path, &query).await?, width()),
    });
    Ok(())
}

/// All items of a list.
async fn all<T: DeserializeOwned>(door: &Door, path: &str, query: &[(&str, &str)]) -> Result<Vec<T>, Error> {
    let (mut items, mut cursor) = (Vec::new(), Some(String::new()));
    while let Some(at) = cursor {
        let page = door.page(path, query, &at).await?;
        items.extend(page.items);
        cursor = page.next;
    }
    Ok(items)
}

/// JSON in the door's own words, byte for byte.
fn line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("BUG: what was read as JSON can be written as JSON");
    format!("{text}\n")
}

/// The columns of the terminal, if the output is one.
#[must_use]
pub fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
