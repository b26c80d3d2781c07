//! `headwater get`: entities and figures, as a table for people or as the server's JSON.
//!
//! Always: all pages of a list; with `--json` the server's answer, value for value. Absent on purpose: any change.

mod outline;
mod query_options;
mod resource_kind;
pub mod table;

use std::io::IsTerminal as _;

use clap::Args;
use schema::id::Id;
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) use self::query_options::QueryOptions;
pub use self::resource_kind::ResourceKind;
pub use crate::exchange::Error;
use program::output;

/// What to show, and how.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
  headwater get nodes                     every node and its state\n  \
  headwater get node node-1               all that is known of one node\n  \
  headwater get documents --at 120        documents as of position 120\n  \
  headwater get fleet --json              the counts, for a program")]
pub struct Options {
    /// The kind. The singular does as well.
    #[arg(value_name = "KIND")]
    kind: ResourceKind,

    /// The id; without one, all of the kind are shown.
    #[arg(value_name = "ID")]
    id: Option<Id>,

    #[command(flatten)]
    query: QueryOptions,
}

/// Prints what was asked for.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let Options { kind, id, query } = options;
    let path = format!("/v1/{}", kind.name());
    match id {
        None if kind.is_list() => print_list(kind, &path, &query, &[]).await,
        None => query.print(&path, outline::format_entity).await,
        Some(id) => query.print(&format!("{path}/{id}"), outline::format_entity).await,
    }
}

/// Prints a list, or the part of it that a filter lets through.
pub(crate) async fn print_list(
    kind: ResourceKind,
    path: &str,
    options: &QueryOptions,
    filter: &[(&str, &str)],
) -> Result<(), Error> {
    let (client, query) = (options.client()?, [&options.query(), filter].concat());
    match options.json {
        true => output::json(&to_json(&client.list::<Box<RawValue>>(path, &query).await?)),
        false => {
            output::text(&table::format_table(kind.columns(), &client.list(path, &query).await?, terminal_width()))
        }
    }?;
    Ok(())
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("BUG: what was read as JSON can be written as JSON")
}

/// The width of the terminal, if standard output is one.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
