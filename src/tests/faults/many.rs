//! A fleet that comes back at once: two hundred agents, in this process, whose only way to NATS was cut.

use std::time::{Duration, Instant};

use agent::main_loop;
use agent::options::Options;
use clap::Parser;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::wire::{Mode, Wire};
use testkit::disk::{self, Tree};
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;

const NODES: usize = 200;
/// How long the whole fleet may take to have what it must.
const ALL_WITHIN: Duration = Duration::from_secs(90);

/// An agent as it is told on the command line.
#[derive(Parser)]
struct Told {
    #[command(flatten)]
    options: Options,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_nodes_come_back_at_once() {
    let mut fleet = Fleet::start().await;
    let wire = Wire::to(fleet.backends.nats.port()).await;
    let url = wire.instead(&fleet.backends.nats_url());
    let names: Vec<String> = (0..NODES).map(|number| format!("n-{number}")).collect();
    let enrol = names.iter().map(|id| json!({"type": "enrol_node", "id": id, "labels": {}}));
    fleet.api().accepted(json!({"commands": enrol.collect::<Vec<_>>()})).await;
    let (stop, agents) = (CancellationToken::new(), TaskTracker::new());
    for name in &names {
        let dir = fleet.backends.dir.path().join("nodes").join(name);
        let dir = dir.to_str().unwrap();
        let told = Told::try_parse_from(["edge", "--node", name, "--dir", dir, "--nats-url", &url]).unwrap();
        agents.spawn(main_loop::run(told.options, stop.clone()));
    }
    has(&fleet, &names, "before").await;

    wire.set(Mode::Cut);
    put(&fleet, "meanwhile").await;
    wire.set(Mode::Open);
    let begun = Instant::now();
    every_has(&fleet, &names, "meanwhile").await;
    println!("{NODES} nodes had it {:.2} s after the way was open again", begun.elapsed().as_secs_f64());
    law::holds(&fleet.backends).await;

    stop.cancel();
    agents.close();
    agents.wait().await;
    assert!(fleet.servers[0].process.stop().await);
}

async fn has(fleet: &Fleet, names: &[String], content: &str) {
    put(fleet, content).await;
    every_has(fleet, names, content).await;
}

async fn put(fleet: &Fleet, content: &str) {
    let put = json!({
        "type": "put_document", "id": "x", "path": "x", "media_type": "text/plain", "content": content,
        "target": {"all": true}, "priority": 0,
    });
    fleet.api().accepted(json!({"commands": [put]})).await;
}

async fn every_has(fleet: &Fleet, names: &[String], content: &str) {
    let want = Tree::from([("files/x".to_owned(), content.into())]);
    eventually("every node has it", ALL_WITHIN, async || {
        let without = |name: &&String| disk::same(&fleet.backends.dir.path().join("nodes").join(name), &want).is_err();
        match names.iter().filter(without).count() {
            0 => Ok(()),
            without => Err(format!("{without} nodes have not")),
        }
    })
    .await;
}
