//! `headwater diff`: what differs between two states of the log, or between two nodes.
//!
//! Always: exit code 0 if nothing differs and 1 only if something does; a refusal is 4, so that no script takes it for a difference.
//! Absent on purpose: any change.

mod error;
mod node_pair;
mod past;
mod text_diff;

use clap::Args;
use schema::id::NodeId;

use self::node_pair::NodePair;
use self::past::PastStates;
use crate::get::QueryOptions;

pub use self::error::Error;

/// What to compare.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing differs, 1 something differs, 2 usage, 3 the server can't be reached, 4 it refuses.

Examples:
  headwater diff node-1 node-2                    files of two nodes
  headwater diff node-1 node-2 --at 120           as of position 120
  headwater diff --from 120                       nodes that changed since
  headwater diff --from 120 --to 140 node-1       files of one node")]
pub struct Options {
    /// Two nodes, or with --from one node or none.
    #[arg(value_name = "NODE", num_args = 0..=2)]
    nodes: Vec<NodeId>,

    /// The earlier state: a position, an RFC 3339 time, or a mark.
    #[arg(long, value_name = "POSITION|TIME|mark:NAME", conflicts_with = "at")]
    from: Option<String>,

    /// The later state [default: the newest].
    #[arg(long, value_name = "POSITION|TIME|mark:NAME", requires = "from")]
    to: Option<String>,

    #[command(flatten)]
    query: QueryOptions,
}

/// Whether something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum DiffOutcome {
    /// Nothing differs.
    Same,
    /// Something does, and was printed.
    Differs,
}

impl DiffOutcome {
    fn of(differs: bool) -> Self {
        if differs { Self::Differs } else { Self::Same }
    }
}

/// Prints what differs.
///
/// # Errors
/// If the options do not go together, the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<DiffOutcome, Error> {
    let Options { nodes, from, to, query } = options;
    match (from, nodes.as_slice()) {
        (None, [one, other]) => NodePair { one, other, query: &query }.print().await,
        (Some(from), []) => PastStates { from, to, query: &query }.print_fleet().await,
        (Some(from), [node]) => PastStates { from, to, query: &query }.print_node(node).await,
        (Some(_), _) => Err(Error::Usage("--from compares two states of one node, or of all".to_owned())),
        (None, _) => Err(Error::Usage("give two nodes, or --from POSITION".to_owned())),
    }
}
