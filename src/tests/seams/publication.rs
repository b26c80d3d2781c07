//! The publication dropped, altered and made again: whoever relays says what is wrong with it and what to run, and loses nothing.

use server::relay::Phase;
use store::database::Database;
use store::install::publish_anew;

use crate::SOON;
use crate::desk::{Desk, Relaying, enrol, one, put, retry};
use testkit::eventually::eventually;
use testkit::law;

/// Waits until a relay says what is wrong with the publication.
async fn refuses(relay: &mut Relaying, why: &str) {
    let says = relay.standing.wait_for(|standing| {
        let fault = standing.fault.as_deref().unwrap_or_default();
        fault.contains(why) && fault.contains("`headwater install`") && standing.phase != Phase::Following
    });
    let waited = tokio::time::timeout(SOON, says).await.map(drop);
    waited.unwrap_or_else(|_| panic!("{why}: {:?}", relay.standing.borrow()));
}

#[tokio::test]
async fn a_publication_that_is_not_as_it_was_installed_is_named_and_keeps_no_write_ahead_log() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let mut relay = desk.following(&open.log).await;
    open.submit(one(enrol("a"))).await.unwrap();
    let database = Database::parse(&desk.backends.database()).unwrap();
    for (harm, why) in [
        ("DROP PUBLICATION headwater", "publication headwater is missing"),
        ("ALTER PUBLICATION headwater SET (publish = 'update')", "publish = 'update'"),
    ] {
        assert_eq!(desk.slot().publication_fault().await.unwrap(), None);
        desk.sql(harm).await;
        open.submit(one(retry("a"))).await.unwrap();
        refuses(&mut relay, why).await;
        eventually("the slot keeps nothing", SOON, async || match desk.slot().retained_bytes().await.unwrap() {
            None => Ok(()),
            kept => Err(format!("{kept:?}")),
        })
        .await;
        publish_anew(&database).await.unwrap();
        relay.follows().await;
        law::holds(&desk.backends).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn what_was_written_while_there_was_no_publication_is_published_once_there_is_one() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    open.submit(one(enrol("a"))).await.unwrap();
    desk.following(&open.log).await.stop().await;
    // The slot is kept, and no server can decode what it would bring.
    desk.sql("DROP PUBLICATION headwater").await;
    open.submit(one(put("meanwhile", "x"))).await.unwrap();
    publish_anew(&Database::parse(&desk.backends.database()).unwrap()).await.unwrap();
    let mut relay = desk.following(&open.log).await;
    open.submit(one(put("thereafter", "x"))).await.unwrap();
    assert_eq!(law::holds(&desk.backends).await.len(), 3);
    relay.follows().await;
    relay.stop().await;
}
