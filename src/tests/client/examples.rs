//! The programs of `docs/examples`, which were written from the documents alone, on a real server: a node and a consumer of events.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::running::{Dev, folder};
use client::api_client::{ApiClient, CommandRequest};
use serde_json::{Value, json};
use testkit::eventually::eventually;
use testkit::programs;
use testkit::skipped::did_not_run;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(30);
/// More than travels inside a record, so that it goes through the object store.
const LARGE: usize = 20_000;

/// A Python that has what the examples import: that of `make setup`, or the machine's.
fn python() -> Option<PathBuf> {
    let ours = programs::checkout().join(".tools/python/bin/python");
    let has = |python: &PathBuf| {
        let asked = Command::new(python)
            .args(["-c", "import nats, msgpack, cryptography, nkeys"])
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|asked| asked.success())
    };
    [ours, "python3".into()].into_iter().find(has)
}

fn example(python: &Path, name: &str) -> Command {
    let mut program = Command::new(python);
    program.arg("-B").arg(programs::checkout().join("docs/examples").join(name));
    program
}

/// A running node of the example.
struct Node(Child);

impl Node {
    fn start(python: &Path, dev: &Dev, id: &str, key: &str) -> Self {
        Self::start_in(&dir(dev, id), python, dev, id, key)
    }

    /// The same, in another folder than the one with the keys that the node was enrolled with.
    fn start_in(folder: &Path, python: &Path, dev: &Dev, id: &str, key: &str) -> Self {
        let mut program = example(python, "node.py");
        program.args(["run", "--nats", &dev.json.nats, "--node", id, "--trust", key, "--dir"]).arg(folder);
        Self(program.spawn().unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn dir(dev: &Dev, id: &str) -> PathBuf {
    dev.dir.with_file_name(id)
}

/// The command that enrols a node of the example with the keys that it makes.
fn enrol(python: &Path, dev: &Dev, id: &str) -> Value {
    let printed = example(python, "node.py").args(["key", "--dir"]).arg(dir(dev, id)).output().unwrap();
    let keys: Value = serde_json::from_slice(&printed.stdout).unwrap();
    json!({"type": "enrol_node", "id": id, "labels": {}, "keys": keys})
}

fn client(dev: &Dev) -> ApiClient {
    ApiClient::new(dev.json.http.parse().unwrap(), dev.json.tokens.admin.parse().unwrap()).unwrap()
}

async fn accepted(dev: &Dev, commands: Vec<Value>) {
    let request = CommandRequest { reason: Some("an example".into()), now: false, commands, key: None };
    client(dev).send_commands(&request).await.unwrap();
}

fn put(path: &str, content: &str) -> Value {
    json!({"type": "put_document", "id": path.replace('/', "-"), "path": path, "media_type": "text/plain", "content": content,
           "target": {"all": true}, "priority": 0})
}

/// The node, once it is in this state.
async fn becomes(dev: &Dev, id: &str, state: &str) -> Value {
    eventually(&format!("{id} is {state}"), SOON, async || {
        let node: Value = client(dev).get(&format!("/v1/nodes/{id}")).await.map_err(|error| error.to_string())?;
        if node["state"] == state { Ok(node) } else { Err(node.to_string()) }
    })
    .await
}

#[tokio::test]
async fn a_node_written_from_the_documents_converges_and_refuses_what_its_key_did_not_sign() {
    let Some(python) = python() else {
        return did_not_run(
            "a_node_written_from_the_documents_converges_and_refuses_what_its_key_did_not_sign",
            "there is no Python with nats-py, nkeys, msgpack and cryptography",
        );
    };
    let folder = folder();
    let dev = Dev::start(&folder.path().join("dev"), 0);
    let log: Value = client(&dev).get("/v1/log").await.unwrap();
    let key = log["signing_key"].as_str().unwrap();
    let large = "0123456789".repeat(LARGE / 10);
    let enrolled = ["node-9", "node-8"].map(|id| enrol(&python, &dev, id));
    accepted(&dev, enrolled.into()).await;
    accepted(&dev, vec![put("etc/motd", "hello\n"), put("var/large", &large)]).await;

    let other_keys = dir(&dev, "other-keys");
    let _impostor = Node::start_in(&other_keys, &python, &dev, "node-9", key);
    let node = Node::start(&python, &dev, "node-9", key);
    let other_key = "0".repeat(64);
    let _stranger = Node::start(&python, &dev, "node-8", &other_key);
    let shown = becomes(&dev, "node-9", "converged").await;
    assert_eq!(shown["running"]["digest"], shown["desired"]["digest"]);
    let files = dir(&dev, "node-9").join("current/files");
    assert_eq!(fs::read_to_string(files.join("etc/motd")).unwrap(), "hello\n");
    assert_eq!(fs::read_to_string(files.join("var/large")).unwrap(), large);
    let refused = becomes(&dev, "node-8", "refused").await;
    assert_eq!(refused["reason"]["code"], "bad_signature");
    assert!(!dir(&dev, "node-8").join("current").exists(), "nothing was touched");

    accepted(&dev, vec![put("etc/motd", "hello again\n")]).await;
    becomes(&dev, "node-9", "converged").await;
    assert_eq!(fs::read_to_string(files.join("etc/motd")).unwrap(), "hello again\n");

    drop(node);
    accepted(&dev, vec![json!({"type": "remove_document", "id": "var-large"})]).await;
    let _again = Node::start(&python, &dev, "node-9", key);
    let shown = becomes(&dev, "node-9", "converged").await;
    assert_eq!(shown["reported"]["boot_no"], 2, "{shown}");
    assert!(files.join("etc/motd").exists() && !files.join("var").exists());
    assert!(other_keys.join("node.seed").exists(), "the one with other keys has run");
    assert!(!other_keys.join("state.json").exists(), "it was not let in");
}

/// Reads a golden object as the example does, and says whether it is the content.
const READ_GOLDEN: &str = "
import hashlib, json, pathlib, sys
sys.path.insert(0, 'docs/examples')
import node
for source in sorted(pathlib.Path('schema/tests/golden/objects').glob('*.json')):
    beside = lambda what: bytes.fromhex(source.with_suffix(f'.{what}.hex').read_text())
    golden = json.loads(source.read_text())
    content = golden['content'].encode()
    secret = node.ObjectSecret(golden['log_id'], hashlib.sha256(content).digest())
    assert secret.name().encode() == beside('name'), source
    assert secret.decrypt(beside('ciphertext')) == content, source
    print(source)
";

#[test]
fn the_example_names_and_decrypts_objects_as_the_golden_vectors_say() {
    let name = "the_example_names_and_decrypts_objects_as_the_golden_vectors_say";
    let Some(python) = python() else {
        return did_not_run(name, "there is no Python with nats-py, nkeys, msgpack and cryptography");
    };
    let read = Command::new(python).args(["-B", "-c", READ_GOLDEN]).current_dir(programs::checkout()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(String::from_utf8_lossy(&read.stdout).lines().count() >= 2);
}

/// Runs the consumer up to a position.
fn consume(python: &Path, dev: &Dev, until: u64) -> Output {
    let mut program = example(python, "consumer.py");
    program.args(["--nats", &dev.json.nats, "--nkey-file"]).arg(dev.dir.join("nats/bus/reader.nk"));
    program.arg("--memory").arg(dir(dev, "memory.json")).args(["--until", &until.to_string()]);
    program.output().unwrap()
}

/// The requests that it has read.
fn requests(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_consumer_written_from_the_documents_reads_whole_requests_in_order_and_checks_their_seals() {
    let Some(python) = python() else {
        return did_not_run(
            "a_consumer_written_from_the_documents_reads_whole_requests_in_order_and_checks_their_seals",
            "there is no Python with nats-py, nkeys, msgpack and cryptography",
        );
    };
    let folder = folder();
    let dev = Dev::start(&folder.path().join("dev"), 0);
    accepted(&dev, vec![put("a", "1"), put("b", "2"), put("c", "3")]).await;
    let events: Vec<Value> = client(&dev).list("/v1/events", &[]).await.unwrap();
    let head = events.len() as u64;

    let read = requests(&consume(&python, &dev, head));
    let changes = |request: &Value| request["changes"].as_array().unwrap().len();
    assert_eq!(read.iter().map(changes).sum::<usize>(), events.len(), "every event once");
    let last = read.last().unwrap();
    assert_eq!((last["position"].as_u64(), changes(last)), (Some(head), 3), "a request comes whole");
    assert_eq!(last["changes"][2][1], "document/c");
    let ends: Vec<u64> = read.iter().map(|request| request["position"].as_u64().unwrap()).collect();
    assert!(ends.is_sorted(), "{ends:?}");

    accepted(&dev, vec![put("a", "4")]).await;
    let next = requests(&consume(&python, &dev, head + 1));
    assert_eq!(next.len(), 1, "it goes on where it was: {next:?}");

    let memory = json!({"log_id": "00000000-0000-0000-0000-000000000000", "position": head});
    fs::write(dir(&dev, "memory.json"), memory.to_string()).unwrap();
    let refused = consume(&python, &dev, head + 1);
    let complained = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && complained.contains("this is another log"), "{complained}");
}
