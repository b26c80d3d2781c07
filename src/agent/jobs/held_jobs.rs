//! The claimed jobs of a runtime, as the server listed them last, and the runtime's own data about each.
//!
//! Invariant: each list of the server replaces the one before; a command whose job is not in it, or has another claim or spec
//! there, loses its lease and is killed.

use std::collections::BTreeMap;

use schema::digest::Digest;
use schema::id::JobId;
use schema::instant::Instant;
use schema::lease::{LeaseToken, LeasedJob};
use tokio::sync::watch;

use crate::jobs::lease::{Lease, Uptime};
use crate::jobs::schedule::JobSchedule;

pub(crate) type HeldJobs = BTreeMap<JobId, HeldJob>;

#[derive(Debug)]
pub(crate) struct HeldJob {
    pub(crate) token: LeaseToken,
    pub(crate) spec_digest: Digest,
    /// None until the server has answered a request for a lease.
    pub(crate) lease: Option<Lease>,
    /// None until the spec is in the tree.
    pub(crate) schedule: Option<JobSchedule>,
    /// The command that runs now.
    pub(crate) running: Option<RunningCommand>,
    /// It is not started before this time.
    pub(crate) not_before: Uptime,
    /// Its spec has no usable schedule, which was logged.
    pub(crate) is_spec_unusable: bool,
}

/// A command that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct RunningCommand {
    /// Unique in this process: a run that ended late must not be taken for its successor.
    pub(crate) number: u64,
    /// The due time that it serves.
    pub(crate) due: Instant,
    /// The command watches the other end; if this is dropped, the lease is lost.
    pub(crate) lease: watch::Sender<Lease>,
}

impl HeldJob {
    fn of(leased: &LeasedJob) -> Self {
        Self {
            token: leased.token,
            spec_digest: leased.spec_digest,
            lease: None,
            schedule: None,
            running: None,
            not_before: Uptime::default(),
            is_spec_unusable: false,
        }
    }

    fn is_same_claim(&self, leased: &LeasedJob) -> bool {
        self.token == leased.token && self.spec_digest == leased.spec_digest
    }

    fn set_lease(&mut self, lease: Lease) {
        self.lease = Some(lease);
        if let Some(running) = &self.running {
            running.lease.send_replace(lease);
        }
    }
}

/// Replaces all jobs by the server's list. `asked` is when the request was sent, if it renewed the leases.
pub(crate) fn replace(jobs: &mut HeldJobs, listed: &[LeasedJob], asked: Option<Uptime>) {
    let mut before = std::mem::take(jobs);
    for leased in listed {
        let known = before.remove(&leased.id).filter(|held| held.is_same_claim(leased));
        jobs.insert(leased.id.clone(), known.unwrap_or_else(|| HeldJob::of(leased)));
    }
    if let Some(asked) = asked {
        set_leases(jobs, listed, asked);
    }
}

/// Adds jobs that were just claimed.
pub(crate) fn add(jobs: &mut HeldJobs, claimed: &[LeasedJob], asked: Uptime) {
    for leased in claimed {
        if !jobs.get(&leased.id).is_some_and(|held| held.is_same_claim(leased)) {
            jobs.insert(leased.id.clone(), HeldJob::of(leased));
        }
    }
    set_leases(jobs, claimed, asked);
}

fn set_leases(jobs: &mut HeldJobs, leases: &[LeasedJob], asked: Uptime) {
    for leased in leases {
        if let Some(held) = jobs.get_mut(&leased.id) {
            held.set_lease(Lease::since(asked, leased.lease_s));
        }
    }
}

/// The jobs to start now, the longest due first, if `free` more commands may run.
pub(crate) fn select_starts(mut due: Vec<(Instant, JobId)>, free: usize) -> Vec<(Instant, JobId)> {
    due.sort();
    due.truncate(free);
    due
}

/// Jobs beyond `most` whose commands do not run: they are released.
pub(crate) fn surplus(jobs: &HeldJobs, most: usize) -> Vec<JobId> {
    let idle = jobs.iter().rev().filter(|(_, held)| held.running.is_none()).map(|(id, _)| id.clone());
    idle.take(jobs.len().saturating_sub(most)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn leased(id: &str, token: u8, spec: u8) -> LeasedJob {
        let (token, spec_digest) = (Digest::of(&[token]).into(), Digest::of(&[spec]));
        LeasedJob { id: id.parse().expect("an id"), token, spec_digest, lease_s: 60, spec: None }
    }

    fn run(jobs: &mut HeldJobs, id: &str) -> watch::Receiver<Lease> {
        let held = jobs.get_mut(&id.parse::<JobId>().expect("an id")).expect("held");
        let (lease, seen) = watch::channel(held.lease.expect("a lease"));
        held.running = Some(RunningCommand { number: 1, due: Instant::default(), lease });
        seen
    }

    #[test]
    fn a_command_loses_its_lease_with_its_job_its_claim_or_its_spec() {
        let up = |seconds| Uptime(Duration::from_secs(seconds));
        for (told, goes_on) in [
            (vec![leased("a", 1, 1)], true),
            (vec![leased("a", 1, 1), leased("b", 1, 1)], true),
            (vec![leased("a", 2, 1)], false),
            (vec![leased("a", 1, 2)], false),
            (vec![], false),
        ] {
            let mut jobs = HeldJobs::new();
            add(&mut jobs, &[leased("a", 1, 1)], up(5));
            let seen = run(&mut jobs, "a");
            replace(&mut jobs, &told, Some(up(9)));
            assert_eq!(seen.has_changed().is_ok(), goes_on, "{told:?}");
            assert_eq!(*seen.borrow() == Lease::since(up(9), 60), goes_on, "{told:?}");
            assert_eq!(jobs.len(), told.len());
        }
    }

    #[test]
    fn only_what_was_asked_for_gives_a_lease() {
        let mut jobs = HeldJobs::new();
        replace(&mut jobs, &[leased("a", 1, 1)], None);
        assert!(jobs.values().all(|held| held.lease.is_none()));
    }

    #[test]
    fn what_is_longest_due_starts_first_and_what_is_too_much_is_idle() {
        let at = |seconds| Instant::from_unix_micros(seconds);
        let id = |id: &str| -> JobId { id.parse().expect("an id") };
        let due = vec![(at(9), id("a")), (at(3), id("c")), (at(3), id("b"))];
        assert_eq!(select_starts(due.clone(), 2), [(at(3), id("b")), (at(3), id("c"))]);
        assert_eq!(select_starts(due, 0), []);
        let mut jobs = HeldJobs::new();
        add(&mut jobs, &[leased("a", 1, 1), leased("b", 1, 1), leased("c", 1, 1)], Uptime::default());
        let _running = run(&mut jobs, "c");
        assert_eq!(surplus(&jobs, 2), [id("b")]);
        assert_eq!(surplus(&jobs, 3), []);
    }
}
