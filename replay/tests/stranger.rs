//! A verifier in Python, made from `FORMAT.md` alone, comes to the same as ours: on golden logs, and on all sorts of wrong
//! ones, where it names the same position.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::{fs, process};

use histories::forge::{self, Export};
use histories::story;
use schema::bundle::{PlanBase, PlanKept};
use schema::digest::Digest;
use schema::entity::Entity;
use schema::event::Event;
use serde_json::{Value, json};
use tempfile::TempDir;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// A Python that has `cryptography`. Where there is none, nothing is left out in silence: the test fails.
fn python() -> &'static str {
    static FOUND: OnceLock<&str> = OnceLock::new();
    FOUND.get_or_init(|| {
        let has = |python: &&str| {
            let asked = process::Command::new(python).args(["-c", "import cryptography"]).output();
            asked.is_ok_and(|output| output.status.success())
        };
        let found = ["python3", "/usr/bin/python3"].into_iter().find(has);
        found.expect("there is no python3 with the package `cryptography`: `make setup` installs it")
    })
}

fn stranger(words: &[&str], files: &[PathBuf]) -> Output {
    process::Command::new(python()).arg("-B").arg(here("verify.py")).args(words).args(files).output().unwrap()
}

fn key() -> String {
    hex::encode(story::key().public().as_bytes())
}

fn told(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_stranger_with_python_comes_to_the_digests_of_golden_logs() {
    for format in 1..=replay::file::FORMAT {
        let files = ["a", "b"].map(|part| here(&format!("golden/{format}-{part}.hwlog")));
        let expected: Value =
            serde_json::from_slice(&fs::read(here(&format!("golden/{format}.json"))).unwrap()).unwrap();
        let trusted = ["--json", "--trust", expected["key"].as_str().unwrap()];
        assert_eq!(told(&stranger(&trusted, &files)), expected, "format {format}");
        assert!(!stranger(&trusted, &files[1..]).status.success(), "a later part alone");
    }
}

#[test]
fn a_stranger_with_python_agrees_with_every_vector() {
    let output = process::Command::new(python()).arg("-B").arg(here("vectors/check.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
}

#[test]
fn every_type_of_event_in_every_format_is_read_by_both() {
    let story = story::told_to_this_day();
    let last: Vec<&Event> = story.events[usize::try_from(story::told().position()).unwrap()..].iter().collect();
    assert!(last.iter().any(|event| (event.event_type.as_str(), event.v) == ("ReportChanged", 2)));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log.hwlog");
    fs::write(&path, story.file(1, story.position())).unwrap();
    let ours = process::Command::new(env!("CARGO_BIN_EXE_headwater-replay"));
    let ours = { ours }.args(["verify", "--json", "--trust", &key()]).arg(&path).output().unwrap();
    let theirs = stranger(&["--json", "--trust", &key()], &[path]);
    assert_eq!(told(&theirs)["root"], told(&ours)["root"], "{} {}", told(&theirs), told(&ours));
    assert_eq!(told(&theirs)["position"], story.position(), "{} {}", told(&theirs), told(&ours));
}

/// The stranger finds what we find, at the same position. Returns our code of it.
fn both_find(what: &str, bytes: &[u8]) -> String {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log.hwlog");
    fs::write(&path, bytes).unwrap();
    let ours = process::Command::new(env!("CARGO_BIN_EXE_headwater-replay"));
    let ours = { ours }.args(["verify", "--json", "--allow-unsigned", "--trust", &key()]).arg(&path).output().unwrap();
    let theirs = stranger(&["--json", "--trust", &key()], &[path]);
    assert_eq!((ours.status.code(), theirs.status.code()), (Some(1), Some(1)), "{what}");
    let (ours, theirs) = (told(&ours), told(&theirs));
    assert_eq!(theirs["position"], ours["finding"]["position"], "{what}: {ours} {theirs}");
    ours["finding"]["code"].as_str().unwrap().to_owned()
}

/// An older verifier can't say whether such a log is right, and does not take it for a damaged one.
#[test]
fn an_event_of_a_newer_program_is_found_by_both_where_it_stands_and_is_no_damage() {
    let story = story::told();
    let bytes = story.file(1, story.position());
    let item = Export::read(&bytes).rows()[5];
    type Change = fn(&mut forge::Line);
    let newer: [(&str, Change); 3] = [
        ("another format", |line| line.v += 3),
        ("a type that is not known", |line| line.texts[1] = "HappenedLater".into()),
        ("an entity of a kind that is not known", |line| {
            (line.texts[0], line.texts[1], line.version) = ("kind_of_the_future/n-1".into(), "HappenedLater".into(), 1);
        }),
    ];
    for (what, change) in newer {
        let mut export = Export::read(&bytes);
        change(export.row(item));
        export.seal(item);
        assert_eq!(both_find(what, &export.forged()), "unreadable", "{what}");
    }
    let mut newer = bytes;
    newer[replay::file::PREFIX_BYTES - 1] += 1;
    assert_eq!(both_find("another format of the file", &newer), "newer_format");
}

#[test]
fn what_is_wrong_with_an_event_is_found_by_both_at_the_same_position() {
    let story = story::told();
    let bytes = story.file(1, story.position());
    let rows = Export::read(&bytes).rows();
    for item in [rows[5], rows[25]] {
        for column in forge::COLUMNS {
            for sealed in [false, true] {
                let mut export = Export::read(&bytes);
                export.change(item, column);
                if sealed {
                    export.seal(item);
                }
                // A leaf that is sealed again is what it was.
                if !(sealed && column == "leaf") {
                    both_find(&format!("{column} of {item:?}, sealed: {sealed}"), &export.forged());
                }
            }
        }
    }
    for item in [rows[0], rows[12]] {
        let mut without = Export::read(&bytes);
        without.take(item);
        both_find("an event is left out", &without.forged());
        let mut exchanged = Export::read(&bytes);
        exchanged.exchange(item, rows[30]);
        both_find("two events are exchanged", &exchanged.forged());
    }
}

#[test]
fn a_plan_that_was_not_kept_is_found_by_both() {
    let story = story::told_to_this_day();
    let bytes = story.file(1, story.position());
    let rows = Export::read(&bytes).rows();
    let kept = rows.into_iter().filter(|item| Export::read(&bytes).row(*item).texts[1] == "PlanKept");
    let mut found = Vec::new();
    for item in kept {
        let mut export = Export::read(&bytes);
        let line = export.row(item);
        let PlanKept { plan, base } = serde_json::from_str(&line.texts[4]).unwrap();
        let other = PlanKept { plan: Digest::of(plan.as_bytes()), base };
        line.texts[4] = serde_json::to_string(&other).unwrap();
        (line.texts[0], line.version) = (Entity::plan(&other.plan).to_string(), 1);
        export.seal(item);
        found.push(both_find("another plan", &export.forged()));
        let mut ahead = Export::read(&bytes);
        let line = ahead.row(item);
        let base = PlanBase { position: line.position.into(), ..base };
        line.texts[4] = serde_json::to_string(&PlanKept { plan, base }).unwrap();
        ahead.seal(item);
        assert_eq!(both_find("a state that was not yet", &ahead.forged()), "reference");
    }
    assert_eq!(found, ["plan"; 10]);
}

#[test]
fn an_entity_that_belongs_to_two_bundles_is_found_by_both() {
    let story = story::told_to_this_day();
    let bytes = story.file(1, story.position());
    let rows = Export::read(&bytes).rows();
    let assigned = rows.into_iter().filter(|item| Export::read(&bytes).row(*item).texts[1] == "BundleAssigned");
    let mut forged = 0;
    for item in assigned {
        let wrong = [
            json!({"joined": ["document/nowhere"], "left": []}),
            json!({"joined": [], "left": ["node/lund-1"]}),
            json!({"joined": ["document/motd", "document/motd"], "left": ["document/nowhere"]}),
        ];
        for data in wrong {
            let mut export = Export::read(&bytes);
            export.row(item).texts[4] = data.to_string();
            export.seal(item);
            assert_eq!(both_find("a wrong assignment", &export.forged()), "reference", "{data}");
            forged += 1;
        }
    }
    assert!(forged > 9);
}

#[test]
fn what_is_wrong_with_a_content_a_checkpoint_or_the_file_is_found_by_both() {
    let story = story::told();
    let bytes = story.file(1, story.position());
    let export = || Export::read(&bytes);
    for item in export().blobs().into_iter().filter(|item| !export().blob(*item).1.is_empty()) {
        let mut changed = export();
        changed.blob(item).1[0] ^= 1;
        both_find("a content is changed", &changed.forged());
        let digest = Digest::of(changed.blob(item).1);
        *changed.blob(item).0 = digest;
        both_find("a content is changed and called so", &changed.forged());
        let mut without = export();
        without.take(item);
        both_find("a content is left out", &without.forged());
    }
    for item in export().notes() {
        let mut changed = export();
        let note = changed.note(item);
        *note = note.replace("headwater/", "headwater-");
        both_find("a checkpoint has another name", &changed.forged());
        let mut changed = export();
        let note = changed.note(item);
        let at = note.len() - 10;
        let other = if note.as_bytes()[at] == b'A' { "B" } else { "A" };
        note.replace_range(at..=at, other);
        both_find("a checkpoint is signed otherwise", &changed.forged());
        let mut repeated = export();
        repeated.repeat(item);
        both_find("a checkpoint is repeated", &repeated.forged());
    }
    let mut unsigned = export();
    while let Some(item) = unsigned.notes().first().copied() {
        unsigned.take(item);
    }
    both_find("nothing is signed", &unsigned.forged());
    let mut other = export();
    other.header.to = other.header.to.next();
    both_find("the header has another end", &other.forged());
    for length in [0, 9, 200, bytes.len() - 33, bytes.len() - 1] {
        both_find("the file is cut", &bytes[..length]);
    }
    for index in (0..bytes.len()).step_by(bytes.len() / 23) {
        let mut flipped = bytes.clone();
        flipped[index] ^= 0x10;
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("log.hwlog");
        fs::write(&path, flipped).unwrap();
        let found = stranger(&["--trust", &key()], &[path]);
        assert_eq!(found.status.code(), Some(1), "byte {index} was changed unseen");
    }
}
