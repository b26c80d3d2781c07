//! Any one process is killed with -9 while callers never stop, and started again: nothing that was answered is lost or done
//! twice, nothing is published twice or out of order, and every node ends with what it must hold.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::eventually::eventually;
use crate::fleet::Fleet;
use crate::law;
use crate::load::{Load, Outcome};

/// How long the load may take to get to where the kill is.
const UNDER_WAY_WITHIN: Duration = Duration::from_secs(30);
/// Events that are appended before a kill, and again after it.
const EVENTS_BETWEEN: usize = 60;

/// Two nodes, which every document of the load is for.
async fn fleet() -> Fleet {
    let mut fleet = Fleet::start().await;
    for node in ["a", "b"] {
        fleet.node(node, json!({})).await;
    }
    fleet
}

/// Waits until the log has grown by some events.
async fn grows(fleet: &Fleet) {
    let length = async || law::table(&fleet.ground.database()).await.map(|log| log.len());
    let from = eventually("the table can be read", UNDER_WAY_WITHIN, length).await;
    eventually("the log grows", UNDER_WAY_WITHIN, async || match length().await? {
        long if long >= from + EVENTS_BETWEEN => Ok(()),
        short => Err(format!("{short} events after {from}")),
    })
    .await;
}

/// Begins the load, does something to the fleet in its midst, and checks what came of it.
async fn survives(fleet: &mut Fleet, harm: impl AsyncFnOnce(&mut Fleet)) {
    let doors: Vec<_> = fleet.servers.iter().map(|server| server.door.clone()).collect();
    let load = Load::begin(&doors, "a");
    grows(fleet).await;
    harm(fleet).await;
    grows(fleet).await;
    settles(fleet, load.end().await).await;
}

async fn settles(fleet: &Fleet, outcome: Outcome) {
    let want = ["a", "b"].map(|node| (node.to_owned(), outcome.tree())).into();
    fleet.converges(&want).await;
    let log = law::holds(&fleet.ground).await;
    outcome.is_true_of(&log);
    println!("{} requests answered, {} events", outcome.answered(), log.len());
    still_works(fleet, want).await;
}

/// After all that a change still reaches every node.
async fn still_works(fleet: &Fleet, mut want: BTreeMap<String, crate::disk::Tree>) {
    let put = json!({
        "type": "put_document", "id": "after", "path": "after.txt", "media_type": "text/plain", "content": "after",
        "target": {"all": true}, "priority": 0,
    });
    fleet.door().accepted(json!({"commands": [put]})).await;
    for tree in want.values_mut() {
        tree.insert("files/after.txt".into(), b"after".into());
    }
    fleet.converges(&want).await;
}

#[tokio::test]
async fn a_killed_server_loses_and_repeats_nothing() {
    let mut fleet = fleet().await;
    survives(&mut fleet, async |fleet| {
        for _ in 0..2 {
            let server = &mut fleet.servers[0];
            server.process.kill();
            server.process.start_again();
            server.door.ready().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_killed_edge_ends_with_what_it_must_hold() {
    let mut fleet = fleet().await;
    survives(&mut fleet, async |fleet| {
        for _ in 0..5 {
            fleet.edges.get_mut("a").unwrap().process.kill();
            grows(fleet).await;
            fleet.edges.get_mut("a").unwrap().process.start_again();
            // At any moment of its work.
            tokio::time::sleep(Duration::from_millis(fastrand::u64(20..200))).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_killed_nats_server_has_everything_again() {
    let mut fleet = fleet().await;
    survives(&mut fleet, async |fleet| {
        fleet.ground.nats.kill();
        // The door takes commands without NATS.
        grows(fleet).await;
        fleet.ground.nats.start_again().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_killed_postgres_loses_and_repeats_nothing() {
    let mut fleet = fleet().await;
    survives(&mut fleet, async |fleet| {
        fleet.ground.postgres.kill();
        fleet.ground.postgres.start_again().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn when_the_active_server_is_killed_the_other_publishes_on() {
    let mut fleet = fleet().await;
    fleet.serve("all").await;
    let doors: Vec<_> = fleet.servers.iter().map(|server| server.door.clone()).collect();
    let load = Load::begin(&doors, "a");
    grows(&fleet).await;
    // The first server was alone when it took the slot.
    fleet.servers[0].process.kill();
    grows(&fleet).await;
    let outcome = load.end().await;
    fleet.servers.remove(0);
    settles(&fleet, outcome).await;
}

#[tokio::test]
async fn when_everything_is_killed_at_once_any_order_brings_it_back() {
    let mut fleet = fleet().await;
    survives(&mut fleet, async |fleet| {
        fleet.ground.postgres.kill();
        fleet.ground.nats.kill();
        fleet.servers[0].process.kill();
        fleet.edges.values_mut().for_each(|edge| edge.process.kill());
        // Those who need something come before what they need.
        fleet.edges.values_mut().for_each(|edge| edge.process.start_again());
        fleet.servers[0].process.start_again();
        fleet.ground.nats.start_again().await.unwrap();
        fleet.ground.postgres.start_again().await.unwrap();
        fleet.servers[0].door.ready().await;
    })
    .await;
}

#[tokio::test]
async fn a_frozen_nats_server_is_found_out_and_has_everything_again() {
    let mut fleet = fleet().await;
    survives(&mut fleet, async |fleet| {
        fleet.ground.nats.child().freeze(true);
        eventually("the server says that NATS is gone", UNDER_WAY_WITHIN, async || {
            match fleet.door().get("/readyz").await?.status {
                503 => Ok(()),
                status => Err(format!("{status}")),
            }
        })
        .await;
        grows(fleet).await;
        fleet.ground.nats.child().freeze(false);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_asked_to_end_ends_well_in_the_midst_of_work() {
    let mut fleet = fleet().await;
    survives(&mut fleet, async |fleet| {
        let server = &mut fleet.servers[0];
        let begun = std::time::Instant::now();
        assert!(server.process.stop().await, "it ended well");
        assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
        server.process.start_again();
        server.door.ready().await;
    })
    .await;
}
