//! Output that can't be written is a failure, unless nobody reads it.

use std::fs::OpenOptions;
use std::process::Stdio;

use serde_json::json;

use crate::server::{Server, log_status};

/// Answers every question, and lets everybody in.
fn server() -> Server {
    Server::new(|first, _, reply| {
        let event = json!({"position": 1, "type": "NodeEnrolled", "entity": "node/a"});
        let done = json!({"position": 79, "type": "NodeRetired", "entity": "node/a", "version": 2});
        let answer = json!({"log_id": "0198b0a2-0000-7000-8000-000000000000", "position": 79, "events": [done], "results": [],
            "base": {"position": 78, "event_id": null}, "plan": "aa"});
        let body = match first {
            post if post.starts_with("POST") => answer,
            events if events.contains("/v1/events") => json!({"items": [event], "next": null}),
            log if log.contains("/v1/log") => log_status(1),
            shown if shown.contains("/v1/nodes?") || shown.contains("/v1/proposals?") => {
                json!({"items": [{"id": "a", "state": "open"}], "next": null})
            }
            list if list.contains("cursor") => json!({"items": [], "next": null}),
            _ => json!({"ready": true, "position": 1, "found": null, "because": [], "nodes": [], "unchanged": []}),
        };
        reply.whole("200 OK", &body.to_string())
    })
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn output_that_cant_be_written_is_a_failure_and_a_closed_pipe_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("catalog.json");
    std::fs::write(&file, json!({"catalog": {"uuid": "c", "controls": []}}).to_string()).unwrap();
    let server = server();
    for arguments in [
        &["get", "nodes"][..],
        &["get", "fleet"],
        &["events"],
        &["events", "--last", "1"],
        &["why", "node", "a", "etc/motd"],
        &["impact", "0198b0a2-0000-7000-8000-000000000000"],
        &["wait", "nodes", "--command", "0198b0a2-0000-7000-8000-000000000000"],
        &["retry", "a"],
        &["retire", "a", "--yes"],
        &["label", "nodes", "a", "ring=1"],
        &["review"],
        &["accept", "a"],
        &["reject", "a", "--reason", "no"],
        &["token", "list"],
        &["token", "revoke", "ann"],
        &["health"],
        &["import", "oscal", file.to_str().unwrap()],
    ] {
        for json in [&[][..], &["--json"]] {
            let arguments = [arguments, json].concat();
            let output = server.told(&arguments, full());
            let complaint = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(3), "{arguments:?}: {complaint}");
            assert!(complaint.contains("standard output can't be written"), "{arguments:?}: {complaint}");
            let output = server.told(&arguments, closed());
            assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        }
    }
}

#[test]
fn nobody_is_let_in_whose_token_nobody_saw() {
    let server = server();
    let create = ["token", "create", "--name", "ann", "--role", "admin"];
    for json in [&[][..], &["--json"]] {
        for output in [full(), closed()] {
            let output = server.told(&[&create[..], json].concat(), output);
            let complaint = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(3) && complaint.contains("nothing was sent"), "{complaint}");
        }
    }
    assert_eq!(server.asked(), Vec::<String>::new());
    let (code, said, complaint) = server.run(&[&create[..], &["--json"]].concat());
    let made: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &made["position"], &made["name"]), (0, &json!(79), &json!("ann")), "{complaint}");
    assert!(made["token"].as_str().unwrap().starts_with("hw_"));
}

#[test]
fn a_token_is_printed_before_the_door_is_asked_and_invalid_if_it_refuses() {
    for (status, code, expected) in [("409 Conflict", 1, "not valid"), ("503 Busy", 3, "not known")] {
        let server = Server::new(move |_, _, reply| {
            let problem = json!({"status": 409, "code": "principal_exists", "detail": "ann exists already"});
            reply.whole(status, &problem.to_string())
        });
        let create = ["token", "create", "--name", "ann", "--role", "auditor"];
        let (ended, said, complaint) = server.run(&create);
        assert!(said.contains("\n  hw_"), "it is shown: {said}");
        assert!(ended == code && complaint.contains(expected) && complaint.contains("principal_exists"), "{complaint}");
        let (ended, said, _) = server.run(&[&create[..], &["--json"]].concat());
        let made: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((ended, &made["position"]), (code, &serde_json::Value::Null));
    }
}
