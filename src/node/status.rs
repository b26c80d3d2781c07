//! How things are, as the next report says it.
//!
//! What always holds: a refusal stays in the report until another record was judged, whatever else goes on meanwhile.

use std::time::Duration;

use schema::report::{Attempt, AttemptState, DETAIL_BYTES_MAX, Mark, Reported, kept};
use schema::seal::Signed;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::node::fault::Fault;
use crate::node::report::{News, now};
use crate::node::state::State;

/// How long to wait for NATS before what is to be seen is done away with.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// The report in the making.
#[derive(Debug)]
pub struct Status {
    news: watch::Sender<News>,
    told: watch::Receiver<u64>,
    refused: Option<Attempt>,
    tried: Option<Attempt>,
}

impl Status {
    /// Begins with `blank`. The other ends are for [`crate::node::report::tell`].
    #[must_use]
    pub fn of(blank: Reported) -> (Self, watch::Receiver<News>, watch::Sender<u64>) {
        let (news, reported) = watch::channel(News { count: 0, report: blank });
        let (telling, told) = watch::channel(0);
        (Self { news, told, refused: None, tried: None }, reported, telling)
    }

    /// Takes up what became of the last attempt of a former agent; a refusal is one of a record that was never accepted.
    pub fn resume(&mut self, attempt: Option<Attempt>, floor: Option<Mark>) {
        let is_refusal = |attempt: &Attempt| {
            attempt.state == AttemptState::Refused && floor.is_none_or(|floor| floor.digest != attempt.digest)
        };
        (self.refused, self.tried) =
            if attempt.as_ref().is_some_and(is_refusal) { (attempt, None) } else { (None, attempt) };
        self.publish();
    }

    /// What became of the last attempt, if it came to an end.
    #[must_use]
    pub fn ended(&self) -> Option<&Attempt> {
        let has_ended = |attempt: &&Attempt| {
            matches!(attempt.state, AttemptState::Applied | AttemptState::Failed | AttemptState::Refused)
        };
        self.refused.as_ref().or(self.tried.as_ref()).filter(has_ended)
    }

    /// The newest record was refused.
    pub fn refuse(&mut self, mark: Mark, code: &str, detail: String) {
        tracing::warn!(position = %mark.position, digest = %mark.digest.short(), code, detail, "record refused");
        self.refused = Some(attempt(mark, AttemptState::Refused, Some((code.to_owned(), detail))));
        self.publish();
    }

    /// The newest record is fine, so far, and NATS has it.
    pub fn accept(&mut self) {
        self.refused = None;
        self.publish();
        self.prove(None);
    }

    /// The signed record that shows how far the log has come, as long as NATS does not.
    pub fn prove(&mut self, proof: Option<Signed>) {
        self.change(|report| report.proof = proof);
    }

    /// The attempt at `mark` has come to `state`.
    pub fn reach(&mut self, mark: Mark, state: AttemptState) {
        let is_there =
            |tried: &Attempt| (tried.position, tried.digest, tried.state) == (mark.position, mark.digest, state);
        if !self.tried.as_ref().is_some_and(is_there) {
            tracing::info!(position = %mark.position, digest = %mark.digest.short(), ?state, "record");
            self.tried = Some(attempt(mark, state, None));
            self.publish();
        }
    }

    /// The attempt at `mark` came to nothing.
    pub fn fail(&mut self, mark: Mark, fault: &Fault) {
        self.fail_with(mark, fault.state(), fault.code(), fault.story());
    }

    /// The attempt at `mark` came to nothing, some time ago.
    pub fn fail_with(&mut self, mark: Mark, state: AttemptState, code: &str, detail: String) {
        let failed = attempt(mark, state, Some((code.to_owned(), detail)));
        if !self.tried.as_ref().is_some_and(|tried| is_same(tried, &failed)) {
            tracing::warn!(position = %mark.position, digest = %mark.digest.short(), code, detail = failed.detail, "record failed");
            self.tried = Some(failed);
            self.publish();
        }
    }

    /// What is remembered and what runs.
    pub fn hold(&mut self, state: &State, running: Option<Mark>) {
        let rejected = |state: &State| {
            state
                .rejected
                .iter()
                .map(|rejected| Mark { position: rejected.position, digest: rejected.digest })
                .collect()
        };
        self.change(|report| {
            (report.log_id, report.seen, report.running) = (state.log_id, state.floor, running);
            (report.last_good, report.rejected) = (state.last_good, rejected(state));
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
        let attempt = self.refused.clone().or_else(|| self.tried.clone());
        self.change(|report| report.attempt = attempt);
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

fn attempt(mark: Mark, state: AttemptState, why: Option<(String, String)>) -> Attempt {
    let (code, detail) = why.unzip();
    // What somebody else wrote may be of any length.
    let detail = detail.map(|detail| kept(&detail, DETAIL_BYTES_MAX));
    Attempt { position: mark.position, digest: mark.digest, state, code, detail, at: now() }
}
