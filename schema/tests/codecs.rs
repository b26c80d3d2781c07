//! Reading and writing: what is written is read back, what later writers add is passed over, what newer writers change
//! is refused by name, and no bytes whatever bring a reader down.

use proptest::collection::vec;
use proptest::prelude::*;
use schema::change::Change;
use schema::command::MediaType;
use schema::desired::Desired;
use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{CommandId, EventId, Id, LogId, NodeId};
use schema::instant::Instant;
use schema::path::DocumentPath;
use schema::report::{RecordRef, ReportSummary, ReportWarning, Reported};
use schema::request::Request;
use schema::rpc;
use schema::seal::{PublicKeyRecord, SignedRecord};
use schema::target::Target;
use schema::wire::{RecordError, WireRecord};

const GOLDEN: [(&str, Read); 9] = [
    ("events/node-enrolled", |bytes| Event::read(bytes).map(|record| record.write())),
    ("records/desired-inline-and-fetched", |bytes| Desired::read(bytes).map(|record| record.write())),
    ("records/reported-failed", |bytes| Reported::read(bytes).map(|record| record.write())),
    ("records/signed", |bytes| SignedRecord::read(bytes).map(|record| record.write())),
    ("records/rpc-claim-in-full", |bytes| rpc::ClaimRequest::read(bytes).map(|record| record.write())),
    ("records/rpc-complete", |bytes| rpc::CompleteRequest::read(bytes).map(|record| record.write())),
    ("records/rpc-reply-claimed", |bytes| rpc::RpcReply::read(bytes).map(|record| record.write())),
    ("records/key", |bytes| PublicKeyRecord::read(bytes).map(|record| record.write())),
    ("records/key-of-a-log", |bytes| PublicKeyRecord::read(bytes).map(|record| record.write())),
];

/// Reads a record and writes it again.
type Read = fn(&[u8]) -> Result<Vec<u8>, RecordError>;

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}.record.hex", env!("CARGO_MANIFEST_DIR"));
    hex::decode(std::fs::read_to_string(path).unwrap().trim()).unwrap()
}

/// The map with one member more, at its front or its end. All golden records have fewer than 15 members but the event.
fn with_member(bytes: &[u8], member: &[u8], in_front: bool) -> Vec<u8> {
    let (count, rest) = match bytes {
        [head @ 0x80..=0x8f, rest @ ..] => (head & 0x0f, rest),
        _ => panic!("a record is a map of at most 15 members"),
    };
    let head = [0xde, 0, count + 1];
    if in_front { [&head, member, rest].concat() } else { [&head, rest, member].concat() }
}

/// The record with another `v`; every record's first member is its `v`.
fn with_v(bytes: &[u8], v: u16) -> Vec<u8> {
    assert_eq!(bytes[1..4], [0xa1, b'v', 1], "`v` comes first");
    let [high, low] = v.to_be_bytes();
    [&bytes[..3], &[0xcd, high, low], &bytes[4..]].concat()
}

#[test]
fn members_that_a_later_writer_adds_are_passed_over() {
    let nested = [0x93, 0x81, 0xa1, b'k', 0xc0, 0xc4, 1, 0, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0];
    let member = [[0xa5].as_slice(), b"later", &nested].concat();
    for (name, read) in GOLDEN {
        let bytes = golden(name);
        for in_front in [true, false] {
            assert_eq!(read(&with_member(&bytes, &member, in_front)), Ok(bytes.clone()), "{name}");
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name_before_anything_else_is_looked_at() {
    // Desired records have two formats, all others one.
    let strange = [0x82, 0xa1, b'v', 3, 0xa4, b'b', b'o', b'd', b'y', 0xc3];
    for (name, read) in GOLDEN.into_iter().skip(1) {
        for bytes in [with_v(&golden(name), 3), with_v(&golden(name), u16::MAX), strange.to_vec()] {
            let refused = read(&bytes).expect_err(name);
            assert!(matches!(refused, RecordError::Newer { newest: 1 | 2, .. }), "{name}: {refused}");
            assert_eq!(refused.code(), "newer_format");
        }
        let refused = read(&with_v(&golden(name), 0)).expect_err(name);
        assert_eq!(refused.code(), "damaged_record", "{name}: {refused}");
    }
}

#[test]
fn a_newer_event_is_carried_although_its_change_is_not_understood() {
    let event = Event::read(&with_v(&golden("events/node-enrolled"), 3)).unwrap();
    assert!(matches!(event.change(), Err(schema::change::ChangeError::Newer { v: 3, newest: 2, .. })));
}

#[test]
fn a_record_that_ends_early_is_damaged_wherever_it_ends() {
    for (name, read) in GOLDEN {
        let bytes = golden(name);
        for end in 0..bytes.len() {
            let refused = read(&bytes[..end]).expect_err(name);
            assert_eq!(refused.code(), "damaged_record", "{name} of {end} bytes");
        }
    }
}

#[test]
fn a_record_that_goes_on_behind_its_end_is_damaged() {
    for (name, read) in GOLDEN {
        let refused = read(&[golden(name), vec![0xc0]].concat()).expect_err(name);
        assert_eq!(refused.code(), "damaged_record", "{name}");
    }
}

#[test]
fn depth_does_not_exhaust_the_stack() {
    for head in [[0x91].as_slice(), &[0x81, 0xa1, b'a'], &[0x81]] {
        let deep = head.repeat(100_000);
        let member = [[0xa5].as_slice(), b"later", &deep].concat();
        for (name, read) in GOLDEN {
            assert!(read(&deep).is_err(), "{name}");
            assert!(read(&with_member(&golden(name), &member, true)).is_err(), "{name}");
        }
    }
    let deep = "[".repeat(100_000);
    assert!(Request::read(deep.as_bytes()).is_err());
    assert!(Change::read("NodeEnrolled", 1, &format!("{{\"labels\":{{}},\"later\":{deep}")).is_err());
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn id() -> impl Strategy<Value = Id> {
    "[A-Za-z0-9][A-Za-z0-9_-]{0,63}".prop_map(|text| text.parse().unwrap())
}

fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![Just(Actor::Install), Just(Actor::Reconciler), id().prop_map(|id| Actor::Principal(id.into()))]
}

fn entity() -> impl Strategy<Value = Entity> {
    (prop::sample::select(&schema::entity::Kind::ALL[..]), id()).prop_map(|(kind, id)| Entity { kind, id })
}

/// Instants that RFC 3339 can say: the years 0 to 9999.
fn instant() -> impl Strategy<Value = Instant> {
    (-62_167_219_200_000_000_i64..=253_402_207_200_999_999).prop_map(Instant::from_unix_micros)
}

fn command_id() -> impl Strategy<Value = CommandId> {
    any::<String>()
        .prop_map(|key| CommandId::derived("0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap(), "a", &key))
}

prop_compose! {
    fn event()(
        v: u16, log in command_id(), position: u64, command_id in command_id(), ordinal: u32, count: u32,
        entity in entity(), version: u64, event_type: String, actor in actor(), reason: Option<String>, at in instant(),
        data: String, leaf in digest(),
    ) -> Event {
        let event_id = EventId::derived(command_id, ordinal, at);
        let log_id = LogId::from(log.uuid());
        let (position, version) = (position.into(), version.into());
        Event {
            v: v.max(1), log_id, position, event_id, command_id, ordinal, count, entity, version, event_type, actor, reason,
            at, data, leaf,
        }
    }
}

/// Text that looks like what is asked for, and text that does not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![".*", "[a-z0-9./\\\\\\-_ü\u{308}:\u{0}]{0,300}", "[a-z]{1,4}/[a-z0-9-]{0,5}"]
}

/// A golden record with a few bytes changed: close enough to be read far.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(GOLDEN.map(|(name, _)| name).to_vec());
    (name, vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)).prop_map(|(name, changes)| {
        let mut bytes = golden(name);
        changes.iter().for_each(|(index, byte)| *index.get_mut(&mut bytes[..]) = *byte);
        bytes
    })
}

/// JSON that is a request as long as nobody looks closely.
fn almost_request() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "\"commands\"",
        "\"type\"",
        "\"put_document\"",
        "\"enrol_node\"",
        "\"id\"",
        "\"n\"",
        "\"labels\"",
        "\"target\"",
        "\"nodes\"",
        "\"match_expressions\"",
        "\"operator\"",
        "\"In\"",
        "\"expected_version\"",
        "\"\\u0000\"",
        "null",
        "true",
        "-1",
        "1e999",
        "18446744073709551615",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
    ]);
    vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn an_event_is_read_as_it_was_written(event in event()) {
        prop_assert_eq!(Event::read(&event.write()), Ok(event.clone()));
        let json = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }

    #[test]
    fn a_seal_covers_every_field_and_opens_for_nothing_else(event in event()) {
        prop_assert!(event.clone().sealed().is_intact());
        prop_assert!(!event.is_intact(), "a leaf out of the blue seals nothing");
    }

    #[test]
    fn no_bytes_bring_a_reader_of_records_down(bytes in prop_oneof![vec(any::<u8>(), 0..200), damaged()]) {
        for (_, read) in GOLDEN {
            drop(read(&bytes));
        }
    }

    #[test]
    fn no_body_brings_the_reader_of_requests_down(bytes in vec(any::<u8>(), 0..200), text in almost_request()) {
        drop(Request::read(&bytes));
        drop(Request::read(text.as_bytes()));
    }

    #[test]
    fn what_text_says_is_said_again_or_refused(text in text()) {
        macro_rules! says_again {
            ($($name:ty),*) => {$(
                if let Ok(read) = text.parse::<$name>() {
                    prop_assert_eq!(read.to_string(), text.as_str());
                }
            )*};
        }
        says_again!(Id, NodeId, DocumentPath, Entity, Actor, Digest);
        if let Ok(read) = text.parse::<MediaType>() {
            prop_assert_eq!(read.as_str(), &text);
        }
        drop(text.parse::<Instant>());
        drop(text.parse::<LogId>());
        for event_type in Change::TYPES {
            drop(Change::read(event_type, 1, &text));
        }
    }

    #[test]
    fn a_path_stays_below_its_folder(text in text()) {
        if let Ok(path) = text.parse::<DocumentPath>() {
            use std::path::{Component, Path};
            let components: Vec<_> = Path::new(path.as_str()).components().collect();
            prop_assert!(components.iter().all(|component| matches!(component, Component::Normal(_))), "{}", text);
            prop_assert_eq!(path.ancestors().count() + 1, components.len());
            prop_assert!(path.as_str().len() <= 255);
        }
    }

    #[test]
    fn a_target_is_read_as_it_was_written_or_refused(text in almost_request()) {
        if let Ok(target) = serde_json::from_str::<Target>(&text) {
            let written = serde_json::to_string(&target).unwrap();
            prop_assert_eq!(serde_json::from_str::<Target>(&written).unwrap(), target);
        }
    }

    #[test]
    fn an_instant_is_ordered_and_read_back_as_its_text(a in instant(), b in instant()) {
        prop_assert_eq!(a.to_string().parse(), Ok(a));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn what_the_log_keeps_of_a_report_is_bounded_and_readable(
        code: Option<String>, detail in "[\u{0}-\u{3}🌊a]{0,6000}", drift in vec("[a\u{0}ü]{0,400}", 0..150),
    ) {
        let mut report = Reported::read(&golden("records/reported-failed")).unwrap();
        let attempt = report.attempt.as_mut().unwrap();
        (attempt.code, attempt.detail) = (code, Some(detail));
        report.drift = drift;
        let summary = ReportSummary::from(&report);
        let change = Change::ReportChanged(summary.into());
        let data = change.data();
        prop_assert!(data.len() <= schema::limit::EVENT_DATA_BYTES_MAX);
        prop_assert!(!data.contains('\0') && !data.contains("\\u0000"), "Postgres can hold it");
        prop_assert_eq!(Change::read("ReportChanged", change.format(), &data), Ok(change));
    }

    #[test]
    fn what_a_server_holds_of_a_report_is_bounded_whatever_a_node_says(text in "[a\u{0}🌊]{0,9000}", many in 0..3_000_usize) {
        let mut report = Reported::read(&golden("records/reported-with-warnings")).unwrap();
        let record_ref = report.seen.unwrap();
        let rejected = |position: usize| RecordRef { position: (position as u64).into(), ..record_ref };
        report.rejected = (0..many).map(rejected).collect();
        report.drift = vec![text.clone(); many.min(300)];
        report.warnings = vec![ReportWarning { code: text.clone(), detail: text.clone() }; many.min(300)];
        (report.boot, report.agent) = (text.clone(), text.clone());
        let attempt = report.attempt.as_mut().unwrap();
        (attempt.code, attempt.detail) = (Some(text.clone()), Some(text));
        report.truncate();
        prop_assert!(report.write().len() < 80_000, "{}", report.write().len());
        prop_assert_eq!(report.rejected.last().copied(), many.checked_sub(1).map(rejected), "the latest are kept");
        let spare = report.drift.capacity() - report.drift.len() + report.boot.capacity() - report.boot.len();
        prop_assert_eq!(spare, 0, "memory is given back");
        let again = Reported::read(&report.write()).unwrap();
        prop_assert_eq!(&again, &report);
        let mut twice = again;
        twice.truncate();
        prop_assert_eq!(twice, report, "what was bounded once is not changed again");
    }
}
