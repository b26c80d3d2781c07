//! How a node stands beside what it must hold: what it runs, when it was heard, and why it is not as it must be.

use projections::configuration::Node;
use projections::convergence::State;
use schema::id::NodeId;
use schema::position::Position;
use schema::report::{Attempt, AttemptState, DETAIL_BYTES_MAX, Mark, Reported, Summary, kept};
use serde::Serialize;

use crate::http::context::Door;
use crate::http::snapshot::Snapshot;

/// Bytes of a reason's words in a list: a thousand nodes may stand on a page.
const SHORT_BYTES: usize = 512;
/// Paths of drift that a reason names; of more there is a number.
const PATHS_NAMED: usize = 5;

/// How a node stands.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    pub(super) state: State,
    /// What it runs, by its own word.
    pub(super) running: Option<Mark>,
    /// How long ago that was heard; none of the past, or if it never was.
    silence_ms: Option<u64>,
    /// Why it is not as it must be.
    reason: Option<Reason>,
}

/// Why a node is not as it must be: in its own words if it tried, else in the door's.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Reason {
    code: String,
    detail: String,
}

/// What is known of a node's own words.
#[derive(Default)]
struct Said<'a> {
    running: Option<Mark>,
    /// What was last good.
    good: Option<Mark>,
    seen: Option<Position>,
    /// The state, the code and the words of an attempt that did not end well.
    failed: Option<(AttemptState, Option<&'a str>, Option<&'a str>)>,
    drift: &'a [String],
    silence_ms: Option<u64>,
}

impl<'a> Said<'a> {
    fn heard(report: &'a Reported, silence_ms: u64) -> Self {
        let failed = |attempt: &'a Attempt| {
            let is_bad = matches!(attempt.state, AttemptState::Failed | AttemptState::Refused);
            is_bad.then_some((attempt.state, attempt.code.as_deref(), attempt.detail.as_deref()))
        };
        Self {
            running: report.running,
            good: report.good(),
            seen: report.seen.map(|seen| seen.position),
            failed: report.attempt.as_ref().and_then(failed),
            drift: &report.drift,
            silence_ms: Some(silence_ms),
        }
    }

    fn noted(summary: &'a Summary) -> Self {
        let failed = summary.failed.as_ref();
        Self {
            running: summary.running,
            good: summary.good(),
            failed: failed.map(|failed| (failed.state, failed.code.as_deref(), failed.detail.as_deref())),
            drift: &summary.drift,
            ..Self::default()
        }
    }

    fn reason(&self, state: State, head: Position) -> Option<Reason> {
        let (code, detail) = match state {
            State::Failed | State::Refused => self.failure(),
            State::Drifted => ("drift".to_owned(), self.drifted()),
            State::Offline => {
                let seconds = self.silence_ms.unwrap_or_default() / 1_000;
                ("silent".to_owned(), format!("it was not heard for {seconds} s"))
            }
            State::Ahead => {
                let seen = self.seen.unwrap_or_default();
                ("ahead".to_owned(), format!("it has seen position {seen}, and this log ends at {head}"))
            }
            State::Duplicate => {
                let detail = "two agents report under this id: stop one of them, or start it with an id of its own";
                ("duplicate".to_owned(), detail.to_owned())
            }
            State::Progressing if self.awaits_hook() => {
                let detail = "what runs was put in force, and its --apply command has not said yes yet";
                ("not_good_yet".to_owned(), detail.to_owned())
            }
            State::Unknown => ("never_heard".to_owned(), "no report of it was ever heard".to_owned()),
            _ => return None,
        };
        Some(Reason { code, detail })
    }

    /// Whether what runs was not found good yet.
    fn awaits_hook(&self) -> bool {
        self.running.is_some_and(|running| self.good.is_none_or(|good| good.digest != running.digest))
    }

    /// What became of trying: the node's own words, or that it remembers a rejection and has something else to say by now.
    fn failure(&self) -> (String, String) {
        let Some((state, code, detail)) = self.failed else {
            let detail = "it rejected this before, and tries it again after `retry_node` or when the content differs";
            return ("rejected".to_owned(), detail.to_owned());
        };
        let otherwise = if state == AttemptState::Refused { "refused" } else { "failed" };
        (code.unwrap_or(otherwise).to_owned(), detail.unwrap_or_default().to_owned())
    }

    fn drifted(&self) -> String {
        let named = self.drift.iter().take(PATHS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.drift.len().saturating_sub(PATHS_NAMED) {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

impl Standing {
    /// The same, with fewer words.
    pub(super) fn short(self) -> Self {
        self.within(SHORT_BYTES)
    }

    fn within(mut self, bytes_max: usize) -> Self {
        if let Some(reason) = &mut self.reason {
            reason.detail = kept(&reason.detail, bytes_max);
        }
        self
    }

    fn of(state: State, said: &Said<'_>, head: Position) -> Self {
        let standing =
            Self { state, running: said.running, silence_ms: said.silence_ms, reason: said.reason(state, head) };
        standing.within(DETAIL_BYTES_MAX)
    }
}

impl Door {
    /// How a node stands by what it says now, or of the past by what the log has kept of that.
    pub(super) fn standing(&self, snapshot: &Snapshot, id: &NodeId, node: &Node) -> Standing {
        let configuration = &snapshot.configuration;
        let (state, head) = (self.state(snapshot, id, node), configuration.position());
        if snapshot.past {
            let noted = configuration.reports().get(id);
            let said = noted.map(|noted| Said::noted(&noted.summary)).unwrap_or_default();
            return Standing::of(state, &said, head);
        }
        match self.ears().heard(id) {
            None => Standing::of(state, &Said::default(), head),
            Some(heard) => {
                let silence_ms = u64::try_from(heard.silence.as_millis()).unwrap_or(u64::MAX);
                Standing::of(state, &Said::heard(&heard.report, silence_ms), head)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_nodes_own_or_says_what_the_state_means() {
        let paths: Vec<String> = (1..=7).map(|number| format!("files/{number}")).collect();
        let mark = Mark { position: 7.into(), digest: schema::digest::Digest::of(b"7") };
        let failed = |code, detail| Said { failed: Some((AttemptState::Failed, code, detail)), ..Said::default() };
        for (state, said, code, words) in [
            (State::Failed, failed(Some("check_failed"), Some("too high")), "check_failed", "too high"),
            (State::Failed, failed(None, None), "failed", ""),
            (State::Failed, Said::default(), "rejected", "retry_node"),
            (State::Drifted, Said { drift: &paths, ..Said::default() }, "drift", "files/5 and 2 more"),
            (State::Offline, Said { silence_ms: Some(31_999), ..Said::default() }, "silent", "31 s"),
            (
                State::Ahead,
                Said { seen: Some(9.into()), ..Said::default() },
                "ahead",
                "position 9, and this log ends at 5",
            ),
            (State::Unknown, Said::default(), "never_heard", ""),
            (State::Duplicate, Said::default(), "duplicate", "stop one"),
            (State::Progressing, Said { running: Some(mark), ..Said::default() }, "not_good_yet", "--apply"),
        ] {
            let reason = said.reason(state, 5.into()).expect("a reason");
            assert!(reason.code == code && reason.detail.contains(words), "{state:?}: {reason:?}");
        }
        for state in [State::Converged, State::Progressing] {
            assert_eq!(
                failed(Some("check_failed"), None).reason(state, 5.into()),
                None,
                "of what is not desired any more"
            );
        }
    }

    #[test]
    fn a_list_has_the_beginning_of_a_long_reason() {
        let detail = "å".repeat(DETAIL_BYTES_MAX);
        let said = Said { failed: Some((AttemptState::Refused, None, Some(&detail))), ..Said::default() };
        let standing = Standing::of(State::Refused, &said, 5.into());
        assert_eq!(standing.reason.as_ref().map(|reason| reason.detail.len()), Some(DETAIL_BYTES_MAX));
        assert_eq!(standing.short().reason.map(|reason| reason.detail.len()), Some(SHORT_BYTES));
    }
}
