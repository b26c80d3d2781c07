//! `headwater wait`: waits until nodes run what is desired of them, and ends at once when one of them fails.
//!
//! Always: no node counts as converged by a state of the log that is older than the one at which the wait began, or than
//! `--min-position`; a failure counts only if it is about what is desired now, as the server judges it. Absent on purpose: any change.

mod advice;
mod awaited_node;
mod error;
mod node_selection;
mod node_wait;
mod outcome;
mod tally;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use program::output;
use schema::id::{CommandId, Id};
use schema::target::Selector;

use crate::api_client::ApiClient;
use crate::duration::parse_duration;
use crate::endpoint::Options as Endpoint;
use crate::impact;

pub use self::error::Error;
use self::node_selection::NodeSelection;
use self::node_wait::NodeWait;
use self::outcome::WaitOutcome;
use self::tally::OfflinePolicy;

/// What to wait for.
#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Clone, Debug, Subcommand)]
enum Subject {
    /// Wait until nodes run what is desired of them; end at once when one fails
    #[command(visible_alias = "node", after_help = NODES_AFTER_HELP)]
    Nodes(NodesOptions),
}

const NODES_AFTER_HELP: &str = "\
A node that failed or refused before counts only if that is about what is desired of it now. A node that is not enrolled yet, or was \
never heard, is waited for.

Exit codes: 0 all are converged, 1 one failed or refused, 2 usage, 3 not in time, or the server can't be reached.

Examples:
  headwater wait nodes node-1 node-2              two nodes
  headwater wait nodes -l 'site=lund,!spare'      nodes by their labels
  headwater wait nodes --command \"$command_id\"    those that a request concerned
  headwater wait nodes --all --timeout 0s         look once";

#[derive(Clone, Debug, Args)]
struct NodesOptions {
    #[command(flatten)]
    which: WhichNodes,

    /// The state to wait for.
    #[arg(long = "for", value_name = "STATE", value_enum, default_value_t = AwaitedState::Converged)]
    state: AwaitedState,

    /// How long to wait, such as 90s, 5m or 2h. 0s looks once.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = timeout)]
    timeout: Duration,

    /// What to do about nodes that are offline: ignore them and name them at the end, wait for them, or fail at once.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OfflinePolicy::Ignore)]
    offline: OfflinePolicy,

    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Exactly one of these is given.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichNodes {
    /// The nodes.
    #[arg(value_name = "ID")]
    ids: Vec<Id>,

    /// The nodes with these labels, such as 'site=lund,rack in (a,b),!spare'; not the retired ones. They may change while this waits,
    /// and there must be at least one.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<Selector>,

    /// The nodes that this request concerned: its id, or the position of one of its events, which the answer to it shows.
    #[arg(long, value_name = "COMMAND_ID|POSITION", value_parser = impact::request)]
    command: Option<String>,

    /// All nodes but the retired ones.
    #[arg(long)]
    all: bool,
}

/// A state that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AwaitedState {
    /// The node runs what is desired of it now, and its hook accepted that.
    Converged,
}

fn timeout(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("it is a whole number of s, m, h or d, such as 90s or 5m")
}

/// Waits, and prints how it ended.
///
/// # Errors
/// If a node failed, the time is up, the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let Subject::Nodes(options) = options.subject;
    let AwaitedState::Converged = options.state;
    let client = ApiClient::from_options(&options.endpoint)?;
    let wait = NodeWait {
        client,
        selection: options.which.selection(),
        offline: options.offline,
        timeout: options.timeout,
        is_position_given: options.endpoint.min_position > 0,
        was_reached: false,
    };
    conclude(wait.run().await?, options.json)
}

/// Waits until the nodes run what is desired of them that a request of this client concerned, and prints how it ended.
///
/// # Errors
/// As [`run`].
pub(crate) async fn for_request(client: ApiClient, request: CommandId, timeout: Duration) -> Result<(), Error> {
    let selection = NodeSelection::Request(request.to_string());
    let wait = NodeWait {
        client,
        selection,
        offline: OfflinePolicy::Ignore,
        timeout,
        is_position_given: true,
        was_reached: true,
    };
    conclude(wait.run().await?, false)
}

/// Prints how a wait ended.
fn conclude(outcome: WaitOutcome, json: bool) -> Result<(), Error> {
    if json {
        output::json(&outcome.json())?;
    }
    match outcome {
        WaitOutcome::Converged { .. } if json => Ok(()),
        WaitOutcome::Converged { .. } => {
            output::text(&outcome.text())?;
            Ok(())
        }
        WaitOutcome::Failed { .. } => Err(Error::NotConverged(outcome.text())),
        WaitOutcome::TimedOut { .. } => Err(Error::TimedOut(outcome.text())),
    }
}

impl WhichNodes {
    fn selection(self) -> NodeSelection {
        match (self.selector, self.command) {
            (Some(selector), _) => NodeSelection::Labelled(selector),
            (_, Some(request)) => NodeSelection::Request(request),
            _ if self.all => NodeSelection::All,
            _ => NodeSelection::Named(self.ids.into_iter().collect::<BTreeSet<_>>()),
        }
    }
}
