//! Whatever answers, memory is bounded, and the program says what is wrong.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::server::Server;

const MIB: u64 = 1024 * 1024;
/// What lies in the buffers of two sockets when one end stops reading.
const BUFFERED: u64 = 16 * MIB;

#[test]
fn an_endless_body_is_cut() {
    let server = Server::new(|_, _, reply| reply.endless("application/json", b"{\"items\":[\"", b"and so on "));
    for arguments in [&["get", "documents"][..], &["get", "log", "--json"], &["health"]] {
        let before = server.sent.load(Ordering::Relaxed);
        let (code, said, complaint) = server.run(arguments);
        let sent = server.sent.load(Ordering::Relaxed) - before;
        assert!(sent < 64 * MIB + BUFFERED, "{arguments:?}: {sent} bytes were taken");
        let expected = if arguments[0] == "health" { 3 } else { 1 };
        assert_eq!((code, said.as_str()), (expected, ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains("67108864 bytes") && complaint.contains(&server.url), "{complaint}");
    }
}

#[test]
fn a_body_that_is_said_to_be_endless_is_not_begun() {
    let server = Server::new(|_, _, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000000000\r\n\r\n")?;
        std::thread::park();
        Ok(())
    });
    let (code, _, complaint) = server.run(&["get", "fleet"]);
    assert!(code == 1 && complaint.contains("67108864 bytes"), "{code} {complaint}");
}

#[test]
fn an_endless_refusal_is_cut() {
    let server = Server::new(|_, _, reply| {
        reply.raw(b"HTTP/1.1 503 No\r\nconnection: close\r\n\r\n")?;
        loop {
            reply.raw(&[b'x'; 64 * 1024])?;
        }
    });
    let (code, _, complaint) = server.run(&["get", "fleet"]);
    assert!(code == 1 && complaint.contains("65536 bytes"), "{code} {complaint}");
    assert!(server.sent.load(Ordering::Relaxed) < BUFFERED);
}

#[test]
fn an_endless_line_of_a_stream_is_cut() {
    for then in [&b"and so on "[..], b"\ndata: and so on"] {
        let server = Server::new(move |_, _, reply| reply.endless("text/event-stream", b"data: ", then));
        let (code, said, complaint) = server.run(&["events", "--follow"]);
        let sent = server.sent.load(Ordering::Relaxed);
        assert!(sent < MIB + BUFFERED, "{sent} bytes were taken");
        assert_eq!((code, said.as_str()), (1, ""), "{complaint}");
        assert!(complaint.contains("1048576 bytes"), "{complaint}");
    }
}

#[test]
fn a_cursor_has_to_move() {
    // Of two cursors that take turns none is a repetition of the one before it.
    for cursors in [["again", "again"], ["one", "two"], ["", ""]] {
        let server = Server::new(move |first, _, reply| {
            let next = if first.contains(&format!("cursor={}", cursors[0])) { cursors[1] } else { cursors[0] };
            reply.whole("200 OK", &json!({"items": [{"id": "a"}], "next": next}).to_string())
        });
        for arguments in [&["get", "documents"][..], &["get", "nodes", "--json"], &["token", "list"]] {
            let (code, said, complaint) = server.run(arguments);
            // What a principal is, a document is not.
            assert_eq!((code, said.as_str()), (1, ""), "{arguments:?} {cursors:?}: {complaint}");
            assert!(arguments[0] == "token" || complaint.contains("does not go on"), "{arguments:?}: {complaint}");
        }
        assert!(server.asked().len() < 20, "{:?}", server.asked());
    }
}

#[test]
fn a_position_has_to_rise() {
    let event = |position: u64| json!({"position": position, "type": "NodeEnrolled", "entity": "node/a"});
    let page = |next: &'static str, positions: &'static [u64]| {
        let items: Vec<_> = positions.iter().map(|position| event(*position)).collect();
        let body = json!({"items": items, "next": next}).to_string();
        Server::new(move |_, _, reply| reply.whole("200 OK", &body))
    };
    for (server, lines) in [
        (page("0", &[1]), 1),
        (page("1", &[1]), 1),
        (page("far", &[1]), 1),
        (page("9", &[2, 2]), 1),
        (page("9", &[2, 1]), 1),
        (page("9", &[0]), 0),
    ] {
        let (code, said, complaint) = server.run(&["events"]);
        assert_eq!((code, said.lines().count()), (1, lines), "{complaint}");
        assert!(complaint.contains("does not go on"), "{complaint}");
    }
    let stream = Server::new(|_, _, reply| {
        reply.endless("text/event-stream", b"", b"id: 5\ndata: {\"position\":5,\"type\":\"a\",\"entity\":\"b\"}\n\n")
    });
    let (code, said, complaint) = stream.run(&["events", "--follow"]);
    assert!(code == 1 && said.lines().count() == 1 && complaint.contains("does not go on"), "{code} {complaint}");
}

#[test]
fn a_redirection_is_not_followed() {
    let elsewhere = Server::new(|_, _, reply| reply.whole("200 OK", &json!({"items": [], "next": null}).to_string()));
    let to = format!("{}/v1/nodes", elsewhere.url);
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let to = to.clone();
        let server = Server::new(move |_, _, reply| {
            reply.raw(format!("HTTP/1.1 {status}\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").as_bytes())
        });
        for arguments in [&["get", "nodes"][..], &["events"], &["events", "--follow"], &["token", "revoke", "ann"]] {
            let (code, said, complaint) = server.run(arguments);
            assert_eq!((code, said.as_str()), (1, ""), "{arguments:?}: {complaint}");
            assert!(complaint.contains(&elsewhere.url), "it says where to: {complaint}");
        }
        assert_eq!(server.run(&["health"]).0, 3);
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new(), "a token is shown to nobody whom a server names");
}
