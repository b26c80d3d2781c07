//! Who holds what, kept without any index.

use std::collections::{BTreeMap, BTreeSet};

use projections::configuration::Configuration;
use schema::change::Change;
use schema::event::Event;
use schema::id::{AttestationId, JobId, NodeId};
use schema::lease::LeaseToken;

/// Who holds what, as the plainest reading of the log has it.
#[derive(Default)]
pub(crate) struct Plain {
    attestations: BTreeSet<AttestationId>,
    holders: BTreeMap<JobId, (NodeId, LeaseToken)>,
    since: BTreeMap<JobId, u64>,
}

impl Plain {
    pub(crate) fn take(&mut self, event: &Event) {
        let (id, position) = (event.entity.id.clone(), event.position.get());
        let job = JobId::from(id.clone());
        match event.change().unwrap() {
            Change::AttestationDefined(_) => {
                let attestation = AttestationId::from(id);
                if self.attestations.insert(attestation.clone()) {
                    self.since.insert(JobId::derived(&attestation), position);
                }
            }
            Change::AttestationRemoved => {
                let attestation = AttestationId::from(id);
                self.attestations.remove(&attestation);
                self.holders.remove(&JobId::derived(&attestation));
                self.since.remove(&JobId::derived(&attestation));
            }
            Change::JobClaimed(claimed) => {
                assert!(self.since.remove(&job).is_some(), "{job} was waiting");
                let before = self.holders.insert(job, (claimed.runtime, claimed.token));
                assert_eq!(before, None, "a job has one holder at one position");
            }
            Change::JobReleased(_) | Change::ClaimExpired(_) => {
                assert!(self.holders.remove(&job).is_some(), "{job} was held");
                self.since.insert(job, position);
            }
            Change::NodeRetired => {
                let node = NodeId::from(id);
                let freed: Vec<JobId> = self
                    .holders
                    .iter()
                    .filter(|(_, (holder, _))| *holder == node)
                    .map(|(job, _)| job.clone())
                    .collect();
                for job in freed {
                    self.holders.remove(&job);
                    self.since.insert(job, position);
                }
            }
            Change::JobCompleted(completed) => {
                assert_eq!(self.holders.get(&job), Some(&(completed.runtime, completed.token)), "only its holder");
            }
            _ => {}
        }
    }

    /// The state says the same.
    pub(crate) fn is(&self, state: &Configuration) {
        let jobs = state.jobs();
        let held: BTreeMap<JobId, (NodeId, LeaseToken)> = jobs
            .all()
            .iter()
            .filter_map(|(id, job)| {
                Some((id.clone(), job.claim.as_ref().map(|claim| (claim.runtime.clone(), claim.token))?))
            })
            .collect();
        assert_eq!(held, self.holders);
        let mut order: Vec<(u64, JobId)> = self.since.iter().map(|(job, since)| (*since, job.clone())).collect();
        order.sort();
        let order: Vec<JobId> = order.into_iter().map(|(_, job)| job).collect();
        assert_eq!(jobs.waiting().map(|(job, _)| job.clone()).collect::<Vec<_>>(), order, "longest waiting first");
        let all: BTreeSet<JobId> = self.attestations.iter().map(JobId::derived).collect();
        assert_eq!(jobs.all().keys().cloned().collect::<BTreeSet<_>>(), all, "none is lost");
        assert_eq!(held.len() + order.len(), all.len(), "a job is held or waits");
    }
}
