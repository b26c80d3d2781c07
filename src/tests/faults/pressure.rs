//! Ten times what is taken away: what can't be finished is refused at once, what waits is bounded, and so is memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::wire::{Mode, Wire};
use testkit::backends::TestBackends;
use testkit::eventually::eventually;
use testkit::fleet::{Fleet, Ways};
use testkit::law;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);
/// Callers at once.
const CALLERS: usize = 48;
/// Callers at once who send more than may wait: 96 MB.
const CALLERS_TOO_MANY: usize = 192;
/// What the server may use beyond what it used before: what may wait (64 MiB) and the bodies that come in (96 MB), each as
/// it came and as it was read, and a quarter more for what the allocator does not give back at once.
const GROWTH_MIB_MAX: u64 = 400;

/// What callers sent, and what of it was taken.
#[derive(Default)]
struct Sent {
    offered: AtomicU64,
    taken: AtomicU64,
    /// Refusals, each with the time after which to come again.
    refused: AtomicU64,
}

/// Mebibytes that a process has in memory.
fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Callers who never wait for longer than they are told to, until they are told to stop.
fn press(
    fleet: &Fleet,
    callers_count: usize,
    body: impl Fn(usize, u64) -> Value + Send + Sync + 'static,
) -> (Arc<Sent>, Arc<AtomicBool>, JoinSet<()>) {
    let (sent, stop, body) = (Arc::new(Sent::default()), Arc::new(AtomicBool::new(false)), Arc::new(body));
    let mut callers = JoinSet::new();
    for caller in 0..callers_count {
        let (sent, stop, body, api) = (sent.clone(), stop.clone(), body.clone(), fleet.api().clone());
        callers.spawn(async move {
            for turn in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let body = body(caller, turn).to_string().into_bytes();
                let bytes = body.len() as u64;
                sent.offered.fetch_add(bytes, Ordering::Relaxed);
                let Ok(answer) = api.post_bytes(body, None).await else { continue };
                match answer.status {
                    200 => drop(sent.taken.fetch_add(bytes, Ordering::Relaxed)),
                    503 => {
                        let after = answer.retry_after.expect("it says when to come again");
                        sent.refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_secs(after.into())).await;
                    }
                    _ => panic!("{answer:?}"),
                }
            }
        });
    }
    (sent, stop, callers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_log_refuses_what_it_cannot_finish_and_memory_stays_flat() {
    let mut backends = TestBackends::start().await;
    let wire = Wire::to(backends.postgres.port()).await;
    backends.postgres_by = Some(wire.port());
    let mut fleet = Fleet::on(backends, Ways::default()).await;
    fleet.serve("all").await;
    let pid = fleet.servers[0].process.pid();
    let before = resident_mib(pid);
    // The appender waits for an answer when the first command comes: what waits when the log answers again fills transactions that a
    // slow link does not carry in time.
    wire.set(Mode::Silent);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let content = "x".repeat(500_000);
    let (sent, stop, mut callers) = press(&fleet, CALLERS_TOO_MANY, move |caller, turn| {
        json!({"commands": [{
            "type": "put_document", "id": format!("d-{caller}"), "path": format!("d-{caller}"),
            "media_type": "text/plain", "content": format!("{caller} {turn}{content}"), "target": {"all": true},
            "priority": 0,
        }]})
    });
    eventually("what may wait does", SOON, async || match sent.refused.load(Ordering::Relaxed) {
        0 => Err("nothing is refused".to_owned()),
        _ => Ok(()),
    })
    .await;
    wire.set(Mode::Slow(2_000_000));
    let mut most = 0;
    eventually("ten times what is taken was sent", SOON, async || {
        most = most.max(resident_mib(pid));
        let (offered, taken) = (sent.offered.load(Ordering::Relaxed), sent.taken.load(Ordering::Relaxed));
        let enough = taken > 0 && offered > 10 * taken && offered > 400_000_000;
        if enough { Ok(()) } else { Err(format!("{offered} sent, {taken} taken")) }
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    wire.set(Mode::Open);
    while callers.join_next().await.is_some() {}
    println!("{before} MiB before, {most} MiB at most; {} refused", sent.refused.load(Ordering::Relaxed));
    assert!(sent.refused.load(Ordering::Relaxed) > 0, "something was refused");
    assert!(most < before + GROWTH_MIB_MAX, "{before} MiB before, {most} MiB at most");
    law::holds(&fleet.backends).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_before_a_slow_nats_stops_reading_and_says_how_far_behind_it_is() {
    let backends = TestBackends::start().await;
    let wire = Wire::to(backends.nats.port()).await;
    let ways = Ways { server_nats: Some(wire.instead(&backends.nats_url())), ..Ways::default() };
    let mut fleet = Fleet::on(backends, ways).await;
    fleet.serve("all").await;
    let pid = fleet.servers[0].process.pid();
    let before = resident_mib(pid);
    wire.set(Mode::Slow(1_000_000));
    let filling = "x".repeat(200_000);
    let (sent, stop, mut callers) = press(&fleet, CALLERS, move |caller, turn| {
        json!({"commands": [{
            "type": "define_component", "id": format!("c-{}", caller % 4), "title": "Component", "kind": "service",
            "controls": [], "properties": {"filling": format!("{caller} {turn}{filling}")}, "labels": {},
        }]})
    });
    let mut most = 0;
    eventually("a lot was taken", 2 * SOON, async || {
        most = most.max(resident_mib(pid));
        let taken = sent.taken.load(Ordering::Relaxed);
        if taken > 500_000_000 { Ok(()) } else { Err(format!("{taken} taken")) }
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    while callers.join_next().await.is_some() {}
    eventually("it says how far behind it is", SOON, async || {
        most = most.max(resident_mib(pid));
        let answer = fleet.api().get("/metrics").await?;
        let text = answer.body.as_str().unwrap_or_default();
        let lag = text.lines().find_map(|line| line.strip_prefix("headwater_publish_lag_events ")).unwrap_or_default();
        match lag.parse::<f64>() {
            Ok(lag) if lag > 1000.0 => Ok(()),
            _ => Err(format!("it says {lag}")),
        }
    })
    .await;
    println!("{before} MiB before, {most} MiB at most");
    assert!(most < before + GROWTH_MIB_MAX, "{before} MiB before, {most} MiB at most");
    wire.set(Mode::Open);
    law::holds(&fleet.backends).await;
}
