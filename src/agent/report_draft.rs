//! How things are, as the next report says it.
//!
//! What always holds: what keeps the newest record from being accepted stays in the report until it is accepted or another was
//! judged, whatever else goes on meanwhile; and what keeps the tree in force from being as it was signed stays until it is.

use std::time::Duration;

use schema::report::{Attempt, AttemptState, DETAIL_BYTES_MAX, RecordRef, Reported, truncate_text};
use schema::seal::SignedRecord;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::apply_error::ApplyError;
use crate::node_state::NodeState;
use crate::report::{ReportUpdate, now};

/// How long to wait for NATS before what is to be seen is done away with.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// The report in the making.
#[derive(Debug)]
pub struct ReportDraft {
    news: watch::Sender<ReportUpdate>,
    told: watch::Receiver<u64>,
    /// The newest record, if it was not accepted.
    unaccepted: Option<Attempt>,
    /// What runs, if it can't be put right.
    unrepaired: Option<Attempt>,
    /// What was accepted.
    tried: Option<Attempt>,
}

impl ReportDraft {
    /// Begins with `blank`. The other ends are for [`crate::report::tell`].
    #[must_use]
    pub fn of(blank: Reported) -> (Self, watch::Receiver<ReportUpdate>, watch::Sender<u64>) {
        let (news, reported) = watch::channel(ReportUpdate { count: 0, report: blank });
        let (telling, told) = watch::channel(0);
        (Self { news, told, unaccepted: None, unrepaired: None, tried: None }, reported, telling)
    }

    /// Takes up what became of the last attempt of a former agent.
    pub fn resume(&mut self, attempt: Option<Attempt>, floor: Option<RecordRef>) {
        let is_unaccepted = |attempt: &Attempt| match attempt.state {
            AttemptState::Refused => floor.is_none_or(|floor| floor.digest != attempt.digest),
            AttemptState::Failed => floor.is_none_or(|floor| floor.position < attempt.position),
            _ => false,
        };
        (self.unaccepted, self.tried) =
            if attempt.as_ref().is_some_and(is_unaccepted) { (attempt, None) } else { (None, attempt) };
        self.publish();
    }

    /// What became of the last attempt, if it came to an end.
    #[must_use]
    pub fn ended(&self) -> Option<&Attempt> {
        let has_ended = |attempt: &&Attempt| {
            matches!(attempt.state, AttemptState::Applied | AttemptState::Failed | AttemptState::Refused)
        };
        self.shown().filter(has_ended)
    }

    /// The newest record was refused.
    pub fn refuse(&mut self, mark: RecordRef, code: &str, detail: String) {
        tracing::warn!(position = %mark.position, digest = %mark.digest.short(), code, detail, "record refused");
        self.unaccepted = Some(attempt(mark, AttemptState::Refused, Some((code.to_owned(), detail))));
        self.publish();
    }

    /// The newest record could not be accepted, for a reason of the node's own.
    pub fn fail_to_accept(&mut self, mark: RecordRef, fault: &ApplyError) {
        if let Some(failed) = news(self.unaccepted.as_ref(), mark, fault) {
            self.unaccepted = Some(failed);
            self.publish();
        }
    }

    /// What runs, the tree of `mark`, can't be put right. The same fault is said once, whatever differs in its words.
    pub fn fail_to_repair(&mut self, mark: RecordRef, fault: &ApplyError) {
        let is_known = |known: &Attempt| known.digest == mark.digest && known.code.as_deref() == Some(fault.code());
        if !self.unrepaired.as_ref().is_some_and(is_known) {
            self.unrepaired = news(None, mark, fault);
            self.publish();
        }
    }

    /// Whether what runs can't be put right, and that is told.
    #[must_use]
    pub fn waits_for_repair(&self) -> bool {
        self.unrepaired.is_some()
    }

    /// What runs is as it was signed, or is another tree.
    pub fn repaired(&mut self) {
        self.unrepaired = None;
        self.publish();
    }

    /// The newest record is fine, so far, and NATS has it.
    pub fn accept(&mut self) {
        self.unaccepted = None;
        self.publish();
        self.prove(None);
    }

    /// The signed record that shows how far the log has come, as long as NATS does not.
    pub fn prove(&mut self, proof: Option<SignedRecord>) {
        self.change(|report| report.proof = proof);
    }

    /// The attempt at `mark` has come to `state`.
    pub fn reach(&mut self, mark: RecordRef, state: AttemptState) {
        let is_there =
            |tried: &Attempt| (tried.position, tried.digest, tried.state) == (mark.position, mark.digest, state);
        if !self.tried.as_ref().is_some_and(is_there) {
            tracing::info!(position = %mark.position, digest = %mark.digest.short(), ?state, "record");
            self.tried = Some(attempt(mark, state, None));
            self.publish();
        }
    }

    /// The attempt at `mark` came to nothing.
    pub fn fail(&mut self, mark: RecordRef, fault: &ApplyError) {
        if let Some(failed) = news(self.tried.as_ref(), mark, fault) {
            self.tried = Some(failed);
            self.publish();
        }
    }

    /// The attempt at `mark` came to nothing, some time ago.
    pub fn fail_again(&mut self, mark: RecordRef, code: &str, detail: String) {
        let failed = attempt(mark, AttemptState::Failed, Some((code.to_owned(), detail)));
        if !self.tried.as_ref().is_some_and(|tried| is_same(tried, &failed)) {
            tracing::warn!(position = %mark.position, digest = %mark.digest.short(), code, detail = failed.detail, "record failed");
            self.tried = Some(failed);
            self.publish();
        }
    }

    /// What is remembered and what runs.
    pub fn hold(&mut self, state: &NodeState, running: Option<RecordRef>) {
        let rejected = |state: &NodeState| {
            state
                .rejected
                .iter()
                .map(|rejected| RecordRef { position: rejected.position, digest: rejected.digest })
                .collect()
        };
        self.change(|report| {
            (report.log_id, report.seen, report.running) = (state.log_id, state.floor, running);
            (report.last_good, report.rejected) = (state.last_good, rejected(state));
            report.warnings = state.warnings.clone();
        });
    }

    /// What differs from what was applied.
    pub fn drift(&mut self, paths: &[String]) {
        self.change(|report| report.drift = paths.to_vec());
    }

    /// Waits until all of this was reported, but not long: NATS may be away. Says whether it was.
    pub async fn told(&mut self) -> bool {
        let count = self.news.borrow().count;
        let told = timeout(TOLD_WITHIN, self.told.wait_for(|told| *told >= count)).await;
        told.is_ok_and(|told| told.is_ok())
    }

    fn publish(&mut self) {
        let attempt = self.shown().cloned();
        self.change(|report| report.attempt = attempt);
    }

    /// The attempt that is reported. A tree that can't be put right is only in the way of saying that it was applied.
    fn shown(&self) -> Option<&Attempt> {
        let is_applied = self.tried.as_ref().is_none_or(|tried| tried.state == AttemptState::Applied);
        let unrepaired = self.unrepaired.as_ref().filter(|_| is_applied);
        self.unaccepted.as_ref().or(unrepaired).or(self.tried.as_ref())
    }

    /// Only a change is news.
    fn change(&mut self, change: impl FnOnce(&mut Reported)) {
        self.news.send_if_modified(|news| {
            let before = news.report.clone();
            change(&mut news.report);
            let is_news = news.report != before;
            news.count += u64::from(is_news);
            is_news
        });
    }
}

/// Whether two attempts came to the same, whenever that was.
#[must_use]
pub fn is_same(one: &Attempt, other: &Attempt) -> bool {
    Attempt { at: other.at, ..one.clone() } == *other
}

/// The attempt at `mark` that came to nothing, unless that is known already.
fn news(known: Option<&Attempt>, mark: RecordRef, fault: &ApplyError) -> Option<Attempt> {
    let failed = attempt(mark, fault.state(), Some((fault.code().to_owned(), fault.with_sources())));
    if known.is_some_and(|known| is_same(known, &failed)) {
        return None;
    }
    let (position, digest, code, detail) = (mark.position, mark.digest.short(), fault.code(), &failed.detail);
    tracing::warn!(%position, %digest, code, detail, "record failed");
    Some(failed)
}

fn attempt(mark: RecordRef, state: AttemptState, why: Option<(String, String)>) -> Attempt {
    let (code, detail) = why.unzip();
    // What somebody else wrote may be of any length.
    let detail = detail.map(|detail| truncate_text(&detail, DETAIL_BYTES_MAX));
    Attempt { position: mark.position, digest: mark.digest, state, code, detail, at: now() }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use schema::digest::Digest;

    use super::*;
    use crate::report::blank;

    fn mark(position: u64) -> RecordRef {
        RecordRef { position: position.into(), digest: Digest::of(&position.to_be_bytes()) }
    }

    fn full() -> ApplyError {
        ApplyError::disk("write", Path::new("state.json"))(io::ErrorKind::StorageFull.into())
    }

    fn returns() -> ApplyError {
        ApplyError::DriftReturns { places: vec!["files/a".into()], hooks: true }
    }

    /// What is reported, and would be written down.
    fn said(status: &ReportDraft) -> (u64, AttemptState, Option<String>) {
        let attempt = status.news.borrow().report.attempt.clone().expect("an attempt");
        assert_eq!(status.ended().cloned().unwrap_or_else(|| attempt.clone()), attempt);
        (attempt.position.get(), attempt.state, attempt.code)
    }

    fn status() -> ReportDraft {
        ReportDraft::of(blank("a".parse().expect("an id"), None, false)).0
    }

    #[test]
    fn what_keeps_a_record_from_being_accepted_is_said_until_it_is_accepted() {
        let planted = ApplyError::PlantedPath { path: "records".into() };
        let unknown = ApplyError::NoTrustedKey("none".to_owned());
        for (fault, state) in
            [(full(), AttemptState::Failed), (planted, AttemptState::Refused), (unknown, AttemptState::Failed)]
        {
            let mut status = status();
            status.reach(mark(1), AttemptState::Applied);
            let expected = (2, state, Some(fault.code().to_owned()));
            for _ in 0..2 {
                status.fail_to_accept(mark(2), &fault);
                status.reach(mark(1), AttemptState::Applied);
                status.fail_to_repair(mark(1), &returns());
                status.repaired();
                assert_eq!(said(&status), expected);
            }
            let attempt = status.ended().cloned();
            let mut after_restart = self::status();
            after_restart.resume(attempt, Some(mark(1)));
            after_restart.reach(mark(1), AttemptState::Applied);
            assert_eq!(said(&after_restart), expected);
            status.accept();
            assert_eq!(said(&status), (1, AttemptState::Applied, None));
        }
    }

    #[test]
    fn a_tree_that_can_not_be_put_right_is_not_told_as_applied_and_hides_no_other_failure() {
        let mut status = status();
        status.fail_to_repair(mark(1), &returns());
        status.reach(mark(1), AttemptState::Applied);
        assert_eq!(said(&status), (1, AttemptState::Failed, Some("drift_returns".into())));
        status.reach(mark(2), AttemptState::Checking);
        assert_eq!(said(&status), (2, AttemptState::Checking, None));
        status.fail(mark(2), &full());
        assert_eq!(said(&status), (2, AttemptState::Failed, Some("disk_full".into())));
        status.reach(mark(1), AttemptState::Applied);
        status.repaired();
        assert_eq!(said(&status), (1, AttemptState::Applied, None));
    }
}
