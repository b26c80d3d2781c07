//! Laws of `headwater dev`, held on the real program with all its parts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::running::{DEADLINE, Dev, folder, kill};
use client::api_client::{ApiClient, CommandRequest};
use lab::identity::Identity;
use rustix::process::Signal;
use serde_json::{Value, json};

/// Children of a `dev` with two nodes.
const CHILDREN: [&str; 5] = ["nats-server", "node-1", "node-2", "postgres", "serve"];

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A `headwater dev` with two nodes.
fn start(dir: &Path) -> Dev {
    Dev::start(dir, 2)
}

impl Dev {
    fn client(&self) -> ApiClient {
        ApiClient::new(self.json.http.parse().unwrap(), self.json.tokens.admin.parse().unwrap()).unwrap()
    }

    /// Its children by name, as it has written them down.
    fn children(&self) -> BTreeMap<String, Identity> {
        let files = fs::read_dir(self.dir.join("run")).unwrap().map(|entry| entry.unwrap().path());
        let pids = files.filter(|path| path.extension().is_some_and(|is| is == "pid"));
        pids.filter_map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            // It may be taken away and written again while we look.
            let identity = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            Some((name, identity))
        })
        .collect()
    }

    /// Puts a document for every node, and waits until each runs it.
    async fn converges_on(&self, content: &str) {
        let client = self.client();
        let put = json!({"type": "put_document", "id": "d", "path": "d.txt", "media_type": "text/plain",
                         "content": content, "target": {"all": true}, "priority": 0});
        let request =
            CommandRequest { reason: None, now: false, commands: vec![put], key: Some(format!("put-{content}")) };
        eventually("the server takes a command", async || client.send_commands(&request).await.is_ok()).await;
        for node in &self.json.nodes {
            let file = node.dir.join("current/files/d.txt");
            eventually("the node has the file", async || fs::read_to_string(&file).is_ok_and(|text| text == content))
                .await;
        }
        eventually("every node says so", async || self.states().await == ["converged", "converged"]).await;
    }

    async fn states(&self) -> Vec<String> {
        let nodes: Vec<Value> = self.client().list("/v1/nodes", &[]).await.unwrap_or_default();
        nodes.iter().map(|node| node["state"].as_str().unwrap().to_owned()).collect()
    }

    fn signal(&self, signal: Signal) {
        kill(self.program.id(), signal);
    }

    /// How it ended.
    async fn ended(&mut self) -> ExitStatus {
        eventually("dev has ended", async || self.program.try_wait().unwrap().is_some()).await;
        self.program.wait().unwrap()
    }
}

async fn are_gone(children: &BTreeMap<String, Identity>) {
    assert_eq!(children.keys().collect::<Vec<_>>(), CHILDREN);
    for (name, child) in children {
        eventually(&format!("{name} is gone"), async || !child.is_alive()).await;
    }
}

#[tokio::test]
async fn a_second_start_goes_on_where_the_first_was_asked_to_end() {
    let dir = folder();
    let mut first = start(dir.path());
    first.converges_on("kept").await;
    let log: Value = first.client().get("/v1/log").await.unwrap();
    let children = first.children();
    first.signal(Signal::TERM);
    assert!(first.ended().await.success(), "it was asked to end, and did");
    are_gone(&children).await;
    assert!(first.children().is_empty(), "nobody is written down any more");

    let second = start(dir.path());
    let again: Value = second.client().get("/v1/log").await.unwrap();
    assert_eq!((&again["log_id"], &again["signing_key"]), (&log["log_id"], &log["signing_key"]));
    assert!(again["position"].as_u64() >= log["position"].as_u64());
    assert_eq!((&second.json.tokens, &second.json.nodes), (&first.json.tokens, &first.json.nodes));
    assert!(second.json.data.is_none(), "all of it is in its folder");
    let kept = second.json.nodes[0].dir.join("current/files/d.txt");
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
    second.converges_on("changed").await;
}

#[tokio::test]
async fn a_child_that_is_killed_comes_back_and_all_goes_on() {
    let dir = folder();
    let dev = start(dir.path());
    for name in CHILDREN {
        let before = dev.children();
        assert_eq!(before.keys().collect::<Vec<_>>(), CHILDREN);
        kill(before[name].pid, Signal::KILL);
        let is_another = |now: &Identity| *now != before[name] && now.is_alive();
        eventually(&format!("{name} comes back"), async || dev.children().get(name).is_some_and(is_another)).await;
        dev.converges_on(name).await;
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_dev_that_is_killed_and_the_next_goes_on() {
    let dir = folder();
    let mut killed = start(dir.path());
    killed.converges_on("before").await;
    let children = killed.children();
    killed.signal(Signal::KILL);
    killed.ended().await;
    are_gone(&children).await;

    let next = start(dir.path());
    assert_eq!(next.json.tokens, killed.json.tokens);
    next.converges_on("after").await;
}

/// What `headwater token` says, and its exit code.
fn token(dev: &Dev, with: &str, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .arg("token")
        .args(arguments)
        .env("HEADWATER_URL", &dev.json.http)
        .env("HEADWATER_TOKEN", with)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test]
async fn a_token_lets_in_as_its_role_until_it_is_revoked() {
    let dir = folder();
    let dev = start(dir.path());
    let admin = dev.json.tokens.admin.clone();
    let (code, said) = token(&dev, &admin, &["create", "--name", "grafana", "--role", "auditor", "--json"]);
    assert_eq!(code, 0, "{said}");
    let made: Value = serde_json::from_str(&said).unwrap();
    let made = made["token"].as_str().unwrap();
    let client = dev.client().with_token(made.parse().unwrap());
    assert!(client.get::<Value>("/v1/fleet").await.is_ok(), "it reads");
    let (code, said) = token(&dev, made, &["create", "--name", "more", "--role", "admin"]);
    assert!(code == 1 && said.contains("not_permitted"), "it does no more: {code} {said}");

    let (_, list) = token(&dev, &admin, &["list"]);
    assert!(list.lines().any(|row| row.starts_with("grafana") && row.contains("good")), "{list}");
    let (_, events) = token(&dev, &admin, &["list", "--json"]);
    assert!(!events.contains(made) && !list.contains(made), "it is shown once");
    let (code, said) = token(&dev, &admin, &["create", "--name", "grafana", "--role", "auditor"]);
    assert!(code == 1 && said.contains("principal_exists"), "{code} {said}");

    assert_eq!(token(&dev, &admin, &["revoke", "grafana"]).0, 0);
    let refused = client.get::<Value>("/v1/fleet").await.unwrap_err();
    assert_eq!(refused.code(), "invalid_token");
    let (code, said) = token(&dev, &admin, &["list", "--url", "http://127.0.0.1:1"]);
    assert!(code == 3 && said.contains("http://127.0.0.1:1"), "{code} {said}");
}
