//! The log that is folded again is held against every witness, and the first event that differs is named.

use histories::history;
use projections::configuration::Configuration;
use projections::request::{RequestContext, decide_request};
use proptest::prelude::*;
use replay::checkpoint::Checkpoint;
use replay::event_error::EventError;
use replay::log::{DivergenceError, Follower};
use replay::reverify::{RecordDigest, Reverification, ReverifyError, ReverifyWitness, first_changed};
use replay::tree::{Frontier, TreeNode};
use schema::command::{Command, CreatePrincipal, EnrolNode, Role};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::CommandId;
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::Position;
use schema::request::Request;

fn enrol(node: &str) -> Command {
    Command::EnrolNode(EnrolNode { id: node.parse().unwrap(), labels: Labels::new(), keys: None })
}

fn principal(name: &str) -> Command {
    let (name, token_hash) = (name.parse().unwrap(), Digest::of(name.as_bytes()));
    Command::CreatePrincipal(CreatePrincipal { name, role: Role::Auditor, token_hash })
}

/// A log of one node and what happened to it, with something else in fifth place.
fn log_with(fifth: Command) -> Vec<Event> {
    let (mut state, mut events) = (Configuration::default(), Vec::new());
    for number in 0..8_i64 {
        let command = match number {
            0 => enrol("n-1"),
            4 => fifth.clone(),
            _ => Command::RetryNode("n-1".parse().unwrap()),
        };
        let envelope = RequestContext {
            log_id: history::log_id(),
            command_id: CommandId::derived(history::log_id(), "ann", &number.to_string()),
            actor: Actor::Install,
            entropy: [7; 16],
            clock: Instant::from_unix_micros(number + 1),
        };
        let decided = decide_request(&state, &envelope, &Request::of([command])).unwrap();
        state = decided.configuration;
        events.extend(decided.events);
    }
    events
}

fn log() -> Vec<Event> {
    log_with(Command::RetryNode("n-1".parse().unwrap()))
}

fn folded(events: &[Event]) -> Follower {
    let mut follower = Follower::new(history::log_id());
    events.iter().for_each(|event| drop(follower.advance(event).unwrap()));
    follower
}

fn again(events: &[Event]) -> Reverification {
    let mut again = Reverification::new(history::log_id());
    events.iter().for_each(|event| again.advance(event).unwrap());
    again
}

fn root(events: &[Event]) -> Digest {
    Frontier::over(events.iter().map(|event| event.leaf)).root()
}

/// The log with another reason at a position, sealed again.
fn changed(events: &[Event], position: u64) -> Vec<Event> {
    let mut events = events.to_vec();
    let event = &mut events[usize::try_from(position).unwrap() - 1];
    *event = Event { reason: Some("another".into()), ..event.clone() }.sealed();
    events
}

fn at(position: u64) -> Position {
    position.into()
}

#[test]
fn what_does_not_follow_is_named_where_it_is() {
    let mut events = log();
    events[4].data.push(' ');
    let mut again = again(&events[..4]);
    let found = ReverifyError::Diverged(DivergenceError { position: at(5), fault: EventError::Unsealed });
    assert_eq!(found.position(), at(5));
    assert_eq!(again.advance(&events[4]), Err(found));
    assert_eq!(again.position(), at(4));
}

#[test]
fn a_witness_vouches_for_all_before_it() {
    let (events, other) = (log(), changed(&log(), 6));
    let within = |first, last, witness| ReverifyError::ChangedWithin { first: at(first), last: at(last), witness };
    let mut again = again(&other);
    assert_eq!(again.agreed(), at(0));
    assert_eq!(again.check_root(root(&events), ReverifyWitness::Head), Err(within(1, 8, ReverifyWitness::Head)));

    let mut again = self::again(&other[..4]);
    let completed = again.completed();
    assert_eq!(completed.len(), 7, "four leaves, two pairs and the whole");
    assert_eq!(again.completed(), []);
    let pair = completed[2];
    assert_eq!(pair.0, TreeNode { level: 1, index: 0 });
    again.check_node(pair, Some(pair.1)).unwrap();
    assert_eq!(again.agreed(), at(2));
    again.check_root(root(&events[..4]), ReverifyWitness::Checkpoint).unwrap();
    assert_eq!(again.agreed(), at(4));
    other[4..].iter().for_each(|event| again.advance(event).unwrap());
    assert_eq!(
        again.check_root(root(&events), ReverifyWitness::Checkpoint),
        Err(within(5, 8, ReverifyWitness::Checkpoint))
    );
    let found = again.check_live(&folded(&events)).unwrap_err();
    assert_eq!((&found, found.position()), (&within(5, 8, ReverifyWitness::Live), at(5)));
    assert_eq!(again.agreed(), at(4), "what differs vouches for nothing");
}

#[test]
fn of_one_event_it_is_that_one() {
    let (events, other) = (log(), changed(&log(), 3));
    let mut again = again(&other[..2]);
    again.check_root(root(&events[..2]), ReverifyWitness::Checkpoint).unwrap();
    again.advance(&other[2]).unwrap();
    let found = ReverifyError::Changed { position: at(3), witness: ReverifyWitness::Head };
    assert_eq!(again.check_root(root(&events[..3]), ReverifyWitness::Head), Err(found));
}

#[test]
fn witnesses_that_do_not_agree_with_each_other_are_named() {
    let events = log();
    let mut again = again(&events);
    again.check_root(root(&events), ReverifyWitness::Head).unwrap();
    let found = again.check_root(Digest::of(b"x"), ReverifyWitness::Checkpoint).unwrap_err();
    assert!(matches!(&found, ReverifyError::NoWitness { position, .. } if *position == at(8)), "{found}");
    let found = again.check_node((TreeNode { level: 3, index: 0 }, root(&events)), None).unwrap_err();
    assert!(matches!(&found, ReverifyError::NoWitness { position, .. } if *position == at(8)), "{found}");
}

#[test]
fn what_was_published_tells_which_event_it_is() {
    let (events, other) = (log(), changed(&changed(&log(), 6), 7));
    let published = |events: &[Event]| events.iter().cloned().map(Some).collect::<Vec<_>>();
    let found = ReverifyError::Changed { position: at(6), witness: ReverifyWitness::Published };
    assert_eq!(first_changed(&other, &published(&events)), Some(found));
    assert_eq!(first_changed(&events, &published(&events)), None);
    // What is missing there, or is damaged, tells nothing.
    let mut holes = published(&events);
    holes[5] = None;
    holes[6].as_mut().unwrap().data.push(' ');
    assert_eq!(first_changed(&other, &holes), None);
    assert_eq!(first_changed(&other, &[]), None);
}

/// What is worked with after `events`, if it were the state that `other` comes to.
fn gone_wrong(events: &[Event], other: &[Event]) -> Follower {
    Follower::resume(history::log_id(), folded(other).into_configuration(), folded(events).frontier().clone())
}

#[test]
fn a_record_that_comes_out_differently_is_named_with_both_digests() {
    let (events, other) = (log(), log_with(enrol("n-2")));
    let live = gone_wrong(&events, &other);
    let (node, empty) = ("n-2".parse().unwrap(), RecordDigest(Some(Digest::of(b""))));
    let found = ReverifyError::Folded { position: at(5), node, live: empty, refolded: RecordDigest(None) };
    assert_eq!(again(&events).check_live(&live), Err(found));

    // What no record shows is found as well.
    let [early, late] = [log_with(principal("ann")), log_with(principal("bob"))];
    let live = gone_wrong(&early, &late);
    let found = again(&early).check_live(&live);
    assert_eq!(found, Err(ReverifyError::State { position: at(8) }), "no node's record tells");
    assert_eq!(again(&early).check_live(&folded(&early)), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_that_is_what_it_was_agrees_with_every_witness(requests in history::requests()) {
        let events = history::events(&requests);
        let mut again = Reverification::new(history::log_id());
        let mut live = Follower::new(history::log_id());
        for event in &events {
            again.advance(event).unwrap();
            live.advance(event).unwrap();
            for node in again.completed() {
                again.check_node(node, Some(node.1)).unwrap();
            }
            let (log_id, position, root) = (history::log_id(), live.position(), live.frontier().root());
            again.check_root(Checkpoint { log_id, position, root }.root, ReverifyWitness::Checkpoint).unwrap();
        }
        prop_assert_eq!(again.check_live(&live), Ok(()));
        prop_assert_eq!(again.agreed(), live.position());
    }
}
