//! A fleet for rollouts: nodes that all have the same two documents, a rollout of both, and somebody who reads every tree meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use crate::auditor::{exported, replay};
use crate::backends::TestBackends;
use crate::disk::{self, Tree};
use crate::eventually::eventually;
use crate::fleet::{Fleet, Ways};
use crate::http_api::HttpApi;
use crate::tree_observer::TreeObserver;
use schema::address::READER_ROLE;

/// What nodes run before any rollout.
pub const OLD: &str = "old\n";
/// How long anything of a rollout may take that happens by itself.
pub const WITHIN: Duration = Duration::from_secs(120);
/// The documents and their paths.
const DOCUMENTS: [(&str, &str); 2] = [("motd", "etc/motd"), ("issue", "etc/issue")];

/// How many there are of what.
#[derive(Clone, Copy, Debug)]
pub struct RolloutFleetSize {
    pub servers: usize,
    pub nodes: usize,
    /// Nodes that are labelled `canary`: the first ones.
    pub canaries: usize,
}

/// Servers, nodes that run [`OLD`], and their observer.
pub struct RolloutFleet {
    pub observer: TreeObserver,
    /// The server that is asked: the last one, which does not lead.
    pub api: HttpApi,
    pub fleet: Fleet,
}

impl RolloutFleet {
    /// Starts all of it, agents with arguments beside the usual ones.
    pub async fn start(backends: TestBackends, size: RolloutFleetSize, agent_args: &[&str]) -> Self {
        let ways = Ways { agent_args: agent_args.iter().map(Into::into).collect(), ..Ways::default() };
        let mut fleet = Fleet::on(backends, ways).await;
        for _ in 0..size.servers {
            fleet.serve("all").await;
        }
        fleet.api().accepted(json!({"commands": puts(OLD, None)})).await;
        let canary = |number| json!({"canary": if number <= size.canaries { "1" } else { "0" }});
        fleet.nodes((1..=size.nodes).map(|number| (format!("n-{number:02}"), canary(number)))).await;
        let api = fleet.servers.last().unwrap().api.clone();
        let observer = TreeObserver::of(&fleet);
        let staged = Self { observer, api, fleet };
        staged.runs_everywhere(OLD).await;
        staged
    }

    /// Opens a rollout of a content, stages both documents, and starts it. `policy` is `open_rollout` without type and id.
    pub async fn begins(&self, id: &str, policy: Value, content: &str) {
        let mut open = policy;
        (open["type"], open["id"]) = (json!("open_rollout"), json!(id));
        let start = json!({"type": "start_rollout", "id": id});
        let commands: Vec<Value> = [open].into_iter().chain(puts(content, Some(id))).chain([start]).collect();
        self.api.accepted(json!({ "commands": commands })).await;
    }

    /// A rollout as it is shown. While it runs it always says what it waits for.
    pub async fn shown(&self, id: &str) -> Result<Value, String> {
        let shown = self.api.get(&format!("/v1/rollouts/{id}")).await?.body;
        assert!(shown["status"] != "running" || !shown["waiting"].is_null(), "{shown}");
        Ok(shown)
    }

    /// Waits until a rollout is as it has to be, and gives how it is shown.
    pub async fn becomes(&self, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("rollout {id} {what}"), WITHIN, async || {
            let shown = self.shown(id).await?;
            if is_so(&shown) { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await
    }

    /// Waits until a rollout has a status.
    pub async fn gets(&self, id: &str, status: &str) -> Value {
        let is_so = |shown: &Value| {
            let stops = ["halted", "aborted", "promoted", "completed"].contains(&shown["status"].as_str().unwrap());
            assert!(shown["status"] == status || !stops, "it is never {status}: {shown}");
            shown["status"] == status
        };
        self.becomes(id, &format!("is {status}"), is_so).await
    }

    /// The events of a rollout.
    pub async fn events(&self, id: &str) -> Vec<Value> {
        let answer = self.api.get(&format!("/v1/events?entity=rollout/{id}&limit=1000")).await.unwrap();
        answer.body["items"].as_array().unwrap().clone()
    }

    /// Waits until each node has exactly the documents with a content, and says so.
    pub async fn runs_everywhere(&self, content: &str) {
        let tree = tree_of(content);
        let want = self.fleet.agents.keys().map(|node| (node.clone(), tree.clone())).collect();
        self.fleet.converges_seen_by(&self.api, &want).await;
    }

    /// Whether a node has exactly the documents with a content now.
    pub fn runs(&self, node: &str, content: &str) -> bool {
        disk::same(&self.fleet.node_dir(node), &tree_of(content)).is_ok()
    }

    /// The digest of what is desired of each node.
    pub async fn digests(&self) -> Vec<Value> {
        let mut digests = Vec::new();
        for node in self.fleet.agents.keys() {
            let shown = self.api.get(&format!("/v1/nodes/{node}")).await.unwrap().body;
            digests.push(shown["desired"]["digest"].clone());
        }
        assert!(digests.iter().all(Value::is_string), "{digests:?}");
        digests
    }

    /// Exports the log, and lets the auditor's program check every step of every rollout.
    pub async fn laws_hold(&self) {
        let (dir, file) = (self.fleet.backends.dir.path(), format!("to-{}.hwlog", self.api.position().await));
        exported(dir, &self.fleet.backends.database_as(READER_ROLE), &["--to", &file]);
        let (code, said) = replay(dir, &["laws", &file]);
        assert_eq!((code, &said["ok"]), (Some(0), &json!(true)), "{said}");
        assert!(said["checked"]["released_digest"].as_u64() > Some(0), "releases were checked: {said}");
    }
}

/// Puts both documents with a content, at once or in a rollout.
pub fn puts(content: &str, rollout: Option<&str>) -> Vec<Value> {
    let put = |(id, path)| {
        let mut put = json!({"type": "put_document", "id": id, "path": path, "media_type": "text/plain",
            "content": content, "target": {"all": true}, "priority": 0});
        if let Some(rollout) = rollout {
            put["rollout"] = json!(rollout);
        }
        put
    };
    DOCUMENTS.map(put).into()
}

/// A stage of all nodes that are labelled `canary`.
pub fn canary(bake_s: u32) -> Value {
    json!({"name": "canary", "select": {"match_labels": {"canary": "1"}}, "bake_s": bake_s})
}

fn tree_of(content: &str) -> Tree {
    DOCUMENTS.iter().map(|(_, path)| (format!("files/{path}"), content.into())).collect()
}
