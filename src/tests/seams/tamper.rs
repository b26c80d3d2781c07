//! A superuser who changes the log directly is found out, by the running check and by the next start.

use replay::tree::Frontier;
use schema::address::APP_ROLE;
use schema::event::Event;
use serde_json::json;
use store::appender::Appender;
use store::database::Database;
use store::reader::Reader;

use crate::SOON;
use crate::desk::{Desk, Open, Relaying, enrol, one, put, retry};
use testkit::eventually::eventually;

/// Enough that part of the tree is kept, and part is not yet.
const EVENTS: u64 = 300;

/// What a superuser does, and the first position that is not what it was.
struct Deed {
    what: &'static str,
    first: u64,
    statements: String,
    /// Whether the log can still be folded.
    folds: bool,
}

/// A log of some nodes and what happened to them, signed for.
async fn furnished(desk: &Desk) -> (Open, Relaying) {
    let open = desk.open().await;
    let nodes: Vec<String> = (0..10).map(|number| format!("n-{number}")).collect();
    open.submit(json!({"commands": nodes.iter().map(|node| enrol(node)).collect::<Vec<_>>()})).await.unwrap();
    for number in 10..EVENTS {
        let node = &nodes[usize::try_from(number).unwrap() % nodes.len()];
        let command = if number == 100 { put("a", "some content") } else { retry(node) };
        open.submit(json!({"reason": number.to_string(), "commands": [command]})).await.unwrap();
    }
    let relay = desk.following(&open.log).await;
    eventually("it is signed for", SOON, async || {
        let newest = open.log.reader().newest_checkpoint().await.unwrap();
        newest.filter(|newest| newest.position.get() == EVENTS).map(drop).ok_or("not yet".into())
    })
    .await;
    desk.sql("CREATE TABLE saved AS SELECT * FROM event; CREATE TABLE saved_blob AS SELECT * FROM blob").await;
    (open, relay)
}

/// An update of an event's reason, sealed again as the program that knows how would seal it.
fn sealed_again(events: &[Event], position: u64) -> String {
    let event = &events[usize::try_from(position).unwrap() - 1];
    let changed = Event { reason: Some("another".into()), ..event.clone() }.sealed();
    format!("UPDATE event SET reason = 'another', leaf = '\\x{}' WHERE position = {position}; ", changed.leaf)
}

/// Two events that change their places, each sealed again.
fn exchanged(events: &[Event], [first, second]: [u64; 2]) -> String {
    let moved = |from: u64, to: u64| {
        let event = Event { position: to.into(), ..events[usize::try_from(from).unwrap() - 1].clone() }.sealed();
        let id = event.event_id;
        format!("UPDATE event SET position = {to}, leaf = '\\x{}' WHERE event_id = '{id}'; ", event.leaf)
    };
    format!(
        "UPDATE event SET position = 1000000 WHERE position = {first}; {}{}",
        moved(second, first),
        moved(first, second)
    )
}

/// An event in another's name, and everything that is kept of the tree computed anew. Nothing in the database is amiss then.
fn rewritten(events: &[Event], position: u64) -> String {
    let mut statements = sealed_again(events, position);
    let mut frontier = Frontier::default();
    for event in events {
        let mut leaf = event.leaf;
        if event.position.get() == position {
            leaf = Event { reason: Some("another".into()), ..event.clone() }.sealed().leaf;
        }
        frontier.push_with(leaf, |node, hash| {
            if node.level == 8 {
                statements +=
                    &format!("UPDATE tree SET hash = '\\x{hash}' WHERE level = 8 AND index = {}; ", node.index);
            }
        });
    }
    statements + &format!("UPDATE log_head SET root = '\\x{}'; DELETE FROM checkpoint; ", frontier.root())
}

fn deeds(events: &[Event]) -> Vec<Deed> {
    let deed = |what, first, statements: &str, folds| Deed { what, first, statements: statements.into(), folds };
    vec![
        deed(
            "a row is changed",
            40,
            "UPDATE event SET actor = 'install' || '', reason = 'x' WHERE position = 40",
            false,
        ),
        deed("a leaf is changed", 41, "UPDATE event SET leaf = sha256('x') WHERE position = 41", false),
        deed("a row is deleted", 120, "DELETE FROM event WHERE position = 120", false),
        deed("the last row is deleted", EVENTS, &format!("DELETE FROM event WHERE position = {EVENTS}"), false),
        deed("a row is changed and sealed again", 42, &sealed_again(events, 42), true),
        deed("a new row is changed and sealed again", 290, &sealed_again(events, 290), true),
        deed("content is changed", 101, "UPDATE blob SET bytes = 'other content'", true),
        deed("two rows are exchanged and sealed again", 50, &exchanged(events, [50, 60]), false),
    ]
}

async fn tampered(desk: &Desk, statements: &str) {
    desk.sql(&format!("SET session_replication_role = replica; {statements}")).await;
}

async fn mended(desk: &Desk) {
    let statements = "DELETE FROM event; INSERT INTO event SELECT * FROM saved ORDER BY position; \
                      DELETE FROM blob; INSERT INTO blob SELECT * FROM saved_blob";
    tampered(desk, statements).await;
}

/// Waits until the relay stops, naming a position.
async fn stops(relay: &Relaying, what: &str, position: u64) -> String {
    let mut standing = relay.standing.clone();
    let name = format!("position {position}:");
    let named = |fault: &Option<String>| fault.as_ref().is_some_and(|fault| fault.contains(&name));
    let waited = tokio::time::timeout(SOON, standing.wait_for(|standing| named(&standing.fault))).await;
    let found = waited.unwrap_or_else(|_| panic!("{what}: nothing at {position}: {:?}", relay.standing.borrow()));
    let found = found.unwrap();
    assert_ne!(found.phase.name(), "following", "{what}: {found:?}");
    found.fault.clone().unwrap()
}

#[tokio::test]
async fn the_running_check_finds_it_and_nothing_more_is_published() {
    let desk = Desk::new().await;
    let (open, mut relay) = furnished(&desk).await;
    let events = open.events().await;
    let mut head = EVENTS;
    for deed in deeds(&events) {
        tampered(&desk, &deed.statements).await;
        stops(&relay, deed.what, deed.first).await;
        if deed.what == "a row is changed" {
            // The log still takes what it is told; nobody hears of it until this is settled.
            open.submit(one(retry("n-0"))).await.unwrap();
            head += 1;
            stops(&relay, deed.what, deed.first).await;
            assert_eq!(relay.standing.borrow().published.get(), EVENTS);
            desk.sql(&format!("INSERT INTO saved SELECT * FROM event WHERE position = {head}")).await;
        }
        mended(&desk).await;
        relay.follows().await;
        assert_eq!(relay.standing.borrow().published.get(), head, "{}", deed.what);
    }
    relay.stop().await;
}

#[tokio::test]
async fn the_next_start_finds_it() {
    let desk = Desk::new().await;
    let (open, relay) = furnished(&desk).await;
    let events = open.events().await;
    relay.stop().await;
    drop(open);
    for Deed { what, first, statements, folds } in deeds(&events) {
        tampered(&desk, &statements).await;
        let reader = Reader::open(Database::parse(&desk.backends.database_as(APP_ROLE)).unwrap()).await.unwrap();
        match Appender::start(reader).await {
            Ok((_, log)) => {
                assert!(folds, "{what}");
                let relay = desk.relay(&log).await;
                stops(&relay, what, first).await;
                relay.stop().await;
            }
            Err(error) => {
                assert!(!folds && error.to_string().contains(&format!("{first}")), "{what}: {error}");
            }
        }
        mended(&desk).await;
    }
}

#[tokio::test]
async fn a_rewriting_that_leaves_nothing_amiss_is_found_by_what_was_folded_and_by_what_is_kept_outside() {
    let desk = Desk::new().await;
    let (open, relay) = furnished(&desk).await;
    let events = open.events().await;
    desk.sql("CREATE TABLE saved_tree AS SELECT * FROM tree; CREATE TABLE saved_head AS SELECT * FROM log_head").await;
    tampered(&desk, &rewritten(&events, 42)).await;
    stops(&relay, "rewritten", 42).await;
    relay.stop().await;
    drop(open);
    let open = desk.open().await;
    let mut relay = desk.relay(&open.log).await;
    let said = stops(&relay, "rewritten", 42).await;
    assert!(said.contains(&format!("signed at position {EVENTS}")), "{said}");
    // It folded what was rewritten, and lets go of it once the log is what it was.
    let tree = "DELETE FROM tree; INSERT INTO tree SELECT * FROM saved_tree; \
                UPDATE log_head SET root = (SELECT root FROM saved_head)";
    tampered(&desk, tree).await;
    mended(&desk).await;
    relay.follows().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_row_that_nobody_appended_is_found() {
    let desk = Desk::new().await;
    let (open, relay) = furnished(&desk).await;
    // It follows in every way, and goes through the write-ahead log as any other.
    tampered(&desk, &inserted(open.events().await.pop().unwrap())).await;
    stops(&relay, "inserted", EVENTS + 1).await;
    relay.stop().await;
}

/// One more event, which follows the last one in every way.
fn inserted(last: Event) -> String {
    let before = last.position;
    let event = Event {
        position: before.next(),
        version: last.version.next(),
        event_id: uuid::Uuid::now_v7().into(),
        command_id: uuid::Uuid::now_v7().into(),
        ..last
    }
    .sealed();
    format!(
        "INSERT INTO event SELECT {}, '{}', '{}', ordinal, count, entity, {}, type, v, actor, reason, at, data, '\\x{}' \
         FROM event WHERE position = {before}; ",
        event.position, event.event_id, event.command_id, event.version, event.leaf
    )
}

#[tokio::test]
async fn an_appender_lets_go_of_what_the_head_does_not_vouch_for() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(one(enrol("a"))).await.unwrap();
    open.submit(one(retry("a"))).await.unwrap();
    let row = inserted(open.events().await.pop().unwrap());
    tampered(&desk, &format!("{row}UPDATE log_head SET position = 3")).await;
    eventually("it is seen", SOON, async || {
        let fault = open.log.health().fault().map(str::to_owned);
        fault.filter(|fault| fault.contains("changed directly")).map(drop).ok_or("not yet".into())
    })
    .await;
    assert!(open.submit(one(retry("a"))).await.is_err());
    tampered(&desk, "DELETE FROM event WHERE position = 3; UPDATE log_head SET position = 2").await;
    eventually("it goes on", SOON, async || {
        open.submit(one(retry("a"))).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(open.events().await.len(), 3);
}
