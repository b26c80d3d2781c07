//! The next report, which the agent updates as it works.
//!
//! Invariants: the reason why the newest record was not accepted stays in the report until a record is accepted or another one is
//! refused, whatever else happens; a repair that failed stays until the tree in force is as its record says.

use std::time::Duration;

use program::clock::system_time;
use schema::report::{Attempt, AttemptState, DETAIL_BYTES_MAX, RecordRef, Reported, truncate_text};
use schema::seal::SignedRecord;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::apply_error::ApplyError;
use crate::node_state::NodeState;
use crate::report::ReportUpdate;

/// How long a repair waits until the drift was reported; NATS may be away.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(2);

/// Holds the report's content, and up to three attempts of which one is reported.
#[derive(Debug)]
pub struct ReportDraft {
    updates: watch::Sender<ReportUpdate>,
    /// The count of the update that was published last.
    published: watch::Receiver<u64>,
    /// The attempt at the newest record, if it was not accepted.
    unaccepted: Option<Attempt>,
    /// The attempt to repair the tree in force, if it failed.
    unrepaired: Option<Attempt>,
    /// The attempt at the accepted record.
    accepted: Option<Attempt>,
}

impl ReportDraft {
    /// Starts with `blank`. The other ends are for [`crate::report::ReportPublisher`].
    #[must_use]
    pub fn of(blank: Reported) -> (Self, watch::Receiver<ReportUpdate>, watch::Sender<u64>) {
        let (updates, published_updates) = watch::channel(ReportUpdate { count: 0, report: blank });
        let (acknowledge, published) = watch::channel(0);
        (
            Self { updates, published, unaccepted: None, unrepaired: None, accepted: None },
            published_updates,
            acknowledge,
        )
    }

    /// Starts from the last attempt of an earlier process.
    pub fn resume(&mut self, attempt: Option<Attempt>, floor: Option<RecordRef>) {
        let is_unaccepted = |attempt: &Attempt| match attempt.state {
            AttemptState::Refused => floor.is_none_or(|floor| floor.digest != attempt.digest),
            AttemptState::Failed => floor.is_none_or(|floor| floor.position < attempt.position),
            _ => false,
        };
        (self.unaccepted, self.accepted) =
            if attempt.as_ref().is_some_and(is_unaccepted) { (attempt, None) } else { (None, attempt) };
        self.update_attempt();
    }

    /// The attempt that is reported, if it has ended.
    #[must_use]
    pub fn ended(&self) -> Option<&Attempt> {
        let has_ended = |attempt: &&Attempt| {
            matches!(attempt.state, AttemptState::Applied | AttemptState::Failed | AttemptState::Refused)
        };
        self.shown().filter(has_ended)
    }

    /// Reports that the newest record was refused.
    pub fn refuse(&mut self, record_ref: RecordRef, code: &str, detail: String) {
        tracing::warn!(position = %record_ref.position, digest = %record_ref.digest.short(), code, detail, "desired record refused");
        self.unaccepted = Some(attempt(record_ref, AttemptState::Refused, Some((code.to_owned(), detail))));
        self.update_attempt();
    }

    /// Reports that the newest record could not be accepted for a reason on the node, such as a full disk.
    pub fn accept_failed(&mut self, record_ref: RecordRef, error: &ApplyError) {
        if let Some(failed) = failed_attempt(self.unaccepted.as_ref(), record_ref, error) {
            self.unaccepted = Some(failed);
            self.update_attempt();
        }
    }

    /// Reports that the tree in force, that of `record_ref`, can't be repaired. An error of the same code is reported once.
    pub fn repair_failed(&mut self, record_ref: RecordRef, error: &ApplyError) {
        let is_known =
            |known: &Attempt| known.digest == record_ref.digest && known.code.as_deref() == Some(error.code());
        if !self.unrepaired.as_ref().is_some_and(is_known) {
            self.unrepaired = failed_attempt(None, record_ref, error);
            self.update_attempt();
        }
    }

    /// Whether a failed repair is reported.
    #[must_use]
    pub fn is_repair_waiting(&self) -> bool {
        self.unrepaired.is_some()
    }

    /// The tree in force is as its record says, or is another one.
    pub fn repaired(&mut self) {
        self.unrepaired = None;
        self.update_attempt();
    }

    /// The newest record was accepted. NATS holds it, so no proof is needed.
    pub fn accept(&mut self) {
        self.unaccepted = None;
        self.update_attempt();
        self.set_proof(None);
    }

    /// The signed record that proves how far the log had come, while NATS holds no newer one.
    pub fn set_proof(&mut self, proof: Option<SignedRecord>) {
        self.change(|report| report.proof = proof);
    }

    /// The attempt at `record_ref` has reached `state`.
    pub fn set_attempt(&mut self, record_ref: RecordRef, state: AttemptState) {
        let is_known = |tried: &Attempt| {
            (tried.position, tried.digest, tried.state) == (record_ref.position, record_ref.digest, state)
        };
        if !self.accepted.as_ref().is_some_and(is_known) {
            tracing::info!(position = %record_ref.position, digest = %record_ref.digest.short(), ?state, "desired record {}", in_words(state));
            self.accepted = Some(attempt(record_ref, state, None));
            self.update_attempt();
        }
    }

    /// The attempt at `record_ref` failed.
    pub fn fail(&mut self, record_ref: RecordRef, error: &ApplyError) {
        if let Some(failed) = failed_attempt(self.accepted.as_ref(), record_ref, error) {
            self.accepted = Some(failed);
            self.update_attempt();
        }
    }

    /// The attempt at `record_ref` failed earlier.
    pub fn set_failed(&mut self, record_ref: RecordRef, code: &str, detail: String) {
        let failed = attempt(record_ref, AttemptState::Failed, Some((code.to_owned(), detail)));
        if !self.accepted.as_ref().is_some_and(|tried| is_same(tried, &failed)) {
            tracing::warn!(position = %record_ref.position, digest = %record_ref.digest.short(), code, detail = failed.detail, "desired record failed");
            self.accepted = Some(failed);
            self.update_attempt();
        }
    }

    /// Copies the stored state and the running generation into the report.
    pub fn set_state(&mut self, state: &NodeState, running: Option<RecordRef>) {
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

    /// The places that differ from the record in force.
    pub fn set_drift(&mut self, paths: &[String]) {
        self.change(|report| report.drift = paths.to_vec());
    }

    /// Waits until the present content was published, at most 2 s. False if it was not.
    pub async fn published(&mut self) -> bool {
        let count = self.updates.borrow().count;
        let published = timeout(PUBLISHED_WITHIN, self.published.wait_for(|published| *published >= count)).await;
        published.is_ok_and(|published| published.is_ok())
    }

    fn update_attempt(&mut self) {
        let attempt = self.shown().cloned();
        self.change(|report| report.attempt = attempt);
    }

    /// The attempt that is reported. A failed repair replaces `applied` only, and hides no other state.
    fn shown(&self) -> Option<&Attempt> {
        let is_applied = self.accepted.as_ref().is_none_or(|tried| tried.state == AttemptState::Applied);
        let unrepaired = self.unrepaired.as_ref().filter(|_| is_applied);
        self.unaccepted.as_ref().or(unrepaired).or(self.accepted.as_ref())
    }

    /// Wakes the publisher only if the report changed.
    fn change(&mut self, change: impl FnOnce(&mut Reported)) {
        self.updates.send_if_modified(|update| {
            let before = update.report.clone();
            change(&mut update.report);
            let is_changed = update.report != before;
            update.count += u64::from(is_changed);
            is_changed
        });
    }
}

/// Whether two attempts are equal but for their time.
#[must_use]
pub fn is_same(one: &Attempt, other: &Attempt) -> bool {
    Attempt { at: other.at, ..one.clone() } == *other
}

/// The failed attempt at `record_ref`, logged; none if it is the `known` one.
fn failed_attempt(known: Option<&Attempt>, record_ref: RecordRef, error: &ApplyError) -> Option<Attempt> {
    let failed = attempt(record_ref, error.state(), Some((error.code().to_owned(), error.with_sources())));
    if known.is_some_and(|known| is_same(known, &failed)) {
        return None;
    }
    let (position, digest, code, detail) =
        (record_ref.position, record_ref.digest.short(), error.code(), &failed.detail);
    tracing::warn!(%position, %digest, code, detail, "desired record failed");
    Some(failed)
}

/// For the log line.
fn in_words(state: AttemptState) -> &'static str {
    match state {
        AttemptState::Verified => "accepted",
        AttemptState::Fetching => "is being fetched",
        AttemptState::Checking => "is being checked",
        AttemptState::Applying => "is being applied",
        AttemptState::Applied => "applied",
        _ => "changed state",
    }
}

fn attempt(record_ref: RecordRef, state: AttemptState, why: Option<(String, String)>) -> Attempt {
    let (code, detail) = why.unzip();
    // A hook's output may be of any length.
    let detail = detail.map(|detail| truncate_text(&detail, DETAIL_BYTES_MAX));
    Attempt { position: record_ref.position, digest: record_ref.digest, state, code, detail, at: system_time() }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use schema::digest::Digest;

    use super::*;
    use crate::report::blank_report;

    fn record_ref(position: u64) -> RecordRef {
        RecordRef { position: position.into(), digest: Digest::of(&position.to_be_bytes()) }
    }

    fn full() -> ApplyError {
        ApplyError::disk("write", Path::new("state.json"))(io::ErrorKind::StorageFull.into())
    }

    fn returns() -> ApplyError {
        ApplyError::DriftReturns { places: vec!["files/a".into()], hooks: true }
    }

    /// The reported attempt, which is also the one that would be stored.
    fn reported(draft: &ReportDraft) -> (u64, AttemptState, Option<String>) {
        let attempt = draft.updates.borrow().report.attempt.clone().expect("an attempt");
        assert_eq!(draft.ended().cloned().unwrap_or_else(|| attempt.clone()), attempt);
        (attempt.position.get(), attempt.state, attempt.code)
    }

    fn new_draft() -> ReportDraft {
        ReportDraft::of(blank_report("a".parse().expect("an id"), false)).0
    }

    #[test]
    fn what_keeps_a_record_from_being_accepted_is_said_until_it_is_accepted() {
        let planted = ApplyError::PlantedPath { path: "records".into() };
        let unknown = ApplyError::NoTrustedKey("none".to_owned());
        for (error, state) in
            [(full(), AttemptState::Failed), (planted, AttemptState::Refused), (unknown, AttemptState::Failed)]
        {
            let mut draft = new_draft();
            draft.set_attempt(record_ref(1), AttemptState::Applied);
            let expected = (2, state, Some(error.code().to_owned()));
            for _ in 0..2 {
                draft.accept_failed(record_ref(2), &error);
                draft.set_attempt(record_ref(1), AttemptState::Applied);
                draft.repair_failed(record_ref(1), &returns());
                draft.repaired();
                assert_eq!(reported(&draft), expected);
            }
            let attempt = draft.ended().cloned();
            let mut after_restart = new_draft();
            after_restart.resume(attempt, Some(record_ref(1)));
            after_restart.set_attempt(record_ref(1), AttemptState::Applied);
            assert_eq!(reported(&after_restart), expected);
            draft.accept();
            assert_eq!(reported(&draft), (1, AttemptState::Applied, None));
        }
    }

    #[test]
    fn a_tree_that_can_not_be_put_right_is_not_told_as_applied_and_hides_no_other_failure() {
        let mut draft = new_draft();
        draft.repair_failed(record_ref(1), &returns());
        draft.set_attempt(record_ref(1), AttemptState::Applied);
        assert_eq!(reported(&draft), (1, AttemptState::Failed, Some("drift_returns".into())));
        draft.set_attempt(record_ref(2), AttemptState::Checking);
        assert_eq!(reported(&draft), (2, AttemptState::Checking, None));
        draft.fail(record_ref(2), &full());
        assert_eq!(reported(&draft), (2, AttemptState::Failed, Some("disk_full".into())));
        draft.set_attempt(record_ref(1), AttemptState::Applied);
        draft.repaired();
        assert_eq!(reported(&draft), (1, AttemptState::Applied, None));
    }
}
