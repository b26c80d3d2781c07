//! Decisions about claims on jobs. They are made against the state at the head, so that no job can have two holders.

use alloc::vec::Vec;

use schema::change::Change;
use schema::command::{ClaimJobs, CompleteJob, ReleaseJobs};
use schema::entity::Entity;
use schema::id::{CommandId, JobId, NodeId};
use schema::lease::{ClaimExpired, Entropy, JobClaimed, JobCompleted, JobReleased, LeaseToken};
use schema::limit::CLAIM_BYTES_MAX;
use schema::position::Version;

use crate::configuration::{Configuration, Node};
use crate::jobs::{Claim, Job};
use crate::refusal::Refusal;

/// The seed of a command's lease tokens: the random bytes of its request, and the ordinal of the command's first event.
#[derive(Clone, Debug)]
pub struct TokenSeed {
    entropy: Entropy,
    command_id: CommandId,
    ordinal: u32,
}

impl TokenSeed {
    /// The seed of a command whose first event would have this ordinal in its request.
    #[must_use]
    pub fn new(entropy: Entropy, command_id: CommandId, ordinal: u32) -> Self {
        Self { entropy, command_id, ordinal }
    }

    fn token(&self, job: &JobId) -> LeaseToken {
        LeaseToken::derived(&self.entropy, self.command_id, self.ordinal, job)
    }
}

/// The jobs that wait longest of those that fit the runtime: as many as it asks for, as long as their specs fit into an
/// answer.
pub(super) fn claim(
    state: &Configuration,
    claim: &ClaimJobs,
    seed: &TokenSeed,
) -> Result<Vec<(Entity, Change)>, Refusal> {
    let node = runtime(state, &claim.runtime)?;
    let fitting = state.jobs().waiting().filter(|(_, job)| fits(state, job, node));
    let mut bytes = 0;
    let mut claimed = Vec::new();
    for (id, _) in fitting.take(claim.limit as usize) {
        let spec = state.spec(id).expect("BUG: a job of the state has a spec");
        bytes += spec.bytes.len();
        if bytes > CLAIM_BYTES_MAX && !claimed.is_empty() {
            break;
        }
        let (runtime, lease_s) = (claim.runtime.clone(), claim.lease_s);
        let change = JobClaimed { runtime, token: seed.token(id), lease_s, spec_digest: spec.digest };
        claimed.push((id.into(), Change::JobClaimed(change)));
    }
    Ok(claimed)
}

fn fits(state: &Configuration, job: &Job, node: &Node) -> bool {
    let attestation = state.compliance().attestations().get(&job.attestation);
    attestation.is_some_and(|attestation| attestation.said.runtime_selector.matches(&node.labels))
}

/// A runtime without jobs has nothing to renew: no event.
pub(super) fn renew(state: &Configuration, id: &NodeId) -> Result<Option<Change>, Refusal> {
    runtime(state, id)?;
    Ok((state.jobs().held_count(id) > 0).then_some(Change::ClaimRenewed))
}

/// Jobs that the runtime does not hold are skipped: it may have lost their claims meanwhile. A job that never existed is
/// refused.
pub(super) fn release(state: &Configuration, release: &ReleaseJobs) -> Result<Vec<(Entity, Change)>, Refusal> {
    runtime(state, &release.runtime)?;
    for job in release.jobs.iter().flatten() {
        let entity = Entity::from(job);
        if !state.jobs().all().contains_key(job) && state.version(&entity) == Version::ZERO {
            return Err(Refusal::UnknownReference { field: "jobs", entity });
        }
    }
    let asked = |job: &JobId| release.jobs.as_ref().is_none_or(|jobs| jobs.contains(job));
    let released = state.jobs().held_by(&release.runtime).filter(|(id, _)| asked(id));
    Ok(released
        .filter_map(|(id, job)| {
            let Claim { runtime, token, .. } = &**job.claim.as_ref()?;
            let change = JobReleased { runtime: runtime.clone(), token: *token };
            Some((id.into(), Change::JobReleased(change)))
        })
        .collect())
}

/// A run counts if it was made under the current claim and of the current spec. The claim goes on.
pub(super) fn complete(state: &Configuration, complete: &CompleteJob) -> Result<Change, Refusal> {
    let CompleteJob { job: id, token, spec_digest, outcome, evidence } = complete.clone();
    let claim = current(state, &id, token)?;
    let spec = state.spec(&id).expect("BUG: a job of the state has a spec");
    if spec.digest != spec_digest {
        return Err(Refusal::SpecChanged { job: id, given: spec_digest, current: spec.digest });
    }
    let runtime = claim.runtime.clone();
    Ok(Change::JobCompleted(JobCompleted { runtime, token, spec_digest, outcome, evidence }))
}

/// Expires a claim. The reconciler decides that the holder was silent; here only the claim's token is checked.
pub(super) fn expire(state: &Configuration, id: &JobId, token: LeaseToken) -> Result<Change, Refusal> {
    let runtime = current(state, id, token)?.runtime.clone();
    Ok(Change::ClaimExpired(ClaimExpired { runtime, token }))
}

/// The current claim on the job, if this is its token.
fn current<'a>(state: &'a Configuration, id: &JobId, token: LeaseToken) -> Result<&'a Claim, Refusal> {
    let Some(job) = state.jobs().all().get(id) else {
        return Err(Refusal::UnknownReference { field: "job", entity: id.into() });
    };
    match &job.claim {
        Some(claim) if claim.token == token => Ok(claim),
        _ => Err(Refusal::ClaimLost(id.clone())),
    }
}

/// The node, if it is enrolled and not retired.
fn runtime<'a>(state: &'a Configuration, id: &NodeId) -> Result<&'a Node, Refusal> {
    match state.nodes().get(id) {
        None => Err(Refusal::UnknownReference { field: "runtime", entity: id.into() }),
        Some(node) if node.retired => Err(Refusal::RetiredRuntime(id.clone())),
        Some(node) => Ok(node),
    }
}
