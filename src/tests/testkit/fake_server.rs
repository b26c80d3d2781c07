//! The test plays the server: it makes the buckets, signs records, stores objects, and reads what nodes report.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, kv, object_store};
use bus::connect::connect;
use schema::address::{Bucket, Prefix};
use schema::desired::{Cause, Desired, Entry, EntryKind, Source, digest_of};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::id::LogId;
use schema::object::{ObjectName, ObjectSecret};
use schema::position::{Position, Version};
use schema::report::{AttemptState, Reported};
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use uuid::Uuid;

use crate::nats::Server;

/// Content above this travels as an object.
const INLINE_MAX: usize = 4 * 1024;
/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct FakeServer {
    pub key: SecretKey,
    pub log_id: LogId,
    pub jetstream: jetstream::Context,
    prefix: Prefix,
}

impl FakeServer {
    /// Connects and makes what `install` makes.
    pub async fn at(nats: &Server) -> Self {
        let link = connect(&nats.url(), "server").await.unwrap();
        link.up().await;
        let jetstream = link.jetstream();
        let key = SecretKey::from_seed(&[7; 32]);
        let server = Self { key, log_id: Uuid::from_u128(9).into(), jetstream, prefix: Prefix::default() };
        server.install().await;
        server
    }

    pub async fn install(&self) {
        for bucket in Bucket::ALL {
            let config = kv::Config { bucket: self.prefix.bucket(bucket), ..kv::Config::default() };
            self.jetstream.create_key_value(config).await.unwrap();
        }
        let config = object_store::Config { bucket: self.prefix.blobs(), ..object_store::Config::default() };
        self.jetstream.create_object_store(config).await.unwrap();
    }

    pub fn trust(&self) -> String {
        self.key.public().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A record for `n-1`, signed by nobody yet.
    pub fn record(&self, position: u64, files: &[(&str, &[u8])]) -> Desired {
        let mut entries: Vec<Entry> = files.iter().map(|(path, content)| entry(path, content)).collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let digest = digest_of(entries.iter().map(Entry::digested));
        let position = Position::from(position);
        let cause = Cause { position, event_id: Uuid::from_u128(1).into(), command_id: Uuid::from_u128(2).into() };
        let (node, retry) = ("n-1".parse().unwrap(), Position::ZERO);
        Desired { v: 1, log_id: self.log_id, node, position, digest, retry, retired: false, entries, cause }
    }

    /// Stores what is large, then the signed record: a pointer never points at nothing.
    pub async fn desire(&self, position: u64, files: &[(&str, &[u8])]) -> Desired {
        for (_, content) in files.iter().filter(|(_, content)| content.len() > INLINE_MAX) {
            self.store(Digest::of(content), content).await;
        }
        let record = self.record(position, files);
        self.put(&record).await;
        record
    }

    /// Stores what the node takes for the content with this digest.
    pub async fn store(&self, of: Digest, content: &[u8]) {
        let (secret, mut sealed) = (self.secret(of), content.to_vec());
        secret.cipher().apply(&mut sealed);
        self.put_object(secret.name(), &sealed).await;
    }

    /// Stores content as servers did before they encrypted it.
    pub async fn store_plain(&self, of: Digest, content: &[u8]) {
        self.put_object(ObjectName::Plain(of), content).await;
    }

    pub async fn forget(&self, content: Digest) {
        self.delete_object(self.secret(content).name()).await;
    }

    pub async fn forget_plain(&self, content: Digest) {
        self.delete_object(ObjectName::Plain(content)).await;
    }

    fn secret(&self, of: Digest) -> ObjectSecret {
        ObjectSecret::of(self.log_id, of)
    }

    async fn put_object(&self, name: ObjectName, mut bytes: &[u8]) {
        let blobs = self.jetstream.get_object_store(self.prefix.blobs()).await.unwrap();
        blobs.put(name.to_string().as_str(), &mut bytes).await.unwrap();
    }

    async fn delete_object(&self, name: ObjectName) {
        let blobs = self.jetstream.get_object_store(self.prefix.blobs()).await.unwrap();
        blobs.delete(name.to_string()).await.unwrap();
    }

    pub async fn put(&self, record: &Desired) {
        self.put_bytes(self.key.seal(record.write()).write()).await;
    }

    pub async fn put_bytes(&self, bytes: Vec<u8>) {
        self.put_at(Bucket::Desired, "n-1", bytes).await;
    }

    pub async fn put_at(&self, bucket: Bucket, key: &str, bytes: Vec<u8>) {
        let subject = self.prefix.bucket_subject(bucket, key);
        // A server that was just started refuses until its streams are there.
        let since = Instant::now();
        while let Err(error) = self.publish(subject.clone(), bytes.clone()).await {
            assert!(since.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn publish(&self, subject: String, bytes: Vec<u8>) -> Result<(), String> {
        let stored = self.jetstream.publish(subject, bytes.into()).await.map_err(|error| error.to_string())?;
        stored.await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// The node's report, once it is as told.
    pub async fn report(&self, what: &str, is_it: impl Fn(&Reported) -> bool) -> Reported {
        let stream = self.jetstream.get_stream_no_info(self.prefix.bucket_stream(Bucket::Reported)).await.unwrap();
        let (since, mut last) = (Instant::now(), None);
        while since.elapsed() < PATIENCE {
            let subject = self.prefix.bucket_subject(Bucket::Reported, "n-1");
            if let Ok(message) = stream.direct_get_last_for_subject(subject).await {
                let report = Reported::read(&message.payload).unwrap();
                if is_it(&report) {
                    return report;
                }
                last = Some(report);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no report says {what}; the last: {last:#?}");
    }

    pub async fn applied(&self, want: &Desired) -> Reported {
        let record_ref = want.record_ref();
        let is_it = |report: &Reported| {
            report.running.is_some_and(|running| running.digest == record_ref.digest)
                && report.seen == Some(record_ref)
                && report.attempt.as_ref().is_some_and(|attempt| attempt.digest == record_ref.digest)
                && state(report) == Some((AttemptState::Applied, None))
        };
        self.report(&format!("applied {}", want.position), is_it).await
    }

    pub async fn said(&self, is_state: AttemptState, code: &str) -> Reported {
        self.report(&format!("{is_state:?} {code}"), |report| state(report) == Some((is_state, Some(code)))).await
    }

    pub async fn consumers(&self) -> usize {
        let name = self.prefix.blob_stream();
        self.jetstream.get_stream(name).await.unwrap().cached_info().state.consumer_count
    }

    pub async fn drop_bucket(&self, bucket: Bucket) {
        self.jetstream.delete_stream(self.prefix.bucket_stream(bucket)).await.unwrap();
        self.install().await;
    }
}

pub fn state(report: &Reported) -> Option<(AttemptState, Option<&str>)> {
    report.attempt.as_ref().map(|attempt| (attempt.state, attempt.code.as_deref()))
}

pub fn entry(path: &str, content: &[u8]) -> Entry {
    let kind = if path.starts_with("jobs/") { EntryKind::Job } else { EntryKind::Document };
    let source =
        Source { entity: "document/d".parse().unwrap(), version: Version::from(1), position: Position::from(1) };
    Entry {
        path: path.into(),
        kind,
        media_type: "application/octet-stream".into(),
        size: content.len() as u64,
        digest: Digest::of(content),
        inline: (content.len() <= INLINE_MAX).then(|| content.to_vec()),
        source,
        mode: DocumentMode::Plain,
    }
}
