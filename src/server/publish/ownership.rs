//! Which log a prefix of NATS belongs to, and the public key of that log.
//!
//! A prefix belongs to one log: the first whose events stand in its event stream, or, while there are none, the first whose key is
//! published there. With two keys a new node would not know which to trust, so the owner removes another log's key. A key record that
//! can't be read is left alone: a newer program may have written it.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use schema::address::{Bucket, Prefix};
use schema::event::Event;
use schema::id::LogId;
use schema::seal::{PublicKey, PublicKeyRecord};
use schema::wire::WireRecord as _;

use super::latest_messages::{self, LatestMessage};
use super::{Error, streams};

/// The bucket of public keys, for the publisher of one log.
#[derive(Debug)]
pub struct PublicKeys {
    jetstream: Context,
    prefix: Prefix,
    log_id: LogId,
    key: PublicKey,
    /// The bucket's last revision at which it held exactly this log's key.
    published: Option<u64>,
}

/// A key of another log.
struct ForeignKey {
    subject: String,
    record: PublicKeyRecord,
}

impl PublicKeys {
    /// Publishes nothing yet.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, log_id: LogId, key: PublicKey) -> Self {
        Self { jetstream, prefix, log_id, key, published: None }
    }

    /// Publishes the key, and removes other logs' keys. `has_events` says whether events of this log are public here.
    ///
    /// # Errors
    /// If NATS does not answer, or the prefix belongs to another log.
    pub async fn publish(&mut self, has_events: bool) -> Result<(), Error> {
        let bucket = self.prefix.bucket_stream(Bucket::Keys);
        let stream = streams::get(&self.jetstream, &bucket).await?;
        let sequence = stream.cached_info().state.last_sequence;
        if self.published == Some(sequence) {
            return Ok(());
        }
        let published = latest_messages::of(&stream, &self.prefix.bucket_subjects(Bucket::Keys)).await?;
        let has_key = published.iter().any(|latest| key_in(latest).is_some_and(|key| key.key == *self.key.as_bytes()));
        let record = self.key.record().of_log(self.log_id).write();
        let is_published = published.iter().any(|latest| !latest.deleted && latest.payload == record.as_slice());
        let foreign: Vec<ForeignKey> = published.iter().filter_map(|latest| self.foreign(latest)).collect();
        match foreign.first() {
            Some(first) if !has_events && !has_key => {
                return Err(PrefixOwner::of_key(&first.record).refuses(&self.prefix, self.log_id));
            }
            // A write after the bucket was read raises its revision, so that it is read again.
            None if is_published => {
                self.published = Some(sequence);
                return Ok(());
            }
            _ => {}
        }
        for ForeignKey { subject, record } in foreign {
            let owner = PrefixOwner::of_key(&record);
            tracing::warn!(key = %record.key_id, %owner, "removing another log's public key");
            let purged = stream.purge().filter(&subject).await;
            purged.map_err(|error| Error::nats(format!("removing {subject}"), error))?;
        }
        if is_published {
            return Ok(());
        }
        let subject = self.prefix.bucket_subject(Bucket::Keys, &self.key.id().to_string());
        let failed = |error| Error::nats("publishing the public key", error);
        let sent = self.jetstream.publish(subject, record.into()).await.map_err(failed)?;
        sent.await.map(drop).map_err(failed)
    }

    fn foreign(&self, latest: &LatestMessage) -> Option<ForeignKey> {
        let record = key_in(latest)?;
        let is_ours = record.key == *self.key.as_bytes() || record.log_id == Some(self.log_id);
        (!is_ours).then(|| ForeignKey { subject: latest.subject.clone(), record })
    }
}

/// The log that a prefix belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixOwner {
    /// Its id, if anything names it: keys that older programs published do not.
    pub log_id: Option<LogId>,
    /// The event or key that shows it.
    shown_by: String,
}

impl PrefixOwner {
    fn of_key(record: &PublicKeyRecord) -> Self {
        Self { log_id: record.log_id, shown_by: format!("public key {}", record.key_id) }
    }

    /// The refusal for another log that wants to use the prefix.
    #[must_use]
    pub fn refuses(&self, prefix: &Prefix, log_id: LogId) -> Error {
        Error::Owned { prefix: prefix.to_string(), owner: self.to_string(), log_id }
    }
}

impl std::fmt::Display for PrefixOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.log_id {
            Some(log_id) => write!(f, "log {log_id} ({})", self.shown_by),
            None => write!(f, "another log, which an older headwater installed ({})", self.shown_by),
        }
    }
}

/// The log that a prefix belongs to, for a log with this key that is to use it; nothing if no log uses it yet, or only this key is
/// there and names no log.
///
/// # Errors
/// If NATS does not answer.
pub async fn prefix_owner(jetstream: &Context, prefix: &Prefix, key: &PublicKey) -> Result<Option<PrefixOwner>, Error> {
    let events = prefix.event_stream();
    if let Some(stream) = streams::find(jetstream, &events).await?
        && let Some(first) = first_event(&stream).await?
    {
        return Ok(Some(PrefixOwner {
            log_id: Some(first.log_id),
            shown_by: format!("first event of stream {events}"),
        }));
    }
    let Some(stream) = streams::find(jetstream, &prefix.bucket_stream(Bucket::Keys)).await? else { return Ok(None) };
    let mut published = latest_messages::of(&stream, &prefix.bucket_subjects(Bucket::Keys)).await?;
    published.sort_by_key(|latest| latest.sequence);
    let keys: Vec<PublicKeyRecord> = published.iter().filter_map(key_in).collect();
    let ours = keys.iter().find(|record| record.key == *key.as_bytes());
    Ok(ours.or(keys.first()).map(PrefixOwner::of_key).filter(|owner| owner.log_id.is_some() || ours.is_none()))
}

async fn first_event(stream: &Stream) -> Result<Option<Event>, Error> {
    let first = stream.cached_info().state.first_sequence;
    match stream.get_raw_message(first.max(1)).await {
        Ok(message) => Ok(Event::read(&message.payload).ok().filter(Event::is_intact)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(Error::nats("reading the first event that was published", error)),
    }
}

fn key_in(latest: &LatestMessage) -> Option<PublicKeyRecord> {
    let record = PublicKeyRecord::read(&latest.payload).ok()?;
    let key = PublicKey::from_bytes(&record.key).ok()?;
    (!latest.deleted && key.id() == record.key_id).then_some(record)
}
