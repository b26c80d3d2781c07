//! The folded jobs: one for each attestation, with its claim.
//!
//! A job is either claimed by one runtime or waits, never both and never neither. It waits since the event that freed
//! it, or that made it; the one that waits longest is claimed first, and of those of one event the one of the least id.
//!
//! A claim ends when its holder gives it back, when the reconciler finds the holder silent, when the holder's node is
//! retired, or with the attestation. It does not end when the job is completed (the holder runs it whenever it is due),
//! when the spec changes (the holder gets the new one, and the old digest completes nothing any more), or when the
//! holder's labels or the job's `runtime_selector` change: who holds a job keeps it, who claims is asked for labels.

mod spec_cache;

use alloc::string::String;
use alloc::sync::Arc;

use imbl::{OrdMap, OrdSet};
use schema::desired::{Cause, Source};
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{AttestationId, JobId, NodeId};
use schema::instant::Instant;
use schema::lease::{JobClaimed, JobCompleted, LeaseToken};
use schema::position::Position;

use crate::selector_index;

use self::spec_cache::SpecCache;

pub use self::spec_cache::RenderedSpec;

/// The jobs of all attestations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    /// Shared one by one: a map that changes copies whole leaves, and a job is many small things.
    jobs: OrdMap<JobId, Arc<Job>>,
    waiting: OrdSet<(Position, JobId)>,
    held: OrdMap<NodeId, OrdSet<JobId>>,
    last_active: OrdMap<NodeId, Position>,
    removed: OrdMap<JobId, RemovedJob>,
}

/// A job whose attestation was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedJob {
    /// The id of the attestation.
    pub attestation: AttestationId,
    /// The position of the event that removed it.
    pub position: Position,
}

/// A job: the work of one attestation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The id of the attestation.
    pub attestation: AttestationId,
    /// The entity whose event last changed the spec: a control, a component, an assessment or the attestation.
    pub source: Source,
    /// The event of `source`.
    pub cause: Cause,
    /// The position of the event that defined the attestation, and with it the job.
    pub made: Position,
    /// The current claim; `None` while the job waits.
    pub claim: Option<Arc<Claim>>,
    /// The position since which the job waits, or last waited.
    pub since: Position,
    /// The last completed run, if there was one.
    pub completed: Option<Arc<CompletedRun>>,
    /// The rendered spec, filled at first use.
    spec: SpecCache,
}

/// A claim on a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The node that holds the job.
    pub runtime: NodeId,
    /// The lease token, which the node shows to complete the job.
    pub token: LeaseToken,
    /// The lease in seconds: after so long a silence the claim ends.
    pub lease_s: u32,
    /// The position of the event that made the claim.
    pub position: Position,
    /// The position of the event that gave the node the labels with which it claimed.
    pub labelled: Position,
}

/// The last run of a job that its holder completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedRun {
    /// The node that ran the job.
    pub runtime: NodeId,
    /// SHA-256 of the spec that was run.
    pub spec_digest: Digest,
    /// The outcome in a word, such as `passed`.
    pub outcome: String,
    /// The position of the event, which holds the evidence, too.
    pub position: Position,
    /// The time of that event.
    pub at: Instant,
}

impl Job {
    /// The cached spec, or the result of `render`, which is cached then.
    pub(crate) fn spec_or_else(&self, render: impl FnOnce() -> RenderedSpec) -> &RenderedSpec {
        self.spec.get_or_render(render)
    }
}

impl Jobs {
    /// All jobs, by id.
    #[must_use]
    pub fn all(&self) -> &OrdMap<JobId, Arc<Job>> {
        &self.jobs
    }

    /// The jobs without a claim, the one that waits longest first.
    pub fn waiting(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.waiting.iter().filter_map(|(_, id)| self.one(id))
    }

    /// The jobs that a runtime holds, by id.
    pub fn held_by(&self, runtime: &NodeId) -> impl Iterator<Item = (&JobId, &Job)> {
        self.held.get(runtime).into_iter().flatten().filter_map(|id| self.one(id))
    }

    fn one(&self, id: &JobId) -> Option<(&JobId, &Job)> {
        self.jobs.get_key_value(id).map(|(id, job)| (id, &**job))
    }

    /// How many jobs a runtime holds.
    #[must_use]
    pub fn held_count(&self, runtime: &NodeId) -> usize {
        self.held.get(runtime).map_or(0, OrdSet::len)
    }

    /// How many jobs are claimed.
    #[must_use]
    pub fn claimed_count(&self) -> usize {
        self.jobs.len() - self.waiting.len()
    }

    /// A job that was removed; none if there never was one.
    #[must_use]
    pub fn removed_job(&self, id: &JobId) -> Option<&RemovedJob> {
        self.removed.get(id)
    }

    /// The runtimes that hold jobs.
    pub fn holders(&self) -> impl Iterator<Item = &NodeId> {
        self.held.keys()
    }

    /// The last position at which a runtime claimed, renewed or completed.
    #[must_use]
    pub fn last_active_at(&self, runtime: &NodeId) -> Position {
        self.last_active.get(runtime).copied().unwrap_or_default()
    }

    /// Creates or changes an attestation's job; returns its holder.
    pub(crate) fn respecify(&mut self, attestation: AttestationId, source: &Source, cause: Cause) -> Option<NodeId> {
        let id = JobId::derived(&attestation);
        let (source, spec) = (source.clone(), SpecCache::default());
        if let Some(job) = self.jobs.get_mut(&id).map(Arc::make_mut) {
            (job.source, job.cause, job.spec) = (source, cause, spec);
            return job.claim.as_ref().map(|claim| claim.runtime.clone());
        }
        let since = cause.position;
        self.removed.remove(&id);
        self.waiting.insert((since, id.clone()));
        let job = Job { attestation, source, cause, made: since, claim: None, since, completed: None, spec };
        self.jobs.insert(id, Arc::new(job));
        None
    }

    /// Removes a job; returns its holder.
    pub(crate) fn remove(&mut self, id: &JobId, position: Position) -> Option<NodeId> {
        let job = self.jobs.remove(id)?;
        self.removed.insert(id.clone(), RemovedJob { attestation: job.attestation.clone(), position });
        self.waiting.remove(&(job.since, id.clone()));
        let runtime = job.claim.as_ref()?.runtime.clone();
        selector_index::remove(&mut self.held, &runtime, id);
        Some(runtime)
    }

    /// Ends all claims of a runtime, from this position on.
    pub(crate) fn free_all(&mut self, runtime: &NodeId, position: Position) {
        for id in self.held.get(runtime).cloned().unwrap_or_default() {
            self.free(&id, position);
        }
        self.last_active.remove(runtime);
    }

    /// Ends a job's claim, so that it waits from this position on; returns the former holder.
    fn free(&mut self, id: &JobId, position: Position) -> Option<NodeId> {
        let job = Arc::make_mut(self.jobs.get_mut(id)?);
        let claim = job.claim.take()?;
        job.since = position;
        self.waiting.insert((position, id.clone()));
        selector_index::remove(&mut self.held, &claim.runtime, id);
        Some(claim.runtime.clone())
    }

    /// Ends the claim on a job if it is still the one with this token.
    pub(crate) fn end(&mut self, id: &JobId, token: LeaseToken, position: Position) -> Option<NodeId> {
        let claim = self.jobs.get(id)?.claim.as_ref()?;
        if claim.token == token { self.free(id, position) } else { None }
    }

    /// Sets the claim on a job in place of any earlier one; returns the new holder.
    pub(crate) fn claim(
        &mut self,
        id: &JobId,
        claimed: &JobClaimed,
        position: Position,
        labelled: Position,
    ) -> Option<NodeId> {
        self.free(id, position);
        let job = Arc::make_mut(self.jobs.get_mut(id)?);
        let JobClaimed { runtime, token, lease_s, .. } = claimed.clone();
        self.waiting.remove(&(job.since, id.clone()));
        job.claim = Some(Arc::new(Claim { runtime: runtime.clone(), token, lease_s, position, labelled }));
        selector_index::insert(&mut self.held, &runtime, id);
        self.last_active.insert(runtime.clone(), position);
        Some(runtime)
    }

    /// Stores the last run of a job.
    pub(crate) fn complete(&mut self, id: &JobId, event: &Event, completed: &JobCompleted) {
        let Some(job) = self.jobs.get_mut(id).map(Arc::make_mut) else { return };
        let JobCompleted { runtime, spec_digest, outcome, .. } = completed.clone();
        self.last_active.insert(runtime.clone(), event.position);
        let (position, at) = (event.position, event.at);
        job.completed = Some(Arc::new(CompletedRun { runtime, spec_digest, outcome, position, at }));
    }

    /// Records a renewal of a runtime's claims.
    pub(crate) fn renew(&mut self, runtime: NodeId, position: Position) {
        self.last_active.insert(runtime, position);
    }
}
