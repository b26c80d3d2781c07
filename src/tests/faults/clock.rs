//! A server whose clock is wrong, as that of a machine which starts before it has asked anybody for the time.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::reader;
use crate::story::{NODES, Story, TWO, scenarios};
use testkit::eventually::eventually;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(40);
/// How wrong the clock is.
const AHEAD_S: i64 = 50 * 365 * 86_400;
/// The server whose clock is wrong: the first to start has the slot.
const ACTIVE: usize = 0;

scenarios! {
    clock_of_the_active_server_is_ahead_beside_another: TWO, set_clock_ahead, set_clock_right;
}

fn file(story: &Story) -> PathBuf {
    story.fleet.backends.dir.path().join(format!("serve-{ACTIVE}.clock"))
}

async fn set_clock_ahead(story: &mut Story) {
    std::fs::write(file(story), AHEAD_S.to_string()).unwrap();
    let api = story.fleet.servers[ACTIVE].api.clone();
    eventually("the server says whose clock is wrong", SOON, async || {
        let retry = json!({"commands": [{"type": "retry_node", "id": NODES[0]}]});
        let (ready, answer) = (api.get("/readyz").await?, api.post(&retry, None).await?);
        let is_said = ready.status == 503 && ready.body["detail"].as_str().is_some_and(|said| said.contains("clock"));
        match is_said && answer.code() == "clock_ahead" && answer.is_for_later() {
            true => Ok(()),
            false => Err(format!("{ready:?} {answer:?}")),
        }
    })
    .await;
    let figures = api.get("/metrics").await.unwrap().body.to_string();
    let figure = figures.split("\\n").find_map(|line| line.strip_prefix("headwater_clock_ahead_seconds "));
    let ahead: f64 = figure.and_then(|figure| figure.parse().ok()).unwrap();
    assert!((ahead - AHEAD_S as f64).abs() < 60.0, "{ahead}");
    story.lasts().await;
}

async fn set_clock_right(story: &mut Story) {
    std::fs::remove_file(file(story)).unwrap();
    story.fleet.servers[ACTIVE].api.ready().await;
    let ahead = "SELECT count(*) FROM event WHERE at > clock_timestamp() + interval '1 minute'";
    assert_eq!(reader::ask(&story.fleet.backends.database(), ahead).await.unwrap().as_deref(), Some("0"));
}
