//! What a node's report says about the changes that a rollout released to it.

use alloc::vec::Vec;

use schema::digest::Digest;
use schema::id::{NodeId, RolloutId};
use schema::instant::Instant;
use schema::report::{AttemptState, FailedAttempt, ReportSummary};

use crate::configuration::Configuration;
use crate::rollouts::{Release, ReleaseOutcome};

impl Configuration {
    /// What a report says about what the node was released to.
    pub(super) fn judge_releases(&mut self, node: &NodeId, summary: &ReportSummary, at: Instant) {
        let Some(releases) = self.rollouts.releases.get(node) else { return };
        let rollouts: Vec<RolloutId> = releases.keys().cloned().collect();
        for id in rollouts {
            self.with_release(&id, node, |rollout, release| {
                if let Some(outcome) = judged(release, summary) {
                    rollout.settle(node, release, outcome, at);
                }
            });
        }
    }
}

/// What a report says about a release; nothing if it is about something else.
pub(super) fn judged(release: &Release, summary: &ReportSummary) -> Option<ReleaseOutcome> {
    let is_expected = |digest: &Digest| release.expected.contains(digest);
    let failed = summary.failed.as_ref().filter(|failed| is_verdict(failed));
    // What the node rejected before its release says nothing about this one.
    if failed.is_some_and(|failed| is_expected(&failed.record.digest) && failed.record.position >= release.position) {
        return Some(ReleaseOutcome::Failed);
    }
    let good = summary.good()?;
    is_expected(&good.digest).then_some(ReleaseOutcome::Confirmed)
}

/// Whether a verdict stands against what a node was given last.
#[must_use]
pub fn is_unwell(summary: &ReportSummary) -> bool {
    rejected(summary).is_some()
}

/// What a node has rejected or refused last, and does not try again by itself.
pub(crate) fn rejected(summary: &ReportSummary) -> Option<Digest> {
    summary.failed.as_ref().filter(|failed| is_verdict(failed)).map(|failed| failed.record.digest)
}

/// Whether a failure is about what was desired. A full disk or a cut link is about the node, which tries again by itself.
fn is_verdict(failed: &FailedAttempt) -> bool {
    /// Codes of failures that the node does not try again by itself.
    const VERDICTS: [&str; 5] =
        ["check_rejected", "check_timed_out", "apply_rejected", "apply_timed_out", "drift_returns"];
    failed.state == AttemptState::Refused || failed.code.as_deref().is_some_and(|code| VERDICTS.contains(&code))
}
