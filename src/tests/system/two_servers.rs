//! Two servers on one log.

use serde_json::json;

use crate::eventually::eventually;
use crate::fleet::Fleet;
use crate::law;
use crate::load::Load;
use std::time::Duration;

#[tokio::test]
async fn two_servers_that_both_take_commands_keep_one_log() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    fleet.serve().await;
    let doors = [fleet.servers[0].door.clone(), fleet.servers[1].door.clone()];
    let load = Load::begin(&doors, "a");
    eventually("both have been at it", Duration::from_secs(30), async || {
        let log = law::table(&fleet.ground.database()).await?;
        if log.len() > 500 { Ok(()) } else { Err(format!("{} events", log.len())) }
    })
    .await;
    let outcome = load.end().await;
    for door in &doors {
        fleet.converges_seen_by(door, &[("a".to_owned(), outcome.tree())].into()).await;
    }
    outcome.is_true_of(&law::holds(&fleet.ground).await);

    // What one has taken the other shows, to whoever asks for at least that.
    let put = json!({"type": "enrol_node", "id": "later", "labels": {}});
    let answer = doors[0].accepted(json!({"commands": [put]})).await;
    let shown = doors[1].get(&format!("/v1/nodes/later?min_position={}", answer["position"])).await.unwrap();
    assert_eq!(shown.status, 200, "{shown:?}");

    // Both end well when asked.
    for server in &mut fleet.servers {
        assert!(server.process.stop().await);
    }
}
