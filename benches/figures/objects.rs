//! Content of 4 MiB from the object store as agents read it, decrypted, beside the same content from its plain object, as they read it
//! before contents were encrypted. A node without keys desires it, so that both objects stand.

use std::time::{Duration, Instant};

use bus::objects::Objects;
use lab::nats::Access;
use schema::address::Prefix;
use schema::digest::Digest;
use schema::id::LogId;
use schema::limit::CONTENT_BYTES_MAX;
use tokio_util::sync::CancellationToken;

use crate::bench_log::{BenchLog, put};
use crate::times::{median, millis, percentile, range};
use crate::{Figure, Result};

const ROUNDS: usize = 3;
/// Reads of each side in a round, in turn.
const READS: usize = 100;
/// Reads before those that count.
const WARM: usize = 5;
/// How long the relay may take to put the object.
const WITHIN: Duration = Duration::from_secs(20);

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    let (_nats, link) = bench.nats(Access::Password).await?;
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    bench.relay(&link, &stop)?;
    bench.enrol(1, |_| None).await?;
    let content: Vec<u8> = (0..CONTENT_BYTES_MAX).map(|_| fastrand::u8(..)).collect();
    let digest = Digest::of(&content);
    bench.command(vec![put(content.clone())]).await?;
    let objects = Objects::of(&link.jetstream(), &Prefix::default()).await;
    let log_id = bench.log.log_id();
    let by_agent = async || decrypted(&objects, log_id, digest).await;
    let in_plain = async || plain(&objects, digest).await;
    published(by_agent).await?;
    published(in_plain).await?;
    for _ in 0..WARM {
        by_agent().await?;
        in_plain().await?;
    }
    let (mut figures, mut ratios) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for read in 0..READS {
            // Neither is always the one that follows the other.
            if read % 2 == 0 {
                ours.push(by_agent().await?);
                theirs.push(in_plain().await?);
            } else {
                theirs.push(in_plain().await?);
                ours.push(by_agent().await?);
            }
        }
        let (ours, theirs) = (percentile(&mut ours, 50), percentile(&mut theirs, 50));
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        ratios.push(ratio);
        figures.push(Figure::new(
            format!("round {round}: decrypted, in plain, p50"),
            format!("{:.2} / {:.2} ms", millis(ours), millis(theirs)),
            format!("ratio {ratio:.3}"),
        ));
    }
    let middle = median(&mut ratios);
    figures.push(Figure::new("median ratio", format!("{middle:.3}"), range(&ratios, 3)));
    Ok(figures)
}

/// Waits until the relay has put an object.
async fn published(read: impl AsyncFn() -> Result<Duration>) -> Result<()> {
    let deadline = Instant::now() + WITHIN;
    while let Err(error) = read().await {
        if Instant::now() > deadline {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn decrypted(objects: &Objects, log_id: LogId, digest: Digest) -> Result<Duration> {
    let began = Instant::now();
    let mut content = Vec::new();
    objects.read(log_id, digest, CONTENT_BYTES_MAX as u64, &mut content).await?;
    Ok(began.elapsed())
}

async fn plain(objects: &Objects, digest: Digest) -> Result<Duration> {
    let began = Instant::now();
    objects.read_plain(digest).await?;
    Ok(began.elapsed())
}
