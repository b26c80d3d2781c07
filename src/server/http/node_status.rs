//! The status of a node: its state, what it runs, when it was last heard, and why it does not run what is desired.

use api::node::{NodeStatus, StatusReason};
use projections::configuration::Node;
use schema::convergence::ConvergenceState;
use schema::id::NodeId;
use schema::position::Position;
use schema::report::{Attempt, AttemptState, DETAIL_BYTES_MAX, RecordRef, ReportSummary, Reported, truncate_text};

use crate::http::context::AppState;
use crate::http::snapshot::ReadSnapshot;

/// Bytes of a reason's detail in a list, which may have a thousand nodes on a page.
const SHORT_BYTES: usize = 512;
/// Drifted paths that a reason names; the others are counted.
const PATHS_NAMED: usize = 5;

/// What a node reported, as far as reasons need it.
#[derive(Default)]
struct ReportedFacts<'a> {
    running: Option<RecordRef>,
    /// The last record that its `--apply` command accepted.
    good: Option<RecordRef>,
    seen: Option<Position>,
    /// State, code and detail of its last attempt, if that failed.
    failed: Option<(AttemptState, Option<&'a str>, Option<&'a str>)>,
    drift: &'a [String],
    silence_ms: Option<u64>,
}

impl<'a> ReportedFacts<'a> {
    fn heard(report: &'a Reported, silence_ms: u64) -> Self {
        let failed = |attempt: &'a Attempt| {
            let has_failed = matches!(attempt.state, AttemptState::Failed | AttemptState::Refused);
            has_failed.then_some((attempt.state, attempt.code.as_deref(), attempt.detail.as_deref()))
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

    fn noted(summary: &'a ReportSummary) -> Self {
        let failed = summary.failed.as_ref();
        Self {
            running: summary.running,
            good: summary.good(),
            failed: failed.map(|failed| (failed.state, failed.code.as_deref(), failed.detail.as_deref())),
            drift: &summary.drift,
            ..Self::default()
        }
    }

    fn reason(&self, state: ConvergenceState, head: Position) -> Option<StatusReason> {
        let (code, detail) = match state {
            ConvergenceState::Failed | ConvergenceState::Refused => self.failure(),
            ConvergenceState::Drifted => ("drift".to_owned(), self.drifted()),
            ConvergenceState::Offline => {
                let seconds = self.silence_ms.unwrap_or_default() / 1_000;
                ("silent".to_owned(), format!("it was not heard for {seconds} s"))
            }
            ConvergenceState::Ahead => {
                let seen = self.seen.unwrap_or_default();
                ("ahead".to_owned(), format!("it has seen position {seen}, and this log ends at {head}"))
            }
            ConvergenceState::Duplicate => {
                let detail = "two agents report under this id: stop one of them, or start it with an id of its own";
                ("duplicate".to_owned(), detail.to_owned())
            }
            ConvergenceState::Progressing if self.awaits_hook() => {
                let detail = "what runs was put in force, and its --apply command has not said yes yet";
                ("not_good_yet".to_owned(), detail.to_owned())
            }
            ConvergenceState::Unknown => ("never_heard".to_owned(), "no report of it was ever heard".to_owned()),
            _ => return None,
        };
        Some(StatusReason { code, detail })
    }

    /// Whether the `--apply` command has not accepted yet what runs.
    fn awaits_hook(&self) -> bool {
        self.running.is_some_and(|running| self.good.is_none_or(|good| good.digest != running.digest))
    }

    /// The node's own words on why it failed. There are none if its last report is about something else than the rejected record.
    fn failure(&self) -> (String, String) {
        let Some((state, code, detail)) = self.failed else {
            let detail = "it rejected this before, and tries it again after `retry_node` or when the content differs";
            return ("rejected".to_owned(), detail.to_owned());
        };
        let default_code = if state == AttemptState::Refused { "refused" } else { "failed" };
        (code.unwrap_or(default_code).to_owned(), detail.unwrap_or_default().to_owned())
    }

    fn drifted(&self) -> String {
        let named = self.drift.iter().take(PATHS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.drift.len().saturating_sub(PATHS_NAMED) {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

/// The status with a detail short enough for a list.
pub(super) fn short(status: NodeStatus) -> NodeStatus {
    within(status, SHORT_BYTES)
}

fn within(mut status: NodeStatus, bytes_max: usize) -> NodeStatus {
    if let Some(reason) = &mut status.reason {
        reason.detail = truncate_text(&reason.detail, bytes_max);
    }
    status
}

fn status(state: ConvergenceState, facts: &ReportedFacts<'_>, head: Position) -> NodeStatus {
    let reason = facts.reason(state, head);
    within(NodeStatus { state, running: facts.running, silence_ms: facts.silence_ms, reason }, DETAIL_BYTES_MAX)
}

impl AppState {
    /// The status of a node: from its last report, or of a past state from what the log has of its reports.
    pub(super) fn node_status(&self, snapshot: &ReadSnapshot, id: &NodeId, node: &Node) -> NodeStatus {
        let configuration = &snapshot.configuration;
        let (state, head) = (self.node_state(snapshot, id, node), configuration.position());
        if snapshot.is_past {
            let noted = configuration.reports().get(id);
            let facts = noted.map(|noted| ReportedFacts::noted(&noted.summary)).unwrap_or_default();
            return status(state, &facts, head);
        }
        match self.reports().heard(id) {
            None => status(state, &ReportedFacts::default(), head),
            Some(heard) => {
                let silence_ms = u64::try_from(heard.silence.as_millis()).unwrap_or(u64::MAX);
                status(state, &ReportedFacts::heard(&heard.report, silence_ms), head)
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
        let mark = RecordRef { position: 7.into(), digest: schema::digest::Digest::of(b"7") };
        let failed = |code, detail| ReportedFacts {
            failed: Some((AttemptState::Failed, code, detail)),
            ..ReportedFacts::default()
        };
        for (state, facts, code, words) in [
            (ConvergenceState::Failed, failed(Some("check_failed"), Some("too high")), "check_failed", "too high"),
            (ConvergenceState::Failed, failed(None, None), "failed", ""),
            (ConvergenceState::Failed, ReportedFacts::default(), "rejected", "retry_node"),
            (
                ConvergenceState::Drifted,
                ReportedFacts { drift: &paths, ..ReportedFacts::default() },
                "drift",
                "files/5 and 2 more",
            ),
            (
                ConvergenceState::Offline,
                ReportedFacts { silence_ms: Some(31_999), ..ReportedFacts::default() },
                "silent",
                "31 s",
            ),
            (
                ConvergenceState::Ahead,
                ReportedFacts { seen: Some(9.into()), ..ReportedFacts::default() },
                "ahead",
                "position 9, and this log ends at 5",
            ),
            (ConvergenceState::Unknown, ReportedFacts::default(), "never_heard", ""),
            (ConvergenceState::Duplicate, ReportedFacts::default(), "duplicate", "stop one"),
            (
                ConvergenceState::Progressing,
                ReportedFacts { running: Some(mark), ..ReportedFacts::default() },
                "not_good_yet",
                "--apply",
            ),
        ] {
            let reason = facts.reason(state, 5.into()).expect("a reason");
            assert!(reason.code == code && reason.detail.contains(words), "{state:?}: {reason:?}");
        }
        for state in [ConvergenceState::Converged, ConvergenceState::Progressing] {
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
        let facts =
            ReportedFacts { failed: Some((AttemptState::Refused, None, Some(&detail))), ..ReportedFacts::default() };
        let status = status(ConvergenceState::Refused, &facts, 5.into());
        assert_eq!(status.reason.as_ref().map(|reason| reason.detail.len()), Some(DETAIL_BYTES_MAX));
        assert_eq!(short(status).reason.map(|reason| reason.detail.len()), Some(SHORT_BYTES));
    }
}
