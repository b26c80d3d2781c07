//! Histories that could have been: requests of every kind about few things with few names, so that they meet.

use std::collections::BTreeSet;

use projections::configuration::Configuration;
use projections::request::{DecisionWithState, RequestContext, decide_request};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use schema::command::{
    AcceptProposal, AdvanceRollout, AssignBundle, Command, Content, CreatePrincipal, EnrolNode, Merge, Propose,
    PutDocument, RejectProposal, RelabelNodes, RemoveDocument, ResumeRollout, Role, SetMark,
};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, LogId, NodeId, ProposalId, ProposalUuid, RolloutId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::Position;
use schema::proposal::ProposalBase;
use schema::report::{RecordRef, ReportSummary};
use schema::request::{Request, RequestItem};
use schema::rollout::{
    AbsenceLimit, FailureAction, FailureLimit, REST, RolloutOpened, RolloutStage, StageGate, StageQuota,
};
use schema::target::{Operator, Requirement, Selector, Target};
use uuid::Uuid;

use crate::planned;

/// The log that all histories are of.
pub fn log_id() -> LogId {
    "0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap()
}

/// Decides requests one after another, from the empty log on; refused ones leave nothing behind.
pub fn decided(requests: &[Request]) -> Vec<DecisionWithState> {
    let mut state = Configuration::default();
    let mut taken = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        if let Some(decided) = decide(&state, index, request) {
            state = decided.configuration.clone();
            taken.push(decided);
        }
    }
    taken
}

/// Decides a request; each second one that assigns a bundle comes with its plan.
fn decide(state: &Configuration, index: usize, request: &Request) -> Option<DecisionWithState> {
    let envelope = envelope_of(index, request);
    let assigns = request.commands.iter().any(|ask| matches!(ask.command, Command::AssignBundle(_)));
    match assigns && index % 2 == 1 {
        true => planned::decide_planned(state, &envelope, request).ok(),
        false => decide_request(state, &envelope, request).ok(),
    }
}

/// All events of a history.
pub fn events(requests: &[Request]) -> Vec<Event> {
    decided(requests).into_iter().flat_map(|decided| decided.events).collect()
}

/// What comes in with the request at `index`. The clock sometimes runs backwards, as clocks do.
pub fn envelope(index: usize) -> RequestContext {
    let seconds = i64::try_from(index).unwrap();
    RequestContext {
        log_id: log_id(),
        command_id: CommandId::derived(log_id(), "history", &index.to_string()),
        actor: Actor::Install,
        entropy: [7; 16],
        clock: Instant::from_unix_micros((seconds - 5 * (seconds % 2)) * 1_000_000),
    }
}

/// As [`envelope`], with the actor that may send the request: a node proposes for itself, and nobody else does.
pub fn envelope_of(index: usize, request: &Request) -> RequestContext {
    match &request.commands[0].command {
        Command::Propose(Propose { node, .. }) | Command::WithdrawProposal(node, _) => {
            RequestContext { actor: Actor::Node(node.clone()), ..envelope(index) }
        }
        _ => envelope(index),
    }
}

/// Up to 40 requests of up to 4 commands.
pub fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (option::of("[a-z]{0,5}"), vec(ask(), 1..=4));
    let request = request.prop_map(|(reason, commands)| Request {
        reason,
        now: false,
        commands,
        fingerprint: Digest::of(b""),
        bytes: 0,
    });
    vec(prop_oneof![8 => request, 2 => of_a_node().prop_map(|command| Request::of([command]))], 1..40)
}

fn ask() -> impl Strategy<Value = RequestItem> {
    let expected = prop_oneof![9 => Just(None), 1 => (0..4_u64).prop_map(|version| Some(version.into()))];
    (command(), expected).prop_map(|(command, expected_version)| RequestItem { command, expected_version })
}

/// A command that only a node may send.
fn of_a_node() -> impl Strategy<Value = Command> {
    let propose = (proposal(), document_path(), 0..3_usize, option::of(0..3_usize)).prop_map(
        |((node, uuid), path, size, base)| {
            let digest = base.map(|size| Digest::of(&vec![b'x'; size]));
            Command::Propose(Propose {
                node,
                uuid,
                path: path.parse().unwrap(),
                media_type: "text/plain".parse().unwrap(),
                content: Content::new(vec![b'x'; size]).unwrap(),
                base: ProposalBase { position: 1.into(), digest },
            })
        },
    );
    prop_oneof![6 => propose, 1 => proposal().prop_map(|(node, uuid)| Command::WithdrawProposal(node, uuid))]
}

/// A proposal of one of a few nodes.
fn proposal() -> impl Strategy<Value = (NodeId, ProposalUuid)> {
    let uuid = (0..12_u128).prop_map(|number| ProposalUuid::from(Uuid::from_u128(number)));
    (id("n", 3).prop_map(|id| id.parse().unwrap()), uuid)
}

fn decide_proposal() -> impl Strategy<Value = Command> {
    (proposal(), any::<bool>(), option::of(-1..2_i32)).prop_map(|((node, uuid), anyway, priority)| {
        let id = ProposalId::derived(&node, uuid);
        match priority {
            Some(-1) => Command::RejectProposal(RejectProposal { id, reason: "no".into() }),
            priority => Command::AcceptProposal(AcceptProposal { id, priority, anyway }),
        }
    })
}

fn relabel_nodes() -> impl Strategy<Value = Command> {
    (target(), labels(), key()).prop_map(|(target, set, key)| {
        let unset = (!set.contains_key(&key)).then_some(key).into_iter().collect();
        Command::RelabelNodes(RelabelNodes { target, set, unset })
    })
}

fn document_path() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "a/b", "a-b", "b", "c", "c/d/e"])
}

/// A command about one of a few things.
pub fn command() -> impl Strategy<Value = Command> {
    let document = || id("d", 5);
    let node = || id("n", 5);
    let principal = || id("p", 3);
    prop_oneof![
        8 => put_document(),
        2 => (document(), in_rollout()).prop_map(|(id, rollout)| {
            Command::RemoveDocument(RemoveDocument { id: id.parse().unwrap(), rollout })
        }),
        6 => about_rollout(),
        4 => (node(), labels()).prop_map(|(id, labels)| Command::EnrolNode(EnrolNode { id: id.parse().unwrap(), labels, keys: None })),
        3 => (node(), labels()).prop_map(|(id, labels)| Command::LabelNode(id.parse().unwrap(), labels)),
        2 => relabel_nodes(),
        2 => node().prop_map(|id| Command::RetireNode(id.parse().unwrap())),
        1 => node().prop_map(|id| Command::RetryNode(id.parse().unwrap())),
        1 => (principal(), any::<bool>(), 0..4_u8).prop_map(create_principal),
        1 => principal().prop_map(|name| Command::RevokePrincipal(name.parse().unwrap())),
        1 => (node(), 0..3_u64).prop_map(note_report),
        4 => decide_proposal(),
        2 => (node(), labels()).prop_map(|(id, labels)| Command::PutNode(id.parse().unwrap(), labels)),
        4 => assign_bundle(),
        1 => id("b", 2).prop_map(|id| Command::RemoveBundle(id.parse().unwrap())),
        1 => (id("m", 2), option::of(0..20_u64), any::<bool>()).prop_map(|(id, position, moves)| {
            Command::Mark(SetMark { id: id.parse().unwrap(), position: position.map(Position::from), moves })
        }),
    ]
}

/// An assignment of a few of the things that there may be.
pub fn assign_bundle() -> impl Strategy<Value = Command> {
    let member = prop_oneof![
        3 => id("d", 5).prop_map(|id| format!("document/{id}")),
        1 => id("n", 5).prop_map(|id| format!("node/{id}")),
    ];
    let members = btree_set(member.prop_map(|member| member.parse().unwrap()), 0..4);
    (id("b", 2), members, any::<[bool; 3]>()).prop_map(|(id, members, [take, empty, grow])| {
        Command::AssignBundle(AssignBundle { id: id.parse().unwrap(), members, take, empty, grow })
    })
}

fn id(kind: &'static str, count: u32) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |index| format!("{kind}{index}"))
}

fn put_document() -> impl Strategy<Value = Command> {
    let size = prop_oneof![0..4_usize, select(vec![4_096_usize, 4_097])];
    let mode = prop_oneof![3 => Just(DocumentMode::Plain), 1 => Just(DocumentMode::Executable)];
    (id("d", 5), document_path(), size, target(), -1..2_i32, mode, in_rollout()).prop_map(
        |(id, path, size, target, priority, mode, rollout)| {
            Command::PutDocument(PutDocument {
                id: id.parse().unwrap(),
                path: path.parse().unwrap(),
                media_type: "text/plain".parse().unwrap(),
                content: Content::new(vec![b'x'; size]).unwrap().into(),
                target,
                priority,
                merge: Merge::Replace,
                mode,
                rollout,
            })
        },
    )
}

/// Now and then the rollout whose nodes get a change.
fn in_rollout() -> impl Strategy<Value = Option<RolloutId>> {
    prop_oneof![2 => Just(None), 1 => rollout().prop_map(Some)]
}

fn rollout() -> impl Strategy<Value = RolloutId> {
    id("r", 3).prop_map(|id| id.parse().unwrap())
}

/// A command about one of a few rollouts. What was seen of its nodes is anything.
fn about_rollout() -> impl Strategy<Value = Command> {
    let seen = (rollout(), nodes(), nodes());
    prop_oneof![
        4 => (rollout(), policy()).prop_map(|(id, opened)| Command::OpenRollout(id, opened)),
        6 => rollout().prop_map(Command::StartRollout),
        1 => rollout().prop_map(Command::PauseRollout),
        2 => (rollout(), option::of(0..3_u32)).prop_map(|(id, count)| {
            Command::ResumeRollout(ResumeRollout { id, max_failures: count.map(|count| FailureLimit { count }) })
        }),
        1 => rollout().prop_map(Command::AbortRollout),
        1 => rollout().prop_map(Command::CompleteRollout),
        8 => (seen, any::<bool>()).prop_map(|((id, heard, silent), baked)| {
            let overdue = heard.union(&silent).cloned().collect();
            Command::AdvanceRollout(AdvanceRollout { id, heard, silent, overdue, baked })
        }),
    ]
}

fn nodes() -> impl Strategy<Value = BTreeSet<NodeId>> {
    btree_set(id("n", 5).prop_map(|id| id.parse().unwrap()), 0..5)
}

/// A policy with one stage before the last, or none.
pub fn policy() -> impl Strategy<Value = RolloutOpened> {
    let stage =
        (option::of(target()), 1..3_u32, any::<bool>(), 0..3_u32).prop_map(|(select, count, percent, bake_s)| {
            let up_to = if percent { StageQuota::Percent(count * 50) } else { StageQuota::Count(count) };
            let (name, gate) = ("canary".parse().unwrap(), StageGate::Auto);
            RolloutStage { name, select, up_to, at_least: 1, bake_s, gate }
        });
    (option::of(stage), 1..4_u32, 0..2_u32, any::<bool>()).prop_map(|(stage, max_in_flight, failures, aborts)| {
        let (name, up_to) = (REST.parse().unwrap(), StageQuota::default());
        let rest = RolloutStage { name, select: None, up_to, at_least: 1, bake_s: 1, gate: StageGate::Auto };
        RolloutOpened {
            stages: stage.into_iter().chain([rest]).collect(),
            max_in_flight,
            settle_s: 10,
            max_failures: FailureLimit { count: failures },
            on_failure: if aborts { FailureAction::Abort } else { FailureAction::Halt },
            absent_max: AbsenceLimit { percent: 50 },
        }
    })
}

/// A target of any kind.
pub fn target() -> impl Strategy<Value = Target> {
    let nodes = btree_set(id("n", 6).prop_map(|id| id.parse().unwrap()), 1..4);
    let selector = (btree_map(key(), value(), 0..3), vec(requirement(), 0..3))
        .prop_filter("a selector has a requirement", |(labels, expressions)| {
            !(labels.is_empty() && expressions.is_empty())
        })
        .prop_map(|(match_labels, match_expressions)| Target::Selector(Selector { match_labels, match_expressions }));
    prop_oneof![1 => Just(Target::All), 2 => nodes.prop_map(Target::Nodes), 4 => selector]
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let operator = select(vec![Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist]);
    (key(), operator, btree_set(value(), 1..3)).prop_map(|(key, operator, values)| match operator {
        Operator::In | Operator::NotIn => Requirement { key, operator, values },
        Operator::Exists | Operator::DoesNotExist => Requirement { key, operator, values: [].into() },
    })
}

/// Labels of a node. The keys are prefixes of one another, so that an index by text can be caught mixing them up.
pub fn labels() -> impl Strategy<Value = Labels> {
    btree_map(key(), value(), 0..3).prop_map(Labels::from_iter)
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["", "k", "k0", "kk"]).prop_map(String::from)
}

fn value() -> impl Strategy<Value = String> {
    select(vec!["", "0", "1"]).prop_map(String::from)
}

fn create_principal((name, admin, token): (String, bool, u8)) -> Command {
    Command::CreatePrincipal(CreatePrincipal {
        name: name.parse().unwrap(),
        role: if admin { Role::Admin } else { Role::Auditor },
        token_hash: Digest::of(&[token]),
    })
}

fn note_report((node, position): (String, u64)) -> Command {
    let running = Some(RecordRef { position: position.into(), digest: Digest::of(b"") });
    Command::NoteReport(node.parse().unwrap(), ReportSummary { running, ..ReportSummary::default() })
}
