//! A large fleet: one document for all of its nodes, beside a bare pipelined put of the same bytes; and how long a relay takes until it
//! follows the log again after a restart.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Stream;
use bus::connect::Link;
use lab::nats::Access;
use schema::address::{Bucket, Prefix};
use schema::position::Position;
use server::relay::{Phase, RelayStatus};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bare_publisher::publish;
use crate::bench_log::{BenchLog, node, put};
use crate::process::load;
use crate::times::{median, millis, range};
use crate::{Figure, Result};

const FLEETS: [usize; 2] = [10_000, 100_000];
/// Changes for all nodes, and restarts, of which the median counts.
const ROUNDS: usize = 5;
/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(300);
/// After this nats-server has done what it does in the background.
const REST: Duration = Duration::from_secs(2);

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for nodes in FLEETS {
        figures.extend(fleet(nodes).await?);
    }
    Ok(figures)
}

async fn fleet(nodes: usize) -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    let (_nats, link) = bench.nats(Access::Password).await?;
    bench.enrol(nodes, |_| None).await?;
    let stop = CancellationToken::new();
    let mut status = bench.relay(&link, &stop)?.status;
    reach(&mut status, bench.command(vec![put(b"first\n".to_vec())]).await?).await?;
    let bucket = link.jetstream().get_stream(Prefix::default().bucket_stream(Bucket::Desired)).await?;
    let (mut changed, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        tokio::time::sleep(REST).await;
        let position = bench.command(vec![put(format!("round {round}\n").into_bytes())]).await?;
        let since = Instant::now();
        reach(&mut status, position).await?;
        changed.push(millis(since.elapsed()));
        tokio::time::sleep(REST).await;
        bare.push(millis(bare_puts(&link, &bucket, nodes).await?));
    }
    stop.cancel();
    let mut restarts = Vec::new();
    for _ in 0..ROUNDS {
        tokio::time::sleep(REST).await;
        let stop = CancellationToken::new();
        let since = Instant::now();
        let mut status = bench.relay(&link, &stop)?.status;
        follow(&mut status).await?;
        restarts.push(millis(since.elapsed()));
        stop.cancel();
    }
    let mut ratios: Vec<f64> = changed.iter().zip(&bare).map(|(changed, bare)| changed / bare).collect();
    let line = |what: &str, values: &mut [f64], unit: &str, digits: usize| {
        let middle = format!("{:.digits$} {unit}", median(values));
        Figure::new(format!("{nodes} nodes: {what}"), middle, format!("{}; load {}", range(values, digits), load()))
    };
    Ok(vec![
        line("one document for all, until it is public", &mut changed, "ms", 0),
        line("bare puts of as many bytes", &mut bare, "ms", 0),
        line("the first in terms of the second", &mut ratios, "", 2),
        line("a relay's start until it follows", &mut restarts, "ms", 0),
    ])
}

/// Waits until everything up to a position is public.
async fn reach(status: &mut watch::Receiver<RelayStatus>, position: u64) -> Result<()> {
    let is_public = |status: &RelayStatus| status.published >= Position::from(position);
    timeout(WITHIN, status.wait_for(is_public)).await??;
    Ok(())
}

async fn follow(status: &mut watch::Receiver<RelayStatus>) -> Result<()> {
    timeout(WITHIN, status.wait_for(|status| status.phase == Phase::Following)).await??;
    Ok(())
}

/// Puts as many bytes as the records have under as many keys.
async fn bare_puts(link: &Link, bucket: &Stream, nodes: usize) -> Result<Duration> {
    let first = Prefix::default().bucket_subject(Bucket::Desired, node(0).as_str());
    let payload = bucket.get_last_raw_message_by_subject(&first).await?.payload;
    publish(link, bucket, payload, (nodes, nodes)).await
}
