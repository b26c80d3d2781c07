//! What administrators read and type, on a real server and real nodes, and on a terminal.

use std::process::Command;

use serde_json::{Value, json};

use client::api_client::{ApiClient, CommandRequest};

use crate::running::{Dev, folder};
use crate::terminal::Terminal;

fn headwater(dev: &Dev, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(arguments).env("HEADWATER_URL", &dev.json.http).env("HEADWATER_TOKEN", &dev.json.tokens.admin);
    command
}

fn run(dev: &Dev, arguments: &[&str]) -> (i32, String, String) {
    let ended = headwater(dev, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
}

/// What a command says that ends well.
fn said(dev: &Dev, arguments: &[&str]) -> String {
    let (code, said, complaint) = run(dev, arguments);
    assert_eq!(code, 0, "{arguments:?}: {complaint}");
    said
}

fn document(id: &str, content: &str, target: Value) -> Value {
    json!({"type": "put_document", "id": id, "path": format!("etc/{id}"), "media_type": "text/plain", "content": content,
        "target": target, "priority": 0})
}

async fn send(dev: &Dev, commands: Vec<Value>) -> u64 {
    let client = ApiClient::new(dev.json.http.parse().unwrap(), dev.json.tokens.admin.parse().unwrap()).unwrap();
    let request = CommandRequest { reason: None, now: false, commands, key: None };
    client.send_commands(&request).await.unwrap().position.get()
}

#[tokio::test]
async fn a_fleet_is_read_labelled_compared_and_retired_by_words() {
    let dir = folder();
    let dev = Dev::start(dir.path(), 2);
    let extra = ["node-10", "node-9"].map(|id| json!({"type": "enrol_node", "id": id, "labels": {"spare": "yes"}}));
    let documents = [
        document("motd", "hello\n", json!({"all": true})),
        document("one", "1", json!({"nodes": ["node-1"]})),
        document("ringed", "r", json!({"match_labels": {"ring": "yes"}})),
    ];
    let before = send(&dev, [extra.to_vec(), documents.to_vec()].concat()).await;
    lists_are_for_people(&dev);
    labels_are_set_where_they_are_asked_for(&dev);
    states_and_nodes_are_compared(&dev, before).await;
    a_retirement_is_asked_about(&dev);
}

fn lists_are_for_people(dev: &Dev) {
    let names = said(dev, &["get", "nodes", "-o", "name"]);
    assert_eq!(names, "node/node-1\nnode/node-2\nnode/node-9\nnode/node-10\n");
    assert_eq!(said(dev, &["get", "node/node-9", "-o", "name"]), "node/node-9\n");
    assert_eq!(
        said(dev, &["get", "nodes", "-l", "spare in (yes,no),!site", "-o", "name"]),
        "node/node-9\nnode/node-10\n"
    );
    let wide = said(dev, &["get", "documents", "-o", "wide"]);
    assert!(wide.lines().next().unwrap().ends_with("AGE"), "{wide}");
    assert_eq!(said(dev, &["get", "file", "node-2", "etc/motd"]), "hello\n");
    let (code, said_none, complaint) = run(dev, &["get", "proposals"]);
    assert_eq!((code, said_none.as_str(), complaint.as_str()), (0, "", "headwater: no proposals found\n"));
    for columns in [200, 80, 60, 40] {
        let (ended, shown) = Terminal::start(headwater(dev, &["get", "nodes"]), columns).end();
        assert!(ended.success() && shown.contains("node-10"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= usize::from(columns)), "{columns}: {shown}");
    }
}

fn labels_are_set_where_they_are_asked_for(dev: &Dev) {
    let labels = |node: &str| -> Value {
        serde_json::from_str::<Value>(&said(dev, &["get", "node", node, "--json"])).unwrap()["labels"].clone()
    };
    let kept = labels("node-1");
    let shown = said(dev, &["label", "nodes", "-l", "spare", "ring=1", "spare-"]);
    assert!(
        shown.starts_with("  ~ node/node-10\n  ~ node/node-9\nNo node gets other files.\ndone at position "),
        "{shown}"
    );
    assert_eq!((labels("node-9"), labels("node-10")), (json!({"ring": "1"}), json!({"ring": "1"})));
    assert_eq!(labels("node-1"), kept);
    assert_eq!(said(dev, &["label", "nodes", "node-9", "node/node-10", "ring=1"]), "No node's labels changed.\n");
    let (code, _, complaint) = run(dev, &["label", "nodes", "-l", "spare", "ring=2"]);
    assert!(code == 0 && complaint.contains("target_reaches_nobody"), "{complaint}");
    let (code, _, complaint) = run(dev, &["label", "nodes", "node-1", "nowhere", "ring=2"]);
    assert!(code == 1 && complaint.contains("there is no node/nowhere"), "{complaint}");
    assert_eq!(labels("node-1"), kept, "a refused request changes nothing");
    // Who loses files by its labels is shown, and asked about.
    assert_eq!(run(dev, &["label", "nodes", "node-9", "ring=yes", "--yes"]).0, 0);
    let (code, shown, complaint) = run(dev, &["label", "nodes", "node-9", "ring-"]);
    assert!(code == 2 && shown.contains("    - etc/ringed\n") && complaint.contains("--yes"), "{shown}{complaint}");
    assert_eq!(labels("node-9"), json!({"ring": "yes"}));
    assert_eq!(run(dev, &["label", "nodes", "node-9", "ring-", "--json"]).0, 2);
    assert!(said(dev, &["label", "nodes", "node-9", "ring-", "--yes"]).contains("    - etc/ringed\n"));
    assert_eq!(labels("node-9"), json!({}));
}

async fn states_and_nodes_are_compared(dev: &Dev, before: u64) {
    let (code, pair, _) = run(dev, &["diff", "node-2", "node-1"]);
    assert_eq!(code, 1);
    let expected = "--- node-2/etc/one\n+++ node-1/etc/one\n@@ -0,0 +1 @@\n+1\n\\ No newline at end of file\n";
    assert_eq!(pair, expected);
    assert_eq!(run(dev, &["diff", "node-2", "node-2"]).0, 0);
    let before = before.to_string();
    let after = send(dev, vec![document("motd", "good bye\n", json!({"all": true}))]).await.to_string();
    assert_eq!(run(dev, &["diff", "node-2", "node-1", "--at", &before]).1, expected);
    let (code, fleet, _) = run(dev, &["diff", "--from", &before, "--to", &after]);
    assert!(code == 1 && fleet.lines().count() == 5 && fleet.starts_with("CHANGED"), "{fleet}");
    let (code, node, _) = run(dev, &["diff", "--from", &before, "node-2"]);
    assert_eq!((code, node.as_str()), (1, "--- a/etc/motd\n+++ b/etc/motd\n@@ -1 +1 @@\n-hello\n+good bye\n"));
    let (code, nothing, _) = run(dev, &["diff", "--from", &after, "node-2"]);
    assert_eq!((code, nothing.as_str()), (0, ""));
    assert_eq!(run(dev, &["diff", "--from", &before, "nowhere"]).0, 4);
}

fn a_retirement_is_asked_about(dev: &Dev) {
    let retired = || said(dev, &["get", "node", "node-9"]).contains("retired: true");
    for (answer, expected) in [("n\n", false), ("\n", false), ("\u{4}", false), ("yes\n", true)] {
        let mut terminal = Terminal::start(headwater(dev, &["retire", "node-9"]), 80);
        terminal.await_text("Retire node node-9 at http://");
        terminal.await_text("[y/N] ");
        terminal.write(answer);
        let (ended, shown) = terminal.end();
        assert_eq!(ended.code(), Some(i32::from(!expected)), "{shown}");
        assert_eq!(retired(), expected, "{answer:?}: {shown}");
    }
    // What can't be done is refused before anybody is asked.
    let (ended, shown) = Terminal::start(headwater(dev, &["retire", "nowhere"]), 80).end();
    assert!(ended.code() == Some(1) && !shown.contains("[y/N]"), "{shown}");
    assert_eq!(said(dev, &["retire", "node-9", "--yes"]), "That was so before; nothing was changed.\n");
    assert!(said(dev, &["retry", "node-1", "node-2"]).starts_with("2 nodes (node-1, node-2) try again"));
}
