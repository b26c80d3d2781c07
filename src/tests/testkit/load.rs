//! Callers who never stop: each puts, changes and removes documents of its own, asks for what must be refused, names every
//! request, and remembers what it was answered. What each of them does follows from a seed.
//!
//! Always: a request under a key is sent again under that key until it is answered; one without a key is sent once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::disk::Tree;
use crate::http_api::HttpApi;
use crate::law::Line;

/// The pause before a request that was not answered is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The longest pause of a caller between two requests.
const PAUSE_MS_MAX: u64 = 30;
/// Callers at once.
const CALLERS: u64 = 6;
/// Content of every eighth document is so large that it travels as an object.
const LARGE_BYTES: usize = 40_000;

/// A load that runs until it is ended.
pub struct Load {
    stop: Arc<AtomicBool>,
    pulse: Pulse,
    callers: JoinSet<Told>,
}

/// How long nothing happened at most. Cheap to clone.
#[derive(Clone)]
pub struct Pulse(Arc<Mutex<(Instant, Duration)>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), Duration::ZERO))))
    }
}

impl Pulse {
    /// It happened.
    pub fn beat(&self) {
        let mut pulse = self.0.lock().unwrap();
        *pulse = (Instant::now(), pulse.1.max(pulse.0.elapsed()));
    }

    /// The longest time between two beats.
    pub fn longest(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// What one caller was told.
#[derive(Debug, Default)]
pub struct Told {
    /// Accepted requests by their reason, with their answers.
    answered: Vec<(String, Value)>,
    /// Requests without a key that nobody answered: they may be in the log or not.
    unanswered: Vec<String>,
    /// Requests that had to be refused, whether or not anybody said so.
    refused: Vec<String>,
    /// The caller's documents as they were last accepted.
    last: Tree,
}

/// All of it together.
#[derive(Debug, Default)]
pub struct Outcome {
    told: Vec<Told>,
    /// The longest time in which nobody's request was accepted.
    pub pause: Duration,
}

impl Load {
    /// Begins: callers are spread over the servers, and retry `node` beside putting documents for every node.
    pub fn begin(seed: u64, apis: &[HttpApi], node: &str) -> Self {
        let (stop, pulse) = (Arc::new(AtomicBool::new(false)), Pulse::default());
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let caller = Caller {
                number,
                random: Rng::with_seed(seed.wrapping_add(number)),
                api: apis[usize::try_from(number).unwrap() % apis.len()].clone(),
                others: apis.to_vec(),
                node: node.to_owned(),
                pulse: pulse.clone(),
                told: Told::default(),
            };
            callers.spawn(caller.call(Arc::clone(&stop)));
        }
        Self { stop, pulse, callers }
    }

    /// Ends the load; every request under a key is answered first.
    pub async fn end(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut outcome = Outcome::default();
        while let Some(told) = self.callers.join_next().await {
            outcome.told.push(told.unwrap());
        }
        outcome.pause = self.pulse.longest();
        outcome
    }
}

struct Caller {
    number: u64,
    random: Rng,
    api: HttpApi,
    others: Vec<HttpApi>,
    node: String,
    pulse: Pulse,
    told: Told,
}

impl Caller {
    async fn call(mut self, stop: Arc<AtomicBool>) -> Told {
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match self.random.u8(..10) {
                0 => self.refused(turn).await,
                1 | 2 => self.once(turn).await,
                3 => self.remove(turn).await,
                _ => self.put(turn).await,
            }
            tokio::time::sleep(Duration::from_millis(self.random.u64(..PAUSE_MS_MAX))).await;
        }
        self.told
    }

    /// A document and a retry of the node.
    async fn put(&mut self, turn: usize) {
        let (number, reason) = (self.number, format!("caller {} turn {turn}", self.number));
        let mut content = format!("{reason}\n").into_bytes();
        if self.random.u8(..8) == 0 {
            content.resize(LARGE_BYTES, b'.');
        }
        let path = format!("load/{number}.txt");
        let put = json!({
            "type": "put_document", "id": format!("load-{number}"), "path": path, "media_type": "text/plain",
            "content": String::from_utf8(content.clone()).unwrap(), "target": {"all": true}, "priority": 0,
        });
        self.until_answered(reason, json!([put, {"type": "retry_node", "id": self.node}])).await;
        self.told.last.insert(format!("files/{path}"), content);
    }

    /// The document is taken away, if it is there.
    async fn remove(&mut self, turn: usize) {
        let path = format!("files/load/{}.txt", self.number);
        if self.told.last.contains_key(&path) {
            let remove = json!([{"type": "remove_document", "id": format!("load-{}", self.number)}]);
            self.until_answered(format!("caller {} turn {turn} removes", self.number), remove).await;
            self.told.last.remove(&path);
        }
    }

    /// A request under a key.
    async fn until_answered(&mut self, reason: String, commands: Value) {
        let body = json!({"reason": reason, "commands": commands});
        loop {
            match self.api.post(&body, Some(&reason.replace(' ', "-"))).await {
                Ok(answer) if answer.status == 200 => return self.accepted(reason, answer.body),
                Ok(answer) => assert!(answer.is_for_later(), "{answer:?}"),
                // Any server knows a key that another one has seen.
                Err(_) => self.api = self.others[self.random.usize(..self.others.len())].clone(),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// A retry of the node without a key.
    async fn once(&mut self, turn: usize) {
        let reason = format!("caller {} turn {turn} without a key", self.number);
        let body = json!({"reason": reason, "commands": [{"type": "retry_node", "id": self.node}]});
        match self.api.post(&body, None).await {
            Ok(answer) if answer.status == 200 => self.accepted(reason, answer.body),
            Ok(answer) => {
                assert!(answer.is_for_later(), "{answer:?}");
                self.told.unanswered.push(reason);
            }
            Err(_) => self.told.unanswered.push(reason),
        }
    }

    /// A request whose second command can't be accepted, so that its first one must not be, either.
    async fn refused(&mut self, turn: usize) {
        let reason = format!("caller {} turn {turn} to be refused", self.number);
        let commands = json!([{"type": "retry_node", "id": self.node}, {"type": "remove_document", "id": "nobodys"}]);
        if let Ok(answer) = self.api.post(&json!({"reason": reason, "commands": commands}), None).await {
            assert!([404, 503].contains(&answer.status), "{answer:?}");
        }
        self.told.refused.push(reason);
    }

    fn accepted(&mut self, reason: String, answer: Value) {
        self.pulse.beat();
        self.told.answered.push((reason, answer));
    }
}

impl Outcome {
    /// How many requests were answered.
    pub fn answered(&self) -> usize {
        self.told.iter().map(|told| told.answered.len()).sum()
    }

    /// What every node has to hold of it.
    pub fn tree(&self) -> Tree {
        self.told.iter().flat_map(|told| told.last.clone()).collect()
    }

    /// Every answer is true, every answered request is in the log once and whole, and no refused one is in it.
    pub fn is_true_of(&self, log: &[Line]) {
        let mut said: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
        for line in log {
            said.entry(line.reason.as_deref().unwrap_or_default()).or_default().push(line);
        }
        for told in &self.told {
            for (reason, answer) in &told.answered {
                is_true(reason, answer, said.get(reason.as_str()).map_or(&[], Vec::as_slice));
            }
            for reason in &told.unanswered {
                let times = said.get(reason.as_str()).map_or(0, Vec::len);
                assert!(times <= 1, "{reason} is in the log {times} times");
            }
            for reason in &told.refused {
                assert!(!said.contains_key(reason.as_str()), "{reason} is in the log");
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
