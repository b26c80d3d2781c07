//! Histories of claimers, retries, expiries, retirements and changes of what is to be assessed, in any order.

use projections::configuration::Configuration;
use projections::request::{DecisionWithState, RequestContext, decide_request};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use schema::command::{ClaimJobs, Command, CompleteJob, EnrolNode, ReleaseJobs};
use schema::compliance::{
    AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined, Coverage, Provider, SubjectSelector,
};
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, JobId, LogId, NodeId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::lease::LeasedJob;
use schema::request::Request;
use schema::target::Selector;

/// What somebody does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends commands.
    Ask(Vec<Command>),
    /// Completes with what some earlier answer gave, current or not.
    Complete(Index),
    /// Finds the holder of some earlier claim silent, current or not.
    Expire(Index),
}

pub fn log_id() -> LogId {
    "0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap()
}

pub fn envelope(index: usize) -> RequestContext {
    let mut entropy = [0; 16];
    entropy[..8].copy_from_slice(&(index as u64).to_be_bytes());
    RequestContext {
        log_id: log_id(),
        command_id: CommandId::derived(log_id(), "claims", &index.to_string()),
        actor: Actor::Install,
        entropy,
        clock: Instant::from_unix_micros(i64::try_from(index).unwrap() * 1_000_000),
    }
}

pub fn id(kind: &'static str, count: u32) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |index| format!("{kind}{index}"))
}

/// No label or one.
fn some_label() -> impl Strategy<Value = Labels> {
    let label = |pair: (&str, &str)| Labels::from([pair]);
    prop_oneof![Just(Labels::new()), (select(vec!["a", "b"]), select(vec!["0", "1"])).prop_map(label),]
}

pub fn selector() -> impl Strategy<Value = Selector> {
    let equal = |labels: Labels| labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    some_label().prop_map(move |labels| Selector { match_labels: equal(labels), match_expressions: Vec::new() })
}

pub fn define() -> impl Strategy<Value = Command> {
    let cover = prop_oneof![
        btree_set(id("component", 3).prop_map(|id| id.parse().unwrap()), 0..3).prop_map(Coverage::Components),
        selector().prop_map(Coverage::Selector),
    ];
    let title = || select(vec!["one", "two"]).prop_map(String::from);
    prop_oneof![
        1 => (id("control", 2), title()).prop_map(|(id, title)| {
            let said = ControlDefined { title, class: String::new(), statement: String::new(), parameters: [].into(),
                labels: Labels::new() };
            Command::DefineControl(id.parse().unwrap(), said)
        }),
        3 => (id("component", 3), title(), some_label(), btree_set(id("control", 2), 0..2)).prop_map(
            |(id, title, labels, controls)| {
                let controls = controls.iter().map(|id| id.parse().unwrap()).collect();
                let said = ComponentDefined { title, kind: String::new(), controls, properties: [].into(), labels };
                Command::DefineComponent(id.parse().unwrap(), said)
            }),
        2 => (id("assessment", 2), id("control", 2), cover).prop_map(|(id, control, cover)| {
            let said = AssessmentDefined { title: id.clone(), control: control.parse().unwrap(), cover,
                schedule: "0 * * * *".parse().unwrap() };
            Command::DefineAssessment(id.parse().unwrap(), said)
        }),
        4 => (id("attestation", 6), id("assessment", 2), title(), selector()).prop_map(
            |(id, assessment, title, runtime_selector)| {
                let provider = Provider { name: "p".into(), image: String::new(), tag: String::new(),
                    configuration: [].into() };
                let said = AttestationDefined { assessment: assessment.parse().unwrap(), title, provider,
                    selector: SubjectSelector::default(), schedule: None, parameters: [].into(), runtime_selector };
                Command::DefineAttestation(id.parse().unwrap(), said)
            }),
    ]
}

pub fn command() -> impl Strategy<Value = Command> {
    let node = || id("n", 4).prop_map(|id| id.parse::<NodeId>().unwrap());
    let job = || id("attestation", 6).prop_map(|id| JobId::derived(&id.parse().unwrap()));
    prop_oneof![
        8 => define(),
        1 => id("control", 2).prop_map(|id| Command::RemoveControl(id.parse().unwrap())),
        1 => id("component", 3).prop_map(|id| Command::RemoveComponent(id.parse().unwrap())),
        1 => id("assessment", 2).prop_map(|id| Command::RemoveAssessment(id.parse().unwrap())),
        2 => id("attestation", 6).prop_map(|id| Command::RemoveAttestation(id.parse().unwrap())),
        2 => (node(), some_label()).prop_map(|(id, labels)| Command::EnrolNode(EnrolNode { id, labels, keys: None })),
        1 => (node(), some_label()).prop_map(|(id, labels)| Command::LabelNode(id, labels)),
        1 => node().prop_map(Command::RetireNode),
        8 => (node(), 1..5_u32).prop_map(|(runtime, limit)| {
            Command::ClaimJobs(ClaimJobs { runtime, limit, lease_s: 300 })
        }),
        1 => node().prop_map(Command::RenewClaims),
        2 => (node(), option::of(btree_set(job(), 0..3))).prop_map(|(runtime, jobs)| {
            Command::ReleaseJobs(ReleaseJobs { runtime, jobs })
        }),
    ]
}

/// A history that begins with enough to claim.
pub fn history() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => vec(command(), 1..=3).prop_map(Act::Ask),
        2 => any::<Index>().prop_map(Act::Complete),
        2 => any::<Index>().prop_map(Act::Expire),
    ];
    vec(act, 1..40).prop_map(|acts| beginning().into_iter().chain(acts).collect())
}

pub fn beginning() -> Vec<Act> {
    let parse = |id: String| id.parse().unwrap();
    let control = ControlDefined {
        title: "c".into(),
        class: String::new(),
        statement: String::new(),
        parameters: [].into(),
        labels: Labels::new(),
    };
    let assessment = AssessmentDefined {
        title: "a".into(),
        control: "control0".parse().unwrap(),
        cover: Coverage::Selector(Selector::default()),
        schedule: "0 * * * *".parse().unwrap(),
    };
    let attestation = |index: u32| {
        let provider =
            Provider { name: "p".into(), image: String::new(), tag: String::new(), configuration: [].into() };
        let said = AttestationDefined {
            assessment: "assessment0".parse().unwrap(),
            title: "t".into(),
            provider,
            selector: SubjectSelector::default(),
            schedule: None,
            parameters: [].into(),
            runtime_selector: Selector::default(),
        };
        Command::DefineAttestation(format!("attestation{index}").parse().unwrap(), said)
    };
    let nodes = (0..3).map(|index| {
        Command::EnrolNode(EnrolNode { id: parse(format!("n{index}")), labels: Labels::new(), keys: None })
    });
    let definitions = [
        Command::DefineControl("control0".parse().unwrap(), control),
        Command::DefineAssessment("assessment0".parse().unwrap(), assessment),
    ];
    vec![Act::Ask(definitions.into_iter().chain((0..4).map(attestation)).chain(nodes).collect())]
}

/// A run of a history: what was decided, with the state before.
pub struct Run {
    pub decided: Vec<(Configuration, Request, DecisionWithState)>,
    pub state: Configuration,
}

pub fn run(acts: &[Act]) -> Run {
    let mut run = Run { decided: Vec::new(), state: Configuration::default() };
    let mut given: Vec<LeasedJob> = Vec::new();
    for (index, act) in acts.iter().enumerate() {
        let commands = match act {
            Act::Ask(commands) => commands.clone(),
            Act::Complete(_) | Act::Expire(_) if given.is_empty() => continue,
            Act::Complete(index) => {
                let LeasedJob { id, token, spec_digest, .. } = index.get(&given).clone();
                let (outcome, evidence) = ("pass".into(), String::new());
                vec![Command::CompleteJob(CompleteJob { job: id, token, spec_digest, outcome, evidence })]
            }
            Act::Expire(index) => {
                let LeasedJob { id, token, .. } = index.get(&given).clone();
                vec![Command::ExpireClaim(id, token)]
            }
        };
        let request = Request::of(commands);
        let Ok(decided) = decide_request(&run.state, &envelope(index), &request) else { continue };
        given.extend(decided.answer.results.iter().flat_map(|result| result.jobs.iter().flatten()).cloned());
        let before = std::mem::replace(&mut run.state, decided.configuration.clone());
        run.decided.push((before, request, decided));
    }
    run
}

impl Run {
    pub fn events(&self) -> Vec<Event> {
        self.decided.iter().flat_map(|(_, _, decided)| decided.events.clone()).collect()
    }
}
