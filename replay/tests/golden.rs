//! Logs that were exported once are read for ever: each format has files in `golden/`, whose digests never change.
//!
//! `UPDATE_GOLDEN=1 cargo nextest run -p headwater-replay golden` writes those of the newest format anew, which is
//! right only as long as nobody has a file of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use histories::story;
use projections::render::render;
use replay::tree::Frontier;
use schema::change::Change;
use schema::digest::Digest;
use serde_json::{Value, json};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The digests that the story comes to.
fn digests(story: &story::Story) -> Value {
    let state = &story.state;
    let nodes = state.nodes().keys().map(|id| (id.to_string(), json!(render(state, id).unwrap().digest)));
    let jobs = state.jobs().all().keys().map(|id| (id.to_string(), json!(state.spec(id).unwrap().digest)));
    let root = Frontier::over(story.events.iter().map(|event| event.leaf)).root();
    json!({
        "log_id": story::log_id(), "key": hex::encode(story::key().public().as_bytes()), "position": story.position(),
        "root": root, "nodes": nodes.collect::<serde_json::Map<_, _>>(), "jobs": jobs.collect::<serde_json::Map<_, _>>(),
    })
}

/// What the auditor's program says.
fn said(order: &[&str], files: &[PathBuf]) -> Value {
    let mut program = Command::new(env!("CARGO_BIN_EXE_headwater-replay"));
    let output = program.args(order).arg("--json").args(files).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{order:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_story_has_every_type_of_event_and_is_the_golden_one() {
    let story = story::told();
    let to_this_day = story::told_to_this_day();
    let types: BTreeSet<&str> = to_this_day.events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, Change::TYPES.into(), "a type without a golden event in schema/tests/golden/events");
    let files = [
        ("1-a.hwlog", story.file(1, story::FIRST_PART)),
        ("1-b.hwlog", story.file(story::FIRST_PART + 1, story.position())),
        ("1.json", format!("{:#}\n", digests(&story)).into_bytes()),
    ];
    for (name, bytes) in files {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(golden(name), &bytes).unwrap();
        }
        let is_text = name.ends_with(".json");
        let there = fs::read(golden(name)).unwrap();
        // How hard zlib tries may change with its version; what it says may not.
        assert!(!is_text || there == bytes, "{name} is for ever");
    }
}

/// Single pieces of `FORMAT.md`, for whoever builds a verifier step by step.
fn vectors() -> [(&'static str, Value); 3] {
    let story = story::told();
    let events = story.events.iter().map(|event| {
        let entry = hex::encode(schema::canonical::entry(event));
        json!({"event": event, "entry": entry, "leaf": event.leaf})
    });
    let leaf = |index: u64| Digest::of_parts([[0].as_slice(), &index.to_be_bytes()]);
    let trees = [0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 1_000].map(|size| {
        let frontier = Frontier::over((0..size).map(leaf));
        json!({"size": size, "edge": frontier.roots(), "root": frontier.root()})
    });
    let (position, note) = story.notes.iter().next_back().unwrap();
    let signed = Frontier::over(story.events[..usize::try_from(*position).unwrap()].iter().map(|event| event.leaf));
    let key = hex::encode(story::key().public().as_bytes());
    let checkpoint = json!({
        "log_id": story::log_id(), "key": key, "note": note, "position": position, "root": signed.root(),
    });
    [("events.json", events.collect()), ("trees.json", json!(trees)), ("checkpoint.json", checkpoint)]
}

#[test]
fn vectors_are_for_ever() {
    for (name, value) in vectors() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
        let text = format!("{value:#}\n");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
    }
}

#[test]
fn golden_logs_of_every_format_come_to_their_digests() {
    for format in 1..=replay::file::FORMAT {
        let files = ["a", "b"].map(|part| golden(&format!("{format}-{part}.hwlog")));
        let expected: Value = serde_json::from_slice(&fs::read(golden(&format!("{format}.json"))).unwrap()).unwrap();
        let verified = said(&["verify", "--allow-unsigned", "--trust", expected["key"].as_str().unwrap()], &files);
        for field in ["log_id", "position", "root", "key"] {
            assert_eq!(verified[field], expected[field], "format {format}: {field}");
        }
        for (node, digest) in expected["nodes"].as_object().unwrap() {
            assert_eq!(said(&["show", "--node", node], &files)["digest"], *digest, "format {format}: {node}");
        }
        for (job, digest) in expected["jobs"].as_object().unwrap() {
            assert_eq!(said(&["show", "--job", job], &files)["digest"], *digest, "format {format}: {job}");
        }
    }
}
