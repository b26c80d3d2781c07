//! An observer of the trees of nodes: which content came in force where, and when, against what the log says of a rollout.
//!
//! Always: it shares no code with agents and servers. Every document of the fleet has the same content, so a tree with two contents is a
//! node that has some changes of a rollout and not all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use schema::instant::Instant;
use serde_json::Value;

use crate::disk;
use crate::fleet::Fleet;

/// How often each node is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A content that came in force on a node.
#[derive(Clone, Debug)]
pub struct TreeSighting {
    pub node: String,
    /// Of each document in the tree; none where there is no document.
    pub contents: BTreeSet<String>,
    pub at: Instant,
}

/// Reads the tree of each node all the time, and again whenever `current` points elsewhere.
pub struct TreeObserver {
    ends: Arc<AtomicBool>,
    seen: thread::JoinHandle<TreeSightings>,
}

/// What an observer saw, in the order of time.
#[derive(Clone, Debug, Default)]
pub struct TreeSightings(Vec<TreeSighting>);

impl TreeObserver {
    /// Begins to look at the nodes of a fleet.
    pub fn of(fleet: &Fleet) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let nodes: Vec<(String, PathBuf)> =
            fleet.agents.iter().map(|(id, agent)| (id.clone(), agent.dir.clone())).collect();
        let stop = Arc::clone(&ends);
        let seen = thread::spawn(move || {
            let (mut seen, mut last) = (TreeSightings::default(), BTreeMap::new());
            while !stop.load(Ordering::Relaxed) {
                for (node, dir) in &nodes {
                    let link = fs::read_link(dir.join("current")).ok();
                    if last.get(node) == Some(&link) {
                        continue;
                    }
                    // A generation may be removed while it is read: then `current` points elsewhere by now.
                    if let Ok(tree) = disk::in_force(dir) {
                        let contents = tree.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
                        seen.0.push(TreeSighting { node: node.clone(), contents, at: now() });
                        last.insert(node.clone(), link);
                    }
                }
                thread::sleep(LOOK_EVERY);
            }
            seen
        });
        Self { ends, seen }
    }

    /// Ends it, and gives what it saw.
    pub fn end(self) -> TreeSightings {
        self.ends.store(true, Ordering::Relaxed);
        self.seen.join().unwrap()
    }
}

impl TreeSightings {
    /// The nodes that had a content.
    pub fn nodes_with<'a>(&'a self, content: &'a str) -> BTreeSet<&'a str> {
        self.with(content).map(|seen| seen.node.as_str()).collect()
    }

    /// Checks that no node had the content of a rollout before an event of it named the node, or promoted the rollout; and that each tree had
    /// all of its changes or none. Gives the nodes that had it.
    pub fn came_after_their_events<'a>(&'a self, events: &[Value], content: &'a str) -> BTreeSet<&'a str> {
        for TreeSighting { node, contents, at } in &self.0 {
            assert!(contents.len() <= 1, "{node} had some changes and not all of them at {at}: {contents:?}");
        }
        let released = released(events);
        let promoted = events.iter().find(|event| event["type"] == "RolloutPromoted").map(at_of);
        for TreeSighting { node, at, .. } in self.with(content) {
            let named = released.get(node).or(promoted.as_ref());
            let named = named.unwrap_or_else(|| panic!("{node} had {content:?} at {at}, and no event named it"));
            assert!(named <= at, "{node} had {content:?} at {at}, and was named at {named}");
        }
        self.nodes_with(content)
    }

    fn with<'a>(&'a self, content: &'a str) -> impl Iterator<Item = &'a TreeSighting> {
        self.0.iter().filter(move |seen| seen.contents.contains(content))
    }
}

/// When each node was released, by the events of a rollout. Nothing of a rollout happens twice: a node is released once, a stage opens and
/// passes once, and one event at most promotes it.
pub fn released(events: &[Value]) -> BTreeMap<String, Instant> {
    let (mut released, mut once) = (BTreeMap::new(), BTreeSet::new());
    for event in events {
        let (kind, data) = (event["type"].as_str().unwrap(), &event["data"]);
        match kind {
            "NodesReleased" => {
                let named = data["nodes"].as_array().unwrap().iter().map(|node| &node["id"]);
                for node in named.chain(data["moot"].as_array().into_iter().flatten()) {
                    let node = node.as_str().unwrap().to_owned();
                    let before = released.insert(node, at_of(event));
                    assert!(before.is_none(), "no node is released twice: {event}");
                }
            }
            "StageOpened" | "StagePassed" | "RolloutPromoted" | "RolloutAborted" => {
                assert!(once.insert((kind, data["stage"].as_str())), "it happened before: {event}");
            }
            _ => {}
        }
    }
    released
}

/// The time of an event.
pub fn at_of(event: &Value) -> Instant {
    serde_json::from_value(event["at"].clone()).unwrap()
}

/// The time now, as events have it.
pub fn now() -> Instant {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap())
}
