//! Explanations as files that read like a protocol: given what was said before, why is it so?
//!
//! Each line below `given` is a request of its own; lines below one `together` are one request. A question is a line by
//! itself: `why NODE PATH`, `why job ATTESTATION`, or `impact`, which asks of the last request; what stands indented below
//! it is compared word for word. `UPDATE_SCENARIOS=1` writes it anew; read the difference before you commit it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use histories::script;
use projections::configuration::Configuration;
use projections::outcome::{RecordChange, outcome};
use projections::request::{DecisionWithState, RequestContext, decide_request};
use replay::explain::{Derivation, ExplainError, explain_file, explain_job};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, JobId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use schema::request::Request;

/// A log in memory, and what its last request came to.
#[derive(Default)]
struct World {
    before: Configuration,
    state: Configuration,
    events: BTreeMap<Position, Event>,
    last: Option<DecisionWithState>,
    requests: i64,
}

impl World {
    fn ask(&mut self, lines: &[&str]) {
        self.requests += 1;
        let asks = lines.iter().flat_map(|line| script::asks(line));
        let commands = asks.map(|ask| ask.unwrap_or_else(|refused| panic!("{lines:?}: {}", refused.code))).collect();
        let request = Request { reason: None, now: false, commands, fingerprint: Digest::of(b""), bytes: 0 };
        let log_id: LogId = "0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap();
        let envelope = RequestContext {
            log_id,
            command_id: CommandId::derived(log_id, "scenario", &self.requests.to_string()),
            actor: Actor::Install,
            entropy: [7; 16],
            clock: Instant::from_unix_micros(self.requests * 1_000_000),
        };
        let decided = decide_request(&self.state, &envelope, &request);
        let decided = decided.unwrap_or_else(|refused| panic!("{lines:?}: {refused}"));
        self.events.extend(decided.events.iter().map(|event| (event.position, event.clone())));
        self.before = std::mem::replace(&mut self.state, decided.configuration.clone());
        self.last = Some(decided);
    }

    /// What an event is about. A job is named by a digest; the attestation that it comes from says more.
    fn named(&self, event: &Event) -> String {
        let job = self.state.jobs().all().get(&JobId::from(event.entity.id.clone()));
        job.map_or(event.entity.to_string(), |job| format!("job of {}", job.attestation))
    }

    fn why(&self, asked: &[&str]) -> String {
        let answer = match asked {
            ["job", attestation] => explain_job(&self.state, &JobId::derived(&attestation.parse().unwrap())),
            [node, path] => {
                let job = path.strip_prefix("jobs/").map(|id| JobId::derived(&id.parse().unwrap()));
                let path = job.map_or((*path).to_string(), |job| format!("jobs/{job}.json"));
                explain_file(&self.state, &node.parse().unwrap(), &path)
            }
            _ => panic!("why NODE PATH | why job ATTESTATION: {asked:?}"),
        };
        match answer {
            Ok(why) => self.told(&why),
            Err(ExplainError::Entity(_)) => "  unknown\n".into(),
            Err(ExplainError::Path) => "  nothing was ever there\n".into(),
        }
    }

    fn told(&self, why: &Derivation) -> String {
        let mut told = match &why.found {
            Some(found) => format!("  {} B from {}\n", found.size, found.source.entity),
            None => "  nothing\n".into(),
        };
        for reason in &why.reasons {
            let event = &self.events[&reason.position];
            let (part, what) = (reason.part.name(), self.named(event));
            writeln!(told, "  {part}: {} {} {what} v{}", event.position, event.event_type, event.version).unwrap();
        }
        if why.more > 0 {
            writeln!(told, "  and {} more", why.more).unwrap();
        }
        told
    }

    fn impact(&self) -> String {
        let DecisionWithState { events, affected, .. } = self.last.as_ref().unwrap();
        let found = outcome(&self.before, &self.state, affected, events);
        let digest = |digest: Option<Digest>| digest.map_or("-".into(), |digest| format!("{:.8}", digest.to_string()));
        let mut told = String::new();
        let (changed, unchanged): (Vec<_>, Vec<_>) = found.records.into_iter().partition(RecordChange::is_change);
        for turn in changed {
            writeln!(told, "  {} {} → {}", turn.node, digest(turn.before), digest(turn.after)).unwrap();
        }
        for turn in unchanged {
            writeln!(told, "  {} holds what it held", turn.node).unwrap();
        }
        for turn in found.plan.jobs {
            let job = [&self.state, &self.before].into_iter().find_map(|state| state.jobs().all().get(&turn.job));
            let job = &job.unwrap().attestation;
            writeln!(told, "  job of {job} {} → {}", digest(turn.before), digest(turn.after)).unwrap();
        }
        told
    }
}

/// Runs a file, and returns it as it should read.
fn played(text: &str) -> String {
    let (mut world, mut told) = (World::default(), String::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let block: Vec<&str> = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("  "))).collect();
        writeln!(told, "{line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let told_below = match words[..] {
            ["given"] => {
                block.iter().for_each(|line| world.ask(&[line.trim()]));
                None
            }
            ["together"] => {
                world.ask(&block.iter().map(|line| line.trim()).collect::<Vec<_>>());
                None
            }
            ["why", ref asked @ ..] => Some(world.why(asked)),
            ["impact"] => Some(world.impact()),
            ["scenario", ..] => {
                world = World::default();
                None
            }
            [] | ["#", ..] => None,
            _ => panic!("{line} begins no part of a scenario"),
        };
        match told_below {
            Some(answer) => told.push_str(&answer),
            None => block.iter().for_each(|line| writeln!(told, "{line}").unwrap()),
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
    for path in paths {
        let written = fs::read_to_string(&path).unwrap();
        let played = played(&written);
        match env::var_os("UPDATE_SCENARIOS") {
            Some(_) => fs::write(&path, played).unwrap(),
            None => assert_eq!(played, written, "{}: UPDATE_SCENARIOS=1 writes it anew", path.display()),
        }
    }
}
