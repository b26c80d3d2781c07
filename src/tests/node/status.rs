//! `headwater edge status`: all of it in plain words, with the service down too.

use std::fs;
use std::process::{Command, Output};

use schema::report::AttemptState::{Failed, Refused};
use schema::report::{Attempt, Reported};
use serde_json::{Value, json};

use super::{both, noise};
use testkit::agent::Agent;
use testkit::eventually::eventually;
use testkit::fake_server::{FakeServer, PATIENCE};
use testkit::nats::Server;

/// What the program says of a folder, run in it.
fn status(agent: &Agent, more: &[&str]) -> Output {
    program(&[&["edge", "status"], more].concat()).current_dir(agent.dir.path()).output().unwrap()
}

fn program(arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_headwater"));
    let unset = ["HEADWATER_NODE", "HEADWATER_NODE_DIR", "HEADWATER_NATS_URL"];
    for variable in unset {
        program.env_remove(variable);
    }
    program.args(arguments);
    program
}

/// Both forms, and the exit code that they have in common.
pub(crate) fn told(agent: &Agent) -> (String, Value, Option<i32>) {
    let (text, json) = (status(agent, &[]), status(agent, &["--json"]));
    assert_eq!(text.status.code(), json.status.code());
    let said = String::from_utf8(text.stdout).unwrap();
    (said, serde_json::from_slice(&json.stdout).unwrap(), text.status.code())
}

/// As [`told`], once the folder has the attempt of `report`: an agent reports first and writes it down at the end of its turn.
pub(crate) async fn told_after(agent: &Agent, report: &Reported) -> (String, Value, Option<i32>) {
    let reported = report.attempt.as_ref().expect("a report about an attempt");
    eventually("the folder has the attempt that was reported", PATIENCE, async || {
        let (text, json, _) = told(agent);
        let kept: Option<Attempt> = serde_json::from_value(json["attempt"].clone()).unwrap();
        let is_it = kept.is_some_and(|kept| {
            (kept.position, kept.state, &kept.code) == (reported.position, reported.state, &reported.code)
        });
        if is_it { Ok(()) } else { Err(text) }
    })
    .await;
    // Each of the two forms above may be of another moment.
    told(agent)
}

fn says(text: &str, facts: &[&str]) {
    facts.iter().for_each(|fact| assert!(text.contains(fact), "{fact:?} is not in:\n{text}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_well_says_so_whether_its_agent_runs_or_not() {
    let (_nats, server, mut agent) = both().await;
    let want = server.desire(7, &[("a", b"x"), ("b/c", b"y"), ("d", &noise(1, 10_000))]).await;
    let report = server.applied(&want).await;
    let root = agent.dir.path().canonicalize().unwrap();
    let facts = [
        format!("n-1, in {}", root.display()),
        server.log_id.to_string(),
        server.trust(),
        format!("runs       position 7, digest {}, 3 files, in force since 2", want.digest.short()),
        format!("last seen  position 7, digest {}: what runs", want.digest.short()),
        format!("last try   position 7, digest {}: applied, at 2", want.digest.short()),
        format!("last good  position 7, digest {}", want.digest.short()),
        "drift      none".to_owned(),
        "1 generation (10.0 kB), 1 large content in the cache (10.0 kB)".to_owned(),
        "All is well".to_owned(),
    ];
    let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let unwritten = program(&["edge", "status"]).current_dir(agent.dir.path()).stdout(full).output().unwrap();
    assert_eq!(unwritten.status.code(), Some(3), "output that can't be written is no all-is-well");
    let (text, json, code) = told_after(&agent, &report).await;
    says(&text, &facts);
    says(&text, &["agent      works in this folder"]);
    assert_eq!((code, &json["is_well"], &json["agent_is_running"]), (Some(0), &json!(true), &json!(true)));
    assert_eq!((&json["advice"], &json["drift"], &json["running"]["files"]), (&json!([]), &json!([]), &json!(3)));
    assert_eq!(json["running"]["digest"], want.digest.to_string());

    agent.stop().await;
    let before = testkit::agent::files(agent.dir.path());
    let (text, json, code) = told(&agent);
    says(&text, &facts);
    says(&text, &["agent      does not run", "Start its service"]);
    assert_eq!((code, &json["agent_is_running"]), (Some(0), &json!(false)));
    assert_eq!(testkit::agent::files(agent.dir.path()), before, "it only reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rejected_drifted_or_refused_is_told_with_what_to_do() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let check = "echo looks bad; printf '\\033[2J'; ! grep -q bad {}/files/a";
    let mut agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--check", check]);
    let good = server.desire(1, &[("a", b"good")]).await;
    server.applied(&good).await;
    let bad = server.desire(2, &[("a", b"bad")]).await;
    server.said(Failed, "check_rejected").await;
    agent.stop().await;
    let (text, json, code) = told(&agent);
    says(
        &text,
        &[
            &format!("runs       position 1, digest {}, 1 file,", good.digest.short()),
            &format!("last seen  position 2, digest {}: not what runs", bad.digest.short()),
            &format!("last try   position 2, digest {}: failed (check_rejected), at 2", bad.digest.short()),
            &format!("rejected   position 2, digest {}: check_rejected, at 2", bad.digest.short()),
            "looks bad",
            "Something is not as it should be",
            "retry_node",
        ],
    );
    assert!(!text.contains('\u{1b}'), "a check does not speak to the terminal");
    assert_eq!((code, &json["is_well"], &json["attempt"]["code"]), (Some(1), &json!(false), &json!("check_rejected")));
    assert_eq!(json["rejected"][0]["digest"], bad.digest.to_string());

    fs::write(agent.path("current/files/a"), "by hand").unwrap();
    fs::write(agent.path("current/files/b"), "by hand").unwrap();
    let (text, json, _) = told(&agent);
    says(&text, &["drift      2 places not as the signed record says:", "files/a", "files/b", "changed by hand"]);
    assert_eq!(json["drift"], json!(["files/a", "files/b"]));
    fs::remove_dir_all(agent.path("records")).unwrap();
    let (text, json, code) = told(&agent);
    says(&text, &["drift      can't be told: the record of what runs can't be used: it is gone"]);
    assert_eq!((code, &json["drift"]), (Some(1), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_also_after_a_restart_without_nats() {
    let (mut nats, server, mut agent) = both().await;
    server.applied(&server.desire(5, &[("a", b"x")]).await).await;
    server.put(&server.record(4, &[("a", b"old")])).await;
    server.said(Refused, "older_position").await;
    agent.stop().await;
    nats.kill();
    agent.run();
    let (text, _, code) = told(&agent);
    says(&text, &["refused, nothing was touched (older_position)", "5 was accepted before", "has passed position 5"]);
    assert_eq!(code, Some(1));
    agent.stop().await;
    assert!(told(&agent).0.contains("older_position"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_former_version_is_read_and_one_of_nobody_is_not() {
    let (_nats, server, mut agent) = both().await;
    server.applied(&server.desire(1, &[("a", b"x")]).await).await;
    agent.stop().await;
    let mut state: Value = serde_json::from_slice(&fs::read(agent.path("state.json")).unwrap()).unwrap();
    assert!(state.as_object_mut().unwrap().remove("attempt").is_some());
    fs::write(agent.path("state.json"), state.to_string()).unwrap();
    let (text, _, code) = told(&agent);
    says(&text, &["last try   none", "All is well"]);
    assert_eq!(code, Some(0));

    let nobody = tempfile::tempdir().unwrap();
    let dir = nobody.path().to_str().unwrap();
    let output = program(&["edge", "status", "--dir", dir]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    says(&String::from_utf8(output.stderr).unwrap(), &["is no node's folder"]);
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "it only reads");
    fs::write(agent.path("state.json"), "{").unwrap();
    assert_eq!(status(&agent, &[]).status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_never_had_a_record_says_what_to_look_at() {
    let nats = Server::later();
    let mut agent = Agent::start(&nats.url(), &[]);
    let since = std::time::Instant::now();
    while !agent.path("state.json").exists() {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (text, json, code) = told(&agent);
    says(&text, &["runs       nothing", "last seen  nothing", "Is n-1 enrolled, and does the agent reach NATS?"]);
    assert_eq!((code, &json["running"]), (Some(1), &Value::Null));
    agent.stop().await;
}

#[test]
fn the_agent_is_asked_for_its_options_and_a_look_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let code = |program: &mut Command| program.output().unwrap().status.code();
    assert_eq!(code(&mut program(&["edge"])), Some(2));
    assert_eq!(code(&mut program(&["edge", "--node", "n-1"])), Some(2));
    assert_eq!(code(&mut program(&["edge", "status", "--node", "n-1"])), Some(2));
    assert_eq!(code(&mut program(&["edge", "--dir", dir, "status"])), Some(2));
    assert_eq!(code(&mut program(&["edge", "status", "--help"])), Some(0));
    // As in the unit of the agent's service.
    let unit = [("HEADWATER_NODE", "n-1"), ("HEADWATER_NODE_DIR", dir), ("HEADWATER_NATS_URL", "nats://127.0.0.1:1")];
    assert_eq!(code(program(&["edge", "status"]).envs(unit)), Some(3));
    let wrong = program(&["edge", "--node", "n-1", "--dir", dir, "--nats-url", "http://"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1), "the agent starts by its options: {wrong:?}");
}
