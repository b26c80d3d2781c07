//! The past: any moment is told as folding from the first event would tell it, and few events are folded for it.

use futures::future::join_all;
use projections::configuration::Configuration;
use replay::as_of::AsOf;
use replay::log::Follower;
use schema::event::Event;
use schema::instant::Instant;
use schema::position::Position;
use serde_json::json;
use store::database::Error;
use store::log::Log;
use store::snapshots::EVERY;

use crate::desk::{Desk, enrol, one, retry};

/// Commands of one request: as many as the server takes.
const COMMANDS: usize = 1_000;
/// Requests in flight at once, so that some transactions hold more events than lie between two kept states.
const AT_ONCE: usize = 14;

/// What folding from the first event tells.
fn folded(events: &[Event], up_to: Position) -> Configuration {
    let mut follower = Follower::new(events[0].log_id);
    for event in events.iter().take_while(|event| event.position <= up_to) {
        follower.advance(event).unwrap();
    }
    follower.into_configuration()
}

/// Where the request of an event ends.
fn end(event: &Event) -> Position {
    (event.position.get() + u64::from(event.count - event.ordinal)).into()
}

/// Wherever a request ends, a state is kept fewer than [`EVERY`] events before it.
fn is_near_everywhere(log: &Log, events: &[Event]) {
    let kept = log.snapshots();
    for end in events.iter().filter(|event| event.ends_request()).map(|event| event.position) {
        let before = kept.iter().rev().find(|kept| **kept <= end).copied().unwrap_or_default();
        assert!(end.get() - before.get() < EVERY, "{end} after {before} of {kept:?}");
    }
}

#[tokio::test]
async fn any_moment_is_told_as_folding_from_the_first_event_would() {
    let desk = Desk::new().await;
    let (open, looking) = (desk.open().await, desk.open().await);
    open.submit(json!({"commands": (0..20).map(|node| enrol(&format!("n-{node}"))).collect::<Vec<_>>()}))
        .await
        .unwrap();
    let many =
        json!({"commands": (0..COMMANDS).map(|number| retry(&format!("n-{}", number % 20))).collect::<Vec<_>>()});
    // All in flight at once are one or two transactions, and each of them holds more than one milestone.
    for _ in 0..2 {
        for answer in join_all((0..AT_ONCE).map(|_| open.submit(many.clone()))).await {
            answer.unwrap();
        }
        open.submit(one(retry("n-3"))).await.unwrap();
    }
    let events = open.events().await;
    let head = events.last().unwrap().position;
    assert!(head.get() > 2 * EVERY);
    looking.log.reached(head).await;
    let again = desk.open().await;
    for (who, log) in [("who appended", &open.log), ("who looked", &looking.log), ("who began later", &again.log)] {
        is_near_everywhere(log, &events);
        for position in [0, 1, 20, 21, 9_999, 10_000, 10_020, 10_021, 15_500, 20_020, head.get()] {
            let event = events.get(usize::try_from(position).unwrap().wrapping_sub(1));
            let told = log.past(AsOf::Position(position.into())).await.unwrap().unwrap();
            let up_to = event.map_or(Position::ZERO, end);
            assert_eq!(told.position(), up_to, "{who}: a request is told whole");
            assert_eq!(told, folded(&events, up_to), "{who} at {position}");
        }
        assert_eq!(log.past(AsOf::Position(head.next())).await.unwrap(), None, "{who}");
    }
    times_are_found(&open.log, &events).await;
}

async fn times_are_found(log: &Log, events: &[Event]) {
    let micros = |at: Instant, by: i64| Instant::from_unix_micros(at.unix_micros() + by);
    for event in events.iter().step_by(events.len() / 13).chain(events.last()) {
        for by in [-1, 0, 1] {
            let at = micros(event.at, by);
            let last = events.iter().rev().find(|event| event.at <= at).map_or(Position::ZERO, end);
            assert_eq!(log.past(AsOf::Time(at)).await.unwrap().unwrap().position(), last, "at {at}");
        }
    }
    let head = events.last().unwrap().position;
    for (text, position) in [("-009999-01-01T00:00:00Z", Position::ZERO), ("9999-12-31T23:59:59Z", head)] {
        let at = Instant::parse_clamped(text).unwrap();
        assert_eq!(log.past(AsOf::Time(at)).await.unwrap().unwrap().position(), position, "{text}");
    }
}

#[tokio::test]
async fn a_log_without_events_has_a_past_of_nothing() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    for moment in [AsOf::Position(Position::ZERO), AsOf::Time(Instant::parse_clamped("2030-01-01T00:00:00Z").unwrap())]
    {
        assert_eq!(open.log.past(moment).await.unwrap(), Some(Configuration::default()));
    }
    assert_eq!(open.log.past(AsOf::Position(1.into())).await.unwrap(), None);
    assert!(open.log.snapshots().is_empty());
}

#[tokio::test]
async fn a_time_that_was_changed_leads_nobody_astray_unseen() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    for number in 0..9 {
        open.submit(one(enrol(&format!("n-{number}")))).await.unwrap();
    }
    let events = open.events().await;
    let told = async |at| open.log.past(AsOf::Time(at)).await;
    for forged in 1..=9 {
        for hours in [-1, 1] {
            let by = format!("UPDATE event SET at = at + make_interval(hours => {hours}) WHERE position = {forged}");
            desk.sql(&format!("SET session_replication_role = replica; {by}")).await;
            for event in &events {
                let said = told(event.at).await;
                let is_true = said.as_ref().is_ok_and(|state| state.as_ref().unwrap().position() == event.position);
                let is_named = said.as_ref().is_err_and(Error::is_about_rows);
                assert!(is_true || is_named, "{forged} by {hours} h: {said:?} at {}", event.position);
            }
            desk.sql(&format!("SET session_replication_role = replica; {}", by.replace("at + make", "at - make")))
                .await;
        }
    }
    for event in &events {
        assert_eq!(told(event.at).await.unwrap().unwrap().position(), event.position);
    }
}
