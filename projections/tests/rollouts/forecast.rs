//! What a dry run says of a rollout's first release is what happens, if nothing comes between.

use std::collections::BTreeSet;

use histories::history;
use projections::decide::advance;
use projections::rollout_forecast::{RolloutForecast, StageForecast};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use schema::change::Change;
use schema::command::AdvanceRollout;
use schema::id::{NodeId, RolloutId};
use serde_json::json;

use super::fleet::{Fleet, Step, after, step};

/// Nodes with a look at them: odd ones are heard.
fn is_heard(node: &NodeId) -> bool {
    node.as_str().ends_with(['1', '3', '5', '0'])
}

/// Whether the nodes that the first look releases are the first of the forecast: as many of them as may be in flight, and those on which
/// nothing changes before the last of these. Nothing if the rollout can't be started.
fn compared(mut fleet: Fleet, in_flight: usize, percent: u32) -> Option<(RolloutForecast, usize)> {
    let put = |id: &str| {
        json!({"type": "put_document", "id": id, "path": format!("fresh/{id}"), "media_type": "text/plain",
        "content": id, "target": {"all": true}, "priority": 0, "rollout": "fresh"})
    };
    fleet.step(&Step::Ask(json!([
        {"type": "open_rollout", "id": "fresh", "max_in_flight": in_flight, "settle_s": 20,
            "stages": [{"name": "canary", "up_to": {"percent": percent}, "bake_s": 5}]},
        put("one"), put("two"), {"type": "start_rollout", "id": "fresh"}])));
    let id: RolloutId = "fresh".parse().unwrap();
    let forecast = fleet.state.forecast(&id, history::log_id(), is_heard)?;
    let (heard, silent): (BTreeSet<NodeId>, BTreeSet<NodeId>) = fleet.state.nodes().keys().cloned().partition(is_heard);
    let seen = AdvanceRollout { id, heard, silent, overdue: BTreeSet::new(), baked: false };
    let changes = advance(&fleet.state, &seen, fleet.state.at());
    let released: BTreeSet<NodeId> = changes
        .iter()
        .filter_map(|(_, change)| match change {
            Change::NodesReleased(released) => {
                Some(released.nodes.iter().map(|node| node.id.clone()).chain(released.moot.clone()))
            }
            _ => None,
        })
        .flatten()
        .collect();
    let StageForecast { quota, first, members, .. } = &forecast.stages[0];
    assert!(*quota <= *members && *quota >= 1);
    assert_eq!(forecast.members, *members as usize, "all of them are members of a first stage without labels");
    let slots = in_flight.min(*quota as usize);
    let mut expected = BTreeSet::new();
    let mut left = slots;
    for node in first {
        if left == 0 {
            break;
        }
        left -= usize::from(!forecast.apart.moot.contains(node));
        expected.insert(node.clone());
    }
    assert_eq!(released, expected, "{forecast:?}");
    let count = released.len();
    Some((forecast, count))
}

#[test]
fn the_first_release_is_the_one_that_was_foretold() {
    let mut runner = TestRunner::deterministic();
    let histories = (prop::collection::vec(step(), 0..60), 1..5_usize, 1..=100_u32);
    let (mut compared_count, mut released, mut apart) = (0, 0, [0; 5]);
    for _ in 0..600 {
        let (steps, in_flight, percent) = histories.new_tree(&mut runner).unwrap().current();
        let Some((forecast, count)) = compared(after(&steps), in_flight, percent) else { continue };
        compared_count += 1;
        released += count;
        let of = &forecast.apart;
        let lists = [&of.offline, &of.unwell, &of.busy, &of.in_other_rollout, &of.rejected];
        apart.iter_mut().zip(lists).for_each(|(sum, list)| *sum += usize::from(!list.is_empty()));
    }
    println!("{compared_count} forecasts, {released} releases, apart {apart:?}");
    assert!(compared_count > 300 && released > 200, "{compared_count} {released}");
    assert!(apart[..4].iter().all(|count| *count > 0), "each list is seen: {apart:?}");
}
