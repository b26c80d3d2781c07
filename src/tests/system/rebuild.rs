//! After a thousand random commands, with agents killed at any moment, every node's disk is what the export says, byte for
//! byte: rebuilt by the auditor's program from the file alone.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use schema::address::READER_ROLE;
use serde_json::{Value, json};

use testkit::auditor::{exported, replay};
use testkit::eventually::eventually;
use testkit::fleet::{CONVERGED_WITHIN, Fleet};
use testkit::law;

/// Commands that have to be accepted.
const COMMANDS: usize = 1_000;
/// Commands between two kills.
const COMMANDS_BETWEEN: usize = 50;
const NODES: usize = 4;

/// Files with their modes, and folders, by their path; a folder has no bytes.
type Everything = BTreeMap<PathBuf, Option<(u32, Vec<u8>)>>;

#[tokio::test]
async fn every_disk_is_what_the_export_says_after_a_thousand_random_commands_with_kills() {
    let mut fleet = Fleet::start().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    for number in 0..NODES {
        fleet.node(&format!("n-{number}"), labels(&mut rng)).await;
    }
    fleet.api().accepted(json!({"commands": defined()})).await;
    let mut accepted = 0;
    while accepted < COMMANDS {
        for _ in 0..COMMANDS_BETWEEN {
            accepted += random_request(&fleet, &mut rng).await;
        }
        let node = format!("n-{}", rng.usize(..NODES));
        let agent = fleet.agents.get_mut(&node).unwrap();
        agent.process.kill();
        tokio::time::sleep(Duration::from_millis(rng.u64(..30))).await;
        agent.process.start_again();
    }
    let log = law::holds(&fleet.backends).await;
    println!("{accepted} commands, {} events", log.len());
    compare(&fleet, log.len() as u64).await;
}

/// Exports, rebuilds, and looks at every disk until it is the same.
async fn compare(fleet: &Fleet, position: u64) {
    let dir = fleet.backends.dir.path();
    eventually("all of it is signed", CONVERGED_WITHIN, async || {
        let newest = fleet.api().get("/v1/log/checkpoint").await?;
        if newest.body["position"].as_u64() >= Some(position) { Ok(()) } else { Err(format!("{newest:?}")) }
    })
    .await;
    let half = position / 2;
    let reader = fleet.backends.database_as(READER_ROLE);
    let first = exported(dir, &reader, &["--to", "first.hwlog", "--to-position", &half.to_string()]);
    let next = first["to"].as_u64().unwrap() + 1;
    assert!(next > half, "a request is never cut");
    let second = exported(dir, &reader, &["--to", "second.hwlog", "--from", &next.to_string()]);
    // What nodes report late belongs to it.
    assert!(second["to"].as_u64() >= Some(position), "{second}");
    let key = fleet.api().get("/v1/log").await.unwrap().body["signing_key"].as_str().unwrap().to_owned();
    let verified = replayed(dir, &["verify", "--trust", &key, "first.hwlog", "second.hwlog"]);
    for (field, expected) in [("ok", json!(true)), ("position", second["to"].clone()), ("unsigned", json!(0))] {
        assert_eq!(verified[field], expected, "{verified}");
    }

    let rebuilt = dir.join("rebuilt");
    replayed(dir, &["rebuild", "--to", "rebuilt", "first.hwlog", "second.hwlog"]);
    for (node, agent) in &fleet.agents {
        let want = everything(&rebuilt.join(node));
        assert!(want.contains_key(Path::new("files")) && want.contains_key(Path::new("jobs")));
        eventually(&format!("node {node} has what was rebuilt"), CONVERGED_WITHIN, async || {
            let current = agent.dir.join("current").canonicalize().map_err(|error| error.to_string())?;
            let have = everything(&current);
            let differs = |path: &&PathBuf| have.get(*path) != want.get(*path);
            let differing: Vec<&PathBuf> = have.keys().chain(want.keys()).filter(differs).collect();
            if differing.is_empty() { Ok(()) } else { Err(format!("{differing:?}")) }
        })
        .await;
        let files: usize = want.values().flatten().count();
        println!("{node}: {files} files");
    }
}

fn replayed(dir: &Path, words: &[&str]) -> Value {
    let (code, said) = replay(dir, words);
    assert_eq!(code, Some(0), "{said}");
    said
}

fn everything(root: &Path) -> Everything {
    let mut all = Everything::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        // An agent may take a generation away while it is looked at; what is missing then is looked for again.
        for path in std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.strip_prefix(root).unwrap().to_path_buf();
            match path.is_dir() {
                true => {
                    all.insert(name, None);
                    folders.push(path);
                }
                false => {
                    let mode = std::fs::metadata(&path).map(|found| found.permissions().mode() & 0o7777);
                    all.insert(name, mode.and_then(|mode| Ok((mode, std::fs::read(&path)?))).ok());
                }
            }
        }
    }
    all
}

/// What there is to claim.
fn defined() -> Vec<Value> {
    let mut commands = vec![
        json!({"type": "define_control", "id": "c", "title": "C"}),
        json!({"type": "define_assessment", "id": "a", "title": "A", "control": "c", "component_selector": {},
            "schedule": "0 0 * * *"}),
    ];
    commands.extend((0..8).map(|number| {
        json!({"type": "define_attestation", "id": format!("t-{number}"), "assessment": "a", "title": "T",
            "provider": {"name": "p"}})
    }));
    commands
}

/// A request of one to three commands; says how many were accepted.
async fn random_request(fleet: &Fleet, rng: &mut Rng) -> usize {
    let commands: Vec<Value> = (0..rng.usize(1..4)).map(|_| command(rng)).collect();
    let count = commands.len();
    let answer = fleet.api().post(&json!({"reason": "random", "commands": commands}), None).await.unwrap();
    match answer.status {
        200 => count,
        409 | 422 | 404 => 0,
        _ => panic!("{answer:?}"),
    }
}

fn command(rng: &mut Rng) -> Value {
    let node = format!("n-{}", rng.usize(..NODES));
    let document = format!("d-{}", rng.usize(..20));
    match rng.u8(..20) {
        0..=9 => put(rng, &document),
        10 | 11 => json!({"type": "remove_document", "id": document}),
        12 | 13 => json!({"type": "label_node", "id": node, "labels": labels(rng)}),
        14 => json!({"type": "retry_node", "id": node}),
        15 => json!({"type": "define_component", "id": format!("k-{}", rng.u8(..4)), "title": rng.u8(..).to_string()}),
        16 | 17 => json!({"type": "claim_jobs", "runtime": node, "limit": rng.u8(1..4), "lease_s": 86_400}),
        18 => json!({"type": "release_jobs", "runtime": node}),
        _ => json!({"type": "define_control", "id": "c", "title": rng.u8(..).to_string()}),
    }
}

fn put(rng: &mut Rng, document: &str) -> Value {
    let target = match rng.u8(..4) {
        0 => json!({"all": true}),
        1 => json!({"nodes": [format!("n-{}", rng.usize(..NODES))]}),
        _ => json!({"match_labels": labels(rng)}),
    };
    // Some travel inside the record, some are objects of their own, some are shared.
    let size = [0, 10, 4_096, 4_097, 60_000][rng.usize(..5)];
    let content: String = std::iter::repeat_n(rng.alphanumeric(), size).collect();
    let path = ["a", "b/c", "b/d", "e/f/g", "ü.txt"][rng.usize(..5)];
    let mode = ["644", "644", "755"][rng.usize(..3)];
    json!({
        "type": "put_document", "id": document, "path": path, "media_type": "text/plain", "content": content,
        "target": target, "priority": rng.i32(-2..3), "mode": mode,
    })
}

fn labels(rng: &mut Rng) -> Value {
    let site = if rng.bool() { "lund" } else { "copenhagen" };
    json!({ "site": site })
}
