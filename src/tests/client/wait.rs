//! `headwater wait`: what it costs a server, what it does about a bad one, and that what it says is so on the nodes' disks.

use std::fs;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::api_client::{ApiClient, CommandRequest};
use serde_json::{Value, json};

use crate::running::{Dev, folder};
use crate::server::{Server, log_status};

/// More than a page.
const NODES: usize = 1_500;

#[test]
fn many_nodes_are_read_in_pages_with_pauses_between_the_looks() {
    // One node fails in every third look.
    let looks = AtomicUsize::new(0);
    let server = Server::new(move |first, _, reply| {
        let look = match first.contains("/v1/log") {
            true => looks.fetch_add(1, Ordering::Relaxed) + 1,
            false => looks.load(Ordering::Relaxed),
        };
        let node = |number: usize| {
            let state = if number == 0 && look % 3 == 0 { "failed" } else { "progressing" };
            json!({"id": format!("n-{number}"), "state": state, "labels": {"site": "lund"}})
        };
        let body = match first {
            log if log.contains("/v1/log") => log_status(7),
            second if second.contains("cursor=more") => {
                json!({"items": (1_000..NODES).map(node).collect::<Vec<_>>(), "next": null})
            }
            _ => json!({"items": (0..1_000).map(node).collect::<Vec<_>>(), "next": "more"}),
        };
        reply.whole("200 OK", &body.to_string())
    });
    let ids: Vec<String> = (0..NODES).map(|number| format!("n-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for which in [&ids[..], &["-l", "site=lund"], &["--all"]] {
        let (before, begun) = (server.asked().len(), Instant::now());
        let (code, said, complaint) = server.run(&[&["wait", "nodes", "--json"], which].concat());
        // Pauses of 50 ms at least, and then of 100 ms.
        assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, said["pending"].as_array().unwrap().len()), (1, NODES - 1), "{complaint}");
        let asked = server.asked()[before..].to_vec();
        let kinds: Vec<&str> = asked.iter().map(|line| line.split('?').next().unwrap()).collect();
        assert_eq!(kinds, ["GET /v1/log", "GET /v1/nodes", "GET /v1/nodes"].repeat(3), "{asked:?}");
        assert!(asked[1..].iter().all(|line| line.ends_with("min_position=7")), "{asked:?}");
    }
}

#[test]
fn a_server_that_was_reached_may_be_away_for_a_while_and_one_that_never_was_may_not() {
    let looks = AtomicUsize::new(0);
    let server = Server::new(move |first, _, reply| {
        let node = |state: &str| json!({"id": "n-1", "state": state}).to_string();
        let busy = json!({"status": 503, "code": "overloaded", "detail": "later"}).to_string();
        match (first.contains("/v1/log"), looks.load(Ordering::Relaxed)) {
            (true, 1) => {
                looks.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            (true, _) => reply.whole("200 OK", &log_status(7).to_string()),
            (false, look) => {
                looks.fetch_add(1, Ordering::Relaxed);
                match look {
                    0 => reply.whole("200 OK", &node("progressing")),
                    2 => reply.whole("503 Busy", &busy),
                    _ => reply.whole("200 OK", &node("converged")),
                }
            }
        }
    });
    let (code, said, complaint) = server.run(&["wait", "nodes", "n-1"]);
    assert_eq!((code, said.as_str()), (0, "1 of 1 node converged at position 7\n"), "{complaint}");

    // A position to wait for is no sign that the server was ever there.
    let away = ["wait", "nodes", "n-1", "--url", "http://127.0.0.1:1", "--min-position", "7"];
    let (code, said, complaint) = server.run(&away);
    assert_eq!((code, said.as_str()), (3, ""));
    assert!(complaint.contains("could not reach the server"), "{complaint}");

    let never = Server::new(|_, _, reply| {
        reply.whole("503 Busy", &json!({"status": 503, "code": "overloaded", "detail": "later"}).to_string())
    });
    let (code, said, complaint) = never.run(&["wait", "nodes", "n-1", "--timeout", "1s", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["outcome"], &said["nodes"]), (3, &json!("timed_out"), &Value::Null));
    assert!(said["error"].as_str().unwrap().contains("overloaded"), "{said}");
    assert!(complaint.contains("no answer within 1 s") && complaint.contains("overloaded"), "{complaint}");
}

#[test]
fn the_time_is_up_also_while_a_server_says_nothing() {
    let server = Server::new(|first, _, reply| match first {
        log if log.contains("/v1/log") => reply.whole("200 OK", &log_status(7).to_string()),
        _ => {
            std::thread::park();
            Ok(())
        }
    });
    let (code, said, complaint) = server.run(&["wait", "nodes", "n-1", "--timeout", "1s"]);
    assert_eq!((code, said.as_str()), (3, ""));
    assert!(complaint.contains("no answer within 1 s"), "{complaint}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let server = Server::new(|_, _, reply| reply.whole("200 OK", "{}"));
    for (arguments, words) in [
        (&["wait"][..], "nodes"),
        (&["wait", "weather", "n-1"], "weather"),
        (&["wait", "nodes"], "ID"),
        (&["wait", "nodes", "a.b"], "invalid_id"),
        (&["wait", "nodes", "n-1", "--all"], "cannot be used with"),
        (&["wait", "nodes", "n-1", "-l", "a=b"], "cannot be used with"),
        (&["wait", "nodes", "--all", "--command", "7"], "cannot be used with"),
        (&["wait", "nodes", "-l", ""], "empty_target"),
        (&["wait", "nodes", "-l", "a in b"], "expected `(`"),
        (&["wait", "nodes", "--command", "first"], "neither"),
        (&["wait", "nodes", "n-1", "--for", "rollout"], "rollout"),
        (&["wait", "nodes", "n-1", "--timeout", "5"], "such as 90s"),
        (&["wait", "nodes", "n-1", "--timeout=-5s"], "such as 90s"),
        (&["wait", "nodes", "n-1", "--offline", "perhaps"], "perhaps"),
    ] {
        let (code, said, complaint) = server.run(arguments);
        assert_eq!((code, said.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn what_nodes_say_is_printable() {
    const HOSTILE: &str = "a\u{1b}]0;t\u{7}\u{1b}[2J\rb\u{9b}2J\u{202e}c\nheadwater: d";
    for state in ["failed", HOSTILE] {
        let server = Server::new(move |first, _, reply| {
            let node = json!({"id": "n-1", "state": state, "reason": {"code": HOSTILE, "detail": HOSTILE}});
            let body = if first.contains("/v1/log") { log_status(7) } else { node };
            reply.whole("200 OK", &body.to_string())
        });
        let (_, said, complaint) = server.run(&["wait", "nodes", "n-1", "--timeout", "0s", "--json"]);
        for text in [&said, &complaint] {
            assert!(!text.contains(|next: char| next == '\u{202e}' || (next != '\n' && next.is_control())), "{text:?}");
        }
        assert!(complaint.lines().skip(1).all(|line| line.starts_with("  ")), "{complaint}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert!(said.to_string().contains(&json!(HOSTILE).to_string()), "{said}");
    }
}

/// Runs `headwater wait nodes`, with a limit that only a broken one reaches.
fn wait(dev: &Dev, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(["wait", "nodes", "--timeout", "90s"])
        .args(arguments)
        .env("HEADWATER_URL", &dev.json.http)
        .env("HEADWATER_TOKEN", &dev.json.tokens.auditor)
        .output()
        .unwrap()
}

#[tokio::test]
async fn what_a_wait_says_is_so_on_every_disk() {
    let dir = folder();
    let dev = Dev::start_with(dir.path(), 2, &["--check", "! grep -rq bad {}"]);
    let door = ApiClient::new(dev.json.http.parse().unwrap(), dev.json.tokens.admin.parse().unwrap()).unwrap();
    let send = async |content: &str| {
        let put = json!({"type": "put_document", "id": "d", "path": "d.txt", "media_type": "text/plain",
            "content": content, "target": {"all": true}, "priority": 0});
        let request = CommandRequest { reason: None, now: false, commands: vec![put], key: None };
        door.send_commands(&request).await.unwrap().command_id.unwrap().to_string()
    };
    for content in ["first", "second", "third"] {
        let ended = wait(&dev, &["--command", &send(content).await]);
        assert!(ended.status.success(), "{ended:?}");
        assert!(String::from_utf8(ended.stdout).unwrap().starts_with("2 of 2 nodes converged at position "));
        for node in &dev.json.nodes {
            assert_eq!(fs::read_to_string(node.dir.join("current/files/d.txt")).unwrap(), content);
        }
    }
    let ended = wait(&dev, &["--command", &send("bad").await]);
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains(": failed: check_rejected") && complaint.contains("`headwater retry node-"),
        "{complaint}"
    );
    let ended = wait(&dev, &["--command", &send("better").await]);
    assert!(ended.status.success(), "{ended:?}");
}
