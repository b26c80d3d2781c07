//! What can be told of a message behind the last event of a log: every event that the log decides passes, and what somebody
//! makes up without looking at the log does not.

use histories::story;
use replay::event_error::EventError;
use replay::log::Follower;
use replay::stray::{StrayError, next_event};
use schema::entity::Actor;
use schema::event::Event;
use schema::id::EventId;
use schema::instant::Instant;
use schema::wire::WireRecord as _;
use uuid::Uuid;

/// A log up to each of its events, and the event after it.
fn steps() -> Vec<(Follower, Event)> {
    let mut log = Follower::new(story::log_id());
    let mut steps = Vec::new();
    for event in story::told().events {
        steps.push((log.clone(), event.clone()));
        log.advance(&event).unwrap();
    }
    steps
}

/// The same event by whoever knows how an event is sealed.
fn forged(event: &Event, change: impl FnOnce(&mut Event)) -> Vec<u8> {
    let mut forged = event.clone();
    change(&mut forged);
    forged.sealed().write()
}

/// As [`forged`], also with the id that follows from it.
fn forged_well(event: &Event, change: impl FnOnce(&mut Event)) -> Vec<u8> {
    forged(event, |event| {
        change(event);
        event.event_id = EventId::derived(event.command_id, event.ordinal, event.at);
    })
}

#[test]
fn every_event_of_a_log_may_be_its_next_one_wherever_it_was_cut_off() {
    for (log, event) in steps() {
        let judged = next_event(&log, &event.write());
        assert_eq!(judged, Ok(event.clone()), "{event:?}");
        if event.ordinal == 1 {
            let state = Follower::after_request(story::log_id(), log.into_configuration());
            assert_eq!(next_event(&state, &event.write()), Ok(event), "from its state alone");
        }
    }
}

#[test]
fn what_the_log_before_it_rules_out_is_a_stray() {
    for (log, event) in steps() {
        let impossible = |message: Vec<u8>| match next_event(&log, &message).map_err(|stray| *stray) {
            Err(StrayError::Impossible(fault)) => fault,
            other => panic!("{event:?}: {other:?}"),
        };
        let found = impossible(forged(&event, |event| event.log_id = Uuid::from_u128(7).into()));
        assert!(matches!(found, EventError::OtherLog { .. }), "{found:?}");
        for position in [event.position.get() + 1, 1_000_000_007, 0] {
            let found = impossible(forged(&event, |event| event.position = position.into()));
            assert_eq!(found, EventError::Gap { found: position.into() });
        }
        let found = impossible(Event { reason: Some("another".into()), ..event.clone() }.write());
        assert_eq!(found, EventError::Unsealed);
        let found = impossible(forged(&event, |event| event.version = event.version.next()));
        assert!(matches!(found, EventError::Version { .. }), "{found:?}");
        for ordinal in [event.ordinal + 1, 0] {
            assert_eq!(impossible(forged(&event, |event| event.ordinal = ordinal)), EventError::Torn);
        }
        if log.configuration().at() > Instant::from_unix_micros(0) {
            let found = impossible(forged_well(&event, |event| event.at = Instant::from_unix_micros(0)));
            assert!(matches!(found, EventError::Time { .. }), "{found:?}");
        }
        let found = next_event(&log, &forged(&event, |event| event.event_id = Uuid::from_u128(7).into()));
        assert!(matches!(found.map_err(|stray| *stray), Err(StrayError::Id { .. })), "{event:?}");
        let found = next_event(&log, b"no event");
        assert!(matches!(found.map_err(|stray| *stray), Err(StrayError::NoEvent(_))));
    }
}

#[test]
fn what_its_actor_may_not_do_is_a_stray() {
    for (log, event) in steps().into_iter().filter(|(_, event)| event.ordinal == 1) {
        for actor in ["nobody", "node/n1"] {
            let actor: Actor = actor.parse().unwrap();
            let found = next_event(&log, &forged_well(&event, |event| event.actor = actor.clone()));
            let is_claim =
                matches!(event.event_type.as_str(), "JobClaimed" | "JobReleased" | "JobCompleted" | "ClaimRenewed");
            match actor {
                Actor::Node(_) if is_claim => assert!(found.is_ok(), "{found:?}"),
                actor => assert_eq!(found.map_err(|stray| *stray), Err(StrayError::NotPermitted(actor)), "{event:?}"),
            }
        }
    }
}

#[test]
fn what_follows_in_every_way_and_what_a_newer_program_wrote_is_for_a_person_to_judge() {
    let (log, event) = steps().pop().unwrap();
    let install: Actor = "system/install".parse().unwrap();
    assert!(next_event(&log, &forged_well(&event, |event| event.actor = install.clone())).is_ok());
    assert!(next_event(&log, &forged(&event, |event| event.event_type = "LaterType".into())).is_ok());
    assert!(next_event(&log, &forged(&event, |event| event.v = 9)).is_ok());
}
