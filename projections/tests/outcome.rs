//! A request that comes with a plan is appended exactly if it comes out as the plan, whatever happened between.

use std::collections::{BTreeMap, BTreeSet};

use histories::{history, planned};
use projections::configuration::Configuration;
use projections::expectation::ConditionalRefusal;
use projections::render::render;
use projections::request::{DecisionWithState, decide_request, preview_request};
use proptest::prelude::*;
use schema::desired::EntryKind;
use schema::digest::Digest;
use schema::entity::Kind;
use schema::event::Event;
use schema::id::{JobId, NodeId};
use schema::request::Request;

/// All that a plan is about, found by rendering everything: the events, the files of every node, and the specs of every job, before and after.
#[derive(Debug, PartialEq)]
struct Everything {
    events: Vec<(String, String, u64, String)>,
    files: BTreeMap<(NodeId, String), [Option<Digest>; 2]>,
    specs: BTreeMap<JobId, [Option<Digest>; 2]>,
    retired: BTreeSet<NodeId>,
}

fn everything(before: &Configuration, after: &Configuration, events: &[Event]) -> Everything {
    let (mut files, mut specs) = (BTreeMap::<_, [_; 2]>::new(), BTreeMap::<_, [_; 2]>::new());
    for (index, state) in [before, after].into_iter().enumerate() {
        for node in state.nodes().keys() {
            for piece in render(state, node).unwrap().pieces {
                if piece.entry.kind == EntryKind::Document {
                    files.entry((node.clone(), piece.entry.path)).or_default()[index] = Some(piece.entry.digest);
                }
            }
        }
        for job in state.jobs().all().keys() {
            specs.entry(job.clone()).or_default()[index] = state.spec(job).map(|spec| spec.digest);
        }
    }
    files.retain(|_, [before, after]| before != after);
    specs.retain(|_, [before, after]| before != after);
    let others = events.iter().filter(|event| event.entity.kind != Kind::Plan);
    let said =
        |event: &Event| (event.event_type.clone(), event.entity.to_string(), event.version.get(), event.data.clone());
    let is_retired = |state: &Configuration, node: &NodeId| state.nodes().get(node).is_some_and(|node| node.retired);
    let retired = after.nodes().keys().filter(|node| is_retired(after, node) && !is_retired(before, node));
    Everything { events: others.map(said).collect(), files, specs, retired: retired.cloned().collect() }
}

/// The state after some requests; refused ones leave nothing behind. Their ids begin with `first`.
fn after(mut state: Configuration, requests: &[Request], first: usize) -> Configuration {
    for (index, request) in requests.iter().enumerate() {
        if let Ok(decided) = decide_request(&state, &history::envelope_of(first + index, request), request) {
            state = decided.configuration;
        }
    }
    state
}

/// A request of administrators: nodes propose without plans.
fn request() -> impl Strategy<Value = Request> {
    proptest::collection::vec(history::command(), 1..4).prop_map(Request::of)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_planned_request_is_appended_exactly_if_it_comes_out_as_planned(
        before in history::requests(), request in request(), meanwhile in proptest::collection::vec(request(), 0..3),
    ) {
        let planned_at = after(Configuration::default(), &before, 0);
        let envelope = history::envelope_of(5_000, &request);
        let Ok(expected) = planned::expectation(&planned_at, &envelope, &request) else { return Ok(()) };
        let shown = preview_request(&planned_at, &envelope, &request).unwrap();
        let shown = everything(&planned_at, &shown.configuration, &shown.events);
        let head = after(planned_at, &meanwhile, 6_000);
        let now = preview_request(&head, &envelope, &request);
        let now = now.map(|now| everything(&head, &now.configuration, &now.events));
        match planned::decide_expected(&head, &envelope, &request, &expected) {
            Ok(DecisionWithState { configuration, events, .. }) => {
                prop_assert_eq!(&everything(&head, &configuration, &events), &shown);
                let kept = events.iter().filter(|event| event.event_type == "PlanKept").count();
                prop_assert_eq!(kept, usize::from(!shown.events.is_empty()));
                prop_assert!(events.is_empty() || events.last().unwrap().event_type == "PlanKept");
            }
            Err(ConditionalRefusal::PlanChanged) => prop_assert_ne!(now.unwrap(), shown),
            Err(ConditionalRefusal::Refused(refused)) => prop_assert_eq!(now.unwrap_err(), refused),
        }
    }
}

#[test]
fn a_document_that_new_labels_pull_in_is_looked_at_although_the_node_had_no_event() {
    let read = |text: &str| Request::read(text.as_bytes()).unwrap();
    let put = |content: &str| {
        read(&format!(
            r#"{{"commands": [{{"type": "put_document", "id": "d", "path": "a", "media_type": "text/plain",
                "content": "{content}", "target": {{"match_labels": {{"site": "lund"}}}}, "priority": 0}}]}}"#
        ))
    };
    let enrol = read(r#"{"commands": [{"type": "enrol_node", "id": "n-1", "labels": {}}]}"#);
    let label = read(r#"{"commands": [{"type": "label_node", "id": "n-1", "labels": {"site": "lund"}}]}"#);
    let before = after(Configuration::default(), &[enrol, put("one")], 0);
    let envelope = history::envelope(10);
    let expected = planned::expectation(&before, &envelope, &label).unwrap();
    assert!(planned::decide_expected(&before, &envelope, &label, &expected).is_ok());
    let cause = |state: &Configuration| state.nodes().values().next().unwrap().cause;
    let changed = after(before.clone(), &[put("two")], 20);
    assert_eq!(cause(&changed), cause(&before));
    let refused = planned::decide_expected(&changed, &envelope, &label, &expected).unwrap_err();
    assert_eq!(refused, ConditionalRefusal::PlanChanged);
}
