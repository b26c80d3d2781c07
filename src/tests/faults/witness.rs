//! Somebody who looks all the time, and remembers: which generation each node had in force, where its floor was, where the log
//! ended, when something was published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::connect::connect;
use futures::StreamExt as _;
use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;

use crate::reader;
use testkit::fleet::Fleet;
use testkit::load::Pulse;

/// How often the disks are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often the head of the log is asked for.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long the answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A generation as its folder is named: its position and the first digits of its digest.
type Generation = (u64, String);

/// What was seen. Looking ends when this is dropped.
pub(crate) struct Witness {
    seen: Arc<Mutex<Seen>>,
    /// Beats when something is published.
    pub(crate) published: Pulse,
    /// Beats when any node has something else in force.
    pub(crate) applied: Pulse,
    _looking: [AbortOnDropHandle<()>; 3],
}

#[derive(Default)]
struct Seen {
    generations: BTreeMap<String, Vec<Generation>>,
    floors: BTreeMap<String, u64>,
    head: u64,
    /// Whatever went back.
    wrong: Vec<String>,
}

impl Witness {
    /// Begins to look at a fleet's nodes, log and stream.
    pub(crate) async fn begin(fleet: &Fleet) -> Self {
        let (seen, published, applied) = (Arc::<Mutex<Seen>>::default(), Pulse::default(), Pulse::default());
        let nodes = fleet.agents.iter().map(|(node, agent)| (node.clone(), agent.dir.clone())).collect();
        let disks = look(nodes, Arc::clone(&seen), applied.clone());
        let head = ask(fleet.backends.database(), Arc::clone(&seen));
        let link = connect(&fleet.backends.nats_url(), "witness").await.unwrap();
        let mut events = link.client().subscribe("cfg.events.>").await.unwrap();
        let beats = published.clone();
        let stream = async move {
            while events.next().await.is_some() {
                beats.beat();
            }
        };
        let looking = [tokio::spawn(disks), tokio::spawn(head), tokio::spawn(stream)].map(AbortOnDropHandle::new);
        Self { seen, published, applied, _looking: looking }
    }

    /// Nothing went back, and no node had anything in force but what was desired of it at that very position.
    pub(crate) fn saw_nothing_wrong(&self, desired: &BTreeMap<u64, String>) {
        let seen = self.seen.lock().unwrap();
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        for (node, generations) in &seen.generations {
            for (position, digest) in generations {
                let wanted = desired.get(position).map_or("nothing", String::as_str);
                assert!(wanted.starts_with(digest), "{node} ran {digest} of {position}, where {wanted} was desired");
            }
        }
    }
}

async fn look(nodes: Vec<(String, PathBuf)>, seen: Arc<Mutex<Seen>>, applied: Pulse) {
    loop {
        for (node, dir) in &nodes {
            let (generation, floor) = (in_force(dir), floor(dir));
            let mut seen = seen.lock().unwrap();
            let generations = seen.generations.entry(node.clone()).or_default();
            if let Some(generation) = generation.filter(|new| generations.last() != Some(new)) {
                let before = generations.last().cloned();
                generations.push(generation.clone());
                applied.beat();
                if before.as_ref().is_some_and(|before| before.0 > generation.0) {
                    seen.wrong.push(format!("{node} went from {before:?} to {generation:?}"));
                }
            }
            if let Some(floor) = floor {
                let before = seen.floors.insert(node.clone(), floor);
                if before.is_some_and(|before| before > floor) {
                    seen.wrong.push(format!("the floor of {node} went from {before:?} to {floor}"));
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn in_force(dir: &Path) -> Option<Generation> {
    let link = std::fs::read_link(dir.join("current")).ok()?;
    let (position, digest) = link.file_name()?.to_str()?.split_once('-')?;
    Some((position.parse().ok()?, digest.to_owned()))
}

fn floor(dir: &Path) -> Option<u64> {
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("state.json")).ok()?).ok()?;
    state["floor"]["position"].as_u64()
}

async fn ask(url: String, seen: Arc<Mutex<Seen>>) {
    let mut client: Option<Client> = None;
    loop {
        let asked = async {
            let session = match client.take().filter(|client| !client.is_closed()) {
                Some(session) => session,
                None => reader::session(&url).await.ok()?,
            };
            let row = session.query_one("SELECT position FROM log_head", &[]).await.ok()?;
            client = Some(session);
            u64::try_from(row.get::<_, i64>(0)).ok()
        };
        if let Ok(Some(head)) = tokio::time::timeout(ANSWER_WITHIN, asked).await {
            let mut seen = seen.lock().unwrap();
            if head < seen.head {
                let before = seen.head;
                seen.wrong.push(format!("the head of the log went from {before} to {head}"));
            }
            seen.head = head;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
