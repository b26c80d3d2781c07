//! Which contents the object store also holds in plain: whatever the history, as if every node were looked at anew.

use histories::history;
use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use projections::plain_contents::{PlainContents, reads_plain};
use projections::render::render;
use projections::request::decide_request;
use proptest::prelude::*;
use schema::command::{Command, SetNodeKeys};
use schema::digest::Digest;
use schema::event::Event;
use schema::id::NodeId;
use schema::node_keys::{KeyBytes, NodeKeys};
use schema::request::Request;
use schema::seal::SecretKey;

fn keys(number: u8) -> NodeKeys {
    let key = |which: u8| KeyBytes::from(&SecretKey::from_seed(&[number * 2 + which; 32]).public());
    NodeKeys { bus: key(0), say: key(1) }
}

/// A command about who may connect.
fn identity() -> impl Strategy<Value = Command> {
    let node = || (0..5_u8).prop_map(|number| format!("n{number}").parse::<NodeId>().unwrap());
    prop_oneof![
        8 => (node(), 0..20_u8).prop_map(|(id, number)| Command::SetNodeKeys(SetNodeKeys { id, keys: keys(number) })),
        3 => node().prop_map(Command::BarNode),
        3 => node().prop_map(Command::DismissNode),
        1 => Just(Command::CloseBus(history::log_id())),
    ]
}

/// What is needed in plain, found by looking at every node.
fn found_by_looking(state: &Configuration) -> PlainContents {
    let mut contents = PlainContents::default();
    for id in state.nodes().keys() {
        contents.note(state, &render(state, id).unwrap());
    }
    contents
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_needed_in_plain_follows_from_the_state_however_events_are_batched(
        requests in history::requests(),
        identities in prop::collection::vec(identity(), 40),
        batch in 1..5_usize,
    ) {
        let (mut state, mut contents) = (Configuration::default(), PlainContents::default());
        let requests = requests.into_iter().zip(identities.into_iter().map(|command| Request::of([command])));
        let mut waiting: (AffectedNodes, Vec<Event>, usize) = Default::default();
        for (index, request) in requests.flat_map(|(request, identity)| [request, identity]).enumerate() {
            let Ok(mut decided) = decide_request(&state, &history::envelope_of(index, &request), &request) else { continue };
            state = decided.configuration;
            waiting.0.append(&mut decided.affected);
            waiting.1.append(&mut decided.events);
            waiting.2 += 1;
            if waiting.2 == batch {
                let (affected, events, _) = std::mem::take(&mut waiting);
                let before = contents.clone();
                let mut has_changed = contents.follow(&state, &events);
                for manifest in affected.iter().filter_map(|id| render(&state, id)) {
                    has_changed |= contents.note(&state, &manifest);
                }
                prop_assert!(has_changed || contents == before, "what changed was said to be as it was");
                prop_assert_eq!(&contents, &found_by_looking(&state));
            }
        }
    }
}

#[test]
fn content_is_needed_in_plain_by_nodes_that_may_run_an_older_program_and_by_nobody_else() {
    let mut state = Configuration::default();
    let large = Digest::of(&[b'x'; 5_000]);
    let mut contents = PlainContents::default();
    let mut after = |line: &str| {
        let request = Request::of(histories::script::asks(line).into_iter().map(|ask| ask.unwrap().command));
        let decided = decide_request(&state, &history::envelope_of(0, &request), &request).unwrap();
        state = decided.configuration;
        contents.follow(&state, &decided.events);
        for id in &decided.affected {
            contents.note(&state, &render(&state, id).unwrap());
        }
        assert_eq!(contents, found_by_looking(&state), "{line}");
        let readers = ["n1", "n2"].map(|id| reads_plain(&state, &id.parse().unwrap()));
        (readers, contents.contains(&large), contents.among(&[large, Digest::of(b"other")].into()).len())
    };
    after("enrol_node n1 keys=one site=lund");
    let put = format!("put_document a a content={} where site=lund", "x".repeat(5_000));
    assert_eq!(after(&put), ([false, false], false, 0), "the only node has keys");
    assert_eq!(after("enrol_node n2 site=lund"), ([false, true], true, 1));
    assert_eq!(after("label_node n2 site=malmo"), ([false, true], false, 0), "who reads in plain does not desire it");
    assert_eq!(after("label_node n2 site=lund"), ([false, true], true, 1));
    assert_eq!(after("set_node_keys n2 two"), ([false, false], false, 0), "it has got keys");
    assert_eq!(after("bar_node n1"), ([false, false], false, 0), "who is shut out reads nothing");
    assert_eq!(after("enrol_node n3 site=lund"), ([false, false], true, 1));
    assert_eq!(after(&format!("close_bus {}", history::log_id())), ([false, false], false, 0));
}
