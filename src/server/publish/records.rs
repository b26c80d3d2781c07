//! Each node's signed desired record. A write names the revision that was last read or written, so that no foreign write goes
//! unnoticed and no newer record is ever replaced by an older one.

use std::collections::{BTreeMap, VecDeque};

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use schema::address::{Bucket, Prefix};
use schema::desired::{Desired, RecordPlace};
use schema::digest::Digest;
use schema::id::NodeId;
use schema::position::Position;
use schema::seal::{PublicKey, SecretKey, SignedRecord};
use schema::wire::WireRecord as _;

use super::records_under_way::{RecordBody, RecordsUnderWay, SentRecord, SignedBytes, UnderWayLimit};
use super::signature_check::{HeldRecord, SignatureCheck};
use super::{Error, latest_messages, streams};

/// The bucket of desired records as its publisher left it.
#[derive(Debug)]
pub struct Records {
    jetstream: Context,
    prefix: Prefix,
    key: SecretKey,
    /// The last revision of each key, also of deleted ones.
    revisions: BTreeMap<String, u64>,
    /// The last revision of the whole bucket.
    last: u64,
    /// Records that the bucket held already, with bodies as they were rendered again.
    held: VecDeque<HeldRecord>,
    /// The check of their signatures.
    check: Option<SignatureCheck>,
}

/// The records that the bucket held when it was read.
pub struct PublishedRecords {
    records: BTreeMap<String, Bytes>,
    key_id: Digest,
}

impl PublishedRecords {
    /// The record that the bucket held with this body and the id of this log's key. Whether the key made its signature is not looked at.
    fn with_body(&self, record: &RecordBody) -> Option<Bytes> {
        let bytes = self.records.get(record.node.as_str())?;
        let signed = SignedRecord::read(bytes).ok()?;
        (signed.key_id == self.key_id && signed.body == record.bytes).then(|| bytes.clone())
    }
}

impl Records {
    /// Nothing is read yet: [`Records::recover`] comes first.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, key: SecretKey) -> Self {
        Self { jetstream, prefix, key, revisions: BTreeMap::new(), last: 0, held: VecDeque::new(), check: None }
    }

    /// Reads back what the bucket holds.
    ///
    /// # Errors
    /// If NATS does not answer, or this log's key signed a record for a position that the log does not have.
    pub async fn recover(&mut self, head: Position) -> Result<PublishedRecords, Error> {
        self.revisions.clear();
        (self.held, self.check) = (VecDeque::new(), None);
        let stream = streams::get(&self.jetstream, &self.prefix.bucket_stream(Bucket::Desired)).await?;
        self.last = stream.cached_info().state.last_sequence;
        let mut records = BTreeMap::new();
        let prefix = self.prefix.bucket_subject(Bucket::Desired, "");
        for latest in latest_messages::of(&stream, &self.prefix.bucket_subjects(Bucket::Desired)).await? {
            let Some(key) = latest.subject.strip_prefix(&prefix) else {
                remove_foreign(&stream, &latest.subject).await?;
                continue;
            };
            self.note_revision(key, latest.sequence);
            if latest.deleted {
                continue;
            }
            if let Some(found) = position_ahead(&self.key.public(), &latest.payload, head) {
                return Err(Error::Forked { what: format!("the record of {key}"), found, head });
            }
            records.insert(key.to_owned(), latest.payload);
        }
        Ok(PublishedRecords { records, key_id: self.key.public().id() })
    }

    /// Whether this publisher read or wrote this revision of a key, or a later one.
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

    /// The last revision of a key; 0 if it never had one.
    fn revision(&self, key: &str) -> u64 {
        self.revisions.get(key).copied().unwrap_or(0)
    }

    fn note_revision(&mut self, key: &str, revision: u64) {
        match self.revisions.get_mut(key) {
            Some(known) => *known = revision,
            None => drop(self.revisions.insert(key.to_owned(), revision)),
        }
        self.last = self.last.max(revision);
    }

    /// Signs records and sends them, except for those that the bucket held already: their signatures are checked later. Waits only
    /// while too many are on their way.
    ///
    /// # Errors
    /// If NATS does not take an earlier one, or somebody else wrote meanwhile.
    pub async fn set(
        &mut self,
        under_way: &mut RecordsUnderWay,
        records: Vec<Desired>,
        published: Option<&PublishedRecords>,
    ) -> Result<(), Error> {
        let mut bodies = Vec::with_capacity(records.len());
        for body in records.into_iter().map(RecordBody::of) {
            match published.and_then(|published| published.with_body(&body)) {
                Some(bytes) => {
                    let revision = self.revision(body.node.as_str());
                    self.held.push_back(HeldRecord { node: body.node, revision, bytes });
                }
                None => bodies.push(body),
            }
        }
        if let Some(signed) = under_way.sign(&self.key, bodies) {
            self.send_signed(under_way, signed).await?;
        }
        self.settle(under_way, UnderWayLimit::whole()).await
    }

    /// Waits until every record is acknowledged. Gives how many were set.
    ///
    /// # Errors
    /// If NATS does not take them all, or somebody else wrote meanwhile.
    pub async fn finish(&mut self, mut under_way: RecordsUnderWay) -> Result<usize, Error> {
        self.settle(&mut under_way, UnderWayLimit::NOTHING).await?;
        Ok(under_way.written())
    }

    /// Begins to check the signatures of the records that the bucket held already.
    pub fn start_signature_check(&mut self) {
        self.check = Some(SignatureCheck::start(self.key.clone(), std::mem::take(&mut self.held)));
    }

    /// Waits for records whose signature was found wrong, and gives them with the right one.
    pub async fn resigned(&self) -> Vec<HeldRecord> {
        match &self.check {
            Some(check) => check.resigned().await,
            None => std::future::pending().await,
        }
    }

    /// Sets these records, except for those that were set since they were read.
    ///
    /// # Errors
    /// If NATS does not take them, or somebody else wrote meanwhile.
    pub async fn set_resigned(&mut self, records: Vec<HeldRecord>) -> Result<(), Error> {
        let mut under_way = RecordsUnderWay::default();
        for HeldRecord { node, revision, bytes } in records {
            if self.revision(node.as_str()) == revision {
                tracing::warn!(%node, "setting a record again whose signature was wrong");
                self.send_signed(&mut under_way, vec![SignedBytes { node, bytes }]).await?;
                self.settle(&mut under_way, UnderWayLimit::whole()).await?;
            }
        }
        self.settle(&mut under_way, UnderWayLimit::NOTHING).await
    }

    /// Sends what is signed, and waits for acknowledgements until no more are under way than may be.
    async fn settle(&mut self, under_way: &mut RecordsUnderWay, limit: UnderWayLimit) -> Result<(), Error> {
        loop {
            if let Some(signed) = under_way.signed(limit).await {
                self.send_signed(under_way, signed).await?;
            } else if under_way.is_within(limit) {
                return Ok(());
            } else if let Some(SentRecord { node, ack, .. }) = under_way.next_sent() {
                let ack = ack.await.map_err(|error| self.refused(node.as_str(), &error))?;
                self.note_revision(node.as_str(), ack.sequence);
            }
        }
    }

    async fn send_signed(&self, under_way: &mut RecordsUnderWay, signed: Vec<SignedBytes>) -> Result<(), Error> {
        for SignedBytes { node, bytes } in signed {
            let size = bytes.len();
            let message = PublishMessage::build().payload(bytes);
            let ack = self.send_message(node.as_str(), message).await?;
            under_way.note_sent(SentRecord { node, size, ack });
        }
        Ok(())
    }

    /// Deletes the records of ids that are no node of the log.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn sweep(
        &mut self,
        published: &PublishedRecords,
        is_known: impl Fn(&NodeId) -> bool,
    ) -> Result<(), Error> {
        for key in published.records.keys() {
            if key.parse::<NodeId>().is_ok_and(|node| is_known(&node)) {
                continue;
            }
            tracing::warn!(key, "removing a record that belongs to no node of this log");
            let message = PublishMessage::build().header("KV-Operation", "DEL");
            let ack = self.send_message(key, message).await?;
            let ack = ack.await.map_err(|error| self.refused(key, &error))?;
            self.note_revision(key, ack.sequence);
        }
        Ok(())
    }

    async fn send_message(
        &self,
        key: &str,
        message: PublishMessage,
    ) -> Result<async_nats::jetstream::context::PublishAckFuture, Error> {
        let revision = self.revision(key);
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

/// Removes a subject that is not one of the bucket's: what a consumer delivers into a bucket may be stored under the subject that it had
/// elsewhere, and no key would name it.
async fn remove_foreign(stream: &Stream, subject: &str) -> Result<(), Error> {
    tracing::warn!(subject, "removing a message of another subject from the bucket of records");
    let purged = stream.purge().filter(subject).await;
    purged.map(drop).map_err(|error| Error::nats(format!("removing {subject}"), error))
}

/// The position of a record that is ahead of the log, if this key signed it. The signature takes longest, so it is verified last.
fn position_ahead(key: &PublicKey, payload: &[u8], head: Position) -> Option<Position> {
    let signed = SignedRecord::read(payload).ok()?;
    let position = RecordPlace::read(&signed.body).ok()?.position;
    (position > head && key.open(&signed).is_ok()).then_some(position)
}
