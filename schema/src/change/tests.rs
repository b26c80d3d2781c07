//! How stored changes of every format are read, and in which one they are written.

use super::*;

const LIFTED: &[Upcast] = &[
    Upcast { event_type: "NodeLabelled", from: 3, lift: None },
    Upcast { event_type: "NodeLabelled", from: 2, lift: Some(|value| value["inner"].clone()) },
    Upcast {
        event_type: "NodeLabelled",
        from: 1,
        lift: Some(|value| serde_json::json!({ "inner": { "labels": value } })),
    },
];

#[test]
fn older_formats_are_lifted_step_by_step() {
    let labels: Labels = [("site".to_string(), "lund".to_string())].into();
    let expected = Ok(Change::NodeLabelled(Labelled { labels: Arc::new(labels) }));
    for (v, data) in [
        (1, r#"{"site":"lund"}"#),
        (2, r#"{"inner":{"labels":{"site":"lund"}}}"#),
        (3, r#"{"labels":{"site":"lund"}}"#),
        (4, r#"{"labels":{"site":"lund"}}"#),
    ] {
        assert_eq!(Change::read_through(LIFTED, "NodeLabelled", v, data), expected, "format {v}");
    }
}

#[test]
fn newer_formats_unknown_types_and_damage_are_told_apart() {
    let read = |event_type, v, data| Change::read(event_type, v, data);
    assert!(matches!(read("NodeRetired", 2, "{}"), Err(Unreadable::Newer { v: 2, newest: 1, .. })));
    assert!(matches!(read("NodeExploded", 1, "{}"), Err(Unreadable::UnknownType { .. })));
    for (v, data) in [(0, "{}"), (1, ""), (1, "[]"), (1, "{\"a\":")] {
        assert!(matches!(read("NodeRetired", v, data), Err(Unreadable::Damaged { .. })), "{v} {data}");
    }
}

#[test]
fn a_report_is_written_in_the_oldest_format_that_can_say_it() {
    let mark = crate::report::Mark { position: 7.into(), digest: Digest::of(b"7") };
    let running = Summary { running: Some(mark), ..Summary::default() };
    for (good, v, tail) in [(None, 1, "\"drift\":[]}"), (Some(None), 2, "\"drift\":[],\"good\":null}")] {
        let change = Change::ReportChanged(Summary { good, ..running.clone() }.into());
        assert_eq!(change.format(), v);
        assert!(change.data().ends_with(tail), "{}", change.data());
        assert_eq!(Change::read("ReportChanged", v, &change.data()), Ok(change));
    }
    let newer = Change::read("ReportChanged", 3, "{}");
    assert!(matches!(newer, Err(Unreadable::Newer { v: 3, newest: 2, .. })));
}

#[test]
fn members_that_a_later_writer_adds_are_passed_over() {
    let read = Change::read("NodeEnrolled", 1, r#"{"labels":{},"rack":7}"#);
    assert_eq!(read, Ok(Change::NodeEnrolled(Labelled { labels: Arc::default() })));
}
