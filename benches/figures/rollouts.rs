//! Rollouts: what a look at one costs where the log waits, what a whole one takes for a large fleet, and what a staged document adds to rendering.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant as Clock;

use projections::configuration::Configuration;
use projections::decide::advance;
use projections::render::render;
use projections::request::{RequestContext, decide_in_place};
use schema::command::{AdvanceRollout, Command};
use schema::entity::Actor;
use schema::id::{CommandId, LogId, NodeId, RolloutId};
use schema::instant::Instant;
use schema::limit::COMMANDS_MAX;
use schema::report::{RecordRef, ReportSummary};
use schema::request::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::times::{median, millis, range};
use crate::{Figure, Result, process};

const NODES: usize = 10_000;
const IN_FLIGHT: usize = 500;
const ROUNDS: usize = 15;

/// A log in memory, whose clock goes on by a second with each request.
struct Fleet {
    state: Configuration,
    requests: u32,
    events: usize,
}

impl Fleet {
    /// Nodes that run what is desired of them, each with ten documents.
    fn new() -> Self {
        let mut fleet = Self { state: Configuration::default(), requests: 0, events: 0 };
        let documents = (0..10).map(|number| put(&format!("base-{number}"), "old"));
        let enrol = |number: usize| json!({"type": "enrol_node", "id": format!("n-{number}"), "labels": {}});
        for some in documents.chain((0..NODES).map(enrol)).collect::<Vec<_>>().chunks(COMMANDS_MAX) {
            fleet.ask(some);
        }
        let all: Vec<NodeId> = fleet.state.nodes().keys().cloned().collect();
        fleet.report(&all);
        let mut staged = put("base-0", "new");
        staged["rollout"] = json!("r");
        fleet.ask(&[
            json!({"type": "open_rollout", "id": "r", "max_in_flight": IN_FLIGHT, "settle_s": 86_400,
                "stages": [{"name": "canary", "up_to": {"count": 10}, "bake_s": 1}]}),
            staged,
            json!({"type": "start_rollout", "id": "r"}),
        ]);
        fleet
    }

    fn ask(&mut self, commands: &[Value]) {
        self.decide(&Request::read(json!({ "commands": commands }).to_string().as_bytes()).expect("a request"));
    }

    fn decide(&mut self, request: &Request) -> usize {
        self.requests += 1;
        let envelope = RequestContext {
            log_id: LogId::from(Uuid::from_u128(1)),
            command_id: CommandId::from(Uuid::from_u128(self.requests.into())),
            actor: Actor::Install,
            entropy: [7; 16],
            clock: self.now(),
        };
        let decided = decide_in_place(&mut self.state, &envelope, request).expect("accepted");
        self.events += decided.events.len();
        decided.events.len()
    }

    fn now(&self) -> Instant {
        Instant::from_unix_micros(i64::from(self.requests) * 1_000_000)
    }

    /// All of these nodes run what is desired of them, and say so.
    fn report(&mut self, nodes: &[NodeId]) {
        for some in nodes.chunks(COMMANDS_MAX) {
            let noted = some.iter().map(|id| {
                let manifest = render(&self.state, id).expect("a record");
                let running = Some(RecordRef { position: manifest.cause.position, digest: manifest.digest });
                Command::NoteReport(id.clone(), ReportSummary { running, ..ReportSummary::default() })
            });
            let request = Request::of(noted.collect::<Vec<_>>());
            self.decide(&request);
        }
    }

    fn seen(&self) -> AdvanceRollout {
        let id: RolloutId = "r".parse().expect("an id");
        let rollout = &self.state.rollouts().open()[&id];
        let ready = self.state.releasable(rollout, self.state.nodes().keys());
        let heard: BTreeSet<NodeId> = ready.take(1_000).cloned().collect();
        AdvanceRollout { id, heard, silent: BTreeSet::new(), overdue: BTreeSet::new(), baked: true }
    }

    fn in_flight(&self) -> Vec<NodeId> {
        let rollouts = self.state.rollouts().open().values();
        rollouts.flat_map(|rollout| rollout.in_flight.iter().cloned()).collect()
    }
}

fn put(id: &str, content: &str) -> Value {
    json!({"type": "put_document", "id": id, "path": format!("etc/{id}"), "media_type": "text/plain", "content": content,
        "target": {"all": true}, "priority": 0})
}

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let mut fleet = Fleet::new();
    // The canary first, then as many as may be in flight.
    for _ in 0..3 {
        fleet.decide(&Request::of([Command::AdvanceRollout(fleet.seen())]));
        if fleet.in_flight().len() < IN_FLIGHT {
            fleet.report(&fleet.in_flight());
        }
    }
    assert_eq!(fleet.in_flight().len(), IN_FLIGHT);
    let look = |fleet: &Fleet, seen: &AdvanceRollout| {
        let began = Clock::now();
        black_box(advance(&fleet.state, seen, fleet.now()));
        millis(began.elapsed())
    };
    let seen = fleet.seen();
    let mut idle: Vec<f64> = (0..ROUNDS).map(|_| look(&fleet, &seen)).collect();
    let mut gathered: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Clock::now();
            black_box(fleet.seen());
            millis(began.elapsed())
        })
        .collect();
    let mut figures = vec![
        Figure::new(
            format!("decide a look: {NODES} members, {IN_FLIGHT} in flight, no room"),
            format!("{:.2} ms", median(&mut idle)),
            range(&idle, 2),
        ),
        Figure::new("choose whom to name in it", format!("{:.2} ms", median(&mut gathered)), range(&gathered, 2)),
    ];
    fleet.report(&fleet.in_flight());
    let seen = fleet.seen();
    let mut releasing: Vec<f64> = (0..ROUNDS).map(|_| look(&fleet, &seen)).collect();
    figures.push(Figure::new(
        format!("decide the release of {IN_FLIGHT} nodes"),
        format!("{:.1} ms", median(&mut releasing)),
        range(&releasing, 1),
    ));
    figures.push(whole()?);
    figures.extend(rendering());
    Ok(figures)
}

/// A whole rollout over all nodes, which report at once.
fn whole() -> Result<Figure> {
    let mut fleet = Fleet::new();
    let (before, began) = (fleet.events, Clock::now());
    let (mut reports, mut looks) = (0, 0);
    while !fleet.state.rollouts().open().is_empty() {
        looks += 1;
        fleet.decide(&Request::of([Command::AdvanceRollout(fleet.seen())]));
        let in_flight = fleet.in_flight();
        reports += in_flight.len();
        fleet.report(&in_flight);
    }
    let (took, events) = (began.elapsed(), fleet.events - before);
    let memory = process::resident_mib(std::process::id())?;
    Ok(Figure::new(
        format!("a rollout over {NODES} nodes, {IN_FLIGHT} in flight"),
        format!("{:.2} s", took.as_secs_f64()),
        format!("{events} events, {reports} of them reports; {looks} looks; {memory:.0} MiB resident"),
    ))
}

/// Rendering a node that a rollout has released, and one that it has not, in turn.
fn rendering() -> Vec<Figure> {
    let mut fleet = Fleet::new();
    fleet.decide(&Request::of([Command::AdvanceRollout(fleet.seen())]));
    let released = fleet.in_flight();
    let others: Vec<NodeId> =
        fleet.state.nodes().keys().filter(|id| !released.contains(id)).take(released.len()).cloned().collect();
    let timed = |nodes: &[NodeId]| {
        let began = Clock::now();
        for node in (0..100).flat_map(|_| nodes) {
            black_box(render(&fleet.state, node));
        }
        began.elapsed().as_secs_f64() * 1e6 / (100 * nodes.len()) as f64
    };
    let pairs: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (timed(&others), timed(&released))).collect();
    let (mut plain, mut staged): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let mut ratios: Vec<f64> = pairs.iter().map(|(plain, staged)| staged / plain).collect();
    let spread = range(&ratios, 2);
    vec![
        Figure::new("render ten documents of a released node", format!("{:.1} µs", median(&mut staged)), ""),
        Figure::new("the same of a node without", format!("{:.1} µs", median(&mut plain)), ""),
        Figure::new("ratio", format!("{:.2} times", median(&mut ratios)), spread),
    ]
}
