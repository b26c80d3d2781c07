//! Processes that are killed (-9), stopped where they stand (SIGSTOP), or asked to end, one or all of them.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::reader;
use crate::story::{PLAIN, Story, TWO, nothing, scenarios};
use testkit::eventually::eventually;

/// How long a server may take to end when it is asked to.
const ENDED_WITHIN: Duration = Duration::from_secs(15);
/// How soon another server publishes once the active one is gone.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);
/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(40);

scenarios! {
    server_is_killed: PLAIN, kill_server, start_server;
    server_is_asked_to_end: PLAIN, end_server, start_server;
    server_is_frozen: PLAIN, freeze_server, thaw_server;
    edge_is_killed_five_times: PLAIN, kill_edge, nothing;
    edge_is_frozen: PLAIN, freeze_edges, thaw_edges;
    nats_is_killed: PLAIN, kill_nats, start_nats;
    nats_is_frozen: PLAIN, freeze_nats, thaw_nats;
    postgres_is_killed: PLAIN, kill_postgres, start_postgres;
    postgres_is_shut_down_immediately: PLAIN, shut_down_immediately, start_postgres;
    postgres_is_frozen: PLAIN, freeze_postgres, thaw_postgres;
    all_is_killed_at_once: PLAIN, kill_all, start_all;
    active_server_is_killed_beside_another: TWO, kill_active, nothing;
    active_server_is_frozen_beside_another: TWO, freeze_active_in_turn, nothing;
}

async fn kill_server(story: &mut Story) {
    story.fleet.servers[0].process.kill();
}

async fn end_server(story: &mut Story) {
    let ended = tokio::time::timeout(ENDED_WITHIN, story.fleet.servers[0].process.stop()).await;
    assert!(ended.expect("it ends in time"), "it ended well");
}

async fn start_server(story: &mut Story) {
    story.fleet.servers[0].process.start_again();
    story.fleet.servers[0].api.ready().await;
}

async fn freeze_server(story: &mut Story) {
    story.fleet.servers[0].process.freeze(true);
    story.lasts().await;
}

async fn thaw_server(story: &mut Story) {
    story.fleet.servers[0].process.freeze(false);
}

async fn kill_edge(story: &mut Story) {
    for _ in 0..5 {
        let node = story.any_node();
        story.fleet.agents.get_mut(node).unwrap().process.kill();
        story.grows(20).await;
        story.fleet.agents.get_mut(node).unwrap().process.start_again();
        // At any moment of its work.
        story.a_moment(20..200).await;
    }
}

async fn freeze_edges(story: &mut Story) {
    story.fleet.agents.values().for_each(|agent| agent.process.freeze(true));
    story.lasts().await;
}

async fn thaw_edges(story: &mut Story) {
    story.fleet.agents.values().for_each(|agent| agent.process.freeze(false));
}

async fn kill_nats(story: &mut Story) {
    story.fleet.backends.nats.kill();
    // The server takes commands without NATS.
    story.grows(60).await;
}

pub(crate) async fn start_nats(story: &mut Story) {
    story.fleet.backends.nats.start_again().await.unwrap();
}

async fn freeze_nats(story: &mut Story) {
    story.fleet.backends.nats.child().freeze(true);
    eventually("the server says that NATS is gone", SOON, async || {
        match story.fleet.api().get("/readyz").await?.status {
            503 => Ok(()),
            status => Err(format!("{status}")),
        }
    })
    .await;
    story.grows(60).await;
}

async fn thaw_nats(story: &mut Story) {
    story.fleet.backends.nats.child().freeze(false);
}

async fn kill_postgres(story: &mut Story) {
    story.fleet.backends.postgres.kill();
}

async fn shut_down_immediately(story: &mut Story) {
    signal(story.fleet.backends.postgres.pid(), Signal::QUIT);
    story.fleet.backends.postgres.stop().await.unwrap();
}

pub(crate) async fn start_postgres(story: &mut Story) {
    story.fleet.backends.postgres.start_again().await.unwrap();
}

/// The whole of it: a postmaster that stands still alone would leave every session at work.
async fn freeze_postgres(story: &mut Story) {
    signal_all(story.fleet.backends.postgres.pid(), Signal::STOP);
    story.lasts().await;
}

async fn thaw_postgres(story: &mut Story) {
    signal_all(story.fleet.backends.postgres.pid(), Signal::CONT);
}

async fn kill_all(story: &mut Story) {
    story.fleet.backends.postgres.kill();
    story.fleet.backends.nats.kill();
    story.fleet.servers[0].process.kill();
    story.fleet.agents.values_mut().for_each(|agent| agent.process.kill());
}

/// Those who need something come before what they need.
async fn start_all(story: &mut Story) {
    story.fleet.agents.values_mut().for_each(|agent| agent.process.start_again());
    story.fleet.servers[0].process.start_again();
    start_nats(story).await;
    start_postgres(story).await;
    story.fleet.servers[0].api.ready().await;
}

/// The first server was alone when it took the slot.
async fn kill_active(story: &mut Story) {
    let published = published(story).await;
    story.fleet.servers[0].process.kill();
    drop(story.fleet.servers.remove(0));
    publishes_beyond(story, published, TAKEN_OVER_WITHIN).await;
}

/// Each in turn, so that each comes back to find that the other one is active.
async fn freeze_active_in_turn(story: &mut Story) {
    // Found out sooner than in earnest.
    let url = story.fleet.backends.database();
    testkit::law::execute(&url, "ALTER SYSTEM SET wal_sender_timeout = '3s'").await;
    testkit::law::execute(&url, "SELECT pg_reload_conf()").await;
    for active in [0, 1] {
        story.fleet.servers[active].process.freeze(true);
        let published = published(story).await;
        publishes_beyond(story, published + 20, SOON).await;
        story.fleet.servers[active].process.freeze(false);
        story.grows(20).await;
    }
}

async fn published(story: &Story) -> u64 {
    reader::stream_end(&story.fleet.backends.nats_url()).await.unwrap()
}

async fn publishes_beyond(story: &Story, position: u64, within: Duration) {
    let url = story.fleet.backends.nats_url();
    eventually("the other one publishes", within, async || match reader::stream_end(&url).await? {
        end if end > position => Ok(()),
        end => Err(format!("{end} after {position}")),
    })
    .await;
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended meanwhile.
    let _ended_already = kill_process(pid, signal);
}

/// A process and its children.
pub(crate) fn signal_all(pid: u32, which: Signal) {
    signal(pid, which);
    for child in children(pid) {
        signal(child, which);
    }
}

fn children(parent: u32) -> Vec<u32> {
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything: state, parent.
        let behind = stat.rsplit_once(") ").map(|(_, behind)| behind.to_owned()).unwrap_or_default();
        behind.split(' ').nth(1).and_then(|number| number.parse().ok()) == Some(parent)
    };
    numbers.filter(is_child).collect()
}

#[test]
fn children_are_found() {
    let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
    assert!(children(std::process::id()).contains(&child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
}
