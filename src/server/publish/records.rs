//! Each node's signed desired record: set with the revision that was last read or written, so that nobody else's write
//! goes unnoticed and no newer record is ever replaced by an older one.

use std::collections::BTreeMap;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use schema::address::{Bucket, Prefix};
use schema::desired::Desired;
use schema::id::NodeId;
use schema::position::Position;
use schema::seal::{PublicKey, SecretKey, Signed};
use schema::wire::Record as _;

use super::{Error, latest_messages, streams};

/// Records that are on their way at once: at 768 KiB each, at most 48 MiB.
const IN_FLIGHT: usize = 64;

/// The bucket of desired records as its publisher knows it.
#[derive(Debug)]
pub struct Records {
    jetstream: Context,
    prefix: Prefix,
    key: SecretKey,
    /// The revision that each key has, whatever it holds.
    revisions: BTreeMap<String, u64>,
    /// The bucket's last revision.
    last: u64,
}

/// What the bucket held when it was read.
pub struct PublishedRecords {
    records: BTreeMap<String, Bytes>,
}

impl Records {
    /// Knows nothing yet: [`Records::recover`] first.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, key: SecretKey) -> Self {
        Self { jetstream, prefix, key, revisions: BTreeMap::new(), last: 0 }
    }

    /// Reads back what the bucket holds, and drops what was remembered of it.
    ///
    /// # Errors
    /// If NATS does not answer, or a record is validly signed for a position that the log does not have.
    pub async fn recover(&mut self, head: Position) -> Result<PublishedRecords, Error> {
        self.revisions.clear();
        let stream = streams::get(&self.jetstream, &self.prefix.bucket_stream(Bucket::Desired)).await?;
        self.last = stream.cached_info().state.last_sequence;
        let mut records = BTreeMap::new();
        for latest in latest_messages::of(&stream, &self.prefix.bucket_subjects(Bucket::Desired)).await? {
            let Some(key) = latest.subject.splitn(3, '.').nth(2) else { continue };
            self.has(key, latest.sequence);
            if latest.deleted {
                continue;
            }
            if let Some(found) = proven(&self.key.public(), &latest.payload).filter(|found| *found > head) {
                return Err(Error::Forked { what: format!("the record of {key}"), found, head });
            }
            records.insert(key.to_owned(), latest.payload);
        }
        Ok(PublishedRecords { records })
    }

    /// Whether a revision of a key is one that this publisher knows.
    #[must_use]
    pub fn knows(&self, key: &str, revision: u64) -> bool {
        self.revisions.get(key).is_some_and(|known| *known >= revision)
    }

    /// Whether the bucket is as this publisher read or left it.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn is_undisturbed(&self) -> Result<bool, Error> {
        let stream = streams::get(&self.jetstream, &self.prefix.bucket_stream(Bucket::Desired)).await?;
        let state = &stream.cached_info().state;
        Ok(state.last_sequence == self.last && state.subjects_count == self.revisions.len() as u64)
    }

    fn has(&mut self, key: &str, revision: u64) {
        self.revisions.insert(key.to_owned(), revision);
        self.last = self.last.max(revision);
    }

    /// Signs and sets records. Those that the bucket holds already are left alone.
    ///
    /// # Errors
    /// If NATS does not take them all, or somebody else wrote meanwhile.
    pub async fn set(&mut self, records: Vec<Desired>, held: Option<&PublishedRecords>) -> Result<usize, Error> {
        let mut written = 0;
        for chunk in records.chunks(IN_FLIGHT) {
            let mut acks = Vec::with_capacity(chunk.len());
            for desired in chunk {
                let signed = Bytes::from(self.key.seal(desired.write()).write());
                if held.and_then(|held| held.records.get(desired.node.as_str())) != Some(&signed) {
                    acks.push((&desired.node, self.send(desired.node.as_str(), signed).await?));
                }
            }
            for (node, ack) in acks {
                let ack = ack.await.map_err(|error| self.refused(node.as_str(), &error))?;
                self.has(node.as_str(), ack.sequence);
                written += 1;
            }
        }
        Ok(written)
    }

    /// Takes records away that no node of the log has.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn sweep(&mut self, held: &PublishedRecords, is_known: impl Fn(&NodeId) -> bool) -> Result<(), Error> {
        for key in held.records.keys() {
            if key.parse::<NodeId>().is_ok_and(|node| is_known(&node)) {
                continue;
            }
            tracing::warn!(key, "taking a record away that belongs to no node of this log");
            let message = PublishMessage::build().header("KV-Operation", "DEL");
            let ack = self.send_message(key, message).await?;
            let ack = ack.await.map_err(|error| self.refused(key, &error))?;
            self.has(key, ack.sequence);
        }
        Ok(())
    }

    async fn send(&self, key: &str, payload: Bytes) -> Result<async_nats::jetstream::context::PublishAckFuture, Error> {
        self.send_message(key, PublishMessage::build().payload(payload)).await
    }

    async fn send_message(
        &self,
        key: &str,
        message: PublishMessage,
    ) -> Result<async_nats::jetstream::context::PublishAckFuture, Error> {
        let revision = self.revisions.get(key).copied().unwrap_or(0);
        let subject = self.prefix.bucket_subject(Bucket::Desired, key);
        let message = message.expected_last_subject_sequence(revision);
        self.jetstream.send_publish(subject, message).await.map_err(|error| self.refused(key, &error))
    }

    fn refused(&self, key: &str, error: &async_nats::jetstream::context::PublishError) -> Error {
        match error.kind() {
            PublishErrorKind::WrongLastSequence => {
                Error::Disturbed(format!("key {key} of {}", self.prefix.bucket(Bucket::Desired)))
            }
            _ => Error::nats(format!("setting the record of {key}"), error),
        }
    }
}

/// The position that a record proves: nothing if this key did not sign it.
fn proven(key: &PublicKey, payload: &[u8]) -> Option<Position> {
    let signed = Signed::read(payload).ok()?;
    let body = key.open(&signed).ok()?;
    Desired::read(body).ok().map(|desired| desired.position)
}
