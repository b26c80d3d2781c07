//! The bytes that are for ever: what sealed an event once must seal it always, and what was written once is always read.
//!
//! Each input lies as JSON beside the bytes that follow from it. Nothing here rewrites a golden file: a new one is put
//! there by hand from `golden/check.py`, which knows nothing of this crate, and an old one never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use schema::canonical;
use schema::change::{Change, EVENT_TYPES, EventType};
use schema::desired::Desired;
use schema::digest::Digest;
use schema::event::Event;
use schema::object::ObjectSecret;
use schema::plan::RequestPlan;
use schema::proposal_message::{ProposalMessage, Verdict};
use schema::report::Reported;
use schema::rpc::{self, RpcReply};
use schema::seal::{PublicKeyRecord, SecretKey, SignedRecord};
use schema::wire::WireRecord;

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder)
}

/// The inputs of a folder whose names begin so.
fn inputs(folder: &str, beginning: &str) -> Vec<PathBuf> {
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(beginning);
    let paths = fs::read_dir(golden(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "json")).filter(named).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are golden files of {folder}/{beginning}");
    paths
}

/// The bytes of the golden file that lies beside `input`.
fn bytes_beside(input: &Path, extension: &str) -> Vec<u8> {
    let path = input.with_extension(extension);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    hex::decode(text.trim()).unwrap()
}

fn events() -> Vec<(PathBuf, Event)> {
    let read = |path: PathBuf| (serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap(), path);
    inputs("events", "").into_iter().map(read).map(|(event, path)| (path, event)).collect()
}

#[test]
fn an_events_entry_and_leaf_are_for_ever() {
    for (path, event) in events() {
        let name = path.display();
        assert_eq!(hex::encode(canonical::entry(&event)), hex::encode(bytes_beside(&path, "entry.hex")), "{name}");
        assert_eq!(canonical::leaf(&event).as_bytes().as_slice(), bytes_beside(&path, "leaf.hex"), "{name}");
        assert!(event.is_intact(), "{name}");
    }
}

#[test]
fn a_change_is_read_and_still_written_in_its_format_byte_for_byte() {
    let mut seen = BTreeSet::new();
    for (path, event) in events() {
        let verbatim = path.ends_with("spacing-of-data-is-kept.json");
        let Ok(change) = event.change() else {
            assert!(event.v > 2, "{} is read", path.display());
            continue;
        };
        seen.insert(change.event_type());
        assert!(verbatim || change.data() == event.data, "{}: {}", path.display(), change.data());
        assert_eq!((change.event_type(), change.format()), (event.event_type.as_str(), event.v));
    }
    assert_eq!(seen, Change::TYPES.into(), "every type has a golden event");
}

#[test]
fn each_format_of_each_type_is_still_written_for_what_no_older_one_can_say() {
    let mut golden: BTreeMap<(&str, u16), u32> = BTreeMap::new();
    for change in events().iter().filter_map(|(_, event)| event.change().ok()) {
        *golden.entry((change.event_type(), change.format())).or_default() += 1;
    }
    let formats = EVENT_TYPES.iter().flat_map(|event_type| (1..=event_type.newest()).map(|v| (event_type.name, v)));
    assert!(golden.keys().copied().eq(formats.collect::<BTreeSet<_>>()), "{golden:?}");
    for EventType { name, meaning, .. } in &EVENT_TYPES {
        assert!(meaning.ends_with('.') && !meaning.starts_with(' '), "{name}: {meaning:?}");
    }
}

/// A record of the first format is read from its golden bytes and from its JSON, and written as it was.
fn is_for_ever<R: WireRecord + PartialEq + std::fmt::Debug>(path: &Path) -> R {
    let bytes = bytes_beside(path, "record.hex");
    let record = R::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(record, serde_json::from_value(json.clone()).unwrap(), "{}", path.display());
    assert_eq!(serde_json::to_value(&record).unwrap(), json, "{}", path.display());
    assert_eq!(hex::encode(record.write()), hex::encode(bytes), "{}", path.display());
    record
}

#[test]
fn events_on_the_wire_are_for_ever() {
    inputs("events", "").iter().for_each(|path| drop(is_for_ever::<Event>(path)));
}

#[test]
fn desired_records_and_the_digest_of_their_entries_are_for_ever() {
    for path in inputs("records", "desired") {
        let desired: Desired = is_for_ever(&path);
        assert_eq!(desired.digest_of_entries().as_bytes().as_slice(), bytes_beside(&path, "digest.hex"));
        assert_eq!(desired.digest, desired.digest_of_entries(), "{}", path.display());
    }
}

#[test]
fn reports_are_for_ever() {
    inputs("records", "reported").iter().for_each(|path| drop(is_for_ever::<Reported>(path)));
}

#[test]
fn what_nodes_ask_and_are_answered_is_for_ever() {
    inputs("records", "rpc-claim").iter().for_each(|path| drop(is_for_ever::<rpc::ClaimRequest>(path)));
    inputs("records", "rpc-renew").iter().for_each(|path| drop(is_for_ever::<rpc::RenewRequest>(path)));
    inputs("records", "rpc-release").iter().for_each(|path| drop(is_for_ever::<rpc::ReleaseRequest>(path)));
    inputs("records", "rpc-complete").iter().for_each(|path| drop(is_for_ever::<rpc::CompleteRequest>(path)));
    inputs("records", "rpc-mine").iter().for_each(|path| drop(is_for_ever::<rpc::ListClaims>(path)));
    for path in inputs("records", "rpc-reply") {
        let reply: RpcReply = is_for_ever(&path);
        let Some(rpc::RpcOutcome { jobs: Some(jobs), digest, .. }) = reply.result else { continue };
        let named = rpc::claims_digest(&jobs);
        assert_eq!(named.as_bytes().as_slice(), bytes_beside(&path, "digest.hex"), "{}", path.display());
        assert!(digest.is_none_or(|digest| digest == named), "{}", path.display());
    }
}

#[test]
fn proposals_and_verdicts_are_for_ever() {
    inputs("records", "proposal-").iter().for_each(|path| drop(is_for_ever::<ProposalMessage>(path)));
    inputs("records", "verdict-").iter().for_each(|path| drop(is_for_ever::<Verdict>(path)));
}

#[test]
fn keys_and_signatures_are_for_ever() {
    let secret = SecretKey::from_seed(&[7; 32]);
    let body = bytes_beside(&golden("records/desired-empty.json"), "record.hex");
    let signed: SignedRecord = is_for_ever(&golden("records/signed.json"));
    assert_eq!(signed, secret.seal(body.clone()));
    assert_eq!(secret.public().open(&signed), Ok(body.as_slice()));
    let key: PublicKeyRecord = is_for_ever(&golden("records/key.json"));
    assert_eq!(key, secret.public().record());
    let key: PublicKeyRecord = is_for_ever(&golden("records/key-of-a-log.json"));
    assert_eq!(key.log_id.map(|log_id| secret.public().record().of_log(log_id)), Some(key));
}

#[test]
fn names_and_ciphertexts_of_objects_are_for_ever() {
    for path in inputs("objects", "") {
        let source: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut content = source["content"].as_str().unwrap().as_bytes().to_vec();
        let secret = ObjectSecret::of(source["log_id"].as_str().unwrap().parse().unwrap(), Digest::of(&content));
        assert_eq!(secret.name().to_string().into_bytes(), bytes_beside(&path, "name.hex"), "{}", path.display());
        secret.cipher().apply(&mut content);
        assert_eq!(hex::encode(&content), hex::encode(bytes_beside(&path, "ciphertext.hex")), "{}", path.display());
        assert_eq!(
            secret.mark(Digest::of(&content)),
            hex::encode(bytes_beside(&path, "mark.hex")),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_bytes_of_plans_are_for_ever() {
    for path in inputs("plans", "") {
        let plan: RequestPlan = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(hex::encode(plan.bytes()), hex::encode(bytes_beside(&path, "plan.hex")), "{}", path.display());
        assert_eq!(plan.digest().as_bytes().as_slice(), bytes_beside(&path, "digest.hex"), "{}", path.display());
    }
}

#[test]
fn a_stranger_with_python_computes_the_same_bytes() {
    match Command::new("python3").arg("-B").arg(golden("check.py")).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: there is no python3 here, so nothing but this crate has checked the golden vectors");
        }
        Err(error) => panic!("python3: {error}"),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
}
