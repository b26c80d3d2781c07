//! How a wait ended: as text for people, and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::advice::advice;
use super::awaited_entity::AwaitedEntity;
use super::awaited_kind::AwaitedKind;
use super::tally::Tally;

/// Nodes that are named in text; JSON names all.
const NAMED_MAX: usize = 20;

/// How a wait ended.
#[derive(Clone, Debug)]
pub(super) enum WaitOutcome {
    /// All are converged that were waited for.
    Converged {
        /// The position that the log had reached at least.
        position: u64,
        tally: Tally,
    },
    /// At least one failed.
    Failed { position: u64, tally: Tally },
    /// The time is up.
    TimedOut {
        position: u64,
        /// What the last look found that was answered; none if there was none.
        tally: Option<Tally>,
        timeout: Duration,
        /// Why the last look was not answered, if it was not.
        error: Option<String>,
    },
}

impl WaitOutcome {
    /// For people. Of a failure it is the text of an error.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Converged { position, tally } => {
                format!("{} at position {position}{}\n", tally.summary(), offline(tally))
            }
            Self::Failed { tally, .. } => {
                let (failed, total) = (tally.failed.len(), tally.total());
                format!(
                    "{failed} of {total} {} did not converge:{}{}",
                    tally.kind.plural(),
                    list(tally.kind, &tally.failed),
                    offline(tally)
                )
            }
            Self::TimedOut { tally, timeout, error, .. } => timed_out(tally.as_ref(), *timeout, error.as_deref()),
        }
    }

    /// For programs: one line.
    pub(super) fn json(&self, kind: AwaitedKind) -> String {
        let (outcome, position, tally, error) = match self {
            Self::Converged { position, tally } => ("converged", position, Some(tally), None),
            Self::Failed { position, tally } => ("failed", position, Some(tally), None),
            Self::TimedOut { position, tally, error, .. } => ("timed_out", position, tally.as_ref(), error.as_deref()),
        };
        let list = |nodes: fn(&Tally) -> &[AwaitedEntity]| -> Vec<Value> {
            tally.map_or(&[][..], nodes).iter().map(AwaitedEntity::json).collect()
        };
        let report = json!({
            "outcome": outcome,
            "for": "converged",
            "position": position,
            kind.plural(): tally.map(Tally::total),
            "converged": tally.map(|tally| tally.converged),
            "failed": list(|tally| &tally.failed),
            "pending": list(|tally| &tally.pending),
            "offline": list(|tally| &tally.offline),
            "error": error,
        });
        report.to_string()
    }
}

fn timed_out(tally: Option<&Tally>, timeout: Duration, error: Option<&str>) -> String {
    let seconds = timeout.as_secs();
    let mut text = match tally {
        None => format!("the server gave no answer within {seconds} s"),
        Some(tally) if tally.is_missing_all => {
            format!("there was no such {} within {seconds} s", tally.kind.singular())
        }
        Some(tally) => {
            let nodes = list(tally.kind, &tally.pending) + &offline(tally);
            format!("{} within {seconds} s; these did not:{nodes}", tally.summary())
        }
    };
    if let Some(error) = error {
        let _ = write!(text, "\n  the last request failed: {error}");
    }
    text
}

/// Each node on a line below, with what to do about it.
fn list(kind: AwaitedKind, nodes: &[AwaitedEntity]) -> String {
    let mut text = String::new();
    for node in nodes.iter().take(NAMED_MAX) {
        let _ = write!(text, "\n  {}", node.describe(kind));
        if let Some(advice) = advice(kind, node) {
            let _ = write!(text, "\n    {advice}");
        }
    }
    match nodes.len().saturating_sub(NAMED_MAX) {
        0 => text,
        more => format!("{text}\n  and {more} more"),
    }
}

/// The nodes that were not waited for, on a line below.
fn offline(tally: &Tally) -> String {
    let ids: Vec<&str> = tally.offline.iter().take(NAMED_MAX).map(|node| node.id.as_str()).collect();
    let more = match tally.offline.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if ids.is_empty() { String::new() } else { format!("\noffline, and not waited for: {}{more}", ids.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::tally::OfflinePolicy;

    fn node(id: &str, state: Value) -> AwaitedEntity {
        let row = |state: Value| serde_json::from_value(state).expect("a row");
        AwaitedEntity { id: id.parse().expect("an id"), status: (!state.is_null()).then(|| row(state)) }
    }

    fn tally(nodes: Vec<AwaitedEntity>) -> Tally {
        Tally::count(nodes, OfflinePolicy::Ignore, true)
    }

    fn nodes() -> Vec<AwaitedEntity> {
        vec![
            node("n-1", json!({"id": "n-1", "state": "converged"})),
            node("n-2", json!({"id": "n-2", "state": "progressing", "reason": null})),
            node("n-3", Value::Null),
            node(
                "n-4",
                json!({"id": "n-4", "state": "offline", "silence_ms": 40_000,
                "reason": {"code": "silent", "detail": "it was not heard for 40 s"}}),
            ),
        ]
    }

    #[test]
    fn a_failure_names_the_node_its_reason_and_what_to_do() {
        let reason = json!({"code": "check_rejected", "detail": "too\nhigh\u{1b}[2J"});
        let failed = node("n-5", json!({"id": "n-5", "state": "failed", "reason": reason}));
        let outcome = WaitOutcome::Failed { position: 7, tally: tally([nodes(), vec![failed]].concat()) };
        let text = outcome.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1 of 5 nodes did not converge:");
        assert_eq!(lines[1], "  n-5: failed: check_rejected: too high\u{fffd}[2J");
        assert!(lines[2].contains("`headwater retry n-5`"), "{text}");
        assert_eq!(lines[3..], ["offline, and not waited for: n-4"]);
        let json: Value = serde_json::from_str(&outcome.json(AwaitedKind::Node)).expect("JSON");
        assert_eq!((&json["outcome"], &json["position"], &json["nodes"]), (&json!("failed"), &json!(7), &json!(5)));
        assert_eq!(json["failed"][0]["reason"]["code"], "check_rejected");
        assert_eq!(
            json["pending"],
            json!([
            {"id": "n-2", "state": "progressing", "reason": null, "silence_ms": null},
            {"id": "n-3", "state": null, "reason": null, "silence_ms": null}])
        );
    }

    #[test]
    fn a_time_out_names_who_is_missing_and_why() {
        let (timeout, error) = (Duration::from_secs(90), Some("could not reach it".to_owned()));
        let outcome = WaitOutcome::TimedOut { position: 7, tally: Some(tally(nodes())), timeout, error };
        let text = outcome.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1 of 4 nodes converged within 90 s; these did not:");
        assert!(lines.contains(&"  n-2: progressing") && lines.contains(&"  n-3: not enrolled"), "{text}");
        assert_eq!(lines.last(), Some(&"  the last request failed: could not reach it"));
        let none = WaitOutcome::TimedOut { position: 0, tally: None, timeout, error: None };
        assert_eq!(none.text(), "the server gave no answer within 90 s");
        let json: Value = serde_json::from_str(&none.json(AwaitedKind::Node)).expect("JSON");
        assert_eq!((&json["nodes"], &json["pending"]), (&Value::Null, &json!([])));
        let nobody = WaitOutcome::TimedOut { position: 0, tally: Some(tally(Vec::new())), timeout, error: None };
        assert_eq!(nobody.text(), "there was no such node within 90 s");
    }

    #[test]
    fn of_a_thousand_nodes_text_names_a_few_and_json_all() {
        let many = |state: &str| {
            let node = |number| node(&format!("n-{number}"), json!({"id": format!("n-{number}"), "state": state}));
            tally((0..1_000).map(node).collect())
        };
        let failed = WaitOutcome::Failed { position: 7, tally: many("failed") };
        assert!(failed.text().lines().count() < 50 && failed.text().ends_with("\n  and 980 more"), "{}", failed.text());
        let json: Value = serde_json::from_str(&failed.json(AwaitedKind::Node)).expect("JSON");
        assert_eq!(json["failed"].as_array().map(Vec::len), Some(1_000));
        let converged = WaitOutcome::Converged { position: 7, tally: many("offline") };
        let text = converged.text();
        assert!(
            text.starts_with("0 of 1000 nodes converged at position 7\noffline, and not waited for: n-0, "),
            "{text}"
        );
        assert!(text.ends_with(" and 980 more\n") && text.lines().count() == 2, "{text}");
    }
}
