//! Rollouts on real servers: nodes get a change stage by stage, and none of them before an event has named it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use schema::instant::Instant;
use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::eventually::eventually;
use testkit::fleet::{Fleet, Ways};

const WITHIN: Duration = Duration::from_secs(60);
const NODES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];

/// What was seen on the disk of a node, and when.
type Sighting = (String, String, Instant);

/// Reads the file of every node every 20 ms.
struct Observer {
    ends: Arc<AtomicBool>,
    seen: thread::JoinHandle<BTreeSet<Sighting>>,
}

impl Observer {
    fn of(fleet: &Fleet) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let files: Vec<(String, PathBuf)> =
            NODES.iter().map(|id| ((*id).to_owned(), fleet.node_dir(id).join("current/files/etc/motd"))).collect();
        let stop = Arc::clone(&ends);
        let seen = thread::spawn(move || {
            let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
            while !stop.load(Ordering::Relaxed) {
                for (node, file) in &files {
                    let Ok(content) = fs::read_to_string(file) else { continue };
                    if last.insert(node.clone(), content.clone()).as_ref() != Some(&content) {
                        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                        let at = Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap());
                        seen.insert((node.clone(), content, at));
                    }
                }
                thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        Self { ends, seen }
    }

    fn end(self) -> BTreeSet<Sighting> {
        self.ends.store(true, Ordering::Relaxed);
        self.seen.join().unwrap()
    }
}

async fn events(fleet: &Fleet) -> Vec<Value> {
    let answer = fleet.api().get("/v1/events?limit=1000").await.unwrap();
    answer.body["items"].as_array().unwrap().clone()
}

async fn rollout(fleet: &Fleet, id: &str) -> Value {
    fleet.api().get(&format!("/v1/rollouts/{id}")).await.unwrap().body
}

async fn becomes(fleet: &Fleet, id: &str, status: &str) -> Value {
    eventually(&format!("rollout {id} is {status}"), WITHIN, async || {
        let shown = rollout(fleet, id).await;
        // While it runs it always says what it waits for.
        assert!(shown["status"] != "running" || !shown["waiting"].is_null(), "{shown}");
        if shown["status"] == status { Ok(shown) } else { Err(shown.to_string()) }
    })
    .await
}

fn put(content: &str, rollout: Option<&str>) -> Value {
    let mut put = json!({"type": "put_document", "id": "motd", "path": "etc/motd", "media_type": "text/plain",
        "content": content, "target": {"all": true}, "priority": 0});
    if let Some(rollout) = rollout {
        put["rollout"] = json!(rollout);
    }
    put
}

fn open(id: &str) -> Value {
    let canary = json!({"name": "canary", "select": {"match_labels": {"canary": "1"}}, "bake_s": 1});
    json!({"type": "open_rollout", "id": id, "max_in_flight": 2, "settle_s": 40, "stages": [canary]})
}

async fn runs_everywhere(fleet: &Fleet, content: &str) {
    for node in NODES {
        eventually(&format!("{node} runs {content:?}"), WITHIN, async || {
            let file = fs::read_to_string(fleet.node_dir(node).join("current/files/etc/motd")).unwrap_or_default();
            let shown = fleet.api().get(&format!("/v1/nodes/{node}")).await?;
            if file == content && shown.body["state"] == "converged" {
                Ok(())
            } else {
                Err(format!("{file:?} {shown:?}"))
            }
        })
        .await;
    }
}

/// Whether every sighting of a content came after an event that named the node for it.
fn was_released(
    sightings: &BTreeSet<Sighting>,
    events: &[Value],
    content: &str,
    rollout: &str,
) -> BTreeMap<String, Instant> {
    let mut released: BTreeMap<String, Instant> = BTreeMap::new();
    let of_rollout = events.iter().filter(|event| event["entity"] == format!("rollout/{rollout}"));
    for event in of_rollout.filter(|event| event["type"] == "NodesReleased") {
        let at = serde_json::from_value(event["at"].clone()).unwrap();
        for node in event["data"]["nodes"].as_array().unwrap() {
            released.insert(node["id"].as_str().unwrap().to_owned(), at);
        }
    }
    let mut count = 0;
    for (node, seen, at) in sightings.iter().filter(|(_, seen, _)| seen == content) {
        let released = released.get(node).unwrap_or_else(|| panic!("{node} had {seen:?} and was never released"));
        assert!(released <= at, "{node} had {seen:?} at {at}, and was released at {released}");
        count += 1;
    }
    assert!(count > 0, "somebody had {content:?}");
    released
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_nodes_stage_by_stage_and_a_bad_one_only_the_canary() {
    let check = ["--check", "! grep -q bad {}/files/etc/motd"].map(Into::into).into();
    let ways = Ways { agent_args: check, ..Ways::default() };
    let mut fleet = Fleet::on(TestBackends::with_identities().await, ways).await;
    fleet.serve("all").await;
    fleet.api().accepted(json!({"commands": [put("old\n", None)]})).await;
    for node in NODES {
        fleet.node(node, json!({"canary": if node == "n1" { "1" } else { "0" }})).await;
    }
    runs_everywhere(&fleet, "old\n").await;

    let observer = Observer::of(&fleet);
    let start = |id: &str| json!({"type": "start_rollout", "id": id});
    fleet.api().accepted(json!({"commands": [open("good"), put("good\n", Some("good")), start("good")]})).await;
    let promoted = becomes(&fleet, "good", "promoted").await;
    assert_eq!(promoted["counts"]["confirmed"], 5, "{promoted}");
    runs_everywhere(&fleet, "good\n").await;

    fleet.api().accepted(json!({"commands": [open("bad"), put("bad\n", Some("bad")), start("bad")]})).await;
    let halted = becomes(&fleet, "bad", "halted").await;
    assert_eq!(halted["waiting"], json!({"for": "halted", "nodes": ["n1"], "more": 0}), "{halted}");
    assert_eq!((&halted["released"], &halted["failures"]["failed"]), (&json!(1), &json!(1)), "{halted}");
    let plain = fleet.api().post(&json!({"commands": [put("better\n", None)]}), None).await.unwrap();
    assert_eq!((plain.status, plain.code()), (409, "rollout_open"), "{plain:?}");
    fleet.api().accepted(json!({"reason": "it is bad", "commands": [{"type": "abort_rollout", "id": "bad"}]})).await;
    runs_everywhere(&fleet, "good\n").await;
    let again = fleet.api().post(&json!({"commands": [put("bad\n", None)]}), None).await.unwrap();
    assert_eq!((again.status, again.code()), (409, "revision_aborted"), "{again:?}");
    let aborted = rollout(&fleet, "bad").await;
    assert_eq!(aborted["ended"]["reason"], "it is bad", "{aborted}");

    let (sightings, events) = (observer.end(), events(&fleet).await);
    let released = was_released(&sightings, &events, "good\n", "good");
    assert!(NODES[1..].iter().all(|node| released[*node] > released["n1"]), "the canary is the first: {released:?}");
    assert!(sightings.iter().all(|(_, seen, _)| seen != "bad\n"), "no check let it through: {sightings:?}");
    let of_bad = events.iter().filter(|event| event["entity"] == "rollout/bad" && event["type"] == "NodesReleased");
    let named: Vec<&Value> = of_bad.flat_map(|event| event["data"]["nodes"].as_array().unwrap()).collect();
    assert_eq!(named.len(), 1, "only the canary: {named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_goes_on_with_a_rollout_where_the_first_one_was_killed() {
    let mut fleet = Fleet::on(TestBackends::with_identities().await, Ways::default()).await;
    fleet.serve("all").await;
    fleet.serve("all").await;
    fleet.api().accepted(json!({"commands": [put("old\n", None)]})).await;
    for node in NODES {
        fleet.node(node, json!({"canary": if node == "n1" { "1" } else { "0" }})).await;
    }
    runs_everywhere(&fleet, "old\n").await;
    let observer = Observer::of(&fleet);
    let mut open = open("good");
    open["max_in_flight"] = json!(1);
    let start = json!({"type": "start_rollout", "id": "good"});
    fleet.api().accepted(json!({"commands": [open, put("good\n", Some("good")), start]})).await;
    eventually("a second node was released", WITHIN, async || {
        let shown = rollout(&fleet, "good").await;
        if shown["released"].as_u64() >= Some(2) { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    fleet.servers[0].process.kill();
    fleet.servers.remove(0);
    let promoted = becomes(&fleet, "good", "promoted").await;
    assert_eq!(promoted["counts"]["confirmed"], 5, "{promoted}");
    runs_everywhere(&fleet, "good\n").await;
    let (sightings, events) = (observer.end(), events(&fleet).await);
    assert_eq!(was_released(&sightings, &events, "good\n", "good").len(), 5);
    let passed = events.iter().filter(|event| event["type"] == "StagePassed").count();
    assert_eq!(passed, 2, "each stage passed once");
}
