//! Programs of different versions read each other's records.
//!
//! The older writer is simulated by the golden files: `golden.rs` reads each of them and writes it again. Here the newer writer
//! is simulated, by what it may do to each golden record: add members, use variants that are not known here, raise `v`. A
//! program that still reads what it does not understand must also say it again byte for byte, because it passes it on.

use std::fs;
use std::path::Path;

use crate::wire_value::WireValue;
use schema::change::{self, Change};
use schema::desired::{Desired, EntryKind};
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::report::{AttemptState, ReportSummary, Reported};
use schema::rpc::{self, RpcReply};
use schema::seal::{PublicKeyRecord, SignedRecord};
use schema::wire::{RecordError, WireRecord};

/// Reads a record and writes it again.
type Again = fn(&[u8]) -> Result<Vec<u8>, RecordError>;

fn again<R: WireRecord>(bytes: &[u8]) -> Result<Vec<u8>, RecordError> {
    R::read(bytes).map(|record| record.write())
}

/// Every record that travels between programs: how its golden files begin, and its reader.
const RECORDS: [(&str, Again); 11] = [
    ("events/", again::<Event>),
    ("records/desired", again::<Desired>),
    ("records/reported", again::<Reported>),
    ("records/signed", again::<SignedRecord>),
    ("records/key", again::<PublicKeyRecord>),
    ("records/rpc-claim", again::<rpc::ClaimRequest>),
    ("records/rpc-renew", again::<rpc::RenewRequest>),
    ("records/rpc-release", again::<rpc::ReleaseRequest>),
    ("records/rpc-complete", again::<rpc::CompleteRequest>),
    ("records/rpc-mine", again::<rpc::ListClaims>),
    ("records/rpc-reply", again::<RpcReply>),
];

fn tree(name: &str) -> WireValue {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.record.hex"));
    WireValue::read(&hex::decode(fs::read_to_string(path).unwrap().trim()).unwrap())
}

/// The golden records whose names begin so.
fn golden(beginning: &str) -> Vec<(String, WireValue)> {
    let (folder, beginning) = beginning.split_once('/').unwrap();
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names = names.filter_map(|name| name.strip_suffix(".record.hex").map(str::to_owned));
    let names: Vec<String> = names.filter(|name| name.starts_with(beginning)).collect();
    assert!(!names.is_empty(), "there are golden records of {folder}/{beginning}");
    names.into_iter().map(|name| format!("{folder}/{name}")).map(|name| (name.clone(), tree(&name))).collect()
}

#[test]
fn members_of_a_newer_writer_are_passed_over_at_every_depth() {
    for (beginning, again) in RECORDS {
        for (name, golden) in golden(beginning) {
            let maps = golden.maps();
            assert!(maps > 0, "{name}");
            for index in 0..maps {
                let newer = golden.with_member(index);
                assert_ne!(newer, golden, "{name}");
                assert_eq!(again(&newer.write()), Ok(golden.write()), "{name}, map {index}");
            }
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    for (beginning, again) in RECORDS {
        for (name, golden) in golden(beginning) {
            let newer = golden.with(&["v"], WireValue::Number(u64::from(u16::MAX))).write();
            match again(&newer) {
                // The format of an event is that of its data: the event is carried, and its change is not understood.
                Ok(carried) if beginning == "events/" => {
                    assert_eq!(carried, newer, "{name}");
                    let change = Event::read(&newer).unwrap().change();
                    assert!(
                        matches!(
                            change,
                            Err(change::ChangeError::Newer { .. } | change::ChangeError::UnknownType { .. })
                        ),
                        "{name}"
                    );
                }
                Ok(_) => panic!("{name} is read"),
                Err(refused) => assert_eq!(refused.code(), "newer_format", "{name}"),
            }
        }
    }
}

/// Where a record has a variant of an open enum, and what a newer program writes there.
const UNKNOWN: [(&str, &[&str], &str); 7] = [
    ("records/reported-failed", &["attempt", "state"], "waiting_for_window"),
    ("records/reported-applying", &["attempt", "state"], "x"),
    ("records/desired-inline-and-fetched", &["entries", "0", "kind"], "secret"),
    ("records/desired-inline-and-fetched", &["entries", "0", "source", "entity"], "kind_of_the_future/n-1"),
    ("records/rpc-reply-completed", &["result", "entity"], "kind_of_the_future/n-1"),
    ("events/node-enrolled", &["entity"], "kind_of_the_future/n-1"),
    ("events/node-enrolled", &["entity"], "a_kind_of_22_bytes_abc/n-1"),
];

#[test]
fn a_variant_of_a_newer_writer_is_read_kept_and_written_again() {
    for (name, path, variant) in UNKNOWN {
        let (_, again) = RECORDS.into_iter().find(|(beginning, _)| name.starts_with(beginning)).unwrap();
        let newer = tree(name).with(path, WireValue::Text(variant.into())).write();
        assert_eq!(again(&newer), Ok(newer), "{name}: {variant}");
    }
}

/// A name from elsewhere ends up in logs and on terminals.
#[test]
fn what_is_no_name_of_a_variant_is_damage() {
    for (name, path, variant) in UNKNOWN {
        let (_, again) = RECORDS.into_iter().find(|(beginning, _)| name.starts_with(beginning)).unwrap();
        for strange in ["", "\u{1b}[2J", "Waiting", "a_variant_of_23_bytes_x", "ü"] {
            let strange = if variant.contains('/') { format!("{strange}/n-1") } else { strange.to_owned() };
            let newer = tree(name).with(path, WireValue::Text(strange.clone())).write();
            assert_eq!(again(&newer).unwrap_err().code(), "damaged_record", "{name}: {strange:?}");
        }
    }
}

#[test]
fn an_older_server_shows_what_a_newer_node_is_at_and_takes_it_for_no_end() {
    let report = tree("records/reported-failed").with(&["attempt", "state"], WireValue::Text("rebooting".into()));
    let report = Reported::read(&report.write()).unwrap();
    let state = report.attempt.as_ref().unwrap().state;
    assert_eq!((state.name(), matches!(state, AttemptState::Unknown(_))), ("rebooting", true));
    assert_eq!(serde_json::to_value(state).unwrap(), "rebooting");
    assert_eq!(ReportSummary::from(&report).failed, None, "it may still end well");
    assert_eq!(
        (ReportSummary::from(&report).running, report.good()),
        (report.running, report.last_good),
        "all else is kept"
    );
}

#[test]
fn an_older_reader_tells_what_it_does_not_know_from_what_it_knows() {
    let record =
        tree("records/desired-inline-and-fetched").with(&["entries", "0", "kind"], WireValue::Text("secret".into()));
    let kinds: Vec<EntryKind> =
        Desired::read(&record.write()).unwrap().entries.iter().map(|entry| entry.kind).collect();
    assert!(matches!(kinds[..], [EntryKind::Unknown(_), EntryKind::Document, ..]), "{kinds:?}");
    let entity = Entity::of_any_kind("kind_of_the_future/n-1").unwrap();
    assert!(matches!(entity.kind, Kind::Unknown(_)));
    assert_eq!(entity.to_string(), "kind_of_the_future/n-1");
    assert_eq!(
        "kind_of_the_future/n-1".parse::<Entity>().unwrap_err().code,
        "invalid_value",
        "nobody can ask for what is not known"
    );
    for kind in Kind::ALL {
        assert_eq!(Entity::of_any_kind(&format!("{}/n-1", kind.name())).unwrap().kind, kind);
    }
}

/// A newer reconciler beside an older one writes what the older one can read, until there is something that it can't say.
#[test]
fn a_report_is_noted_in_the_first_format_unless_what_was_good_is_not_what_runs() {
    for (name, golden) in golden("records/reported") {
        let report = Reported::read(&golden.write()).unwrap();
        for running in [None, report.running, report.seen] {
            for last_good in [None, report.last_good, report.seen] {
                let report = Reported { running, last_good, ..report.clone() };
                let change = Change::ReportChanged(ReportSummary::from(&report).into());
                let implied = change.data().contains("\"good\"");
                assert_eq!(
                    (change.format(), implied),
                    if report.good() == running { (1, false) } else { (2, true) },
                    "{name}"
                );
                let Ok(Change::ReportChanged(read)) = Change::read("ReportChanged", change.format(), &change.data())
                else {
                    panic!("{name} is read")
                };
                assert_eq!((read.running, read.good()), (running, report.good()), "{name}");
            }
        }
    }
}
