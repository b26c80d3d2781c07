//! An event that a newer Headwater wrote: refused by its name, by everybody, and nothing is built on it.

use schema::event::Event;
use server::relay::Phase;
use store::log::SubmitError;

use crate::SOON;
use crate::desk::{Desk, enrol, one, retry};
use testkit::eventually::eventually;
use testkit::law;

/// What everybody says of it.
const SAYS: &str = "NodeRetried in format 99 is newer than this program, which reads up to 1: upgrade it";

#[tokio::test]
async fn an_event_of_a_newer_format_is_refused_by_name_and_nothing_follows_it() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(one(enrol("a"))).await.unwrap();
    open.submit(one(retry("a"))).await.unwrap();
    let mut relay = desk.following(&open.log).await;

    let last = open.events().await.pop().unwrap();
    let (position, version) = (last.position.next(), last.version.next());
    let event_id = uuid::Uuid::now_v7().into();
    let command_id = uuid::Uuid::now_v7().into();
    let newer = Event { position, version, v: 99, event_id, command_id, ..last }.sealed();
    let (uuid, command) = (newer.event_id.uuid(), newer.command_id.uuid());
    let insert = format!(
        "INSERT INTO event (position, event_id, command_id, ordinal, count, entity, version, type, v, actor, reason, at, data, leaf) \
         VALUES ({position}, '{uuid}', '{command}', 1, 1, '{}', {version}, '{}', 99, '{}', NULL, '{}', '{}', '\\x{}')",
        newer.entity, newer.event_type, newer.actor, newer.at, newer.data, newer.leaf
    );
    desk.sql(&format!("BEGIN; {insert}; UPDATE log_head SET position = {position}; COMMIT")).await;

    eventually("the relay says so", SOON, async || match relay.standing.borrow_and_update().clone() {
        standing
            if standing.phase != Phase::Following
                && standing.fault.as_ref().is_some_and(|said| said.contains(SAYS)) =>
        {
            Ok(())
        }
        standing => Err(format!("{standing:?}")),
    })
    .await;
    eventually("so does the log", SOON, async || match open.log.health().fault() {
        Some(fault) if fault.contains(SAYS) => Ok(()),
        fault => Err(format!("{fault:?}")),
    })
    .await;
    match open.submit(one(retry("a"))).await {
        Err(SubmitError::Unavailable(why)) => assert!(why.contains(SAYS), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(law::stream(&desk.backends.nats.url()).await.unwrap().len(), 2, "nothing is published beyond it");
    assert_eq!(
        desk.ask("SELECT max(position) FROM event").await,
        position.to_string(),
        "nothing is appended behind it"
    );
    relay.stop().await;
}
