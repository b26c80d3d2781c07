//! `headwater mark`: gives a position of the log a name.

use clap::Args;
use schema::id::MarkId;
use schema::position::Position;
use serde_json::json;

use crate::api_client::ApiClient;
use crate::fleet::SendOptions;

pub use crate::fleet::Error;

/// Which position gets which name.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Wherever a past state is asked for (`--at`, `--from`, `--to`), mark:NAME stands for the position.\n\n\
Examples:\n  \
headwater mark run-1234                         the log as it is now\n  \
headwater mark golden --at 812\n  \
headwater get documents --at mark:golden\n  \
headwater revert --to mark:golden")]
pub struct Options {
    /// The name of the mark.
    #[arg(value_name = "NAME")]
    name: MarkId,

    /// The position that it names [default: the end of the log].
    #[arg(long, value_name = "POSITION")]
    at: Option<u64>,

    /// Let a mark that is there name another position.
    #[arg(long = "move")]
    moves: bool,

    #[command(flatten)]
    common: SendOptions,
}

/// Sets the mark.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let Options { name, at, moves, common } = options;
    let command = json!({"type": "mark", "id": name, "position": at.map(Position::from), "move": moves});
    let client = ApiClient::from_options(&common.endpoint)?;
    let answer = common.send(&client, vec![command]).await?;
    let text = match (answer.events.is_empty(), at) {
        (true, _) => format!("mark {name} names that position already\n"),
        (false, Some(at)) => format!("mark {name} names position {at}\n"),
        // It names the end of the log, as it is before the mark's own event.
        (false, None) => format!("mark {name} names position {}\n", answer.position.previous()),
    };
    common.print(&answer, &text)
}
