//! Turns a request of manifests into a rollout: documents that change are staged, and the rollout is started in the same request.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schema::digest::Digest;
use schema::id::RolloutId;
use serde_json::{Value, json};

use super::error::Error;
use super::faults::print_faults;
use super::options::ManifestOptions;
use super::request_step::RequestStep;
use super::shown_request::decide;
use crate::api_client::ApiClient;
use crate::manifest::declared::Declaration;
use crate::manifest::rollout_policy;
use crate::request_plan::outcome::RequestOutcome;

/// A rollout of manifests, as the command line asks for it.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct RolloutOptions {
    /// Let documents that change reach nodes stage by stage: a file in YAML or JSON with the fields of `open_rollout`, without its `id`
    /// [default: `rollout` of the bundle].
    #[arg(long, value_name = "FILE", requires = "files", conflicts_with = "prune")]
    pub(crate) rollout: Option<PathBuf>,

    /// The id of the rollout [default: the bundle, and a part of the plan's digest]
    #[arg(long, value_name = "ID", requires = "files")]
    pub(crate) rollout_id: Option<RolloutId>,
}

/// A request that rolls out what a request of manifests changes.
pub(crate) struct RolloutStep {
    pub(crate) id: String,
    pub(crate) step: RequestStep,
}

impl RolloutOptions {
    /// The request that rolls out what the only request of manifests changes, by the policy in the file or else that of the bundles. None if
    /// there is no policy, or no document changes.
    ///
    /// # Errors
    /// If the policy is at fault, bundles have several, there is more than one request, or the server refuses or can't be reached.
    pub(crate) async fn step(
        &self,
        client: &ApiClient,
        declared: &Declaration,
        manifests: &ManifestOptions,
        steps: &[RequestStep],
    ) -> Result<Option<RolloutStep>, Error> {
        let policy = match &self.rollout {
            Some(file) => Some(rollout_policy::read(file).map_err(|faults| print_faults(&faults))?),
            None => manifests.declared_policy(declared)?.cloned(),
        };
        let Some(policy) = policy else { return Ok(None) };
        let bundle = declared.bundles.first().map(|bundle| bundle.id.as_str());
        stage(client, steps, policy, self.rollout_id.as_ref(), bundle).await
    }
}

async fn stage(
    client: &ApiClient,
    steps: &[RequestStep],
    mut policy: Value,
    id: Option<&RolloutId>,
    bundle: Option<&str>,
) -> Result<Option<RolloutStep>, Error> {
    let [step] = steps else {
        let why = "a rollout is one request, and these manifests are more than one takes: roll out a part of them, or change everything at \
                   once with --now";
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
    let id = id.map_or_else(|| default_id(bundle, &outcome), ToString::to_string);
    policy["type"] = json!("open_rollout");
    policy["id"] = json!(id);
    let step = step.rolled_out(&id, policy, &changed);
    Ok(Some(RolloutStep { id, step }))
}

/// Another plan is another rollout, and the same one again is the same.
fn default_id(bundle: Option<&str>, outcome: &RequestOutcome) -> String {
    let plan = outcome.plan.clone().unwrap_or_else(|| Digest::of(outcome.log_id.as_bytes()).to_string());
    // Ids have at most 64 characters.
    let bundle: String = bundle.unwrap_or("apply").chars().take(50).collect();
    format!("{bundle}-{}", plan.chars().take(8).collect::<String>())
}
