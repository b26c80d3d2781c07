//! Processes that start in the wrong order, or again.

use std::time::Duration;

use serde_json::json;

use testkit::disk;
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;

#[tokio::test]
async fn an_edge_that_starts_without_nats_keeps_what_it_has_and_catches_up() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    let put = |content: &str| {
        json!({"commands": [{
            "type": "put_document", "id": "x", "path": "x", "media_type": "text/plain", "content": content,
            "target": {"all": true}, "priority": 0,
        }]})
    };
    let tree = |content: &str| disk::Tree::from([("files/x".to_owned(), content.into())]);
    fleet.api().accepted(put("before")).await;
    fleet.converges(&[("a".to_owned(), tree("before"))].into()).await;

    fleet.backends.nats.stop().await.unwrap();
    fleet.agents.get_mut("a").unwrap().process.kill();
    fleet.api().accepted(put("meanwhile")).await;
    fleet.agents.get_mut("a").unwrap().process.start_again();
    // One that has nothing yet starts as well.
    fleet.api().accepted(json!({"commands": [{"type": "enrol_node", "id": "b", "labels": {}}]})).await;
    fleet.start_agent("b");
    eventually("it has begun without NATS", Duration::from_secs(20), async || {
        match fleet.agents["b"].dir.join("lock").exists() {
            true => Ok(()),
            false => Err("its folder is not taken".to_owned()),
        }
    })
    .await;
    disk::same(&fleet.agents["a"].dir, &tree("before")).unwrap();

    fleet.backends.nats.start_again().await.unwrap();
    let want = ["a", "b"].map(|node| (node.to_owned(), tree("meanwhile"))).into();
    fleet.converges(&want).await;
}

#[tokio::test]
async fn installing_again_beside_a_working_server_changes_nothing() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    fleet.converges(&[("a".to_owned(), disk::Tree::new())].into()).await;
    let files = ["admin.token", "signing.key"].map(|name| fleet.backends.dir.path().join(name));
    let before = files.clone().map(|file| std::fs::read(file).unwrap());
    let log = law::holds(&fleet.backends).await;
    fleet.install().await;
    assert_eq!(files.map(|file| std::fs::read(file).unwrap()), before);
    let mut now = law::holds(&fleet.backends).await;
    let since = now.split_off(log.len());
    assert_eq!(now, log);
    assert!(since.iter().all(|line| line.entity == "report/a"), "{since:?}");
    fleet.api().accepted(json!({"commands": [{"type": "retry_node", "id": "a"}]})).await;
    fleet.converges(&[("a".to_owned(), disk::Tree::new())].into()).await;
}
