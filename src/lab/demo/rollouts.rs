//! The last part of the demo: a change reaches one node first, and the others when that runs it well; a bad one goes no further.

use std::time::Instant as Clock;

use api::event::EventView;
use api::path::ROLLOUTS;
use api::rollout::RolloutDetail;
use client::error::Error as ClientError;
use schema::rollout::NodesReleased;
use serde_json::{Value, json};

use super::error::Error;
use super::node::{DemoNode, NodeSnapshot};
use super::screen::Style;
use super::story::{POLL_EVERY, Story, WITHIN};

/// Where the good change lies on each node.
const PATH: &str = "detector/window.json";
const CONTENT: &str = "{\"window_ms\": 80}\n";
/// What no check of these nodes lets through, above every other document at its path.
const BAD_PATH: &str = "detector/high-voltage.json";
const BAD_CONTENT: &str = "{\"bias_v\": 9999}\n";

impl Story {
    /// Rolls out a change that is good.
    pub(super) async fn roll_out(&mut self) -> Result<(), Error> {
        let first = self.places()[0].id.clone();
        self.open("window", &first, PATH, CONTENT, 0).await?;
        let (rollout, held) = self.comes_to("window", &["promoted"]).await?;
        self.say(Style::Plain, &format!("   {}", progress(&rollout)));
        self.claim(held, "every stage passed: the change is for every node");
        let released = self.released("window").await?;
        let order: Vec<String> = released.iter().map(|nodes| nodes.join(" and ")).collect();
        let is_first = released.first().is_some_and(|nodes| *nodes == [first.clone()]);
        self.claim(
            is_first && released.len() > 1,
            &format!("the log released them in this order: {}", order.join(", ")),
        );
        let has = |node: &DemoNode| {
            node.files().is_ok_and(|files| files.get(PATH).is_some_and(|file| file == CONTENT.as_bytes()))
        };
        let (_, held) = self.watch(|nodes| nodes.iter().all(|node| has(node) && node.is_converged())).await?;
        self.claim(held, "every node has the file");
        Ok(())
    }

    /// Rolls out a change that the check of the first node rejects, and takes it back.
    pub(super) async fn take_back(&mut self) -> Result<(), Error> {
        let first = self.places()[0].id.clone();
        let stands: Vec<NodeSnapshot> = self.fetch_nodes().await?.iter().map(DemoNode::snapshot).collect();
        self.open("volts", &first, BAD_PATH, BAD_CONTENT, 1_000_000).await?;
        let (rollout, held) = self.comes_to("volts", &["halted"]).await?;
        self.say(Style::Yellow, &format!("   {}", progress(&rollout)));
        let named = rollout.summary.waiting.as_ref().map(|wait| wait.nodes.nodes.clone()).unwrap_or_default();
        let only = named.iter().map(|node| node.as_str()).eq([first.as_str()]);
        self.claim(
            held && only && rollout.summary.released == 1,
            &format!("the check of {first} said no, and no other node was released"),
        );
        let others = self.fetch_nodes().await?;
        let unmoved = stands.iter().zip(&others).skip(1).all(|(stand, node)| *stand == node.snapshot());
        self.claim(unmoved, "the others did not move");
        self.send("9999 V is too much", vec![json!({"type": "abort_rollout", "id": "volts"})]).await?;
        let (_, held) = self.watch(|nodes| nodes.iter().all(DemoNode::is_done)).await?;
        self.claim(held, &format!("{first} has again what it had"));
        let refused = self.send("once more", vec![put("volts", BAD_PATH, BAD_CONTENT, 1_000_000)]).await;
        let code = match refused {
            Err(Error::Api(ClientError::Refused(problem))) => problem.code,
            _ => String::new(),
        };
        self.claim(code == "revision_aborted", "what was taken back does not come again by itself (revision_aborted)");
        Ok(())
    }

    async fn open(&mut self, id: &str, first: &str, path: &str, content: &str, priority: i32) -> Result<(), Error> {
        let mut staged = put(id, path, content, priority);
        staged["rollout"] = json!(id);
        let canary = json!({"name": "canary", "select": {"nodes": [first]}, "bake_s": 1});
        let commands = vec![
            json!({"type": "open_rollout", "id": id, "max_in_flight": 1, "settle_s": 30, "stages": [canary]}),
            staged,
            json!({"type": "start_rollout", "id": id}),
        ];
        self.send(&format!("{path}, {first} first"), commands).await
    }

    /// Waits until a rollout has one of these statuses.
    async fn comes_to(&self, id: &str, wanted: &[&str]) -> Result<(RolloutDetail, bool), Error> {
        let deadline = Clock::now() + WITHIN;
        loop {
            let rollout: RolloutDetail = self.client().get(&format!("{ROLLOUTS}/{id}")).await?;
            let is_there = wanted.contains(&rollout.summary.status.as_str());
            if is_there || Clock::now() >= deadline {
                return Ok((rollout, is_there));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// The nodes that each `NodesReleased` of a rollout names.
    async fn released(&self, id: &str) -> Result<Vec<Vec<String>>, Error> {
        let query = [("entity", format!("rollout/{id}")), ("type", "NodesReleased".to_owned())];
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let events: Vec<EventView> = self.client().list("/v1/events", &query).await?;
        let named = |event: &EventView| -> Vec<String> {
            let released = serde_json::from_str::<NodesReleased>(event.data.get()).ok();
            released.into_iter().flat_map(|released| released.nodes).map(|node| node.id.to_string()).collect()
        };
        Ok(events.iter().map(named).collect())
    }
}

fn put(id: &str, path: &str, content: &str, priority: i32) -> Value {
    json!({"type": "put_document", "id": id, "path": path, "media_type": "application/json", "content": content,
        "target": {"all": true}, "priority": priority})
}

/// How far it came, in words.
fn progress(rollout: &RolloutDetail) -> String {
    let summary = &rollout.summary;
    format!("{}: {} confirmed, {} failed", summary.status, summary.counts.confirmed, summary.failed)
}
