//! Convergence: the state of a node, from its desired record and its report.
//!
//! A pure function, so that every caller comes to the same state. The report is believed, but whether the node runs the
//! right tree is decided by comparing digests.

use core::time::Duration;

use schema::convergence::ConvergenceState;
use schema::digest::Digest;
use schema::id::LogId;
use schema::position::Position;
use schema::report::{AttemptState, RecordRef, ReportSummary, Reported};

/// Silence after which a node is offline: three missed reports.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(30);

/// The desired state of a node by the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedState {
    /// The id of the log.
    pub log_id: LogId,
    /// The position of the last event of the log.
    pub head: Position,
    /// The digest of the record that the node must run.
    pub digest: Digest,
    /// The position of the last `retry_node`, or 0: what failed before it does not count.
    pub retry: Position,
}

/// The facts of a node's report that decide its state.
#[derive(Clone, Copy, Debug)]
pub struct NodeEvidence<'a> {
    /// The log that the node follows, and the highest position that it accepted from it.
    seen: Option<(LogId, Position)>,
    running: Option<Digest>,
    /// The last good digest. It differs from `running` as long as the operator's hook has not accepted that.
    good: Option<Digest>,
    attempt: Option<(RecordRef, AttemptState)>,
    rejected: &'a [RecordRef],
    drifted: bool,
    silence: Duration,
    /// Whether two agents report under the id of the node.
    duplicate: bool,
}

impl<'a> NodeEvidence<'a> {
    /// The facts of a live report that was received `silence` ago.
    #[must_use]
    pub fn from_report(report: &'a Reported, silence: Duration) -> Self {
        Self {
            seen: report.log_id.zip(report.seen.map(|seen| seen.position)),
            running: report.running.map(|running| running.digest),
            good: report.good().map(|good| good.digest),
            attempt: report.attempt.as_ref().map(|attempt| (attempt.record_ref(), attempt.state)),
            rejected: &report.rejected,
            drifted: !report.drift.is_empty(),
            silence,
            duplicate: false,
        }
    }

    /// The same, with two agents reporting under this id.
    #[must_use]
    pub fn with_duplicate(self) -> Self {
        Self { duplicate: true, ..self }
    }

    /// The facts that the log has stored of a node's reports. It stores no time of silence.
    #[must_use]
    pub fn from_summary(summary: &'a ReportSummary) -> Self {
        Self {
            seen: None,
            running: summary.running.map(|running| running.digest),
            good: summary.good().map(|good| good.digest),
            attempt: summary.failed.as_ref().map(|failed| (failed.record, failed.state)),
            rejected: &[],
            drifted: !summary.drift.is_empty(),
            silence: Duration::ZERO,
            duplicate: false,
        }
    }
}

/// The state of a node. Conditions under which the rest of the report can't be trusted come first: silence, then two agents
/// under one id, then a position that this log does not have.
#[must_use]
pub fn judge(expected: &ExpectedState, evidence: Option<&NodeEvidence<'_>>) -> ConvergenceState {
    let Some(evidence) = evidence else { return ConvergenceState::Unknown };
    if evidence.silence > OFFLINE_AFTER {
        ConvergenceState::Offline
    } else if evidence.duplicate {
        ConvergenceState::Duplicate
    } else if evidence.seen.is_some_and(|(log, seen)| log == expected.log_id && seen > expected.head) {
        ConvergenceState::Ahead
    } else if evidence.drifted {
        ConvergenceState::Drifted
    } else if evidence.running == Some(expected.digest) && evidence.good == evidence.running {
        ConvergenceState::Converged
    } else {
        tried(expected, evidence)
    }
}

/// The state that follows from the attempts at the present record since the last `retry_node`.
fn tried(expected: &ExpectedState, evidence: &NodeEvidence<'_>) -> ConvergenceState {
    let about = |record_ref: &RecordRef| record_ref.digest == expected.digest && record_ref.position >= expected.retry;
    match evidence.attempt.filter(|(record_ref, _)| about(record_ref)) {
        Some((_, AttemptState::Failed)) => ConvergenceState::Failed,
        Some((_, AttemptState::Refused)) => ConvergenceState::Refused,
        Some(_) => ConvergenceState::Progressing,
        None if evidence.rejected.iter().any(about) => ConvergenceState::Failed,
        None => ConvergenceState::Progressing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const WANTED: &[u8] = b"wanted";
    const OTHER: &[u8] = b"other";

    fn record_ref(position: u64, content: &[u8]) -> RecordRef {
        RecordRef { position: position.into(), digest: Digest::of(content) }
    }

    fn log() -> LogId {
        Uuid::from_u128(1).into()
    }

    fn quiet<'a>() -> NodeEvidence<'a> {
        NodeEvidence {
            seen: Some((log(), 5.into())),
            running: Some(Digest::of(OTHER)),
            good: Some(Digest::of(OTHER)),
            attempt: None,
            rejected: &[],
            drifted: false,
            silence: Duration::ZERO,
            duplicate: false,
        }
    }

    #[test]
    fn a_state_follows_from_what_is_expected_and_what_is_said() {
        let running = Some(Digest::of(WANTED));
        let settled = || NodeEvidence { running, good: running, ..quiet() };
        let attempt = |position, content, state| Some((record_ref(position, content), state));
        let silence = OFFLINE_AFTER + Duration::from_millis(1);
        let rejected = [record_ref(5, WANTED)];
        let early = [record_ref(2, WANTED)];
        let elsewhere = Some((Uuid::from_u128(2).into(), 11.into()));
        let table = [
            (ConvergenceState::Progressing, "nothing was tried", quiet()),
            (ConvergenceState::Converged, "it runs what it must", settled()),
            (ConvergenceState::Offline, "silence makes the rest worthless", NodeEvidence { silence, ..settled() }),
            (
                ConvergenceState::Converged,
                "30 s are not yet silence",
                NodeEvidence { silence: OFFLINE_AFTER, ..settled() },
            ),
            (
                ConvergenceState::Ahead,
                "a position beyond the head",
                NodeEvidence { seen: Some((log(), 11.into())), ..settled() },
            ),
            (
                ConvergenceState::Converged,
                "the head itself is not beyond",
                NodeEvidence { seen: Some((log(), 10.into())), ..settled() },
            ),
            (ConvergenceState::Converged, "another log proves nothing", NodeEvidence { seen: elsewhere, ..settled() }),
            (ConvergenceState::Drifted, "drift comes before the digest", NodeEvidence { drifted: true, ..settled() }),
            (
                ConvergenceState::Failed,
                "it tried in vain",
                NodeEvidence { attempt: attempt(5, WANTED, AttemptState::Failed), ..quiet() },
            ),
            (
                ConvergenceState::Refused,
                "it would not",
                NodeEvidence { attempt: attempt(5, WANTED, AttemptState::Refused), ..quiet() },
            ),
            (
                ConvergenceState::Progressing,
                "another digest failed",
                NodeEvidence { attempt: attempt(5, OTHER, AttemptState::Failed), ..quiet() },
            ),
            (
                ConvergenceState::Progressing,
                "it failed before the retry",
                NodeEvidence { attempt: attempt(2, WANTED, AttemptState::Failed), ..quiet() },
            ),
            (
                ConvergenceState::Progressing,
                "it is at it",
                NodeEvidence { attempt: attempt(5, WANTED, AttemptState::Checking), rejected: &rejected, ..quiet() },
            ),
            (
                ConvergenceState::Failed,
                "it rejected this once",
                NodeEvidence { attempt: attempt(6, OTHER, AttemptState::Applied), rejected: &rejected, ..quiet() },
            ),
            (ConvergenceState::Progressing, "rejected before the retry", NodeEvidence { rejected: &early, ..quiet() }),
            (
                ConvergenceState::Converged,
                "it runs what it must, whatever failed",
                NodeEvidence { attempt: attempt(6, OTHER, AttemptState::Failed), ..settled() },
            ),
            (ConvergenceState::Duplicate, "two agents speak", NodeEvidence { duplicate: true, ..settled() }),
            (ConvergenceState::Offline, "both are silent", NodeEvidence { duplicate: true, silence, ..settled() }),
            (ConvergenceState::Progressing, "its hook has not said yes yet", NodeEvidence { running, ..quiet() }),
            (
                ConvergenceState::Failed,
                "its hook said no, and nothing else is there to go back to",
                NodeEvidence { running, attempt: attempt(5, WANTED, AttemptState::Failed), ..quiet() },
            ),
            (ConvergenceState::Progressing, "nothing was good yet", NodeEvidence { running, good: None, ..quiet() }),
        ];
        let expected = ExpectedState { log_id: log(), head: 10.into(), digest: Digest::of(WANTED), retry: 3.into() };
        for (state, why, evidence) in table {
            assert_eq!(judge(&expected, Some(&evidence)), state, "{why}");
        }
        assert_eq!(judge(&expected, None), ConvergenceState::Unknown);
    }

    #[test]
    fn what_a_record_claims_that_was_refused_decides_nothing_but_that_it_was_refused() {
        let expected = ExpectedState { log_id: log(), head: 10.into(), digest: Digest::of(WANTED), retry: 3.into() };
        for (content, position, state) in [
            (WANTED, 5, ConvergenceState::Refused),
            (WANTED, u64::MAX, ConvergenceState::Refused),
            (WANTED, 0, ConvergenceState::Progressing),
            (OTHER, u64::MAX, ConvergenceState::Progressing),
        ] {
            let attempt = Some((record_ref(position, content), AttemptState::Refused));
            assert_eq!(judge(&expected, Some(&NodeEvidence { attempt, ..quiet() })), state, "{position}");
            let running = Some(Digest::of(WANTED));
            let evidence = NodeEvidence { attempt, running, good: running, ..quiet() };
            assert_eq!(judge(&expected, Some(&evidence)), ConvergenceState::Converged, "what runs is what counts");
        }
    }

    #[test]
    fn names_are_those_of_the_wire() {
        for state in ConvergenceState::ALL {
            assert_eq!(serde_json::to_value(state).expect("text"), state.name());
        }
    }
}
