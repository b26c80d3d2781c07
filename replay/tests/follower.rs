//! A log is followed to the first place where it is not what it should be, and that place is named.

use projections::configuration::Configuration;
use projections::request::{RequestContext, decide_request};
use replay::event_error::EventError;
use replay::log::{Follower, OpenedEvent};
use replay::tree::Frontier;
use schema::change::ChangeError;
use schema::command::{Command, EnrolNode};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, EventId, LogId, NodeId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::{Position, Version};
use schema::request::Request;

fn log_id() -> LogId {
    "0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap()
}

fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

/// Five events: a request of three and one of two.
fn log() -> Vec<Event> {
    let site = |name: &str| Labels::from([("site", name)]);
    let requests = [
        vec![
            Command::EnrolNode(EnrolNode { id: node("n1"), labels: site("lund"), keys: None }),
            Command::EnrolNode(EnrolNode { id: node("n2"), labels: site("lund"), keys: None }),
            Command::LabelNode(node("n1"), site("garching")),
        ],
        vec![Command::RetryNode(node("n1")), Command::RetireNode(node("n2"))],
    ];
    let mut state = Configuration::default();
    let mut events = Vec::new();
    for (index, commands) in requests.into_iter().enumerate() {
        let envelope = RequestContext {
            log_id: log_id(),
            command_id: CommandId::derived(log_id(), "ann", &index.to_string()),
            actor: Actor::Install,
            entropy: [7; 16],
            clock: Instant::from_unix_micros(1_000_000 * (i64::try_from(index).unwrap() + 1)),
        };
        let decided = decide_request(&state, &envelope, &Request::of(commands)).unwrap();
        state = decided.configuration;
        events.extend(decided.events);
    }
    events
}

/// Where following stops, and why; nothing is folded there. Whoever opens events before comes to the same.
fn stops(events: &[Event]) -> Option<(u64, EventError)> {
    let mut follower = Follower::new(log_id());
    for event in events {
        let before = follower.configuration().clone();
        let opened = match OpenedEvent::new(event.clone()) {
            Ok(opened) => follower.clone().advance_opened(&opened),
            Err(unfit) => Err(follower.divergence_at(&unfit.0, unfit.1)),
        };
        let advanced = follower.advance(event);
        assert_eq!(advanced, opened);
        if let Err(divergence) = advanced {
            assert_eq!(follower.configuration(), &before, "what diverges is not folded");
            assert_eq!(divergence.position, before.position().next());
            return Some((divergence.position.get(), divergence.fault));
        }
    }
    None
}

/// The log with its fourth event changed; whoever changed it may have sealed it again.
fn fourth(change: impl FnOnce(&mut Event), sealed_again: bool) -> Option<(u64, EventError)> {
    let mut events = log();
    change(&mut events[3]);
    if sealed_again {
        events[3] = events[3].clone().sealed();
    }
    stops(&events)
}

#[test]
fn a_log_that_is_right_is_followed_to_its_end() {
    assert_eq!(stops(&log()), None);
    let mut follower = Follower::new(log_id());
    for event in &log() {
        follower.advance(event).unwrap();
    }
    assert_eq!(follower.position(), Position::from(5));
    assert_eq!(follower.log_id(), log_id());
}

#[test]
fn following_goes_on_from_any_place_where_it_was_left() {
    let events = log();
    for left in 0..events.len() {
        let mut first = Follower::new(log_id());
        events[..left].iter().for_each(|event| drop(first.advance(event).unwrap()));
        let mut second = Follower::resume(log_id(), first.configuration().clone(), first.frontier().clone());
        events[left..].iter().for_each(|event| drop(second.advance(event).unwrap()));
        assert_eq!(second.position(), Position::from(5));
        assert_eq!(second.frontier(), &Frontier::over(events.iter().map(|event| event.leaf)));
    }
}

#[test]
fn each_field_that_is_changed_breaks_the_seal() {
    type Change = fn(&mut Event);
    let changes: [(&str, Change); 13] = [
        ("v", |event| event.v += 1),
        ("event_id", |event| event.event_id = EventId::derived(event.command_id, 9, event.at)),
        ("command_id", |event| event.command_id = CommandId::derived(log_id(), "eve", "1")),
        ("ordinal", |event| event.ordinal += 1),
        ("count", |event| event.count += 1),
        ("entity", |event| event.entity = (&node("n3")).into()),
        ("version", |event| event.version = event.version.next()),
        ("type", |event| event.event_type = "NodeRetired".into()),
        ("actor", |event| event.actor = Actor::Reconciler),
        ("reason", |event| event.reason = Some("another".into())),
        ("at", |event| event.at = Instant::from_unix_micros(event.at.unix_micros() + 1)),
        ("data", |event| event.data.push(' ')),
        ("leaf", |event| event.leaf = Digest::of(b"")),
    ];
    for (field, change) in changes {
        assert_eq!(fourth(change, false), Some((4, EventError::Unsealed)), "{field}");
    }
}

#[test]
fn an_event_of_another_log_is_named_before_anything_else() {
    let other: LogId = "0197f3a0-0000-7000-8000-0000000000b2".parse().unwrap();
    let fault = EventError::OtherLog { expected: log_id(), found: other };
    assert_eq!(fourth(|event| event.log_id = other, false), Some((4, fault.clone())));
    assert_eq!(fourth(|event| event.log_id = other, true), Some((4, fault)));
}

#[test]
fn a_missing_a_repeated_and_an_exchanged_event_are_gaps() {
    let at = |position, found: u64| Some((position, EventError::Gap { found: found.into() }));
    let events = log();
    for missing in 0..4 {
        let mut torn = events.clone();
        torn.remove(missing);
        let position = missing as u64 + 1;
        assert_eq!(stops(&torn), at(position, position + 1));
    }
    assert_eq!(stops(&[&events[..3], &events[2..]].concat()), at(4, 3), "again");
    assert_eq!(stops(&[&events[..2], &events[3..4], &events[2..3]].concat()), at(3, 4), "exchanged");
    assert_eq!(fourth(|event| event.position = 0.into(), true), at(4, 0));
}

#[test]
fn versions_count_up_without_a_gap() {
    let entity = || (&node("n1")).into();
    for version in [0, 1, 2, 4] {
        let fault = EventError::Version { entity: entity(), expected: Version::from(3), found: Version::from(version) };
        assert_eq!(fourth(|event| event.version = version.into(), true), Some((4, fault)));
    }
    let of_another = fourth(|event| event.entity = (&node("n3")).into(), true);
    assert!(matches!(of_another, Some((4, EventError::Version { .. }))), "{of_another:?}");
}

#[test]
fn time_does_not_run_backwards() {
    let (before, found) = (Instant::from_unix_micros(1_000_000), Instant::from_unix_micros(999_999));
    assert_eq!(fourth(|event| event.at = found, true), Some((4, EventError::Time { before, found })));
    assert_eq!(fourth(|event| event.at = before, true), None, "it may stand still");
}

#[test]
fn what_cannot_be_read_is_not_folded() {
    let unreadable = |change: fn(&mut Event)| match fourth(change, true) {
        Some((4, EventError::Unreadable(why))) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(unreadable(|event| event.v = 2), ChangeError::Newer { v: 2, newest: 1, .. }));
    assert!(matches!(unreadable(|event| event.v = 0), ChangeError::Damaged { .. }));
    assert!(matches!(unreadable(|event| event.data = "[]".into()), ChangeError::Damaged { .. }));
    assert!(matches!(unreadable(|event| event.event_type = "NodeExploded".into()), ChangeError::UnknownType { .. }));
}

#[test]
fn a_change_happens_only_to_what_it_can_happen_to() {
    let data = [
        ("DocumentRemoved", "{}"),
        ("PrincipalRevoked", "{}"),
        ("ReportChanged", r#"{"running":null,"failed":null,"drift":[]}"#),
    ];
    for (event_type, data) in data {
        let stopped = fourth(
            |event| {
                event.event_type = event_type.into();
                event.data = data.into();
            },
            true,
        );
        let fault = EventError::Misplaced { event_type: event_type.into(), entity: (&node("n1")).into() };
        assert_eq!(stopped, Some((4, fault)));
    }
}

#[test]
fn a_request_that_is_torn_is_named_where_it_is() {
    let torn = |change: fn(&mut Event)| fourth(change, true);
    let other = CommandId::derived(log_id(), "eve", "1");
    assert_eq!(torn(|event| event.ordinal = 2), Some((4, EventError::Torn)), "it does not begin");
    assert_eq!(torn(|event| event.count = 0), Some((4, EventError::Torn)), "it has no events");
    assert_eq!(torn(|event| event.count = 3), Some((5, EventError::Torn)), "the next one counts differently");
    assert_eq!(torn(|event| event.count = 1), Some((5, EventError::Torn)), "it ended before the next one");
    let stopped = fourth(|event| event.command_id = other, true);
    assert_eq!(stopped, Some((5, EventError::Torn)), "the next one belongs to another request");
}
