//! Nodes with keys before a NATS cluster of three.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::disk::Tree;
use testkit::eventually::eventually;
use testkit::fleet::{CONVERGED_WITHIN, Fleet, Ways};
use testkit::nats_cluster::NatsCluster;
use testkit::raw_nats::RawClient;

use crate::attempts::attempt_all;

/// A document that all nodes get.
fn motd(content: &str) -> Value {
    json!({"type": "put_document", "id": "motd", "path": "motd", "media_type": "text/plain", "content": content,
        "target": {"all": true}, "priority": 0})
}

fn tree(content: &str) -> Tree {
    [("files/motd".to_owned(), content.as_bytes().to_vec())].into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barred_node_is_cut_off_at_every_server_and_a_lost_server_lets_nobody_in() {
    let mut backends = TestBackends::with_identities().await;
    let mut cluster = NatsCluster::start(backends.dir.path(), Some(backends.nats.bus())).await;
    backends.nats_elsewhere = Some(cluster.url());
    let ways = Ways { env: vec![("HEADWATER_NATS_REPLICAS", "3".to_owned())], ..Ways::default() };
    let mut fleet = Fleet::on(backends, ways).await;
    fleet.serve("all").await;
    for node in ["n-1", "n-2"] {
        fleet.node(node, json!({})).await;
    }
    fleet.api().accepted(json!({"commands": [motd("one")]})).await;
    fleet.converges(&["n-1", "n-2"].map(|node| (node.to_owned(), tree("one"))).into()).await;

    // What a node can't do at one server it can't do at any of the three.
    let key = fleet.seed("n-1").bus();
    for port in cluster.ports() {
        let key = key.clone();
        let (tried, refused) = tokio::task::spawn_blocking(move || attempt_all(port, &key)).await.unwrap();
        println!("{tried} attempts of a node at a server of a cluster, {refused} refused");
        assert_eq!(tried, refused);
    }
    eventually("the event stream has what the log has, and no junk", CONVERGED_WITHIN, async || {
        let log = fleet.api().get("/v1/log").await?.body;
        if log["published"] == log["position"] { Ok(()) } else { Err(log.to_string()) }
    })
    .await;

    let taken_over = cluster.ports().into_iter().map(|port| {
        let key = key.clone();
        tokio::task::spawn_blocking(move || RawClient::as_user(port, &key).unwrap())
    });
    let taken_over = futures::future::try_join_all(taken_over).await.unwrap();
    fleet.api().accepted(json!({"commands": [{"type": "bar_node", "id": "n-1"}]})).await;
    let barred = Instant::now();
    let cut_off = taken_over.into_iter().map(|mut client| {
        tokio::task::spawn_blocking(move || {
            while !client.settle().iter().any(|error| error == "closed") {
                std::thread::sleep(Duration::from_millis(5));
            }
            barred.elapsed()
        })
    });
    let cut_off = futures::future::try_join_all(cut_off).await.unwrap();
    println!("a barred node was cut off at each of three servers within {:?}", cut_off.iter().max());
    assert!(cut_off.iter().all(|within| *within < Duration::from_secs(1)), "{cut_off:?}");

    let leader = cluster.leader().await;
    cluster.servers[leader].kill();
    fleet.api().accepted(json!({"commands": [motd("two")]})).await;
    fleet.converges(&[("n-2".to_owned(), tree("two"))].into()).await;
    for (number, port) in cluster.ports().into_iter().enumerate() {
        let key = key.clone();
        let is_in = tokio::task::spawn_blocking(move || number != leader && RawClient::as_user(port, &key).is_ok());
        assert!(!is_in.await.unwrap(), "server {number} lets a barred node in");
    }
    cluster.servers[leader].start_again().await.unwrap();
    let port = cluster.ports()[leader];
    assert!(tokio::task::spawn_blocking(move || RawClient::as_user(port, &key).is_err()).await.unwrap());
}
