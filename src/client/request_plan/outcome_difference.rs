//! What two outcomes of one request do not share.

use std::collections::{BTreeMap, BTreeSet};

use super::outcome::{OutcomeFile, OutcomeNode, RequestOutcome};

/// Names that are told of each sort; the rest is counted.
const NAMED_MAX: usize = 20;

/// The entities, nodes, jobs and rollouts of which the outcomes say different things.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OutcomeDifference {
    pub(crate) entities: BTreeSet<String>,
    pub(crate) nodes: BTreeSet<String>,
    pub(crate) jobs: BTreeSet<String>,
    pub(crate) rollouts: BTreeSet<String>,
}

impl OutcomeDifference {
    /// What `shown` and `now` do not share. The versions of entities are no part of it.
    pub(crate) fn between(shown: &RequestOutcome, now: &RequestOutcome) -> Self {
        Self {
            entities: differing(&events(shown), &events(now)),
            nodes: differing(&nodes(shown), &nodes(now)),
            jobs: differing(&jobs(shown), &jobs(now)),
            rollouts: differing(&rollouts(shown), &rollouts(now)),
        }
    }

    /// A sentence: what it would change otherwise than was shown.
    pub(crate) fn text(&self) -> String {
        let sorts = [
            ("entities", &self.entities),
            ("nodes", &self.nodes),
            ("jobs", &self.jobs),
            ("nodes of rollouts", &self.rollouts),
        ];
        let said: Vec<String> = sorts.into_iter().filter_map(|(sort, names)| named(sort, names)).collect();
        if said.is_empty() { "the same entities, in another way".to_owned() } else { said.join("; ") }
    }
}

fn named(sort: &str, names: &BTreeSet<String>) -> Option<String> {
    let first: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
    let rest = names.len().saturating_sub(NAMED_MAX);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    (!names.is_empty()).then(|| format!("{sort} {}{more}", first.join(", ")))
}

fn differing<T: PartialEq>(one: &BTreeMap<String, T>, other: &BTreeMap<String, T>) -> BTreeSet<String> {
    one.keys().chain(other.keys()).filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}

fn events(outcome: &RequestOutcome) -> BTreeMap<String, Vec<(String, u64)>> {
    let mut events = BTreeMap::<String, Vec<(String, u64)>>::new();
    for event in &outcome.events {
        events.entry(event.entity.clone()).or_default().push((event.event_type.clone(), event.version));
    }
    events
}

type ShownTurn = (Vec<OutcomeFile>, bool, bool);

fn nodes(outcome: &RequestOutcome) -> BTreeMap<String, ShownTurn> {
    let turn = |node: &OutcomeNode| (node.files.clone(), node.retired, node.may_retry);
    outcome.nodes.iter().map(|node| (node.node.clone(), turn(node))).collect()
}

/// What each rollout that is started would change on its nodes.
fn rollouts(outcome: &RequestOutcome) -> BTreeMap<String, (&[OutcomeNode], u64)> {
    let started = outcome.rollouts.iter();
    started.map(|rollout| (rollout.rollout.clone(), (rollout.nodes.as_slice(), rollout.more))).collect()
}

fn jobs(outcome: &RequestOutcome) -> BTreeMap<String, (Option<String>, Option<String>)> {
    outcome.jobs.iter().map(|job| (job.job.clone(), (job.before.clone(), job.after.clone()))).collect()
}
