//! What nodes that nobody enrolled cost a server.

use std::time::Duration;

use bus::connect::connect;
use futures::StreamExt as _;
use futures::stream;
use schema::address::{Bucket, Prefix};
use serde_json::json;

use testkit::eventually::eventually;
use testkit::fleet::Fleet;

/// How many there are.
const NODES: u64 = 5_000;
/// Paths that each reports, of 200 bytes.
const PATHS: usize = 1_000;

/// Mebibytes that a process has in memory.
fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// `cargo nextest run --test system unknown --run-ignored only --no-capture` prints it.
#[tokio::test]
#[ignore = "it prints a figure, and takes a gigabyte of disk"]
async fn memory_of_a_server_that_hears_five_thousand_unknown_nodes_with_200_kilobytes_each() {
    let fleet = Fleet::start().await;
    let pid = fleet.servers[0].process.pid();
    let before = resident_mib(pid);
    let link = connect(&fleet.backends.nats_url(), "unknown nodes").await.unwrap();
    link.up().await;
    let context = link.jetstream();
    let drift: Vec<String> = (0..PATHS).map(|path| format!("files/{path:0194}")).collect();
    let say = |node: String| {
        let context = &context;
        let report = rmp_serde::to_vec_named(&json!({
            "v": 1, "node": &node, "boot": "boot", "seq": 1, "drift": drift, "agent": "test/1",
            "at": "2026-01-01T00:00:00.000000Z",
        }));
        let subject = Prefix::default().bucket_subject(Bucket::Reported, &node);
        async move { context.publish(subject, report.unwrap().into()).await.unwrap().await.unwrap() }
    };
    let unknown = stream::iter(0..NODES).map(|number| say(format!("n-{number}")));
    unknown.buffer_unordered(16).collect::<Vec<_>>().await;
    fleet.api().accepted(json!({"commands": [{"type": "enrol_node", "id": "last", "labels": {}}]})).await;
    say("last".to_owned()).await;
    eventually("the server has heard all of them", Duration::from_secs(60), async || {
        match fleet.api().get("/v1/nodes/last").await? {
            shown if shown.body["state"] != "unknown" => Ok(()),
            shown => Err(format!("{shown:?}")),
        }
    })
    .await;
    println!("{before} MiB before, {} MiB with {NODES} unknown nodes", resident_mib(pid));
}
