//! A fleet that is managed with the program's own commands: the server of a `headwater dev`, and a folder of manifests.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use client::api_client::{ApiClient, CommandRequest};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::running::{Dev, folder};

/// A `headwater dev` without nodes of its own, and a folder of manifests.
pub(crate) struct Fleet {
    pub(crate) dev: Dev,
    pub(crate) manifests: PathBuf,
    _folder: TempDir,
}

impl Fleet {
    pub(crate) fn start() -> Self {
        let folder = folder();
        let dev = Dev::start(&folder.path().join("dev"), 0);
        let manifests = folder.path().join("fleet");
        fs::create_dir(&manifests).unwrap();
        Self { dev, manifests, _folder: folder }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.manifests.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The program with these arguments, for this server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(arguments).env("HEADWATER_URL", &self.dev.json.http);
        command.env("HEADWATER_TOKEN", &self.dev.json.tokens.admin);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The exit code, and all that was printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String) {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> (i32, String) {
        let mut child = self.command(arguments).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout) + &text(output.stderr))
    }

    /// Runs it on all manifests, with `--yes`.
    pub(crate) fn apply(&self, more: &[&str]) -> (i32, String) {
        self.run(&[&["apply", "--yes", "-f", self.manifests.to_str().unwrap()], more].concat())
    }

    pub(crate) fn client(&self) -> ApiClient {
        ApiClient::new(self.dev.json.http.parse().unwrap(), self.dev.json.tokens.admin.parse().unwrap()).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.client().get(path).await.unwrap()
    }

    pub(crate) async fn position(&self) -> u64 {
        self.get("/v1/log").await["position"].as_u64().unwrap()
    }

    pub(crate) async fn send(&self, commands: Vec<Value>) {
        let request = CommandRequest { reason: Some("by hand".into()), now: false, commands, key: None };
        self.client().send_commands(&request).await.unwrap();
    }

    pub(crate) async fn members(&self, bundle: &str) -> Vec<String> {
        let bundle = self.get(&format!("/v1/bundles/{bundle}")).await;
        bundle["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn documents(&self) -> Vec<String> {
        let documents: Vec<Value> = self.client().list("/v1/documents", &[]).await.unwrap();
        documents.iter().map(|document| document["id"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn done((code, said): (i32, String)) -> String {
    assert_eq!(code, 0, "{said}");
    said
}

pub(crate) fn fails(expected: i32, with: &str, (code, said): (i32, String)) {
    assert_eq!(code, expected, "{said}");
    assert!(said.contains(with), "{said}");
}

pub(crate) fn document(id: &str, content: &str) -> String {
    format!("---\nkind: document\nid: {id}\npath: etc/{id}\ncontent: '{content}'\n")
}

pub(crate) fn bundle(id: &str) -> String {
    format!("kind: bundle\nid: {id}\ndefaults: {{priority: 1, target: {{all: true}}}}\n")
}

pub(crate) fn put(id: &str, content: &str) -> Value {
    json!({"type": "put_document", "id": id, "path": format!("etc/{id}"), "media_type": "text/plain", "content": content,
           "target": {"all": true}, "priority": 1})
}
