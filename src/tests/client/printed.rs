//! Nothing that others wrote does anything to a terminal.

use serde_json::{Value, json};

use crate::server::{Server, log_status};

/// A title of a window, an erased screen, a carriage return, a C1 control, an override, a zero-width space, a line
/// separator and a byte order mark.
const HOSTILE: &str = "a\u{1b}]0;t\u{7}\u{1b}[2J\rb\u{9b}2J\u{202e}c\u{200b}\u{2028}\u{feff}d";

fn is_hostile(next: char) -> bool {
    (next != '\n' && next.is_control()) || "\u{202e}\u{200b}\u{2028}\u{feff}".contains(next)
}

/// Answers every question with texts that are hostile, as large a thing as it likes.
fn server() -> Server {
    Server::new(|first, _, reply| {
        let event = json!({"position": 1, "at": HOSTILE, "type": HOSTILE, "entity": HOSTILE, "version": 1,
            "actor": HOSTILE, "reason": HOSTILE, "data": {HOSTILE: HOSTILE}});
        let thing = json!({"id": HOSTILE, "state": HOSTILE, "path": HOSTILE, "target": {HOSTILE: [HOSTILE]},
            "labels": {HOSTILE: HOSTILE}, "position": 1, HOSTILE: {HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]},
            "found": {"size": HOSTILE, "source": {"entity": HOSTILE}, "digest": HOSTILE}, "because": [event.clone()],
            "command_id": HOSTILE, "actor": HOSTILE, "reason": HOSTILE, "events": [event.clone()],
            "nodes": [{"node": HOSTILE, "before": HOSTILE, "after": HOSTILE}], "unchanged": [HOSTILE],
            "reason_given": HOSTILE, "running": {"digest": HOSTILE}, "ready": true, "detail": HOSTILE});
        let body = match first {
            log if log.contains("/v1/log") || log.contains("readyz") => thing,
            events if events.contains("/v1/events") => json!({"items": [event], "next": null}),
            list if list.contains("cursor") => json!({"items": [thing], "next": null}),
            _ => thing,
        };
        // DEL and what follows it a serializer leaves as it is.
        reply.whole("200 OK", &body.to_string().replace("\"reason_given\"", "\r\"reason_given\""))
    })
}

#[test]
fn an_answer_is_printable_and_its_json_means_the_same() {
    let server = server();
    for arguments in [
        &["get", "nodes"][..],
        &["get", "documents"],
        &["get", "node", "a"],
        &["get", "log"],
        &["events"],
        &["why", "node", "a", "etc/motd"],
        &["why", "job", "a"],
        &["impact", "0198b0a2-0000-7000-8000-000000000000"],
        &["review"],
        &["review", "a"],
        &["health"],
    ] {
        let (code, said, complaint) = server.run(arguments);
        assert!(code == 0 && !said.is_empty(), "{arguments:?}: {complaint}");
        assert!(!said.contains(is_hostile), "{arguments:?}: {said:?}");
        let (code, json, complaint) = server.run(&[arguments, &["--json"]].concat());
        assert!(code == 0 && !json.contains(is_hostile), "{arguments:?}: {json:?} {complaint}");
        let said: Value = serde_json::from_str(&json).unwrap();
        assert!(said.to_string().contains(&json!(HOSTILE).to_string()), "{arguments:?}: {said}");
    }
}

#[test]
fn a_complaint_is_printable() {
    let problem = json!({"status": 409, "code": HOSTILE, "field": HOSTILE, "detail": HOSTILE}).to_string();
    let server = Server::new(move |first, _, reply| match first {
        problem_of if problem_of.contains("fleet") => reply.whole("409 Conflict", &problem),
        text if text.contains("/v1/log") => reply.whole("409 Conflict", HOSTILE),
        ready if ready.contains("readyz") => reply.whole("503 No", &json!({"detail": HOSTILE}).to_string()),
        moved if moved.contains("nodes") => reply.raw(
            format!(
                "HTTP/1.1 307 M\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
                HOSTILE.replace(is_hostile, "\u{202e}")
            )
            .as_bytes(),
        ),
        _ => reply.whole("200 OK", &json!({"items": HOSTILE}).to_string()),
    });
    for arguments in [&["get", "fleet"][..], &["get", "log"], &["get", "nodes"], &["get", "documents"], &["health"]] {
        let (code, _, complaint) = server.run(arguments);
        assert!(code != 0 && !complaint.is_empty() && !complaint.contains(is_hostile), "{arguments:?}: {complaint:?}");
    }
}

#[test]
fn what_the_door_warns_of_is_said_and_printable() {
    let server = Server::new(|_, _, reply| {
        let warning = json!({"command": 0, "code": "no_effect", "detail": HOSTILE});
        let answer = json!({"log_id": "0198b0a2-0000-7000-8000-000000000000", "position": 79, "events": [],
            "results": [], "warnings": [warning]});
        reply.whole("200 OK", &answer.to_string())
    });
    for arguments in [&["token", "revoke", "ann"][..], &["token", "create", "--name", "ann", "--role", "admin"]] {
        let (code, _, complaint) = server.run(arguments);
        assert!(
            code == 0 && complaint.contains("warning: command 0: ") && complaint.contains("(no_effect)"),
            "{complaint}"
        );
        assert!(!complaint.contains(is_hostile), "{complaint:?}");
    }
}

#[test]
fn a_files_own_words_are_printable() {
    let dir = tempfile::tempdir().unwrap();
    let server = server();
    let catalog = |id: &str| json!({"catalog": {"uuid": "c", "controls": [{"id": id, "title": "t"}]}});
    let (id, kind) = (catalog(HOSTILE), json!({HOSTILE: {}}));
    for (name, content) in [("id.json", id.to_string()), ("kind.json", kind.to_string()), ("none.json", HOSTILE.into())]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let (code, _, complaint) = server.run(&["import", "oscal", path.to_str().unwrap()]);
        assert!(code == 1 && complaint.contains(name) && !complaint.contains(is_hostile), "{name}: {complaint:?}");
    }
    // What a file says and Headwater has no place for is named.
    let path = dir.path().join("skipped.json");
    let mut file = catalog("a");
    file["catalog"][HOSTILE] = json!({});
    file["catalog"]["controls"][0][HOSTILE] = json!(1);
    std::fs::write(&path, file.to_string()).unwrap();
    let fresh = Server::new(|first, _, reply| {
        let body = if first.contains("/v1/log") { log_status(1) } else { json!({"items": [], "next": null}) };
        reply.whole("200 OK", &body.to_string())
    });
    for json in [&[][..], &["--json"]] {
        let (code, said, complaint) =
            fresh.run(&[&["import", "oscal", "--dry-run", path.to_str().unwrap()], json].concat());
        assert!(code == 0 && !said.contains(is_hostile), "{said:?} {complaint}");
        assert!(said.contains("2J"), "it is named: {said}");
    }
}
