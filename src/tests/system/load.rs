//! Callers who never stop: each puts its own document, names every request, and remembers what it was answered.
//!
//! Always: a request under a key is sent again under that key until it is answered; one without a key is sent once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::disk::Tree;
use crate::door::Door;
use crate::law::Line;

/// The pause before a request that was not answered is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Callers at once.
const CALLERS: usize = 6;
/// Content of every eighth request is so large that it travels as an object.
const LARGE_BYTES: usize = 40_000;

/// A load that runs until it is ended.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: JoinSet<Told>,
}

/// What one caller was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Accepted requests by their reason, with their answers.
    answered: Vec<(String, Value)>,
    /// Requests without a key that nobody answered: they may be in the log or not.
    unanswered: Vec<String>,
    /// The caller's document as it was last accepted.
    last: Tree,
}

/// All of it together.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    told: Vec<Told>,
}

impl Load {
    /// Begins: callers are spread over the doors, and retry `node` beside putting documents for every node.
    pub(crate) fn begin(doors: &[Door], node: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let caller = Caller {
                number,
                door: doors[number % doors.len()].clone(),
                others: doors.to_vec(),
                node: node.to_owned(),
                told: Told::default(),
            };
            callers.spawn(caller.call(Arc::clone(&stop)));
        }
        Self { stop, callers }
    }

    /// Ends the load; every request under a key is answered first.
    pub(crate) async fn end(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut outcome = Outcome::default();
        while let Some(told) = self.callers.join_next().await {
            outcome.told.push(told.unwrap());
        }
        outcome
    }
}

struct Caller {
    number: usize,
    door: Door,
    others: Vec<Door>,
    node: String,
    told: Told,
}

impl Caller {
    async fn call(mut self, stop: Arc<AtomicBool>) -> Told {
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match turn % 4 {
                3 => self.once(turn).await,
                _ => self.until_answered(turn).await,
            }
        }
        self.told
    }

    /// A document and a retry of the node, under a key.
    async fn until_answered(&mut self, turn: usize) {
        let (number, reason) = (self.number, format!("caller {} turn {turn}", self.number));
        let mut content = format!("{reason}\n").into_bytes();
        if turn.is_multiple_of(8) {
            content.resize(LARGE_BYTES, b'.');
        }
        let path = format!("load/{number}.txt");
        let put = json!({
            "type": "put_document", "id": format!("load-{number}"), "path": path, "media_type": "text/plain",
            "content": String::from_utf8(content.clone()).unwrap(), "target": {"all": true}, "priority": 0,
        });
        let body = json!({"reason": reason, "commands": [put, {"type": "retry_node", "id": self.node}]});
        loop {
            match self.door.post(&body, Some(&reason.replace(' ', "-"))).await {
                Ok(answer) if answer.status == 200 => {
                    self.told.answered.push((reason, answer.body));
                    self.told.last.insert(format!("files/{path}"), content);
                    return;
                }
                Ok(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
                // Any server knows a key that another one has seen.
                Err(_) => self.door = self.others[fastrand::usize(..self.others.len())].clone(),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// A retry of the node without a key.
    async fn once(&mut self, turn: usize) {
        let reason = format!("caller {} turn {turn} without a key", self.number);
        let body = json!({"reason": reason, "commands": [{"type": "retry_node", "id": self.node}]});
        match self.door.post(&body, None).await {
            Ok(answer) if answer.status == 200 => self.told.answered.push((reason, answer.body)),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                self.told.unanswered.push(reason);
            }
            Err(_) => self.told.unanswered.push(reason),
        }
    }
}

impl Outcome {
    /// How many requests were answered.
    pub(crate) fn answered(&self) -> usize {
        self.told.iter().map(|told| told.answered.len()).sum()
    }

    /// What every node has to hold of it.
    pub(crate) fn tree(&self) -> Tree {
        self.told.iter().flat_map(|told| told.last.clone()).collect()
    }

    /// Every answer is true, and every answered request is in the log once and whole.
    pub(crate) fn is_true_of(&self, log: &[Line]) {
        let mut said: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
        for line in log {
            said.entry(line.reason.as_deref().unwrap_or_default()).or_default().push(line);
        }
        for told in &self.told {
            for (reason, answer) in &told.answered {
                is_true(reason, answer, &said[reason.as_str()]);
            }
            for reason in &told.unanswered {
                let times = said.get(reason.as_str()).map_or(0, Vec::len);
                assert!(times <= 1, "{reason} is in the log {times} times");
            }
        }
    }
}

fn is_true(reason: &str, answer: &Value, lines: &[&Line]) {
    let events = answer["events"].as_array().unwrap();
    assert_eq!(events.len(), lines.len(), "{reason} is in the log once and whole: {answer} {lines:?}");
    for (event, line) in events.iter().zip(lines) {
        assert_eq!(event["position"], line.position, "{reason}");
        assert_eq!(event["entity"], line.entity, "{reason}");
        assert_eq!(event["version"], line.version, "{reason}");
        assert_eq!(event["type"], line.kind, "{reason}");
        assert_eq!(line.command_id, lines[0].command_id, "{reason}");
    }
    assert_eq!(answer["position"], lines.last().unwrap().position, "{reason}");
}
