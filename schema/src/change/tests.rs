//! How stored changes of every format are read, and in which one they are written.

use super::*;
use crate::digest::Digest;
use crate::labels::Labels;

/// A type that was reshaped twice and then got a member that may be absent.
const RESHAPED: &[EventFormat] = &[
    EventFormat {
        is_needed: |change| labels_of(change).is_some_and(|labels| labels.len() > 1),
        reshape: Some(Reshape {
            up: |value| serde_json::json!({ "inner": { "labels": value } }),
            down: |value| value["inner"]["labels"].clone(),
        }),
    },
    EventFormat {
        is_needed: |change| labels_of(change).is_some_and(|labels| labels.len() > 2),
        reshape: Some(Reshape {
            up: |value| value["inner"].clone(),
            down: |value| serde_json::json!({ "inner": value }),
        }),
    },
    EventFormat { is_needed: |change| labels_of(change).is_some_and(|labels| labels.len() > 3), reshape: None },
];

fn labels_of(change: &Change) -> Option<&Labels> {
    let Change::NodeLabelled(node) = change else { return None };
    Some(&node.labels)
}

#[test]
fn data_is_written_in_the_oldest_format_that_can_say_it_and_lifted_step_by_step() {
    let reshaped = EventType { formats: RESHAPED, ..*EventType::named("NodeLabelled").expect("a type") };
    for (v, data) in [
        (1, r#"{"a":"x"}"#),
        (2, r#"{"inner":{"labels":{"a":"x","b":"x"}}}"#),
        (3, r#"{"labels":{"a":"x","b":"x","c":"x"}}"#),
        (4, r#"{"labels":{"a":"x","b":"x","c":"x","d":"x"}}"#),
    ] {
        let change = reshaped.read(v, data).unwrap_or_else(|error| panic!("format {v}: {error}"));
        assert_eq!(labels_of(&change).map(Labels::len), Some(usize::from(v)));
        assert_eq!(oldest(RESHAPED, &change), v);
        assert_eq!(lowered(RESHAPED, &change, change.data()).expect("JSON"), data, "format {v}");
    }
    assert!(matches!(reshaped.read(5, "{}"), Err(ChangeError::Newer { v: 5, newest: 4, .. })));
}

#[test]
fn newer_formats_unknown_types_and_damage_are_told_apart() {
    let read = |event_type, v, data| Change::read(event_type, v, data);
    assert!(matches!(read("NodeRetired", 2, "{}"), Err(ChangeError::Newer { v: 2, newest: 1, .. })));
    assert!(matches!(read("NodeExploded", 1, "{}"), Err(ChangeError::UnknownType { .. })));
    for (v, data) in [(0, "{}"), (1, ""), (1, "[]"), (1, "{\"a\":")] {
        assert!(matches!(read("NodeRetired", v, data), Err(ChangeError::Damaged { .. })), "{v} {data}");
    }
}

#[test]
fn a_report_is_written_in_the_oldest_format_that_can_say_it() {
    let record_ref = crate::report::RecordRef { position: 7.into(), digest: Digest::of(b"7") };
    let running = ReportSummary { running: Some(record_ref), ..ReportSummary::default() };
    for (good, v, tail) in [(None, 1, "\"drift\":[]}"), (Some(None), 2, "\"drift\":[],\"good\":null}")] {
        let change = Change::ReportChanged(ReportSummary { good, ..running.clone() }.into());
        assert_eq!(change.format(), v);
        assert!(change.data().ends_with(tail), "{}", change.data());
        assert_eq!(Change::read("ReportChanged", v, &change.data()), Ok(change));
    }
    let sent = Some(crate::report::SentNumber { boot_no: 3, seq: 9 });
    let signed = Change::ReportChanged(ReportSummary { sent, ..running }.into());
    assert_eq!(signed.format(), 3);
    assert_eq!(Change::read("ReportChanged", 3, &signed.data()), Ok(signed));
    let newer = Change::read("ReportChanged", 4, "{}");
    assert!(matches!(newer, Err(ChangeError::Newer { v: 4, newest: 3, .. })));
}

#[test]
fn members_that_a_later_writer_adds_are_passed_over() {
    let read = Change::read("NodeEnrolled", 1, r#"{"labels":{},"rack":7}"#);
    assert_eq!(read, Ok(Change::NodeEnrolled(NodeEnrolled { labels: Labels::new(), keys: None })));
}
