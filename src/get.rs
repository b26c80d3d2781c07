//! `headwater get`: what there is, as a table for people or as the door's JSON.
//!
//! Always: all pages of a list; with `--json` exactly what the door says; control characters of what others wrote reach no
//! terminal. Absent on purpose: changing anything.

mod columns;
mod outline;
pub mod table;

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use schema::id::Id;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use self::columns::Kind;
use crate::client::door::{Door, asked};
use crate::client::error::Error;
use crate::client::place::Options as Place;

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

    /// As it was then: a position, or an RFC 3339 time.
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<String>,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

/// Shows it.
///
/// # Errors
/// If the door refuses or can't be reached.
pub async fn run(options: Options) -> Result<(), Error> {
    let door = Door::of(&options.place)?;
    let (path, query) = (format!("/v1/{}", options.kind.name()), options.query());
    let text = match &options.id {
        None if options.kind.is_list() => {
            if options.json {
                line(&all::<Box<RawValue>>(&door, &path, &query).await?)
            } else {
                table::written(options.kind.columns(), &all(&door, &path, &query).await?, width())
            }
        }
        id => {
            let below = id.as_ref().map_or_else(String::new, |id| format!("/{id}"));
            let path = asked(&format!("{path}{below}"), &query);
            match options.json {
                true => line(&door.get::<Box<RawValue>>(&path).await?),
                false => outline::written(&door.get(&path).await?),
            }
        }
    };
    // Whoever has closed our output does not want it.
    let _unread = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

impl Options {
    fn query(&self) -> Vec<(&str, &str)> {
        self.at.iter().map(|at| ("at", at.as_str())).collect()
    }
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
