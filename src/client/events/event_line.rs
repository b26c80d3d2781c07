//! An event as one line. Columns have fixed widths, because the widest value of a stream is not known.

use schema::terminal;
use serde_json::Value;

use crate::get::table::format_value;

/// Characters of the detail that a node reports.
const DETAIL_CHARS: usize = 200;
/// Drifted paths that are named; the others are counted.
const PATHS_MAX: usize = 3;
/// Digits of a digest that are shown.
const DIGEST_DIGITS: usize = 12;

/// The line, with a line feed.
pub(super) fn format_event(event: &Value) -> String {
    let text = |name: &str| format_value(&event[name]);
    let reason =
        event["reason"].as_str().map_or_else(String::new, |reason| format!("  \"{}\"", terminal::line(reason)));
    let (position, at, kind) = (text("position"), text("at"), text("type"));
    let (entity, version, actor) = (text("entity"), text("version"), text("actor"));
    let data = match event["type"].as_str() {
        Some("ReportChanged") => format!("  {}", format_report(&event["data"])),
        _ => String::new(),
    };
    format!("{position:>8}  {at}  {kind:18}  {entity} v{version}  by {actor}{reason}{data}\n")
}

/// What a node reported: what runs, what failed and why, and which paths drifted.
fn format_report(summary: &Value) -> String {
    let runs = match &summary["running"] {
        Value::Null => "runs nothing".to_owned(),
        running => format!("runs {}", format_record_ref(running)),
    };
    // It is there only if it is not the record that runs.
    let good = summary.get("good").map(|good| match good {
        Value::Null => "nothing was good yet".to_owned(),
        good => format!("last good {}", format_record_ref(good)),
    });
    let failed = Some(&summary["failed"]).filter(|failed| !failed.is_null()).map(format_failure);
    let drift = summary["drift"].as_array().filter(|paths| !paths.is_empty()).map(|paths| format_drift(paths));
    [Some(runs), good, failed, drift].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn format_failure(failed: &Value) -> String {
    let words = |name: &str| failed[name].as_str().map(|text| format!(": {}", cut(text))).unwrap_or_default();
    format!("{} {}{}{}", format_value(&failed["state"]), format_record_ref(failed), words("code"), words("detail"))
}

fn format_drift(paths: &[Value]) -> String {
    let named: Vec<String> = paths.iter().take(PATHS_MAX).map(format_value).collect();
    let more = match paths.len().saturating_sub(PATHS_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("drift in {}{more}", named.join(", "))
}

fn format_record_ref(record_ref: &Value) -> String {
    let digest: String = format_value(&record_ref["digest"]).chars().take(DIGEST_DIGITS).collect();
    format!("position {} ({digest})", format_value(&record_ref["position"]))
}

fn cut(text: &str) -> String {
    let mut kept: String = text.trim().chars().take(DETAIL_CHARS).collect();
    if kept.len() < text.trim().len() {
        kept.push('…');
    }
    terminal::line(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line_whatever_its_reason() {
        let event = json!({"position": 12, "at": "2026-01-01T00:00:00.000000Z", "type": "NodeEnrolled",
            "entity": "node/a", "version": 1, "actor": "ann", "reason": "one\n\u{1b}[2Jtwo", "data": {}});
        let expected =
            "      12  2026-01-01T00:00:00.000000Z  NodeEnrolled        node/a v1  by ann  \"one \u{fffd}[2Jtwo\"\n";
        assert_eq!(format_event(&event), expected);
    }

    #[test]
    fn a_changed_report_says_what_runs_what_failed_and_what_drifted() {
        let digest = "0123456789abcdef";
        let record_ref = json!({"position": 12, "digest": digest});
        let failed = json!({"position": 14, "digest": digest, "state": "failed", "code": "check_failed",
            "detail": "too\nhigh\u{202e}"});
        let told = |running: Value, failed: Value, drift: Value| {
            format_event(
                &json!({"type": "ReportChanged", "data": {"running": running, "failed": failed, "drift": drift}}),
            )
        };
        let good = told(record_ref.clone(), Value::Null, json!([]));
        assert!(good.ends_with("  runs position 12 (0123456789ab)\n"), "{good}");
        let bad = told(record_ref, failed, json!(["a", "b", "c", "d"]));
        let expected = "  runs position 12 (0123456789ab); failed position 14 (0123456789ab): check_failed: too \
                        high\u{fffd}; drift in a, b, c and 1 more\n";
        assert!(bad.ends_with(expected), "{bad}");
        assert!(told(Value::Null, Value::Null, Value::Null).ends_with("  runs nothing\n"));
        let data = |good: Value| json!({"type": "ReportChanged", "data": {"running": null, "good": good}});
        assert!(format_event(&data(Value::Null)).ends_with("  runs nothing; nothing was good yet\n"));
        let good = format_event(&data(json!({"position": 9, "digest": digest})));
        assert!(good.ends_with("; last good position 9 (0123456789ab)\n"), "{good}");
    }
}
