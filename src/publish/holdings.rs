//! What NATS holds that the log may have lost: events behind a position, content, and how far nodes have come.

use std::collections::BTreeMap;

use async_nats::jetstream::Context;
use schema::address::{Bucket, Prefix};
use schema::desired::{Cause, Desired};
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{LogId, NodeId};
use schema::position::Position;
use schema::report::Reported;
use schema::seal::{PublicKey, Signed};
use schema::wire::Record as _;

use super::{Error, latest, streams};
use crate::nats::objects::Objects;

/// The events of the stream behind a position and up to another, each at its sequence.
///
/// # Errors
/// If NATS does not answer, or a sequence holds no such event.
pub async fn events(
    jetstream: &Context,
    prefix: &Prefix,
    after: Position,
    last: Position,
) -> Result<Vec<Event>, Error> {
    let name = prefix.event_stream();
    let stream = streams::get(jetstream, &name).await?;
    let mut events = Vec::new();
    for sequence in after.get() + 1..=last.get() {
        let wrong = |why: String| Error::nats(format!("event {sequence} of stream {name}"), why);
        let message = stream.get_raw_message(sequence).await.map_err(|error| wrong(error.to_string()))?;
        let event = Event::read(&message.payload).map_err(|error| wrong(error.to_string()))?;
        if event.position.get() != sequence {
            return Err(wrong(format!("it says that it is event {}", event.position)));
        }
        events.push(event);
    }
    Ok(events)
}

/// The content with these digests and sizes, as far as it is there: inside records that `key` signed, and as objects.
///
/// # Errors
/// If NATS does not answer.
pub async fn contents(
    jetstream: &Context,
    prefix: &Prefix,
    key: &PublicKey,
    wanted: &BTreeMap<Digest, u64>,
) -> Result<BTreeMap<Digest, Vec<u8>>, Error> {
    let mut found = BTreeMap::new();
    for payload in payloads(jetstream, prefix, Bucket::Desired).await?.into_values() {
        let Ok(signed) = Signed::read(&payload) else { continue };
        let Some(record) = key.open(&signed).ok().and_then(|body| Desired::read(body).ok()) else { continue };
        let inline = record.entries.into_iter().filter_map(|entry| entry.inline);
        let named = inline.map(|bytes| (Digest::of(&bytes), bytes));
        found.extend(named.filter(|(digest, _)| wanted.contains_key(digest)));
    }
    let objects = Objects::of(jetstream, prefix).await;
    for (digest, size) in wanted {
        let mut bytes = Vec::new();
        // What can't be read whole is not there.
        if !found.contains_key(digest) && objects.read(*digest, *size, &mut bytes).await.is_ok() {
            found.insert(*digest, bytes);
        }
    }
    Ok(found)
}

/// How far a node says that it has seen a log, which nobody has signed; and the event that it proves the log to have had.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// By its own word.
    pub position: Position,
    /// By a signature.
    pub proven: Option<Cause>,
}

/// How far each node has seen a log.
///
/// # Errors
/// If NATS does not answer.
pub async fn seen(
    jetstream: &Context,
    prefix: &Prefix,
    (log_id, key): (LogId, &PublicKey),
) -> Result<BTreeMap<NodeId, Seen>, Error> {
    let said = payloads(jetstream, prefix, Bucket::Reported).await?;
    let reports = said.into_values().filter_map(|payload| Reported::read(&payload).ok());
    let ours = reports.filter(|report| report.log_id == Some(log_id));
    let seen = |report: Reported| {
        let proven = report.proven(log_id, key);
        Some((report.node, Seen { position: report.seen?.position, proven }))
    };
    Ok(ours.filter_map(seen).collect())
}

async fn payloads(
    jetstream: &Context,
    prefix: &Prefix,
    bucket: Bucket,
) -> Result<BTreeMap<String, bytes::Bytes>, Error> {
    let stream = streams::get(jetstream, &prefix.bucket_stream(bucket)).await?;
    let latest = latest::of(&stream, &prefix.bucket_subjects(bucket)).await?;
    let kept = latest.into_iter().filter(|latest| !latest.deleted);
    Ok(kept.map(|latest| (latest.subject, latest.payload)).collect())
}
