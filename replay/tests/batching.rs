//! However events are batched, the records come out the same, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use histories::{acts, history};
use projections::configuration::Configuration;
use projections::render::render;
use proptest::prelude::*;
use replay::log::Follower;
use schema::event::Event;
use schema::id::NodeId;
use schema::wire::WireRecord as _;

/// The bytes of every node's record, as a bucket would hold them.
type Bucket = BTreeMap<NodeId, Vec<u8>>;

/// A record's bytes. Its content is not what is looked at here, so that any bytes of the right length will do.
fn bytes(state: &Configuration, id: &NodeId) -> Vec<u8> {
    let manifest = render(state, id).unwrap();
    let sizes: BTreeMap<_, _> = manifest.pieces.iter().map(|piece| (piece.entry.digest, piece.entry.size)).collect();
    let content = |digest| Some(vec![b'x'; usize::try_from(sizes[&digest]).unwrap()]);
    manifest.fill(history::log_id(), content).unwrap().write()
}

/// Follows the log in batches that end where `ends` says, and after each renders only whom its events concern.
fn followed(events: &[Event], ends: impl Fn(usize) -> bool) -> (Configuration, Bucket) {
    let mut follower = Follower::new(history::log_id());
    let (mut bucket, mut waiting) = (Bucket::new(), BTreeSet::new());
    for (index, event) in events.iter().enumerate() {
        waiting.append(&mut follower.advance(event).unwrap());
        if ends(index) || index + 1 == events.len() {
            let render = |id: NodeId| (id.clone(), bytes(follower.configuration(), &id));
            bucket.extend(std::mem::take(&mut waiting).into_iter().map(render));
            assert_eq!(bucket, rendered(follower.configuration()), "whom no event concerns keeps its record");
        }
    }
    (follower.into_configuration(), bucket)
}

/// Every node's record, rendered in one go.
fn rendered(state: &Configuration) -> Bucket {
    state.nodes().keys().map(|id| (id.clone(), bytes(state, id))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_batching_gives_the_same_bytes(requests in history::requests(), ends in prop::collection::vec(any::<bool>(), 1..50)) {
        let decided = history::decided(&requests);
        let events: Vec<Event> = decided.iter().flat_map(|decided| decided.events.clone()).collect();
        let (state, after_each) = followed(&events, |_| true);
        let (_, at_the_end) = followed(&events, |_| false);
        let (_, in_batches) = followed(&events, |index| ends[index % ends.len()]);
        let (_, by_request) = followed(&events, |index| events[index].ends_request());
        prop_assert_eq!(&after_each, &at_the_end);
        prop_assert_eq!(&after_each, &in_batches);
        prop_assert_eq!(&after_each, &by_request);
        prop_assert_eq!(&state, &decided.last().map(|decided| decided.configuration.clone()).unwrap_or_default());
    }

    #[test]
    fn any_batching_gives_the_same_job_specs(
        acts in acts::history(), ends in prop::collection::vec(any::<bool>(), 1..50),
    ) {
        let run = acts::run(&acts);
        let events = run.events();
        let (state, after_each) = followed(&events, |_| true);
        let (in_one, at_the_end) = followed(&events, |_| false);
        let (_, in_batches) = followed(&events, |index| ends[index % ends.len()]);
        prop_assert_eq!(&after_each, &at_the_end);
        prop_assert_eq!(&after_each, &in_batches);
        prop_assert_eq!(&state, &run.state);
        for id in state.jobs().all().keys() {
            prop_assert_eq!(state.spec(id), in_one.spec(id));
        }
    }

    #[test]
    fn a_log_that_was_written_and_read_again_gives_the_same_bytes(requests in history::requests()) {
        let events = history::events(&requests);
        let read: Vec<Event> = events.iter().map(|event| Event::read(&event.write()).unwrap()).collect();
        prop_assert_eq!(followed(&events, |_| false), followed(&read, |_| true));
    }
}
