//! How commands for people end, as a table: against a server that answers, one that refuses, and none.

use serde_json::{Value, json};

use crate::server::{Server, log_status};

/// A server of two nodes with one file each, which refuses all else.
fn server() -> Server {
    Server::new(|first, body, reply| {
        let (method, path) = first.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let answer = match (method, path) {
            ("GET", "/v1/log") => log_status(7),
            ("GET", "/v1/nodes/same-1" | "/v1/nodes/same-2") => node("aa"),
            ("GET", "/v1/nodes/other") => node("bb"),
            ("GET", "/v1/nodes") => {
                json!({"items": [{"id": "same-1", "state": "converged", "labels": {}}], "next": null})
            }
            ("GET", "/v1/nodes/same-1/files/motd") => return reply.whole("200 OK", "one\n"),
            ("GET", "/v1/nodes/other/files/motd") => return reply.whole("200 OK", "two\u{1b}[2J\n"),
            ("GET", "/v1/diff/fleet") if first.contains("from=7") => {
                json!({"from": 7, "to": 7, "items": [], "next": null})
            }
            ("GET", "/v1/diff/fleet") => {
                json!({"from": 1, "to": 7, "items": [{"node": "other", "before": null, "after": "bb"}], "next": null})
            }
            ("GET", "/v1/jobs") => json!({"items": [job("good", "passed"), job("bad", "failed")], "next": null}),
            ("POST", _) if !body.contains("nowhere") => accepted(body.contains("retire_node")),
            _ => {
                let problem = json!({"status": 404, "code": "unknown_entity", "detail": "there is no such thing"});
                return reply.whole("404 Not Found", &problem.to_string());
            }
        };
        reply.whole("200 OK", &answer.to_string())
    })
}

fn node(digest: &str) -> Value {
    json!({"id": "n", "state": "converged", "desired": {"entries": [
        {"kind": "document", "path": "motd", "digest": digest, "size": 4},
        {"kind": "job", "path": "jobs/x.json", "digest": digest.repeat(2), "size": 4},
    ]}})
}

fn job(id: &str, outcome: &str) -> Value {
    let run = json!({"runtime": "r-1", "outcome": outcome, "spec_digest": "aa", "position": 5});
    json!({"id": id, "attestation": "a", "spec_digest": "aa", "claim": null, "completed": run})
}

/// The answer to a request, and to its dry run.
fn accepted(retires: bool) -> Value {
    let nodes = if retires { json!([{"node": "same-1", "files": [], "retired": true}]) } else { json!([]) };
    json!({"log_id": log_status(7)["log_id"], "position": 8, "results": [], "warnings": [],
        "base": {"position": 7, "event_id": null}, "plan": "aa", "nodes": nodes,
        "events": [{"position": 8, "type": "NodeRetried", "entity": "node/same-1", "version": 2}]})
}

#[test]
fn commands_end_with_the_code_that_scripts_rely_on() {
    let server = server();
    let away = ["--url", "http://127.0.0.1:1"];
    for (arguments, code) in [
        // Differences: a refusal is not one.
        (&["diff", "same-1", "same-2"][..], 0),
        (&["diff", "same-1", "other"], 1),
        (&["diff", "same-1", "other", "--json"], 1),
        (&["diff", "--from", "7"], 0),
        (&["diff", "--from", "1"], 1),
        (&["diff"], 2),
        (&["diff", "same-1"], 2),
        (&["diff", "same-1", "other", "same-2"], 2),
        (&["diff", "--to", "7"], 2),
        (&["diff", "same-1", "other", "--from", "1"], 2),
        (&["diff", "--from", "1", "--at", "7"], 2),
        (&[&["diff", "same-1", "same-2"][..], &away].concat(), 3),
        (&["diff", "same-1", "nowhere"], 4),
        (&["diff", "--from", "1", "nowhere"], 4),
        // Words in place of commands.
        (&["retry", "same-1"], 0),
        (&["retry", "node/same-1", "other"], 0),
        (&["retry", "nowhere"], 1),
        (&["retry"], 2),
        (&["retry", "a.b"], 2),
        (&[&["retry", "same-1"][..], &away].concat(), 3),
        (&["retire", "same-1", "--yes"], 0),
        (&["retire", "nowhere", "--yes"], 1),
        (&["label", "nodes", "same-1", "ring=1"], 0),
        (&["label", "nodes", "-l", "site=lund", "ring=1", "old-"], 0),
        (&["label", "nodes", "--all", "ring-"], 0),
        (&["label", "nodes", "nowhere", "ring=1"], 1),
        (&["label", "nodes", "ring=1"], 2),
        (&["label", "nodes", "same-1"], 2),
        (&["label", "nodes", "same-1", "--all", "ring=1"], 2),
        (&["label", "nodes", "-l", "a=b", "--all", "ring=1"], 2),
        (&["label", "jobs", "j", "ring=1"], 2),
        // What is read.
        (&["get", "nodes", "--state", "failed"], 0),
        (&["get", "nodes", "-l", "site=lund"], 0),
        (&["get", "node/nowhere"], 1),
        (&["get", "file", "same-1", "motd"], 0),
        (&["get", "file", "same-1", "other"], 1),
        (&["get", "file", "same-1"], 2),
        (&["get", "nodes", "--state", "convergd"], 2),
        (&["get", "documents", "-l", "site=lund"], 2),
        (&["get", "jobs", "--bundle", "b"], 2),
        (&["get", "node/a", "b"], 2),
        (&["get", "nodes", "-o", "json", "--json"], 2),
        (&["get", "fleet", "-o", "name"], 2),
        (&["undo", "0198f7a2-7c7b-7def-8000-000000000001"], 0),
        (&["undo", "12"], 2),
        (&["revert", "--to", "7"], 0),
        (&["revert", "--to", "7", "--only", "nothing"], 2),
        (&["mark", "a b"], 2),
        // Jobs.
        (&["wait", "jobs", "good", "--timeout", "0s"], 0),
        (&["wait", "jobs", "good", "job/bad", "--timeout", "5m"], 1),
        (&["wait", "jobs", "--all", "--timeout", "5m"], 1),
        (&["wait", "jobs", "good", "missing", "--timeout", "0s"], 3),
        (&["wait", "jobs"], 2),
        (&["wait", "jobs", "good", "--offline", "fail"], 2),
    ] {
        let (found, said, complaint) = server.run(arguments);
        assert_eq!(found, code, "{arguments:?}: {said}{complaint}");
        assert!(code != 2 || said.is_empty(), "{arguments:?}: {said}");
        assert!(code < 2 || !complaint.is_empty(), "{arguments:?}");
    }
}

#[test]
fn nothing_is_retired_where_nobody_can_be_asked() {
    let server = server();
    let (code, _, complaint) = server.run(&["retire", "same-1"]);
    assert!(code == 2 && complaint.contains("--yes"), "{complaint}");
    assert_eq!(server.asked(), ["POST /v1/commands?dry_run=true"], "what changes nothing");
}

#[test]
fn what_is_not_there_is_said_and_files_are_themselves() {
    let server = server();
    assert_eq!(
        server.run(&["get", "nodes", "-l", "site"]),
        (0, String::new(), "headwater: no nodes found\n".to_owned())
    );
    assert_eq!(server.run(&["get", "nodes", "-l", "site", "--json"]).1, "[]\n");
    assert_eq!(server.run(&["get", "file", "other", "motd"]).1, "two\u{1b}[2J\n", "for a pipe it is what it is");
    let (_, said, _) = server.run(&["diff", "same-1", "other"]);
    assert_eq!(said, "--- same-1/motd\n+++ other/motd\n@@ -1 +1 @@\n-one\n+two\u{fffd}[2J\n");
    let (_, _, complaint) = server.run(&["wait", "jobs", "--all"]);
    assert!(complaint.contains("1 of 2 jobs did not converge:\n  bad: failed: failed: by runtime r-1"), "{complaint}");
}
