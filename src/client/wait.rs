//! `headwater wait`: waits until nodes run what is desired of them, or jobs have passed, and ends at once when one of them fails.
//!
//! Always: no node counts as converged by a state of the log that is older than the one at which the wait began, or than
//! `--min-position`; a failure counts only if it is about what is desired now, as the server judges it. Absent on purpose: any change.

mod advice;
mod awaited_entity;
mod awaited_kind;
mod convergence_wait;
mod error;
mod job_selection;
mod node_selection;
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
use crate::entity_name::{parse_job, parse_node};
use crate::impact;

use self::awaited_kind::AwaitedKind;
use self::convergence_wait::{AwaitedSelection, ConvergenceWait};
pub use self::error::Error;
use self::job_selection::JobSelection;
use self::node_selection::NodeSelection;
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
    /// Wait until the last run of each job was one of its spec as it is now, and passed; end at once when one did not pass
    #[command(visible_alias = "job", after_help = JOBS_AFTER_HELP)]
    Jobs(JobsOptions),
}

const NODES_AFTER_HELP: &str = "\
A node that failed or refused before counts only if that is about what is desired of it now. A node that is not enrolled yet, or was \
never heard, is waited for.

Exit codes: 0 all are converged, 1 one failed or refused, 2 usage, 3 not in time, or the server can't be reached.

Examples:
  headwater wait nodes node-1 node-2              two nodes
  headwater wait nodes -l 'site=lund,!spare'      nodes by their labels
  headwater wait nodes --command \"$command_id\"    those of a request
  headwater wait nodes --all --timeout 0s         look once";

const JOBS_AFTER_HELP: &str = "\
A run of an older spec says nothing, so a job whose definition was changed is waited for until it ran again. A job that nobody holds, or \
that is not there yet, is waited for.

Exit codes: 0 all have passed, 1 one did not pass, 2 usage, 3 not in time, or the server can't be reached.

Examples:
  headwater wait jobs -l family=ac                by labels of controls
  headwater wait jobs --command \"$command_id\"     those of a request";

#[derive(Clone, Debug, Args)]
struct NodesOptions {
    #[command(flatten)]
    which: WhichNodes,

    #[command(flatten)]
    how: WaitOptions,

    /// What to do about nodes that are offline: ignore them and name them at the end, wait for them, or fail at once.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OfflinePolicy::Ignore)]
    offline: OfflinePolicy,
}

#[derive(Clone, Debug, Args)]
struct JobsOptions {
    #[command(flatten)]
    which: WhichJobs,

    #[command(flatten)]
    how: WaitOptions,
}

#[derive(Clone, Debug, Args)]
#[group(skip)]
struct WaitOptions {
    /// The state to wait for.
    #[arg(long = "for", value_name = "STATE", value_enum, default_value_t = AwaitedState::Converged)]
    state: AwaitedState,

    /// How long to wait, such as 90s, 5m or 2h. 0s looks once.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = timeout)]
    timeout: Duration,

    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// Exactly one of these is given.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichJobs {
    /// The jobs, as ID or job/ID.
    #[arg(value_name = "ID", value_parser = parse_job::<Id>)]
    ids: Vec<Id>,

    /// The jobs whose control has these labels, such as 'family=ac,!draft'. There must be at least one.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<Selector>,

    /// The jobs whose specs this request changed: its id, or the position of one of its events.
    #[arg(long, value_name = "COMMAND_ID|POSITION", value_parser = impact::request)]
    command: Option<String>,

    /// All jobs.
    #[arg(long)]
    all: bool,
}

/// Exactly one of these is given.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichNodes {
    /// The nodes, as ID or node/ID.
    #[arg(value_name = "ID", value_parser = parse_node::<Id>)]
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
    /// The node runs what is desired of it now, and its hook accepted that. The last run of the job passed, with the spec as it is now.
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
    let (selection, how, offline) = match options.subject {
        Subject::Nodes(nodes) => (AwaitedSelection::Nodes(nodes.which.selection()), nodes.how, nodes.offline),
        Subject::Jobs(jobs) => (AwaitedSelection::Jobs(jobs.which.selection()), jobs.how, OfflinePolicy::Ignore),
    };
    let AwaitedState::Converged = how.state;
    let kind = selection.kind();
    let wait = ConvergenceWait {
        client: ApiClient::from_options(&how.endpoint)?,
        selection,
        offline,
        timeout: how.timeout,
        is_position_given: how.endpoint.min_position > 0,
        was_reached: false,
    };
    conclude(wait.run().await?, kind, how.json)
}

/// Waits until the nodes run what is desired of them that a request of this client concerned, and prints how it ended.
///
/// # Errors
/// As [`run`].
pub(crate) async fn for_request(client: ApiClient, request: CommandId, timeout: Duration) -> Result<(), Error> {
    let selection = AwaitedSelection::Nodes(NodeSelection::Request(request.to_string()));
    let kind = selection.kind();
    let wait = ConvergenceWait {
        client,
        selection,
        offline: OfflinePolicy::Ignore,
        timeout,
        is_position_given: true,
        was_reached: true,
    };
    conclude(wait.run().await?, kind, false)
}

/// Prints how a wait ended.
fn conclude(outcome: WaitOutcome, kind: AwaitedKind, json: bool) -> Result<(), Error> {
    if json {
        output::json(&outcome.json(kind))?;
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

impl WhichJobs {
    fn selection(self) -> JobSelection {
        match (self.selector, self.command) {
            (Some(selector), _) => JobSelection::Labelled(selector),
            (_, Some(request)) => JobSelection::Request(request),
            _ if self.all => JobSelection::All,
            _ => JobSelection::Named(self.ids.into_iter().collect()),
        }
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
