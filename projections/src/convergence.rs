//! What a node's own words come to, judged against what it must hold.
//!
//! A pure function of the two, so that everybody who judges comes to the same. A node is believed about itself; that it
//! runs the right thing is a comparison of digests and not its word for it.

use core::time::Duration;

use schema::digest::Digest;
use schema::id::LogId;
use schema::position::Position;
use schema::report::{AttemptState, RecordRef, ReportSummary, Reported};
use serde::Serialize;

/// After so long a silence a node is offline: three reports were missed.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(30);

/// A node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs what it must, and found it good.
    Converged,
    /// It is on its way.
    Progressing,
    /// It tried what it must, in vain.
    Failed,
    /// It would not try.
    Refused,
    /// Its files are not what was applied.
    Drifted,
    /// It has not been heard for too long.
    Offline,
    /// It has seen a position that this log does not have: the log has lost its tail, or was forked.
    Ahead,
    /// Two agents report under its id: whatever one of them says, the other may say something else.
    Duplicate,
    /// It has never been heard.
    Unknown,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Converged,
        Self::Progressing,
        Self::Failed,
        Self::Refused,
        Self::Drifted,
        Self::Offline,
        Self::Ahead,
        Self::Duplicate,
        Self::Unknown,
    ];

    /// The state's name on every wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Progressing => "progressing",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Drifted => "drifted",
            Self::Offline => "offline",
            Self::Ahead => "ahead",
            Self::Duplicate => "duplicate",
            Self::Unknown => "unknown",
        }
    }
}

/// What the log says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which log.
    pub log_id: LogId,
    /// Its last position.
    pub head: Position,
    /// The digest that the node must run.
    pub digest: Digest,
    /// The position of the last `retry_node`, or 0: what failed before it does not count.
    pub retry: Position,
}

/// What the node says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The log it has pinned, and the highest position that it has seen of it.
    seen: Option<(LogId, Position)>,
    running: Option<Digest>,
    /// What was last good: the operator's hook may not have said yes to what runs.
    good: Option<Digest>,
    attempt: Option<(RecordRef, AttemptState)>,
    rejected: &'a [RecordRef],
    drifted: bool,
    silence: Duration,
    /// Whether two agents say it.
    duplicate: bool,
}

impl<'a> Evidence<'a> {
    /// What was heard, and how long ago.
    #[must_use]
    pub fn heard(report: &'a Reported, silence: Duration) -> Self {
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

    /// The same, where two agents report under this id.
    #[must_use]
    pub fn of_two(self) -> Self {
        Self { duplicate: true, ..self }
    }

    /// What the log has kept of it. Silence is not kept.
    #[must_use]
    pub fn noted(summary: &'a ReportSummary) -> Self {
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

/// Judges a node. What makes the rest worthless comes first: silence, then two who speak, then a history that this log does not
/// have.
#[must_use]
pub fn judge(expected: &Expected, evidence: Option<&Evidence<'_>>) -> State {
    let Some(evidence) = evidence else { return State::Unknown };
    if evidence.silence > OFFLINE_AFTER {
        State::Offline
    } else if evidence.duplicate {
        State::Duplicate
    } else if evidence.seen.is_some_and(|(log, seen)| log == expected.log_id && seen > expected.head) {
        State::Ahead
    } else if evidence.drifted {
        State::Drifted
    } else if evidence.running == Some(expected.digest) && evidence.good == evidence.running {
        State::Converged
    } else {
        tried(expected, evidence)
    }
}

/// What became of trying what is desired now, since the last `retry_node`.
fn tried(expected: &Expected, evidence: &Evidence<'_>) -> State {
    let about = |mark: &RecordRef| mark.digest == expected.digest && mark.position >= expected.retry;
    match evidence.attempt.filter(|(mark, _)| about(mark)) {
        Some((_, AttemptState::Failed)) => State::Failed,
        Some((_, AttemptState::Refused)) => State::Refused,
        Some(_) => State::Progressing,
        None if evidence.rejected.iter().any(about) => State::Failed,
        None => State::Progressing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const WANTED: &[u8] = b"wanted";
    const OTHER: &[u8] = b"other";

    fn mark(position: u64, content: &[u8]) -> RecordRef {
        RecordRef { position: position.into(), digest: Digest::of(content) }
    }

    fn log() -> LogId {
        Uuid::from_u128(1).into()
    }

    fn quiet<'a>() -> Evidence<'a> {
        Evidence {
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
        let settled = || Evidence { running, good: running, ..quiet() };
        let attempt = |position, content, state| Some((mark(position, content), state));
        let silence = OFFLINE_AFTER + Duration::from_millis(1);
        let rejected = [mark(5, WANTED)];
        let early = [mark(2, WANTED)];
        let elsewhere = Some((Uuid::from_u128(2).into(), 11.into()));
        let table = [
            (State::Progressing, "nothing was tried", quiet()),
            (State::Converged, "it runs what it must", settled()),
            (State::Offline, "silence makes the rest worthless", Evidence { silence, ..settled() }),
            (State::Converged, "30 s are not yet silence", Evidence { silence: OFFLINE_AFTER, ..settled() }),
            (State::Ahead, "a position beyond the head", Evidence { seen: Some((log(), 11.into())), ..settled() }),
            (
                State::Converged,
                "the head itself is not beyond",
                Evidence { seen: Some((log(), 10.into())), ..settled() },
            ),
            (State::Converged, "another log proves nothing", Evidence { seen: elsewhere, ..settled() }),
            (State::Drifted, "drift comes before the digest", Evidence { drifted: true, ..settled() }),
            (
                State::Failed,
                "it tried in vain",
                Evidence { attempt: attempt(5, WANTED, AttemptState::Failed), ..quiet() },
            ),
            (
                State::Refused,
                "it would not",
                Evidence { attempt: attempt(5, WANTED, AttemptState::Refused), ..quiet() },
            ),
            (
                State::Progressing,
                "another digest failed",
                Evidence { attempt: attempt(5, OTHER, AttemptState::Failed), ..quiet() },
            ),
            (
                State::Progressing,
                "it failed before the retry",
                Evidence { attempt: attempt(2, WANTED, AttemptState::Failed), ..quiet() },
            ),
            (
                State::Progressing,
                "it is at it",
                Evidence { attempt: attempt(5, WANTED, AttemptState::Checking), rejected: &rejected, ..quiet() },
            ),
            (
                State::Failed,
                "it rejected this once",
                Evidence { attempt: attempt(6, OTHER, AttemptState::Applied), rejected: &rejected, ..quiet() },
            ),
            (State::Progressing, "rejected before the retry", Evidence { rejected: &early, ..quiet() }),
            (
                State::Converged,
                "it runs what it must, whatever failed",
                Evidence { attempt: attempt(6, OTHER, AttemptState::Failed), ..settled() },
            ),
            (State::Duplicate, "two agents speak", Evidence { duplicate: true, ..settled() }),
            (State::Offline, "both are silent", Evidence { duplicate: true, silence, ..settled() }),
            (State::Progressing, "its hook has not said yes yet", Evidence { running, ..quiet() }),
            (
                State::Failed,
                "its hook said no, and nothing else is there to go back to",
                Evidence { running, attempt: attempt(5, WANTED, AttemptState::Failed), ..quiet() },
            ),
            (State::Progressing, "nothing was good yet", Evidence { running, good: None, ..quiet() }),
        ];
        let expected = Expected { log_id: log(), head: 10.into(), digest: Digest::of(WANTED), retry: 3.into() };
        for (state, why, evidence) in table {
            assert_eq!(judge(&expected, Some(&evidence)), state, "{why}");
        }
        assert_eq!(judge(&expected, None), State::Unknown);
    }

    #[test]
    fn what_a_record_claims_that_was_refused_decides_nothing_but_that_it_was_refused() {
        let expected = Expected { log_id: log(), head: 10.into(), digest: Digest::of(WANTED), retry: 3.into() };
        for (content, position, state) in [
            (WANTED, 5, State::Refused),
            (WANTED, u64::MAX, State::Refused),
            (WANTED, 0, State::Progressing),
            (OTHER, u64::MAX, State::Progressing),
        ] {
            let attempt = Some((mark(position, content), AttemptState::Refused));
            assert_eq!(judge(&expected, Some(&Evidence { attempt, ..quiet() })), state, "{position}");
            let running = Some(Digest::of(WANTED));
            let evidence = Evidence { attempt, running, good: running, ..quiet() };
            assert_eq!(judge(&expected, Some(&evidence)), State::Converged, "what runs is what counts");
        }
    }

    #[test]
    fn names_are_those_of_the_wire() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).expect("text"), state.name());
        }
    }
}
