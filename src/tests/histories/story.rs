//! A log of our own in which everything happens at least once, and files of it.

mod course;
mod rollouts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use projections::configuration::Configuration;
use projections::request::{DecisionWithState, RequestContext, decide_request};
use replay::checkpoint::Checkpoint;
use replay::file::body::{Blob, ExportHeader, ExportRow, texts};
use replay::file::writer::ExportWriter;
use replay::tree::Frontier;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{CommandId, EventId, JobId, LogId};
use schema::instant::Instant;
use schema::lease::LeaseToken;
use schema::request::Request;
use schema::seal::{PublicKey, SecretKey};
use serde_json::{Value, json};

use crate::planned;

pub fn log_id() -> LogId {
    "0197f3a0-0000-7000-8000-0000000000f1".parse().unwrap()
}

pub fn key() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

/// A log with all that belongs to it.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub events: Vec<Event>,
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    pub state: Configuration,
    /// Checkpoints by the position that they are about.
    pub notes: BTreeMap<u64, String>,
    requests: usize,
}

impl Story {
    /// Decides a request and appends what comes of it.
    pub fn request(&mut self, actor: &str, request: &Request) {
        let decided = decide_request(&self.state, &self.envelope(actor), request).unwrap();
        self.take(request, decided);
    }

    fn envelope(&self, actor: &str) -> RequestContext {
        let index = i64::try_from(self.requests).unwrap();
        RequestContext {
            log_id: log_id(),
            command_id: CommandId::derived(log_id(), actor, &index.to_string()),
            actor: actor.parse().unwrap(),
            entropy: [u8::try_from(index % 251).unwrap(); 16],
            clock: Instant::from_unix_micros(1_767_225_600_000_000 + index * 1_500_001),
        }
    }

    fn take(&mut self, request: &Request, decided: DecisionWithState) {
        for command in request.commands.iter().map(|ask| &ask.command) {
            if let Some(content) = command.content() {
                self.blobs.insert(content.digest(), content.bytes().to_vec());
            }
        }
        self.state = decided.configuration;
        self.events.extend(decided.events);
        self.requests += 1;
    }

    /// Decides a request that comes with a plan as older programs made it.
    fn planned_without_rollouts(&mut self, actor: &str, commands: Value) {
        let request = as_planned(commands);
        let decided = planned::decide_planned_without_rollouts(&self.state, &self.envelope(actor), &request).unwrap();
        self.take(&request, decided);
    }

    /// Decides a request that comes with its plan.
    fn planned(&mut self, actor: &str, commands: Value) {
        let request = as_planned(commands);
        let decided = planned::decide_planned(&self.state, &self.envelope(actor), &request).unwrap();
        self.take(&request, decided);
    }

    fn json(&mut self, actor: &str, reason: Value, commands: Value) {
        let body = json!({"reason": reason, "commands": commands});
        self.request(actor, &Request::read(body.to_string().as_bytes()).unwrap());
    }

    /// Appends what happened in another log as a request of its own.
    fn append(&mut self, event: Event) {
        let index = self.requests.to_string();
        let command_id = CommandId::derived(log_id(), "golden", &index);
        let event = Event {
            log_id: log_id(),
            position: self.state.position().next(),
            event_id: EventId::derived(command_id, 1, self.state.at()),
            command_id,
            ordinal: 1,
            count: 1,
            version: self.state.version(&event.entity).next(),
            at: self.state.at(),
            ..event
        };
        let event = event.sealed();
        self.state.fold(&event, &event.change().unwrap());
        self.events.push(event);
        self.requests += 1;
    }

    pub fn position(&self) -> u64 {
        self.events.len() as u64
    }

    /// Signs what is there.
    pub fn sign(&mut self) {
        let root = Frontier::over(self.events.iter().map(|event| event.leaf)).root();
        let checkpoint = Checkpoint { log_id: log_id(), position: self.position().into(), root };
        self.notes.insert(self.position(), checkpoint.sign(&key()));
    }

    /// The token of a job's claim.
    fn token(&self, job: &JobId) -> LeaseToken {
        self.state.jobs().all()[job].claim.as_ref().unwrap().token
    }

    /// The header of a file of the events from `from` to `to`.
    pub fn header(&self, from: u64, to: u64) -> ExportHeader {
        let before = usize::try_from(from - 1).unwrap();
        let frontier = Frontier::over(self.events[..before].iter().map(|event| event.leaf));
        let public: PublicKey = key().public();
        ExportHeader {
            log_id: log_id(),
            public_key: *public.as_bytes(),
            from: from.into(),
            to: to.into(),
            frontier: frontier.roots().to_vec(),
        }
    }

    /// The file of the events from `from` to `to`, as `headwater export` writes it.
    pub fn file(&self, from: u64, to: u64) -> Vec<u8> {
        let mut writer = ExportWriter::new(&self.header(from, to)).with_blocks_of(BLOCK_BYTES);
        let mut written = std::collections::BTreeSet::new();
        let mut bytes = Vec::new();
        let part = &self.events[usize::try_from(from - 1).unwrap()..usize::try_from(to).unwrap()];
        for (_, note) in self.notes.range(from - 1..from) {
            writer.checkpoint(note).unwrap();
        }
        for event in part {
            if let Some(named) = event.change().unwrap().content()
                && written.insert(named.digest)
            {
                writer.blob(&Blob { digest: named.digest, bytes: &self.blobs[&named.digest] }).unwrap();
            }
            if let Some(note) = self.notes.get(&event.position.get()) {
                writer.checkpoint(note).unwrap();
            }
            writer.event(&ExportRow::of(event, &texts(event))).unwrap();
            bytes.append(&mut writer.take());
        }
        bytes.append(&mut writer.finish().0);
        bytes
    }
}

/// Small blocks, so that there are several of each kind.
const BLOCK_BYTES: usize = 2_000;

/// Where the first of two files of the story ends.
pub const FIRST_PART: u64 = 12;

fn as_planned(commands: Value) -> Request {
    let body = json!({"reason": "as planned", "commands": commands});
    Request::read(body.to_string().as_bytes()).unwrap()
}

/// The story.
pub fn told() -> Story {
    let mut story = Story::default();
    course::begins(&mut story);
    assert_eq!(story.position(), FIRST_PART);
    story.sign();
    course::assesses(&mut story);
    story.sign();
    course::ends(&mut story);
    story.sign();
    // What is not signed for yet.
    story.json("ann", Value::Null, json!([{"type": "retry_node", "id": "lund-1"}]));
    story
}

/// The story, and behind it every golden event of a type or format that is younger than the story, whose files are for ever.
/// So an event type is exported and verified as soon as it has a golden event.
pub fn told_to_this_day() -> Story {
    let mut story = told();
    course::proposes(&mut story);
    course::bundles(&mut story);
    course::programs(&mut story);
    rollouts::rolls_out(&mut story);
    let mut known: BTreeSet<(String, u16)> =
        story.events.iter().map(|event| (event.event_type.clone(), event.v)).collect();
    for event in golden_events() {
        if event.change().is_ok() && known.insert((event.event_type.clone(), event.v)) {
            story.append(event);
        }
    }
    story.sign();
    story
}

/// The golden events of the crate `schema`, by the names of their files.
fn golden_events() -> Vec<Event> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schema/tests/golden/events");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect()
}
