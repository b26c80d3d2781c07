//! The streams and buckets of one prefix, and their settings.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType, Stream};
use schema::address::{Bucket, Prefix};

use super::Error;

/// Without a limit of its own a stream takes 1,000 consumers, and every node watches with one.
const CONSUMERS_MAX: i32 = 100_000;
/// Revisions of a node's record that stay readable.
const DESIRED_HISTORY: i64 = 5;

/// Makes the streams and buckets that are missing. Those that exist keep their settings.
///
/// # Errors
/// If NATS does not answer or refuses.
pub async fn ensure(jetstream: &Context, prefix: &Prefix, replicas: usize) -> Result<(), Error> {
    for config in configs(prefix, replicas) {
        ensure_stream(jetstream, config).await?;
    }
    Ok(())
}

/// The stream of this name.
pub(crate) async fn get(jetstream: &Context, name: &str) -> Result<Stream, Error> {
    jetstream.get_stream(name).await.map_err(|error| Error::nats(format!("stream {name}"), error))
}

/// Makes the event stream if it is missing.
pub(crate) async fn ensure_events(jetstream: &Context, prefix: &Prefix, replicas: usize) -> Result<(), Error> {
    ensure_stream(jetstream, events(prefix, replicas)).await
}

/// Makes the stream of strays if it is missing. It is not made before the first stray.
pub(crate) async fn ensure_strays(jetstream: &Context, prefix: &Prefix, replicas: usize) -> Result<(), Error> {
    let (name, subjects) = (prefix.stray_stream(), vec![prefix.stray_subjects()]);
    ensure_stream(jetstream, Config { name, subjects, ..durable(replicas) }).await
}

/// Empties everything that is about one log, for a new log to take its place: events, records and the newest checkpoint. The key
/// stays, as do reports, which name the log that their node follows, and content: nodes that have not accepted the new log yet read it
/// under the names that it has in the old one.
///
/// # Errors
/// If NATS does not answer or refuses; called again, it goes on where it was.
pub async fn clear_log(jetstream: &Context, prefix: &Prefix, replicas: usize) -> Result<(), Error> {
    // The checkpoint goes last: `headwater recover` takes it as the sign that this was not finished.
    let buckets = [Bucket::Desired, Bucket::Verdict, Bucket::Checkpoint].map(|bucket| prefix.bucket_stream(bucket));
    for name in [prefix.event_stream()].into_iter().chain(buckets) {
        if find(jetstream, &name).await?.is_some() {
            jetstream.delete_stream(&name).await.map_err(|error| Error::nats(format!("stream {name}"), error))?;
        }
    }
    ensure(jetstream, prefix, replicas).await
}

/// The stream of this name, if there is one.
pub(crate) async fn find(jetstream: &Context, name: &str) -> Result<Option<Stream>, Error> {
    const NOT_FOUND: async_nats::jetstream::ErrorCode = async_nats::jetstream::ErrorCode::STREAM_NOT_FOUND;
    match jetstream.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refused) if refused.error_code() == NOT_FOUND => Ok(None),
            _ => Err(Error::nats(format!("stream {name}"), error)),
        },
    }
}

async fn ensure_stream(jetstream: &Context, config: Config) -> Result<(), Error> {
    let name = config.name.clone();
    if let Some(stream) = find(jetstream, &name).await? {
        return match stream.cached_info().config.sealed {
            true => Err(Error::Sealed(name)),
            false => Ok(()),
        };
    }
    tracing::info!(stream = name, "creating a stream");
    jetstream.create_stream(config).await.map(drop).map_err(|error| Error::nats(format!("stream {name}"), error))
}

fn configs(prefix: &Prefix, replicas: usize) -> Vec<Config> {
    let buckets = Bucket::ALL.map(|which| bucket(prefix, which, replicas));
    [events(prefix, replicas), blobs(prefix, replicas)].into_iter().chain(buckets).collect()
}

/// The event stream: no message can be deleted from it.
fn events(prefix: &Prefix, replicas: usize) -> Config {
    Config {
        name: prefix.event_stream(),
        subjects: vec![prefix.event_subjects()],
        deny_delete: true,
        deny_purge: true,
        ..durable(replicas)
    }
}

fn bucket(prefix: &Prefix, bucket: Bucket, replicas: usize) -> Config {
    Config {
        name: prefix.bucket_stream(bucket),
        subjects: vec![prefix.bucket_subjects(bucket)],
        max_messages_per_subject: if bucket == Bucket::Desired { DESIRED_HISTORY } else { 1 },
        discard: DiscardPolicy::New,
        deny_delete: true,
        // With roll-up allowed, a node that may write one key could erase all others.
        allow_rollup: !bucket.written_by_nodes(),
        ..durable(replicas)
    }
}

fn blobs(prefix: &Prefix, replicas: usize) -> Config {
    Config {
        name: prefix.blob_stream(),
        subjects: prefix.blob_subjects().into(),
        discard: DiscardPolicy::New,
        allow_rollup: true,
        ..durable(replicas)
    }
}

/// The settings that all have in common: on disk, without limits of their own, readable without a consumer.
fn durable(replicas: usize) -> Config {
    Config {
        storage: StorageType::File,
        num_replicas: replicas,
        max_consumers: CONSUMERS_MAX,
        allow_direct: true,
        ..Config::default()
    }
}
