//! Turns a request of manifests into a rollout: documents that change are staged, and the rollout is started in the same request.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schema::digest::Digest;
use schema::id::RolloutId;
use serde_json::json;

use super::error::Error;
use super::faults::print_faults;
use super::request_step::RequestStep;
use super::shown_request::decide;
use crate::api_client::ApiClient;
use crate::manifest::rollout_policy;
use crate::request_plan::outcome::RequestOutcome;

/// A rollout of manifests, as the command line asks for it.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct RolloutOptions {
    /// Let documents that change reach nodes stage by stage: a file in YAML or JSON with the fields of `open_rollout`, without its `id`.
    #[arg(long, value_name = "FILE", requires = "files", conflicts_with_all = ["prune", "wait"])]
    pub(crate) rollout: Option<PathBuf>,

    /// The id of the rollout [default: the bundle, and a part of the plan's digest]
    #[arg(long, value_name = "ID", requires = "rollout")]
    pub(crate) rollout_id: Option<RolloutId>,
}

/// A request that rolls out what a request of manifests changes, and what it would have done at once.
pub(crate) struct RolloutStep {
    pub(crate) id: String,
    pub(crate) step: RequestStep,
    /// What the nodes get, stage by stage.
    pub(crate) outcome: RequestOutcome,
    /// How many documents are staged.
    pub(crate) documents: usize,
}

/// The rollout of the manifests' only request; none if no document changes.
///
/// # Errors
/// If the policy is at fault, or the server refuses or can't be reached.
pub(crate) async fn of(
    client: &ApiClient,
    steps: &[RequestStep],
    policy: &Path,
    id: Option<&str>,
    bundle: Option<&str>,
) -> Result<Option<RolloutStep>, Error> {
    let mut policy = rollout_policy::read(policy).map_err(|faults| print_faults(&faults))?;
    let [step] = steps else {
        let why = "a rollout is one request, and these manifests are more than one takes: roll out a part of them";
        return Err(Error::WrongCommand(why.to_owned()));
    };
    // What it would do at once is only looked at, so that no guard is in its way.
    let at_once = step.said_now();
    let outcome = decide(client, &at_once).await?.outcome;
    let changed: BTreeSet<String> = outcome
        .events
        .iter()
        .filter(|event| event.event_type == "DocumentPut")
        .map(|event| event.entity.clone())
        .collect();
    if changed.is_empty() {
        return Ok(None);
    }
    let id = id.map_or_else(|| default_id(bundle, &outcome), str::to_owned);
    policy["type"] = json!("open_rollout");
    policy["id"] = json!(id);
    let step = step.rolled_out(&id, policy, &changed);
    Ok(Some(RolloutStep { id, step, documents: changed.len(), outcome }))
}

/// Another plan is another rollout, and the same one again is the same.
fn default_id(bundle: Option<&str>, outcome: &RequestOutcome) -> String {
    let plan = outcome.plan.clone().unwrap_or_else(|| Digest::of(outcome.log_id.as_bytes()).to_string());
    // Ids have at most 64 characters.
    let bundle: String = bundle.unwrap_or("apply").chars().take(50).collect();
    format!("{bundle}-{}", plan.chars().take(8).collect::<String>())
}
