//! A simulated fleet: nodes that do well, reject, are slow, silent or lie, and people who come between.

use std::collections::{BTreeMap, BTreeSet};

use histories::history;
use projections::configuration::Configuration;
use projections::render::render;
use projections::request::{RequestContext, decide_request};
use projections::rollouts::ReleaseOutcome;
use proptest::prelude::*;
use proptest::sample::select;
use schema::command::{AdvanceRollout, Command};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, NodeId, RolloutId};
use schema::instant::Instant;
use schema::report::{AttemptState, FailedAttempt, RecordRef, ReportSummary};
use schema::request::Request;
use serde_json::{Value, json};

/// How a node behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    Well,
    /// Its check rejects whatever has a file of a rollout.
    Rejects,
    /// It applies what it gets, and never finds it good.
    Tries,
    /// It is heard, and applies nothing.
    Slow,
    Silent,
    /// It says that it runs something that nobody desired.
    Lies,
}

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// So many seconds go by.
    Wait(u32),
    /// Every node applies what it can, and reports.
    Report,
    /// The reconciler looks at every rollout.
    Look,
    /// A node behaves in another way.
    Become(u8, Manner),
    /// A person asks for this. What is refused changes nothing.
    Ask(Value),
}

#[derive(Default)]
pub(crate) struct Fleet {
    pub(crate) state: Configuration,
    pub(crate) events: Vec<Event>,
    manners: BTreeMap<NodeId, Manner>,
    seconds: i64,
    requests: u32,
}

fn node(number: u8) -> NodeId {
    format!("n{number}").parse().unwrap()
}

impl Fleet {
    fn ask(&mut self, request: &Request) -> usize {
        let envelope = RequestContext {
            log_id: history::log_id(),
            command_id: CommandId::derived(history::log_id(), "rollouts", &self.requests.to_string()),
            actor: Actor::Install,
            entropy: [7; 16],
            clock: Instant::from_unix_micros(self.seconds * 1_000_000),
        };
        self.requests += 1;
        let Ok(decided) = decide_request(&self.state, &envelope, request) else { return 0 };
        self.state = decided.configuration;
        self.events.extend(decided.events.iter().cloned());
        decided.events.len()
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(seconds) => self.seconds += i64::from(*seconds),
            Step::Become(number, manner) => drop(self.manners.insert(node(*number), *manner)),
            Step::Ask(commands) => {
                let body = json!({ "commands": commands }).to_string();
                self.ask(&Request::read(body.as_bytes()).unwrap());
            }
            Step::Report => {
                let nodes: Vec<NodeId> = self.state.nodes().keys().cloned().collect();
                nodes.iter().for_each(|id| self.report(id));
            }
            Step::Look => self.look(),
        }
    }

    fn manner(&self, id: &NodeId) -> Manner {
        self.manners.get(id).copied().unwrap_or(Manner::Well)
    }

    fn report(&mut self, id: &NodeId) {
        let manifest = render(&self.state, id).unwrap();
        let record = RecordRef { position: manifest.cause.position, digest: manifest.digest };
        let before = self.state.reports().get(id).map(|noted| (*noted.summary).clone()).unwrap_or_default();
        let is_candidate = manifest.pieces.iter().any(|piece| piece.entry.path.starts_with("staged"));
        let summary = match self.manner(id) {
            Manner::Silent | Manner::Slow => return,
            Manner::Lies => {
                let digest = Digest::of(id.as_str().as_bytes());
                ReportSummary { running: Some(RecordRef { digest, ..record }), ..ReportSummary::default() }
            }
            Manner::Tries => {
                ReportSummary { running: Some(record), good: Some(before.good()), ..ReportSummary::default() }
            }
            Manner::Rejects if is_candidate && before.running.map(|running| running.digest) != Some(record.digest) => {
                let (state, code) = (AttemptState::Failed, Some("check_rejected".into()));
                ReportSummary { failed: Some(FailedAttempt { record, state, code, detail: None }), ..before }
            }
            Manner::Rejects | Manner::Well => ReportSummary { running: Some(record), ..ReportSummary::default() },
        };
        self.ask(&Request::of([Command::NoteReport(id.clone(), summary)]));
    }

    fn look(&mut self) {
        let is_silent = |id: &&NodeId| matches!(self.manner(id), Manner::Silent);
        let (silent, heard): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
            self.state.nodes().keys().cloned().partition(|id| is_silent(&id));
        let rollouts: Vec<RolloutId> = self.state.rollouts().open().keys().cloned().collect();
        for id in rollouts {
            let (heard, silent, seen_id) = (heard.clone(), silent.clone(), id.clone());
            let overdue = heard.union(&silent).cloned().collect();
            let seen =
                Request::of([Command::AdvanceRollout(AdvanceRollout { id, heard, silent, overdue, baked: true })]);
            // What was said once is decided once: it comes to rest.
            let rounds = (0..10).take_while(|_| self.ask(&seen) > 0).count();
            assert!(rounds < 10, "the same look makes something new ten times");
            self.check_noted(&seen_id);
        }
    }

    /// After a look nobody is passed over: who counts as not concerned is not, and nobody is waited for that has rejected what it has now.
    fn check_noted(&self, id: &RolloutId) {
        let rollout = self.state.rollouts().open().get(id);
        for node in rollout.into_iter().flat_map(|rollout| &rollout.released) {
            let release = self.state.rollouts().release(id, node).expect("it is released");
            let manifest = render(&self.state, node).unwrap();
            let without = render(&self.state.unreleased(id, node), node).unwrap();
            let is_unconcerned = !release.in_flight && release.outcome.is_some_and(ReleaseOutcome::is_unconcerned);
            assert!(!is_unconcerned || manifest.digest == without.digest, "{node} has changes of {id}: {release:?}");
            let record = RecordRef { position: manifest.cause.position, digest: manifest.digest };
            let failed = self.state.reports().get(node).and_then(|noted| noted.summary.failed.as_ref());
            let is_rejected = failed.is_some_and(|failed| failed.record == record);
            assert!(!(release.in_flight && is_rejected), "{node} has rejected what it has of {id}: {release:?}");
        }
    }
}

fn put(id: u8, version: u8, rollout: Option<u8>, target: Value) -> Value {
    let path = if rollout.is_some() { format!("staged/{id}") } else { format!("plain/{id}") };
    let mut put = json!({"type": "put_document", "id": format!("d{id}"), "path": path, "media_type": "text/plain",
        "content": format!("{id} {version} {rollout:?}"), "target": target, "priority": 0});
    if let Some(rollout) = rollout {
        put["rollout"] = json!(format!("r{rollout}"));
    }
    put
}

fn target() -> impl Strategy<Value = Value> {
    select(vec![json!({"all": true}), json!({"match_labels": {"k": "1"}}), json!({"nodes": ["n1", "n2", "n5"]})])
}

/// What belongs to a rollout, each in a request of its own, and what comes over its documents or takes them away.
fn apart() -> impl Strategy<Value = Value> {
    let rollout = || 0..3_u8;
    let removed = (0..13_u8).prop_map(|id| json!([{"type": "remove_document", "id": format!("d{id}")}]));
    let opened = rollout().prop_map(|id| {
        json!([{"type": "open_rollout", "id": format!("r{id}"), "max_in_flight": 2, "settle_s": 20,
            "stages": [{"name": "canary", "up_to": {"count": 1}, "bake_s": 1}]}])
    });
    let staged = (rollout(), 0..3_u8, 0..9_u8, target())
        .prop_map(|(rollout, document, version, target)| json!([put(document, version, Some(rollout), target)]));
    // Something above a document of a rollout, and its removal, change what the rollout means on a node.
    let over = (0..3_u8, target(), any::<bool>()).prop_map(|(id, target, comes)| {
        let over = format!("over{id}");
        let put = json!({"type": "put_document", "id": over, "path": format!("staged/{id}"), "media_type": "text/plain",
            "content": "over", "target": target, "priority": 9});
        json!([if comes { put } else { json!({"type": "remove_document", "id": over}) }])
    });
    let started = rollout().prop_map(|id| json!([{"type": "start_rollout", "id": format!("r{id}")}]));
    prop_oneof![2 => removed, 2 => opened, 3 => staged, 3 => started, 3 => over]
}

fn manner() -> impl Strategy<Value = Manner> {
    let others = [Manner::Rejects, Manner::Tries, Manner::Slow, Manner::Silent, Manner::Lies];
    prop_oneof![2 => Just(Manner::Well), 5 => select(others.to_vec())]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let rollout = || 0..3_u8;
    let number = || 0..6_u8;
    let named = |kind: &'static str| rollout().prop_map(move |id| json!([{"type": kind, "id": format!("r{id}")}]));
    let labels = |kind: &'static str| {
        (number(), 0..2_u8).prop_map(
            move |(id, label)| json!([{"type": kind, "id": format!("n{id}"), "labels": {"k": label.to_string()}}]),
        )
    };
    let started = (rollout(), 0..3_u8, 0..9_u8, target(), 1..3_u8, any::<bool>(), 0..2_u32, 0..2_u8);
    let started = started.prop_map(|(rollout, document, version, target, in_flight, aborts, failures, gate)| {
        let canary = json!({"name": "canary", "select": {"match_labels": {"k": "1"}}, "up_to": {"percent": 60},
            "bake_s": 5, "gate": if gate == 1 { "approval" } else { "auto" }});
        let second = json!({"name": "second", "up_to": {"percent": 40}, "bake_s": 2});
        let opened = json!({"type": "open_rollout", "id": format!("r{rollout}"), "max_in_flight": in_flight,
            "settle_s": 20, "max_failures": {"count": failures}, "on_failure": if aborts { "abort" } else { "halt" },
            "stages": if version % 3 == 0 { json!([canary, second]) } else { json!([canary]) }});
        json!([opened, put(document, version, Some(rollout), target.clone()),
            put(document + 10, version, Some(rollout), target), {"type": "start_rollout", "id": format!("r{rollout}")}])
    });
    let removal = (rollout(), 0..3_u8).prop_map(|(rollout, document)| {
        let rollout = format!("r{rollout}");
        json!([{"type": "open_rollout", "id": rollout, "max_in_flight": 2, "settle_s": 20,
                "stages": [{"name": "rest", "bake_s": 1}]},
            {"type": "remove_document", "id": format!("d{document}"), "rollout": rollout},
            {"type": "start_rollout", "id": rollout}])
    });
    let plain = (0..6_u8, 0..3_u8, target()).prop_map(|(id, version, target)| json!([put(id, version, None, target)]));
    let resume = rollout()
        .prop_map(|id| json!([{"type": "resume_rollout", "id": format!("r{id}"), "max_failures": {"count": 2}}]));
    let approve =
        rollout().prop_map(|id| json!([{"type": "approve_stage", "id": format!("r{id}"), "stage": "canary"}]));
    let retire = number().prop_map(|id| json!([{"type": "retire_node", "id": format!("n{id}")}]));
    let retry = number().prop_map(|id| json!([{"type": "retry_node", "id": format!("n{id}")}]));
    let ask = prop_oneof![
        13 => apart(),
        6 => started,
        2 => removal,
        4 => plain,
        2 => labels("label_node"),
        1 => labels("enrol_node"),
        1 => retire,
        1 => retry,
        1 => named("pause_rollout"),
        2 => resume,
        3 => approve,
        1 => named("abort_rollout"),
        4 => named("complete_rollout"),
    ];
    prop_oneof![
        5 => (0..12_u32).prop_map(Step::Wait),
        7 => Just(Step::Report),
        8 => Just(Step::Look),
        2 => (number(), manner()).prop_map(|(id, manner)| Step::Become(id, manner)),
        5 => ask.prop_map(Step::Ask),
    ]
}

/// A fleet of five nodes after these steps.
pub(crate) fn after(steps: &[Step]) -> Fleet {
    let mut fleet = Fleet::default();
    for id in 0..5 {
        let enrol = json!([{"type": "enrol_node", "id": format!("n{id}"), "labels": {"k": (id % 2).to_string()}}]);
        fleet.step(&Step::Ask(enrol));
    }
    steps.iter().for_each(|step| fleet.step(step));
    fleet
}
