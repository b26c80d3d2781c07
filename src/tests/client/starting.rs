//! The first log line of a server and of an agent: what they are and what they were told, without a secret.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Lines that may come before the one that is waited for.
const LINES_MAX: usize = 20;
const SECRET: &str = "s3cret";

/// Runs `headwater` until it has logged `event`, and gives the fields of that line and everything that was logged.
fn logged(arguments: &[&str], variables: &[(&str, &str)], event: &str) -> (Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(arguments).envs(variables.iter().copied()).env("HEADWATER_LOG_FORMAT", "json");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut all, mut found) = (String::new(), None);
    for line in BufReader::new(child.stderr.take().unwrap()).lines().take(LINES_MAX) {
        let line = line.unwrap();
        let fields = serde_json::from_str::<Value>(&line).map(|mut line| line["fields"].take()).unwrap_or_default();
        all = all + &line + "\n";
        if fields["message"] == event {
            found = Some(fields);
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    (found.unwrap_or_else(|| panic!("no {event:?} in {all}")), all)
}

/// The members of `wanted` are fields of the line.
fn has(fields: &Value, wanted: &Value) {
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&fields[name], value, "{name} of {fields}");
    }
}

#[test]
fn a_server_says_at_its_start_what_it_was_told_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (key, password) = (dir.path().join("signing.key"), dir.path().join("password"));
    std::fs::write(&key, "07".repeat(32)).unwrap();
    std::fs::write(&password, SECRET).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (fields, all) = logged(
        &["serve", "--role", "all", "--http", "127.0.0.1:0", "--nats-replicas", "3"],
        &[
            ("HEADWATER_DATABASE_URL", &format!("postgres://ann:{SECRET}@127.0.0.1:1/log")),
            ("HEADWATER_REPLICATION_URL", "postgres://bob@127.0.0.1:2/log"),
            ("HEADWATER_REPLICATION_PASSWORD_FILE", password.to_str().unwrap()),
            ("HEADWATER_NATS_URL", &format!("nats://carl:{SECRET}@127.0.0.1:3,nats://127.0.0.1:4")),
            ("HEADWATER_SIGNING_KEY_FILE", key.to_str().unwrap()),
        ],
        "server starting",
    );
    has(
        &fields,
        &json!({
            "version": env!("CARGO_PKG_VERSION"), "role": "All", "http": "127.0.0.1:0",
            "postgres": "127.0.0.1:1/log", "user": "ann", "replication": "127.0.0.1:2/log", "replication_user": "bob",
            "slot": "headwater_log", "nats": "nats://…@127.0.0.1:3,nats://127.0.0.1:4", "nats_prefix": "cfg", "nats_replicas": 3,
        }),
    );
    assert_eq!(fields["signing_key"].as_str().map(str::len), Some(64), "the public key: {fields}");
    assert!(!all.contains(SECRET) && !all.contains(&"07".repeat(32)), "{all}");
}

#[test]
fn an_agent_says_at_its_start_what_it_was_told_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let (fields, all) = logged(
        &["edge", "--node", "a", "--dir", dir.path().to_str().unwrap(), "--trust", key, "--on-drift", "report"],
        &[
            ("HEADWATER_NATS_URL", &format!("nats://carl:{SECRET}@127.0.0.1:3")),
            ("HEADWATER_CHECK", &format!("check --token {SECRET}")),
        ],
        "agent started",
    );
    has(
        &fields,
        &json!({
            "version": env!("CARGO_PKG_VERSION"), "node": "a", "dir": dir.path().to_str().unwrap(),
            "nats": "nats://…@127.0.0.1:3", "nats_prefix": "cfg", "key": key, "boot_no": 1,
            "check": true, "apply": false, "hook_timeout_s": 60, "on_drift": "Report",
        }),
    );
    assert!(!all.contains(SECRET), "{all}");
}
