//! Walks a log with maps and nothing of the state that is tested, and checks what is claimed of rollouts on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use projections::configuration::Configuration;
use projections::render::render;
use proptest::prelude::*;
use schema::change::Change;
use schema::digest::Digest;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::{NodeId, RolloutId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::Position;
use schema::report::ReportSummary;
use schema::rollout::{NodeDigest, OutcomeCounts, REST, RolloutOpened, StageGate};
use schema::target::Target;

use crate::plain_fleet::Plain;

/// A rollout as its events tell it.
#[derive(Clone, Default)]
pub(crate) struct Told {
    policy: Option<Arc<RolloutOpened>>,
    is_running: bool,
    stage: String,
    members: u32,
    approved: bool,
    /// The last event by which something settled, or by which waiting began anew.
    settled_at: Instant,
    pub(crate) nodes: BTreeMap<NodeId, ToldNode>,
    /// What became of nodes that are not in it any more.
    left: Vec<ToldNode>,
}

#[derive(Clone, Default)]
pub(crate) struct ToldNode {
    stage: String,
    position: Position,
    expected: BTreeSet<Digest>,
    pub(crate) in_flight: bool,
    outcome: &'static str,
}

impl Told {
    pub(crate) fn counts(&self, stage: Option<&str>) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for node in self.nodes.values().chain(&self.left).filter(|node| stage.is_none_or(|stage| node.stage == stage)) {
            match node.outcome {
                "confirmed" => counts.confirmed += 1,
                "failed" => counts.failed += 1,
                "late" => counts.late += 1,
                "lost" => counts.lost += 1,
                "moot" => counts.moot += 1,
                "shadowed" => counts.shadowed += 1,
                _ => {}
            }
        }
        counts
    }

    fn settle(&mut self, id: &NodeId, outcome: &'static str, at: Instant) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let failures = ["failed", "late", "lost"];
        let stays = failures.contains(&node.outcome) && !failures.contains(&outcome) && outcome != "confirmed";
        // Nothing of the rollout was in force there, and nothing is.
        let is_unconcerned = [node.outcome, outcome].iter().all(|one| ["moot", "shadowed"].contains(one));
        if node.in_flight || (node.outcome != outcome && !stays && !is_unconcerned) {
            self.settled_at = at;
        }
        node.in_flight = false;
        if !stays {
            node.outcome = outcome;
        }
    }
}

/// All rollouts as the events tell them.
#[derive(Default)]
pub(crate) struct Teller {
    pub(crate) rollouts: BTreeMap<RolloutId, Told>,
    pub(crate) plain: Plain,
    versions: BTreeMap<Entity, u64>,
    pub(crate) state: Configuration,
}

impl Teller {
    /// Takes an event in, and checks what is claimed of it.
    pub(crate) fn take(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let change = event.change().unwrap();
        let version = self.versions.entry(event.entity.clone()).or_default();
        *version += 1;
        prop_assert_eq!(event.version.get(), *version, "{:?} counts on", event);
        let id = RolloutId::from(event.entity.id.clone());
        let in_flight = |rollouts: &BTreeMap<RolloutId, Told>, node: &NodeId| {
            rollouts.values().any(|told| told.nodes.get(node).is_some_and(|node| node.in_flight))
        };
        if let Change::NodesReleased(released) = &change {
            let nodes: Vec<&NodeId> = released.nodes.iter().map(|node| &node.id).collect();
            prop_assert!(!nodes.iter().any(|node| in_flight(&self.rollouts, node)), "a node is in one flight");
            let told = &self.rollouts[&id];
            prop_assert!(told.is_running, "no release of a rollout that does not run");
            let now = told.nodes.values().filter(|node| node.in_flight).count() + nodes.len();
            prop_assert!(now <= told.policy.as_ref().unwrap().max_in_flight as usize, "more in flight than may be");
        }
        let named = named_nodes(&change);
        prop_assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len(), "a node is named once: {:?}", change);
        if let Change::NodesExpected(_) = &change {
            let is_done = |node: &ToldNode| node.outcome == "confirmed" && !node.in_flight;
            let told = &self.rollouts[&id];
            prop_assert!(!named.iter().any(|id| is_done(&told.nodes[*id])), "who has confirmed is not asked again");
        }
        self.check_passing(event, &change)?;
        self.tell(event, &change);
        let labels = |state: &Configuration, node: &NodeId| state.nodes().get(node).map(|node| node.labels.clone());
        let node = NodeId::from(event.entity.id.clone());
        let before = labels(&self.state, &node);
        self.plain.take(event);
        let earlier = self.state.clone();
        self.state.fold(event, &change);
        if let (Change::NodeLabelled(_), Some(before)) = (&change, before) {
            self.relabel(&earlier, &node, &before, event);
        }
        if let Change::NodesReleased(released) = &change {
            for node in &released.nodes {
                let digest = render(&self.state, &node.id).map(|manifest| manifest.digest);
                prop_assert_eq!(digest, Some(node.digest), "the digest that is said is the record's");
            }
        }
        Ok(())
    }

    /// A stage passes, and the last one is completed, by evidence of its own and after its time; and without more silence than was allowed.
    fn check_passing(&self, event: &Event, change: &Change) -> Result<(), TestCaseError> {
        let (Change::StagePassed(_) | Change::RolloutCompleted) = change else { return Ok(()) };
        let told = &self.rollouts[&RolloutId::from(event.entity.id.clone())];
        let policy = told.policy.as_ref().unwrap();
        let stage = policy.stages.iter().find(|stage| stage.name.as_str() == told.stage).unwrap();
        let is_rest = stage.name.as_str() == REST;
        let confirmed = told.counts((!is_rest).then_some(told.stage.as_str())).confirmed;
        prop_assert!(confirmed >= stage.at_least.max(1), "a stage passes by evidence");
        prop_assert!(told.is_running, "a stage passes while the rollout runs");
        prop_assert!(!told.nodes.values().any(|node| node.in_flight));
        prop_assert!(event.at >= told.settled_at.plus_seconds(stage.bake_s), "before it was baked");
        prop_assert!(stage.gate == StageGate::Auto || told.approved, "before it was approved");
        let Change::StagePassed(passed) = change else {
            prop_assert!(is_rest, "only the last stage is completed");
            return Ok(());
        };
        prop_assert_eq!(&passed.stage, &stage.name);
        prop_assert_eq!(passed.counts, told.counts(Some(&told.stage)));
        if !is_rest {
            prop_assert!(u64::from(passed.absent) * 100 <= u64::from(told.members) * 50, "with too much silence");
        }
        Ok(())
    }

    fn tell(&mut self, event: &Event, change: &Change) {
        let told = self.rollouts.entry(event.entity.id.clone().into());
        match change {
            Change::RolloutOpened(opened) => told.or_default().policy = Some(Arc::clone(opened)),
            Change::RolloutStarted | Change::RolloutResumed(_) => {
                let told = told.or_default();
                (told.is_running, told.settled_at) = (true, event.at);
            }
            Change::RolloutPaused | Change::RolloutHalted(_) => told.or_default().is_running = false,
            Change::RolloutAborted(_) | Change::RolloutPromoted | Change::RolloutCompleted => {
                self.rollouts.remove(&RolloutId::from(event.entity.id.clone()));
            }
            Change::StageOpened(opened) => {
                let told = told.or_default();
                (told.stage, told.members, told.approved) = (opened.stage.to_string(), opened.members, false);
                told.settled_at = event.at;
            }
            Change::StageApproved(_) => told.or_default().approved = true,
            Change::NodesReleased(released) => {
                let told = told.or_default();
                let all = released.nodes.iter().map(|node| (&node.id, Some(node.digest)));
                for (id, digest) in all.chain(released.moot.iter().map(|id| (id, None))) {
                    let node = ToldNode {
                        stage: told.stage.clone(),
                        position: event.position,
                        expected: digest.into_iter().collect(),
                        in_flight: true,
                        outcome: "",
                    };
                    told.nodes.insert(id.clone(), node);
                }
                released.moot.iter().for_each(|id| told.settle(id, "moot", event.at));
            }
            Change::NodesExpected(expected) => {
                let told = told.or_default();
                for node in &expected.nodes {
                    let released = told.nodes.get_mut(&node.id).unwrap();
                    released.expected.insert(node.digest);
                    // Something of the rollout is in force there again, since the last event that touched the node.
                    if ["moot", "shadowed"].contains(&released.outcome) && !released.in_flight {
                        (released.in_flight, released.position) = (true, self.state.nodes()[&node.id].cause.position);
                    }
                    if let Some(noted) = self.state.reports().get(&node.id) {
                        judge(told, &node.id, &noted.summary, event.at);
                    }
                }
                expected.shadowed.iter().for_each(|id| told.settle(id, "shadowed", event.at));
            }
            Change::NodesOverdue(overdue) => {
                let told = told.or_default();
                overdue.late.iter().for_each(|id| told.settle(id, "late", event.at));
                overdue.lost.iter().for_each(|id| told.settle(id, "lost", event.at));
            }
            Change::ReportChanged(summary) => {
                let node = NodeId::from(event.entity.id.clone());
                self.rollouts.values_mut().for_each(|told| judge(told, &node, summary, event.at));
            }
            Change::NodeRetired => {
                let node = NodeId::from(event.entity.id.clone());
                for told in self.rollouts.values_mut().filter(|told| told.nodes.contains_key(&node)) {
                    if told.nodes[&node].in_flight {
                        told.settle(&node, "lost", event.at);
                    }
                    told.left.extend(told.nodes.remove(&node));
                }
            }
            _ => {}
        }
    }

    /// Other labels, by which other changes are for a node, put it in flight again.
    fn relabel(&mut self, state: &Configuration, node: &NodeId, before: &Labels, event: &Event) {
        let now = self.state.nodes()[node].labels.clone();
        for (id, told) in &mut self.rollouts {
            let Some(released) = told.nodes.get_mut(node) else { continue };
            let targets = state.rollouts().staged().iter().filter(|(_, staged)| staged.rollout == *id);
            let targets: Vec<Target> = targets
                .flat_map(|(document, staged)| {
                    staged.put.iter().chain(state.documents().get(document)).map(|document| document.put.target.clone())
                })
                .collect();
            // Whom the changes are not for any more has nothing to confirm.
            if !targets.iter().any(|target| target.matches(node, &now)) {
                continue;
            }
            let differs = |target: Target| target.matches(node, before) != target.matches(node, &now);
            if targets.into_iter().any(differs) {
                (released.in_flight, released.position) = (true, event.position);
                released.expected.clear();
            }
        }
    }
}

fn named_nodes(change: &Change) -> Vec<&NodeId> {
    fn ids(nodes: &[NodeDigest]) -> impl Iterator<Item = &NodeId> {
        nodes.iter().map(|node| &node.id)
    }
    match change {
        Change::NodesReleased(released) => ids(&released.nodes).chain(&released.moot).collect(),
        Change::NodesExpected(expected) => ids(&expected.nodes).chain(&expected.shadowed).collect(),
        Change::NodesOverdue(overdue) => overdue.late.iter().chain(&overdue.lost).collect(),
        _ => Vec::new(),
    }
}

fn judge(told: &mut Told, node: &NodeId, summary: &ReportSummary, at: Instant) {
    let Some(released) = told.nodes.get(node) else { return };
    let failed = summary.failed.as_ref().map(|failed| failed.record);
    if failed.is_some_and(|record| released.expected.contains(&record.digest) && record.position >= released.position) {
        told.settle(node, "failed", at);
    } else if summary.good().is_some_and(|good| released.expected.contains(&good.digest)) {
        told.settle(node, "confirmed", at);
    }
}
