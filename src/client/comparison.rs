//! What differs between two states of the log, or between two nodes: a part of [`headwater diff`](crate::diff).
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
use crate::api_client::ApiClient;
use crate::endpoint::Options as Endpoint;

pub(crate) use self::error::Error;

/// Two states of the log, or two nodes.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub(crate) struct ComparedStates {
    /// Two nodes, or with --from one node or none.
    #[arg(value_name = "NODE", num_args = 0..=2, conflicts_with = "files")]
    nodes: Vec<NodeId>,

    /// The earlier state: a position, an RFC 3339 time, or a mark.
    #[arg(long, value_name = "POSITION|TIME|mark:NAME", conflicts_with_all = ["at", "files"])]
    from: Option<String>,

    /// The later state [default: the newest].
    #[arg(long, value_name = "POSITION|TIME|mark:NAME", requires = "from")]
    to: Option<String>,

    /// Compare two nodes as of a position, an RFC 3339 time, or a mark.
    #[arg(long, value_name = "POSITION|TIME|mark:NAME", conflicts_with = "files")]
    at: Option<String>,

    /// Print JSON: digests, and no texts.
    #[arg(long, conflicts_with = "files")]
    json: bool,
}

/// Prints what differs, and says whether something does.
///
/// # Errors
/// If the options do not go together, the server refuses or can't be reached, or the output can't be written.
pub(crate) async fn compare(states: ComparedStates, endpoint: &Endpoint) -> Result<bool, Error> {
    let (at, json) = (states.at.clone(), states.json);
    // Options that make no sense are refused before a context's command is run for its token.
    let subject = states.subject()?;
    let client = &ApiClient::from_options(endpoint)?;
    match subject {
        Subject::Pair([one, other]) => NodePair { client, one, other, at, json }.print().await,
        Subject::Past { from, to, node: Some(node) } => PastStates { client, from, to, json }.print_node(&node).await,
        Subject::Past { from, to, node: None } => PastStates { client, from, to, json }.print_fleet().await,
    }
}

/// What is compared.
enum Subject {
    /// Two nodes.
    Pair([NodeId; 2]),
    /// Two states of a node, or of all.
    Past { from: String, to: Option<String>, node: Option<NodeId> },
}

impl ComparedStates {
    fn subject(self) -> Result<Subject, Error> {
        let Self { nodes, from, to, .. } = self;
        match (from, <[NodeId; 2]>::try_from(nodes)) {
            (None, Ok(pair)) => Ok(Subject::Pair(pair)),
            (Some(from), Err(nodes)) => Ok(Subject::Past { from, to, node: nodes.into_iter().next() }),
            (Some(_), Ok(_)) => Err(Error::Usage("--from compares two states of one node, or of all".to_owned())),
            (None, Err(_)) => Err(Error::Usage("give -f PATH, two nodes, or --from POSITION".to_owned())),
        }
    }
}
