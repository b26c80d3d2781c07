//! `headwater apply`: makes the log hold what manifests declare, or sends a plan.
//!
//! Always: what is sent does what was shown, or nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use program::output;
use schema::answer::Answer;

use crate::api_client::ApiClient;
use crate::confirm::ConfirmOption;
use crate::duration::parse_duration;
use crate::endpoint::Options as Endpoint;
use crate::manifest::declared::Declaration;
pub use crate::manifest_request::error::Error;
use crate::manifest_request::options::ManifestOptions;
use crate::manifest_request::plan_application;
use crate::manifest_request::request_step::RequestStep;
use crate::manifest_request::rollout_step::{RolloutOptions, RolloutStep};
use crate::manifest_request::shown_request::{ShowPolicy, decide, show_and_send};
use crate::wait;

/// What to apply, and how.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("source").args(["plan", "files"]).required(true))]
#[command(after_help = "\
It shows what would change on which nodes, asks, and sends exactly that: if something else would come of it meanwhile, nothing is \
changed (plan_changed). What is equal already appends nothing. Manifests that are more than one request takes go in several, each \
shown and asked about.\n\n\
Exit codes: 0 done, or nothing to do; 1 refused, declined, or failed while it waited; 2 usage, or a bad manifest or plan; 3 could not \
reach the server, or not in time.\n\n\
Examples:\n  \
headwater apply -f fleet/                       show, ask, and apply a folder\n  \
headwater apply -f fleet/ --prune --yes         also remove what is gone\n  \
headwater apply -f fleet/ --rollout stages.yaml documents stage by stage\n  \
headwater apply plan.json                       what `plan --out` wrote")]
pub struct Options {
    /// A plan that `headwater plan --out` wrote.
    #[arg(value_name = "PLAN")]
    plan: Option<PathBuf>,

    #[command(flatten)]
    manifests: ManifestOptions,

    #[command(flatten)]
    rollout: RolloutOptions,

    /// How many members of each bundle may be removed [default: half of those that it has]
    #[arg(long, value_name = "N")]
    prune_max: Option<usize>,

    #[command(flatten)]
    confirm: ConfirmOption,

    /// Wait until the nodes run it, for this long [default: 5m]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "5m", value_parser = duration)]
    wait: Option<Duration>,

    /// Print the answers as JSON, one in a line, and nothing else.
    #[arg(long, requires = "yes")]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("it is a whole number of s, m, h or d, such as 90s or 5m")
}

/// Applies manifests or a plan.
///
/// # Errors
/// If a manifest or the plan is at fault, nobody said yes, the server refuses or can't be reached, or the nodes are not converged.
pub async fn run(options: Options) -> Result<(), Error> {
    if options.plan.is_some() && options.manifests.says_anything() {
        let why = "a plan has its bundle, its reason and what it prunes and takes: say that to `headwater plan`";
        return Err(Error::WrongCommand(why.to_owned()));
    }
    let client = ApiClient::from_options(&options.endpoint)?;
    let policy =
        ShowPolicy { confirm: options.confirm, question: "Apply it", prune_max: options.prune_max, json: options.json };
    let answers = match &options.plan {
        Some(plan) => plan_application::run(&client, plan, policy).await?.into_iter().collect(),
        None => apply_files(&client, &options, policy).await?,
    };
    if let Some(timeout) = options.wait {
        for id in answers.iter().filter_map(|answer| answer.command_id) {
            wait::for_request(client.clone(), id, timeout).await.map_err(Error::Waiting)?;
        }
    }
    Ok(())
}

/// Applies manifests: at once, or documents that change stage by stage. What else they change is changed at once, and is shown apart.
async fn apply_files(client: &ApiClient, options: &Options, policy: ShowPolicy<'_>) -> Result<Vec<Answer>, Error> {
    let declared = options.manifests.read()?;
    let steps = options.manifests.steps(&declared, client).await?;
    let rolled_out = options.rollout.step(client, &declared, &options.manifests, &steps).await?;
    let Some(RolloutStep { id, step }) = rolled_out else {
        return apply_at_once(client, &options.manifests, &declared, &steps, policy).await;
    };
    if options.wait.is_some() {
        let why =
            format!("nodes get it stage by stage: leave --wait out, and watch it with `headwater rollout watch {id}`");
        return Err(Error::WrongCommand(why));
    }
    let decided = decide(client, &step).await?;
    let answer = show_and_send(client, &step, &decided, ShowPolicy { question: "Start it", ..policy }).await?;
    if !policy.json {
        output::text(&format!("headwater rollout watch {id} shows how it goes\n"))?;
    }
    Ok(vec![answer])
}

async fn apply_at_once(
    client: &ApiClient,
    manifests: &ManifestOptions,
    declared: &Declaration,
    steps: &[RequestStep],
    policy: ShowPolicy<'_>,
) -> Result<Vec<Answer>, Error> {
    let (mut answers, total) = (Vec::new(), steps.len());
    if !policy.json {
        output::text(&manifests.membership_notes(declared, client).await?)?;
    }
    for (index, step) in steps.iter().enumerate() {
        let sent = async {
            let decided = decide(client, step).await?;
            if !decided.outcome.changes() {
                return Ok(None);
            }
            if total > 1 && !policy.json {
                output::text(&format!("Request {} of {total}:\n", index + 1))?;
            }
            show_and_send(client, step, &decided, policy).await.map(Some)
        };
        match sent.await {
            Ok(answer) => answers.extend(answer),
            Err(error) if answers.is_empty() => return Err(error),
            Err(error) => return Err(Error::Halfway { done: index, total, source: Box::new(error) }),
        }
    }
    if !policy.json && answers.is_empty() {
        output::text("there is nothing to change\n")?;
    }
    Ok(answers)
}
