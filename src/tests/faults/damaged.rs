//! An event that somebody altered in the table, and a server that starts on it.

use std::time::Duration;

use serde_json::json;

use crate::reader;
use crate::story::{NODES, PLAIN, Story, scenarios};
use testkit::eventually::eventually;
use testkit::law;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(40);

scenarios! {
    event_is_altered_and_the_server_starts_again: PLAIN, alter_and_start_again, put_back;
}

async fn alter_and_start_again(story: &mut Story) {
    let url = story.fleet.backends.database();
    story.fleet.servers[0].process.kill();
    let altered = story.random.u64(1..=reader::head(&url).await.unwrap());
    let alter = format!(
        "CREATE TABLE saved AS SELECT position, actor FROM event WHERE position = {altered}; \
         SET session_replication_role = replica; UPDATE event SET actor = 'mallory' WHERE position = {altered}"
    );
    law::execute(&url, &alter).await;
    story.fleet.servers[0].process.start_again();
    let api = story.fleet.servers[0].api.clone();
    let named = format!("position {altered}:");
    eventually("the server says where the log was altered", SOON, async || {
        let retry = json!({"commands": [{"type": "retry_node", "id": NODES[0]}]});
        let (alive, ready) = (api.get("/healthz").await?, api.get("/readyz").await?);
        let (told, taken) = (api.get("/v1/events").await?, api.post(&retry, None).await?);
        let is_named = [&ready, &told, &taken].iter().all(|answer| answer.body.to_string().contains(&named));
        let is_later = told.is_for_later() && taken.is_for_later();
        match (alive.status, ready.status, is_named && is_later) {
            (200, 503, true) => Ok(()),
            _ => Err(format!("{altered}: {alive:?} {ready:?} {told:?} {taken:?}")),
        }
    })
    .await;
    story.lasts().await;
    assert!(!story.fleet.servers[0].process.has_ended());
}

async fn put_back(story: &mut Story) {
    let put_back = "SET session_replication_role = replica; \
                    UPDATE event SET actor = saved.actor FROM saved WHERE event.position = saved.position";
    law::execute(&story.fleet.backends.database(), put_back).await;
    story.fleet.servers[0].api.ready().await;
}
