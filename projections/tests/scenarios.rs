//! Behaviour as files that read like a protocol: given what was said before, when this is said, then these events, and
//! these records for the nodes that are concerned.
//!
//! Each line below `given` is a request of its own and must be accepted; all lines below one `when` are one request;
//! what stands below `then` is compared word for word. `UPDATE_SCENARIOS=1` writes it anew; read the difference before
//! you commit it. What a line may say is in [`script`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use histories::script;
use projections::configuration::Configuration;
use projections::proposals::Proposal;
use projections::render::{Manifest, render};
use projections::request::{DecisionWithState, RequestContext, decide_request};
use schema::change::Change;
use schema::command::Command;
use schema::desired::EntryKind;
use schema::digest::Digest;
use schema::entity::{Actor, Entity, Kind};
use schema::event::Event;
use schema::id::{CommandId, JobId, LogId, NodeId, ProposalId, RolloutId};
use schema::instant::Instant;
use schema::invalid::InputError;
use schema::report::{AttemptState, FailedAttempt, RecordRef, ReportSummary};
use schema::request::{Request, RequestItem};
use schema::rollout::{FailureCounts, NodeDigest, RolloutHalted, StageOpened, StagePassed};

/// Entries of a record, or nodes of an answer, that are shown one by one; of more only the sums are.
const SHOWN_MAX: usize = 8;

/// A log in memory, how many requests it was asked, and how many seconds went by beside them.
#[derive(Default)]
struct World {
    state: Configuration,
    requests: i64,
    waited: i64,
    /// Whether the next request says that it means to go around what holds it back.
    now: bool,
    /// Reports of nodes that have not arrived yet.
    sent: BTreeMap<String, ReportSummary>,
}

impl World {
    /// Decides one request, and keeps what it comes to.
    fn ask(&mut self, actor: &Actor, asks: Vec<Result<RequestItem, InputError>>) -> Result<DecisionWithState, String> {
        self.requests += 1;
        let named = |(index, ask): (usize, Result<RequestItem, InputError>)| {
            ask.map_err(|refused| refused.at(&format!("commands[{index}]")))
        };
        let commands: Result<Vec<RequestItem>, InputError> = asks.into_iter().enumerate().map(named).collect();
        let commands = commands.map_err(|refused| format!("refused {} at {}", refused.code, refused.field))?;
        let now = std::mem::take(&mut self.now);
        let request = Request { reason: None, now, commands, fingerprint: Digest::of(b""), bytes: 0 };
        let log_id: LogId = "0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap();
        let envelope = RequestContext {
            log_id,
            command_id: CommandId::derived(log_id, "scenario", &self.requests.to_string()),
            actor: actor.clone(),
            entropy: [7; 16],
            clock: self.clock(),
        };
        let decided = decide_request(&self.state, &envelope, &request).map_err(|refused| {
            let field = refused.field();
            let place = if field.is_empty() { String::from("the whole") } else { field };
            format!("refused {} at {place}: {refused}", refused.refusal.code().as_str())
        })?;
        self.state = decided.configuration.clone();
        Ok(decided)
    }

    fn clock(&self) -> Instant {
        Instant::from_unix_micros((self.requests + self.waited) * 1_000_000)
    }

    /// What is no command: time goes by, also backwards, or nodes report of what they are to run. Such a report may arrive later than it
    /// was sent.
    fn goes_on(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["wait", seconds] => self.waited += seconds.parse::<i64>().unwrap(),
            [how @ ("runs" | "tries" | "rejects" | "refuses" | "lacks_room"), ref nodes @ ..] => {
                nodes.iter().for_each(|id| self.note(id, self.summary(id, how)));
            }
            ["now"] => self.now = true,
            ["sends", how, id] => {
                let summary = self.summary(id, how);
                self.sent.insert(id.into(), summary);
            }
            ["arrives", id] => {
                let summary = self.sent.remove(id).expect("what arrives was sent");
                self.note(id, summary);
            }
            _ => return false,
        }
        true
    }

    /// What a node says of the record that it has now: that it runs well, that it runs and is not known to be good yet, or is rejected.
    fn summary(&self, id: &str, how: &str) -> ReportSummary {
        let node: NodeId = id.parse().unwrap();
        let manifest = render(&self.state, &node).unwrap();
        let record = RecordRef { position: manifest.cause.position, digest: manifest.digest };
        let before = self.state.reports().get(&node).map(|noted| (*noted.summary).clone()).unwrap_or_default();
        let failed = |state: AttemptState, code: &str| {
            let failed = Some(FailedAttempt { record, state, code: Some(code.into()), detail: None });
            ReportSummary { failed, ..before.clone() }
        };
        match how {
            "runs" => ReportSummary { running: Some(record), ..ReportSummary::default() },
            "tries" => ReportSummary { running: Some(record), good: Some(before.good()), ..ReportSummary::default() },
            "rejects" => failed(AttemptState::Failed, "check_rejected"),
            "refuses" => failed(AttemptState::Refused, "kind_unknown"),
            "lacks_room" => failed(AttemptState::Failed, "disk_full"),
            other => panic!("no node {other}"),
        }
    }

    fn note(&mut self, id: &str, summary: ReportSummary) {
        let command = Command::NoteReport(id.parse().unwrap(), summary);
        let noted = RequestItem { command, expected_version: None };
        self.ask(&Actor::Reconciler, vec![Ok(noted)]).unwrap();
    }

    fn manifests(&self) -> BTreeMap<NodeId, Manifest> {
        self.state.nodes().keys().map(|id| (id.clone(), render(&self.state, id).unwrap())).collect()
    }
}

/// What stands below `then` for this request.
fn outcome(world: &mut World, actor: &Actor, asks: Vec<Result<RequestItem, InputError>>) -> String {
    let before = world.manifests();
    let position = world.state.position();
    let silent: BTreeSet<NodeId> = asks.iter().flatten().flat_map(|ask| silent(&ask.command)).cloned().collect();
    let decided = match world.ask(actor, asks) {
        Ok(decided) => decided,
        Err(refused) => {
            assert_eq!((before, position), (world.manifests(), world.state.position()), "a refusal changes nothing");
            return format!("  {refused}\n");
        }
    };
    let mut told = String::new();
    let last = decided.events.len().saturating_sub(SHOWN_MAX);
    if last > 0 {
        writeln!(told, "  … {last} events").unwrap();
    }
    for event in &decided.events[last..] {
        let entity = named(&decided.configuration, event);
        let said = said(&event.change().unwrap());
        writeln!(told, "  {} {} {entity} v{}{said}", event.position, event.event_type, event.version).unwrap();
    }
    for result in decided.answer.results.iter().filter(|result| !result.changed) {
        let waits = waits(world, &result.entity, &silent);
        writeln!(told, "  unchanged {} v{}{waits}", result.entity, result.version).unwrap();
    }
    for (id, manifest) in world.manifests() {
        match decided.affected.contains(&id) {
            true => told.push_str(&record(&manifest)),
            false => assert_eq!(before.get(&id), Some(&manifest), "what does not touch {id} leaves its record alone"),
        }
    }
    told
}

/// What an event says that a rollout did by itself.
fn said(change: &Change) -> String {
    let ids = |nodes: &[NodeDigest]| nodes.iter().map(|node| node.id.to_string()).collect::<Vec<_>>();
    let names = |nodes: &[NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let all = match change {
        Change::NodesReleased(released) => [("", ids(&released.nodes)), (" moot", names(&released.moot))],
        Change::NodesExpected(expected) => [("", ids(&expected.nodes)), (" shadowed", names(&expected.shadowed))],
        Change::NodesOverdue(overdue) => [(" late", names(&overdue.late)), (" lost", names(&overdue.lost))],
        Change::StageOpened(StageOpened { stage, members, quota }) => {
            return format!(", {stage} releases {quota} of {members}");
        }
        Change::StagePassed(StagePassed { stage, absent, .. }) => return format!(", {stage} with {absent} absent"),
        Change::RolloutHalted(RolloutHalted { failures: FailureCounts { failed, late, lost } }) => {
            return format!(", {failed} failed, {late} late, {lost} lost");
        }
        _ => return String::new(),
    };
    let all = all.into_iter().filter(|(_, nodes)| !nodes.is_empty());
    all.map(|(what, nodes)| format!(",{what} {}", nodes.join(" "))).collect()
}

/// The nodes that the reconciler says are silent.
fn silent(command: &Command) -> impl Iterator<Item = &NodeId> {
    let seen = if let Command::AdvanceRollout(seen) = command { Some(seen) } else { None };
    seen.into_iter().flat_map(|seen| &seen.silent)
}

/// What a rollout waits for that was started and has not ended.
fn waits(world: &World, entity: &Entity, silent: &BTreeSet<NodeId>) -> String {
    let id = RolloutId::from(entity.id.clone());
    let is_heard = |id: &NodeId| !silent.contains(id);
    let is_rollout = entity.kind == Kind::Rollout;
    let Some(wait) = is_rollout.then(|| world.state.waiting(&id, world.clock(), is_heard)).flatten() else {
        return String::new();
    };
    let nodes: Vec<&str> = wait.nodes.iter().map(NodeId::as_str).collect();
    let of = if nodes.is_empty() { String::new() } else { format!(" of {}", nodes.join(" ")) };
    let seconds = wait.until.map(|until| until.unix_micros() / 1_000_000);
    let until = seconds.map_or_else(String::new, |seconds| format!(" until {seconds} s"));
    format!(", waiting: {}{of}{until}", wait.reason.name())
}

/// Jobs and proposals have ids made of digests; what they come from says more.
fn named(state: &Configuration, event: &Event) -> String {
    let (entity, id) = (&event.entity, event.entity.id.clone());
    if let Some(job) = state.jobs().all().get(&JobId::from(id.clone())) {
        return format!("job of {}", job.attestation);
    }
    match state.proposals().get(&ProposalId::from(id)) {
        Some(Proposal { said, end, .. }) => {
            let code = end.filter(|end| end.position == event.position).and_then(|end| end.code);
            let code = code.map_or(String::new(), |code| format!(" as {}", code.name()));
            format!("{} {} of {}{code}", entity.kind.name(), said.uuid.uuid().as_u128(), said.node)
        }
        None => entity.to_string(),
    }
}

/// A desired record as a paragraph.
fn record(manifest: &Manifest) -> String {
    let mut told = format!("  {} at {}", manifest.node, manifest.cause.position);
    if manifest.retired {
        told.push_str(", retired");
    }
    if manifest.retry.get() > 0 {
        write!(told, ", retry {}", manifest.retry).unwrap();
    }
    told.push('\n');
    let many = manifest.pieces.len() > SHOWN_MAX;
    let inline: Vec<u64> = manifest.pieces.iter().filter(|piece| piece.inline).map(|piece| piece.entry.size).collect();
    if many {
        let (count, of, bytes) = (inline.len(), manifest.pieces.len(), inline.iter().sum::<u64>());
        writeln!(told, "    … {of} entries, {count} of them inline with {bytes} B").unwrap();
    }
    // Of many entries those at the boundary between inline and fetched are the ones to look at.
    let boundary = manifest.pieces.windows(2).position(|pair| pair[0].inline != pair[1].inline);
    let (first, shown) = if many { (boundary.unwrap_or(0), 2) } else { (0, SHOWN_MAX) };
    for piece in manifest.pieces.iter().skip(first).take(shown) {
        let (entry, how) = (&piece.entry, if piece.inline { "inline" } else { "fetched" });
        let source = &entry.source;
        let path = match entry.kind {
            EntryKind::Document => &entry.path,
            EntryKind::Job => "a job",
            EntryKind::Unknown(_) => unreachable!("what is rendered is known"),
        };
        writeln!(
            told,
            "    {:.40} ← {:.40} v{} at {}, {} B {how}",
            path, source.entity.id, source.version, source.position, entry.size
        )
        .unwrap();
    }
    told
}

/// Runs a file, and returns it as it should read.
fn played(text: &str) -> String {
    let mut world = World::default();
    let mut told = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let block = |lines: &mut std::iter::Peekable<std::str::Lines<'_>>| {
            std::iter::from_fn(|| lines.next_if(|line| line.starts_with("  "))).map(String::from).collect::<Vec<_>>()
        };
        let mut words = line.split_whitespace();
        let heading = words.next().unwrap_or_default();
        if heading != "then" {
            writeln!(told, "{line}").unwrap();
        }
        match heading {
            "scenario" => world = World::default(),
            "given" => {
                for line in block(&mut lines) {
                    writeln!(told, "{line}").unwrap();
                    if world.goes_on(line.trim()) {
                        continue;
                    }
                    for ask in script::asks(line.trim()) {
                        let actor = ask.as_ref().map_or(Actor::Install, script::actor_of);
                        world.ask(&actor, vec![ask]).unwrap_or_else(|refused| panic!("given {line}: {refused}"));
                    }
                }
            }
            "when" => {
                let named: Option<Actor> = words.nth(1).map(|name| name.parse().unwrap());
                let asked = block(&mut lines);
                asked.iter().for_each(|line| writeln!(told, "{line}").unwrap());
                let asked = asked.iter().filter(|line| !world.goes_on(line.trim()));
                let asks: Vec<_> = asked.flat_map(|line| script::asks(line.trim())).collect();
                let usual = || asks.first().and_then(|ask| ask.as_ref().ok()).map_or(Actor::Install, script::actor_of);
                let actor = named.unwrap_or_else(usual);
                write!(told, "then\n{}", outcome(&mut world, &actor, asks)).unwrap();
            }
            "then" => drop(block(&mut lines)),
            "" | "#" => {}
            other => panic!("{other} begins no part of a scenario"),
        }
    }
    told
}

#[test]
fn scenarios_come_out_as_they_are_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are scenarios");
    let mut differing = String::new();
    for path in paths {
        let written = fs::read_to_string(&path).unwrap();
        let played = played(&written);
        if env::var_os("UPDATE_SCENARIOS").is_some() {
            fs::write(&path, &played).unwrap();
        } else if let Some((line, (is, should))) =
            played.lines().zip(written.lines().chain([""])).enumerate().find(|(_, (is, should))| is != should)
        {
            writeln!(differing, "{}:{}\n  written: {should}\n  is:      {is}", path.display(), line + 1).unwrap();
        } else if played.lines().count() != written.lines().count() {
            writeln!(differing, "{}: more is written than comes out", path.display()).unwrap();
        }
    }
    assert!(differing.is_empty(), "\n{differing}UPDATE_SCENARIOS=1 writes them anew");
}
