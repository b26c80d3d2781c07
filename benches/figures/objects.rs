//! Content of 4 MiB from the object store by the agent's reader, beside a fixed reader of the same bytes in another bucket that takes plain
//! chunks and hashes them. The ratio is there to be compared between two versions of the agent's reader. It is no distance from a least
//! time: the two buckets are not made alike, and the fixed reader was the slower one when it was first measured.

use std::time::{Duration, Instant};

use async_nats::jetstream::object_store::{self, ObjectMetadata};
use bus::connect::Link;
use bus::objects::Objects;
use lab::nats::Access;
use schema::address::Prefix;
use schema::digest::{Digest, Hasher};
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
    let product = Objects::of(&link.jetstream(), &Prefix::default()).await;
    published(&product, digest).await?;
    let plain = PlainObject::put(&link, &content).await?;
    for _ in 0..WARM {
        by_agent(&product, digest).await?;
        plain.read(digest).await?;
    }
    let (mut figures, mut ratios) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for read in 0..READS {
            // Neither is always the one that follows the other.
            if read % 2 == 0 {
                ours.push(by_agent(&product, digest).await?);
                theirs.push(plain.read(digest).await?);
            } else {
                theirs.push(plain.read(digest).await?);
                ours.push(by_agent(&product, digest).await?);
            }
        }
        let (ours, theirs) = (percentile(&mut ours, 50), percentile(&mut theirs, 50));
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        ratios.push(ratio);
        figures.push(Figure::new(
            format!("round {round}: agent's reader, plain chunks and hash, p50"),
            format!("{:.2} / {:.2} ms", millis(ours), millis(theirs)),
            format!("ratio {ratio:.3}"),
        ));
    }
    let middle = median(&mut ratios);
    figures.push(Figure::new("median ratio", format!("{middle:.3}"), range(&ratios, 3)));
    Ok(figures)
}

/// Waits until the relay has put the object.
async fn published(objects: &Objects, digest: Digest) -> Result<()> {
    let deadline = Instant::now() + WITHIN;
    while let Err(error) = by_agent(objects, digest).await {
        if Instant::now() > deadline {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn by_agent(objects: &Objects, digest: Digest) -> Result<Duration> {
    let began = Instant::now();
    objects.read(digest, CONTENT_BYTES_MAX as u64, &mut tokio::io::sink()).await?;
    Ok(began.elapsed())
}

/// The same bytes in an object store that no log has.
struct PlainObject {
    stream: async_nats::jetstream::stream::Stream<()>,
    /// Of its meta, which a reader reads first, and of its chunks.
    meta: String,
    chunks: String,
    count: usize,
}

impl PlainObject {
    async fn put(link: &Link, content: &[u8]) -> Result<Self> {
        let (jetstream, prefix) = (link.jetstream(), "figures".parse::<Prefix>()?);
        let config = object_store::Config { bucket: prefix.blobs(), ..object_store::Config::default() };
        let store = jetstream.create_object_store(config).await?;
        let digest = Digest::of(content);
        let meta = ObjectMetadata { name: digest.to_string(), ..ObjectMetadata::default() };
        let put = store.put(meta, &mut &content[..]).await?;
        let stream = jetstream.get_stream_no_info(prefix.blob_stream()).await?;
        let [chunks, metas] = prefix.blob_subjects();
        let meta = stream.direct_get_last_for_subject(metas).await?.subject.to_string();
        let chunks = chunks.replace('>', &put.nuid);
        Ok(Self { stream, meta, chunks, count: put.chunks })
    }

    async fn read(&self, digest: Digest) -> Result<Duration> {
        let began = Instant::now();
        self.stream.direct_get_last_for_subject(self.meta.as_str()).await?;
        let (mut hasher, mut next) = (Hasher::default(), 1);
        for _ in 0..self.count {
            let chunk = self.stream.direct_get_next_for_subject(self.chunks.as_str(), Some(next)).await?;
            next = chunk.sequence + 1;
            hasher.update(&chunk.payload);
        }
        let taken = began.elapsed();
        if hasher.finish() == digest { Ok(taken) } else { Err("the plain object has other bytes".into()) }
    }
}
