//! `headwater apply`, `plan`, `diff` and `delete`: how they end, against a server that answers as a test says. What they do on a real one
//! is in `applied.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Reply, Server, log_status};

const PLAN: &str = "aa";
const PROBLEM: &str = "409 Conflict";

/// What the server does about a request is told by the id of the node in it.
const NODES: [&str; 6] = ["changes", "same", "refused", "outdated", "pruning", "looking"];

fn outcome(node: &str) -> Value {
    let event =
        |event_type: &str, entity: &str| json!({"position": 8, "type": event_type, "entity": entity, "version": 2});
    let mut answer = json!({"log_id": "0198b0a2-0000-7000-8000-000000000000", "position": 8, "dry_run": true, "desired": [],
        "base": {"position": 7, "event_id": "0198b0a2-0000-7000-8000-000000000007"}, "plan": PLAN.repeat(32), "results": [],
        "warnings": [], "events": [event("NodeLabelled", &format!("node/{node}"))], "jobs": [], "prunes": [], "more": 0,
        "permitted": node != "looking",
        "nodes": [{"node": node, "before": null, "after": null, "retired": false, "may_retry": false, "files": [
            {"path": "etc/motd", "before": null, "after": {"digest": "00", "mode": "644"}, "document": "motd"}]}]});
    match node {
        "same" => answer["events"] = json!([]),
        "pruning" => {
            let gone = ["document/a", "document/b", "document/c"];
            answer["prunes"] = json!(gone);
            answer["events"] = json!(gone.map(|entity| event("DocumentRemoved", entity)));
        }
        _ => {}
    }
    answer
}

fn refusal(status: u16, code: &str, field: &str) -> String {
    json!({"status": status, "code": code, "field": field, "detail": "no"}).to_string()
}

fn handle(first: &str, body: &str, reply: &mut Reply) -> std::io::Result<()> {
    let node = NODES.into_iter().find(|node| body.contains(&format!("\"{node}\""))).unwrap_or("changes");
    let ok = |reply: &mut Reply, body: Value| reply.whole("200 OK", &body.to_string());
    match first {
        "POST /v1/contents/missing" => ok(reply, json!({"missing": []})),
        _ if first.starts_with("GET /v1/log") => ok(reply, log_status(7)),
        _ if first.starts_with("GET /v1/bundles/") => {
            ok(reply, json!({"id": "b", "members": ["document/a", "document/b", "document/c", "node/pruning"]}))
        }
        _ if first.starts_with("GET /v1/nodes/") => ok(reply, json!({"id": node, "labels": {"old": "x"}})),
        _ if first.starts_with("GET /v1/events") => ok(reply, json!({"items": [], "next": null})),
        _ if node == "refused" => reply.whole(PROBLEM, &refusal(409, "node_retired", "commands[0].id")),
        _ if first.contains("dry_run=true") => ok(reply, outcome(node)),
        _ if node == "outdated" => reply.whole("412 Precondition Failed", &refusal(412, "plan_changed", "")),
        _ => {
            let mut answer = outcome(node);
            answer["command_id"] = "0198b0a2-0000-7000-8000-00000000000c".into();
            ok(reply, answer)
        }
    }
}

/// A manifest for each node, and one that is none.
fn manifests() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for node in NODES {
        let text = format!("kind: bundle\nid: b\n---\nkind: node\nid: {node}\nlabels: {{new: x}}\n");
        fs::write(dir.path().join(node), text).unwrap();
    }
    fs::write(dir.path().join("faulty"), "kind: node\nid: a b\ncolour: red\n").unwrap();
    dir
}

#[test]
fn each_command_ends_as_it_says() {
    let (server, dir) = (Server::new(handle), manifests());
    let at = |name: &str| dir.path().join(name).display().to_string();
    let table: [(&[&str], &str, i32, &str); 24] = [
        (&["plan"], "same", 0, "there is nothing to change"),
        (&["plan"], "changes", 1, "+ etc/motd  by document motd"),
        (&["plan"], "looking", 1, "not_permitted"),
        (&["plan"], "pruning", 1, "- document/a  (leaves the bundle)"),
        (&["plan"], "faulty", 2, "faulty:3:1: `colour` is not a field"),
        (&["plan"], "none", 2, "none:1:1: "),
        (&["plan"], "refused", 4, "refused:4:1: no (409 node_retired, in commands[0].id)"),
        (&["plan", "--url", "http://127.0.0.1:1"], "same", 3, "could not reach"),
        (&["diff"], "same", 0, ""),
        (&["diff"], "changes", 1, "-  old: x\n+  new: x\n"),
        (&["diff"], "faulty", 2, "3 faults in manifests"),
        (&["diff"], "refused", 4, "node_retired"),
        (&["apply", "--yes"], "same", 0, "there is nothing to change"),
        (&["apply", "--yes"], "changes", 0, "done at position 8 as 0198b0a2-0000-7000-8000-00000000000c"),
        (&["apply", "--yes", "--json"], "changes", 0, "\"command_id\":\"0198b0a2-0000-7000-8000-00000000000c\""),
        (&["apply"], "same", 0, "there is nothing to change"),
        (&["apply"], "changes", 2, "there is no terminal to ask on"),
        (&["apply", "--yes"], "faulty", 2, "faulty:2:5: `id`: an id is"),
        (&["apply", "--yes"], "refused", 1, "refused:4:1: no (409 node_retired"),
        (&["apply", "--yes"], "outdated", 1, "plan_changed"),
        (&["apply", "--yes"], "looking", 1, "not_permitted"),
        (&["apply", "--yes", "--prune"], "pruning", 1, "3 of the 4 members of bundle b would be removed"),
        (&["apply", "--yes", "--prune", "--prune-max", "3"], "pruning", 0, "done at position 8"),
        (&["apply", "--yes", "--url", "http://127.0.0.1:1"], "same", 3, "could not reach"),
    ];
    for (arguments, manifest, expected, said) in table {
        let (code, stdout, stderr) = server.run(&[arguments, &["-f", &at(manifest)]].concat());
        assert_eq!(code, expected, "{arguments:?} {manifest}: {stdout}{stderr}");
        assert!(format!("{stdout}{stderr}").contains(said), "{arguments:?} {manifest}: {stdout}{stderr}");
    }
    let sent = server.asked().iter().filter(|asked| *asked == "POST /v1/commands").count();
    assert_eq!(sent, 4, "what is refused, declined or the same is not sent: {:?}", server.asked());
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    let (server, dir) = (Server::new(handle), manifests());
    let at = |name: &str| dir.path().join(name).display().to_string();
    let good = at("changes");
    for arguments in [
        &["apply"][..],
        &["plan"],
        &["diff"],
        &["delete"],
        &["apply", "plan.json", "-f", &good],
        &["apply", "plan.json", "--prune"],
        &["apply", "-f", &good, "--json"],
        &["apply", "-f", &good, "--empty", "--yes"],
        &["apply", "-f", &good, "--bundle", "other", "--yes"],
        &["apply", &at("none"), "--yes"],
        &["apply", &good, "--yes"],
        &["delete", "node/n", "--yes"],
        &["delete", "motd", "--yes"],
        &["delete", "document/motd", "-f", &good],
    ] {
        let (code, stdout, stderr) = server.run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {stdout}{stderr}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn a_bundle_without_members_is_no_mistake_only_if_that_is_said() {
    let (server, dir) = (Server::new(handle), tempfile::tempdir().unwrap());
    let path = dir.path().join("m.yaml");
    fs::write(&path, "kind: bundle\nid: b\n").unwrap();
    let run = |more: &[&str]| server.run(&[&["plan", "-f", path.to_str().unwrap()], more].concat()).0;
    assert_eq!((run(&[]), run(&["--prune"]), run(&["--prune", "--empty"])), (2, 2, 1));
}

#[test]
fn a_plan_is_written_for_its_owner_alone_and_applied_to_the_log_that_it_is_of() {
    let (server, dir) = (Server::new(handle), manifests());
    let out = dir.path().join("plan.json");
    let plan = |name: &str| {
        let manifest = dir.path().join(name);
        server.run(&["plan", "-f", manifest.to_str().unwrap(), "--reason", "why", "--out", out.to_str().unwrap()])
    };
    assert_eq!(plan("changes").0, 1);
    assert_eq!(fs::metadata(&out).unwrap().mode() & 0o777, 0o600);
    let read = |path: &Path| serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap();
    let written = read(&out);
    assert_eq!(written["request"]["reason"], "why");
    assert_eq!((&written["plan"], &written["bundles"]), (&json!(PLAN.repeat(32)), &json!(["b"])));
    let apply = |path: &PathBuf| server.run(&["apply", path.to_str().unwrap(), "--yes"]);
    // The event that it was made from is not there.
    let (code, said, complained) = apply(&out);
    assert!(code == 1 && complained.contains("other_log"), "{said}{complained}");
    let mut on_nothing = written.clone();
    on_nothing["outcome"]["base"] = json!({"position": 0, "event_id": null});
    fs::write(&out, on_nothing.to_string()).unwrap();
    let (code, said, complained) = apply(&out);
    assert!(code == 0 && said.contains("done at position 8"), "{said}{complained}");
    let mut other = on_nothing.clone();
    other["log_id"] = json!("0198b0a2-0000-7000-8000-000000000001");
    fs::write(&out, other.to_string()).unwrap();
    assert_eq!(apply(&out).0, 1);
    let mut otherwise = on_nothing;
    otherwise["plan"] = json!("bb".repeat(32));
    fs::write(&out, otherwise.to_string()).unwrap();
    let (code, _, complained) = apply(&out);
    assert!(code == 1 && complained.contains("plan_changed"), "{complained}");
    assert_eq!(plan("same").0, 0, "a plan that changes nothing replaces what was there");
    assert_eq!(read(&out)["outcome"]["events"], json!([]));
}
