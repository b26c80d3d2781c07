//! Laws of `headwater get` and `headwater events`, held on the real program and what `headwater dev` starts.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::running::{DEADLINE, Dev, folder, kill, lines};
use client::api_client::{ApiClient, CommandRequest};
use rustix::process::Signal;
use serde_json::{Value, json};

impl Dev {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(arguments).env("HEADWATER_URL", &self.json.http).env("HEADWATER_TOKEN", &self.json.tokens.auditor);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.said(&[arguments, &["--json"]].concat())).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        assert!(output.stdout.is_empty(), "{arguments:?}");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    async fn send(&self, commands: Vec<Value>) -> u64 {
        let client = ApiClient::new(self.json.http.parse().unwrap(), self.json.tokens.admin.parse().unwrap()).unwrap();
        let request = CommandRequest { reason: Some("a law".into()), now: false, commands, key: None };
        let position = client.send_commands(&request).await.unwrap().position;
        position.to_string().parse().unwrap()
    }
}

fn document(number: usize) -> Value {
    json!({"type": "put_document", "id": format!("doc-{number}"), "path": format!("docs/{number}.txt"),
           "media_type": "text/plain", "content": "x", "target": {"all": true}, "priority": number})
}

#[tokio::test]
async fn what_there_is_and_what_happened_is_shown_whole() {
    let dir = folder();
    let dev = Dev::start(dir.path(), 1);
    let before = dev.send((0..700).map(document).collect()).await;
    let far = json!({"nodes": ["far-away"]});
    let more = (700..1_300).map(|number| {
        let mut command = document(number);
        command["target"] = far.clone();
        command
    });
    let after = dev.send(more.collect()).await;

    lists_are_whole_and_narrow_in_time(&dev, before);
    one_thing_is_shown_with_all_that_is_known(&dev);
    what_is_so_is_explained_and_what_followed_is_told(&dev, before);
    refusals_say_why_and_end_as_they_should(&dev);
    events_are_all_there_in_order(&dev, before, after);
    events_go_on(&dev, after).await;
}

fn lists_are_whole_and_narrow_in_time(dev: &Dev, before: u64) {
    let documents = dev.json(&["get", "documents"]);
    assert_eq!(documents.as_array().unwrap().len(), 1_300, "more than a page");
    let past = dev.json(&["get", "document", "--at", &before.to_string()]);
    assert_eq!(past.as_array().unwrap().len(), 700);

    let table = dev.said(&["get", "documents"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 1_301);
    assert!(lines[0].starts_with("ID") && lines[0].ends_with("POSITION"), "{}", lines[0]);
    assert!(
        lines[1].contains("doc-0 ") && lines[1].contains("docs/0.txt") && lines[1].contains(" all "),
        "{}",
        lines[1]
    );

    let nodes = dev.said(&["get", "nodes"]);
    assert!(nodes.lines().nth(1).unwrap().starts_with("node-1 "), "{nodes}");
    let names = dev.json(&["get", "principals"]);
    assert!(names.as_array().unwrap().iter().any(|principal| principal["role"] == "auditor"), "{names}");
    assert!(dev.said(&["get", "principals"]).starts_with("NAME"));
}

fn one_thing_is_shown_with_all_that_is_known(dev: &Dev) {
    let node = dev.said(&["get", "node", "node-1"]);
    assert!(node.contains("id: node-1\n") && node.contains("desired:\n"), "{node}");
    assert_eq!(dev.json(&["get", "nodes", "node-1"])["id"], "node-1");
    let log = dev.said(&["get", "log"]);
    assert!(log.contains("signing_key: "), "{log}");
    assert_eq!(dev.json(&["get", "fleet"])["nodes"], 1);
}

fn what_is_so_is_explained_and_what_followed_is_told(dev: &Dev, before: u64) {
    let why = dev.json(&["why", "node", "node-1", "docs/7.txt"]);
    let parts: Vec<&str> =
        why["because"].as_array().unwrap().iter().map(|reason| reason["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["put", "enrolled"]);
    let put = &why["because"][0];
    assert_eq!((&put["reason"], &put["entity"]), (&json!("a law"), &json!("document/doc-7")));
    let table = dev.said(&["why", "node", "node-1", "docs/7.txt"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("docs/7.txt on node-1: 1 B from document/doc-7, sha256 "), "{table}");
    assert!(lines[2].starts_with("PART") && lines[3].starts_with("put ") && lines[3].ends_with(" a law"), "{table}");
    let far = dev.said(&["why", "node", "node-1", "docs/1000.txt"]);
    assert!(far.starts_with("docs/1000.txt on node-1: nothing, because\n") && far.contains("\nunfit "), "{far}");
    let early = dev.refused(&["why", "node", "node-1", "docs/1000.txt", "--at", &before.to_string()]);
    assert!(early.0 == Some(1) && early.1.contains("unknown_file"), "{early:?}");

    let request = put["command_id"].as_str().unwrap();
    let impact = dev.json(&["impact", request]);
    assert_eq!((impact["events"].as_array().unwrap().len(), &impact["nodes"][0]["node"]), (700, &json!("node-1")));
    assert_eq!(
        impact["nodes"][0]["after"],
        dev.json(&["get", "node", "node-1", "--at", &before.to_string()])["desired"]["digest"]
    );
    let told = dev.said(&["impact", request]);
    assert!(told.starts_with(&format!("request {request} by ")) && told.contains("\nnode-1  "), "{told}");
    assert_eq!(dev.refused(&["why", "job", "nothing"]).0, Some(1));
    assert_eq!(dev.refused(&["impact", "0198b0a2-0000-7000-8000-000000000000"]).0, Some(1));
    assert_eq!(dev.refused(&["impact", "first"]).0, Some(2));
}

fn refusals_say_why_and_end_as_they_should(dev: &Dev) {
    let (code, said) = dev.refused(&["get", "documents", "nowhere"]);
    assert!(code == Some(1) && said.contains("unknown_entity"), "{said}");
    let (code, said) = dev.refused(&["get", "nodes", "--at", "yesterday"]);
    assert!(code == Some(1) && said.contains("RFC 3339"), "{said}");
    assert_eq!(dev.refused(&["get", "weather"]).0, Some(2));
    assert_eq!(dev.refused(&["get", "node", "a.b"]).0, Some(2));
    assert_eq!(dev.refused(&["events", "--entity", "weather/x"]).0, Some(2));
    assert_eq!(dev.refused(&["get", "nodes", "--url", "http://127.0.0.1:1"]).0, Some(3));
    assert_eq!(dev.refused(&["events", "--follow", "--url", "http://127.0.0.1:1"]).0, Some(3));
    assert_eq!(dev.refused(&["get", "nodes", "--token", "hw_wrong"]).0, Some(1));
}

fn events_are_all_there_in_order(dev: &Dev, before: u64, after: u64) {
    let said = dev.said(&["events", "--json"]);
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.len() as u64 >= after);
    assert!((1..).zip(&events).all(|(position, event): (u64, _)| event["position"] == position), "none is left out");
    let later = dev.said(&["events", "--after", &before.to_string(), "--type", "DocumentPut"]);
    assert_eq!(later.lines().count(), 600);
    assert!(later.lines().all(|line| line.contains("DocumentPut") && line.ends_with("\"a law\"")));
    let one = dev.said(&["events", "--entity", "document/doc-7"]);
    assert!(one.lines().count() == 1 && one.contains("document/doc-7 v1"), "{one}");
}

async fn events_go_on(dev: &Dev, after: u64) {
    let arguments = ["events", "--follow", "--json", "--type", "DocumentPut", "--after", &(after - 1).to_string()];
    let mut follower = dev.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let lines = lines(&mut follower);
    let position = || {
        let line = lines.recv_timeout(DEADLINE).expect("another line");
        serde_json::from_str::<Value>(&line).unwrap()["position"].as_u64().unwrap()
    };
    assert_eq!(position(), after, "what was there");
    let next = dev.send(vec![document(9_000)]).await;
    assert_eq!(position(), next, "what came");

    // The server goes, and `dev` starts it again: nothing is lost and nothing comes twice.
    let server: Value = serde_json::from_slice(&fs::read(dev.dir.join("run/serve.pid")).unwrap()).unwrap();
    kill(u32::try_from(server["pid"].as_u64().unwrap()).unwrap(), Signal::KILL);
    let deadline = Instant::now() + DEADLINE;
    let client = ApiClient::new(dev.json.http.parse().unwrap(), dev.json.tokens.admin.parse().unwrap()).unwrap();
    let request =
        CommandRequest { reason: None, now: false, commands: vec![document(9_001)], key: Some("again".into()) };
    let answer = loop {
        match client.send_commands(&request).await {
            Ok(answer) => break answer,
            Err(error) => assert!(Instant::now() < deadline, "the server never came back: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(position().to_string(), answer.position.to_string(), "what came while it was gone");
    follower.kill().unwrap();
    follower.wait().unwrap();
}
