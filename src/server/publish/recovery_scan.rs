//! What NATS holds that the log may have lost: events behind its end, content, and how far nodes have seen the log.

use std::collections::BTreeMap;

use async_nats::jetstream::Context;
use bus::objects::Objects;
use schema::address::{Bucket, Prefix};
use schema::desired::{Cause, Desired};
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{LogId, NodeId};
use schema::position::Position;
use schema::report::Reported;
use schema::seal::{PublicKey, SignedRecord};
use schema::wire::WireRecord as _;

use super::stream_comparison::message;
use super::{Error, latest_messages, streams};

/// The events of the stream after one position and up to another, each at its sequence. They end before the first message that is
/// no event.
///
/// # Errors
/// If NATS does not answer, or not even the first message is an event.
pub async fn events(
    jetstream: &Context,
    prefix: &Prefix,
    after: Position,
    last: Position,
) -> Result<Vec<Event>, Error> {
    let name = prefix.event_stream();
    let stream = streams::get(jetstream, &name).await?;
    let wrong = |sequence: u64, why: String| Error::nats(format!("event {sequence} of stream {name}"), why);
    let mut events = Vec::new();
    for sequence in after.next().get()..=last.get() {
        let read = match message(&stream, sequence.into()).await? {
            Some(message) => Event::read(&message.payload).map_err(|error| error.to_string()),
            None => Err("it is not there".to_owned()),
        };
        match read {
            Ok(event) if event.position.get() == sequence => events.push(event),
            _ if !events.is_empty() => break,
            Ok(event) => return Err(wrong(sequence, format!("it says that it is event {}", event.position))),
            Err(why) => return Err(wrong(sequence, why)),
        }
    }
    Ok(events)
}

/// The contents with these digests and sizes that are there: inside records that the log's key signed, and as objects.
///
/// # Errors
/// If NATS does not answer.
pub async fn contents(
    jetstream: &Context,
    prefix: &Prefix,
    (log_id, key): (LogId, &PublicKey),
    wanted: &BTreeMap<Digest, u64>,
) -> Result<BTreeMap<Digest, Vec<u8>>, Error> {
    let mut found = BTreeMap::new();
    for payload in payloads(jetstream, prefix, Bucket::Desired).await?.into_values() {
        let Ok(signed) = SignedRecord::read(&payload) else { continue };
        let Some(record) = key.open(&signed).ok().and_then(|body| Desired::read(body).ok()) else { continue };
        let inline = record.entries.into_iter().filter_map(|entry| entry.inline);
        let named = inline.map(|bytes| (Digest::of(&bytes), bytes));
        found.extend(named.filter(|(digest, _)| wanted.contains_key(digest)));
    }
    let objects = Objects::of(jetstream, prefix).await;
    for (digest, size) in wanted {
        let mut bytes = Vec::new();
        // An object that can't be read whole counts as missing.
        if !found.contains_key(digest) && objects.read(log_id, *digest, *size, &mut bytes).await.is_ok() {
            found.insert(*digest, bytes);
        }
    }
    Ok(found)
}

/// How far a node claims to have seen a log, and the event that it proves the log to have had. A report may have either without the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenByNode {
    /// Claimed: nobody has signed it.
    pub position: Option<Position>,
    /// Proven by a record that the log's key signed.
    pub proven: Option<Cause>,
}

impl SeenByNode {
    /// What the report of `node` claims and proves about a log. Only a node's own report counts, as in the report listener.
    fn read(payload: &[u8], node: &NodeId, log_id: LogId, key: &PublicKey) -> Option<Self> {
        let report = Reported::read(payload).ok().filter(|report| report.node == *node)?;
        let claimed = report.seen.filter(|_| report.log_id == Some(log_id));
        let seen = Self { position: claimed.map(|seen| seen.position), proven: report.proven_cause(log_id, key) };
        (seen.position.is_some() || seen.proven.is_some()).then_some(seen)
    }

    /// Whether the node claims or proves that the log was longer than this.
    #[must_use]
    pub fn is_beyond(&self, head: Position) -> bool {
        self.position.max(self.proven.map(|cause| cause.position)).is_some_and(|furthest| furthest > head)
    }
}

/// How far each node has seen a log, by its newest report.
///
/// # Errors
/// If NATS does not answer.
pub async fn seen(
    jetstream: &Context,
    prefix: &Prefix,
    (log_id, key): (LogId, &PublicKey),
) -> Result<BTreeMap<NodeId, SeenByNode>, Error> {
    let reports = payloads(jetstream, prefix, Bucket::Reported).await?;
    let before = prefix.bucket_subject(Bucket::Reported, "").len();
    let seen = reports.iter().filter_map(|(subject, payload)| {
        let node: NodeId = subject.get(before..)?.parse().ok()?;
        let seen = SeenByNode::read(payload, &node, log_id, key)?;
        Some((node, seen))
    });
    Ok(seen.collect())
}

async fn payloads(
    jetstream: &Context,
    prefix: &Prefix,
    bucket: Bucket,
) -> Result<BTreeMap<String, bytes::Bytes>, Error> {
    let stream = streams::get(jetstream, &prefix.bucket_stream(bucket)).await?;
    let latest = latest_messages::of(&stream, &prefix.bucket_subjects(bucket)).await?;
    let kept = latest.into_iter().filter(|latest| !latest.deleted);
    Ok(kept.map(|latest| (latest.subject, latest.payload)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::desired::{Desired, digest_of};
    use schema::report::RecordRef;
    use schema::seal::SecretKey;
    use uuid::Uuid;

    #[test]
    fn what_a_node_proves_counts_whatever_it_says_that_it_has_seen() {
        let (key, uuid) = (SecretKey::from_seed(&[7; 32]), Uuid::from_u128(9));
        let (log_id, node): (LogId, NodeId) = (Uuid::from_u128(1).into(), "a".parse().expect("an id"));
        let cause = Cause { position: 9.into(), event_id: uuid.into(), command_id: uuid.into() };
        let (v, digest, retry, retired, entries) = (1, digest_of([]), Position::ZERO, false, Vec::new());
        let record =
            Desired { v, log_id, node: node.clone(), position: 9.into(), digest, retry, retired, entries, cause };
        let proof = Some(key.seal(record.write()));
        let blank = include_bytes!("../../../schema/tests/golden/records/reported-with-proof.json");
        let blank: Reported = serde_json::from_slice(blank).expect("a report");
        assert_eq!(blank.seen, None, "a valid report may prove something and say nothing");
        let said = |position: u64| Some(RecordRef { position: position.into(), digest });
        for (pinned, seen, proof, expected) in [
            (Some(log_id), None, proof.clone(), Some((None, Some(9)))),
            (None, None, proof.clone(), Some((None, Some(9)))),
            (Some(log_id), said(5), proof.clone(), Some((Some(5), Some(9)))),
            (Some(log_id), said(5), None, Some((Some(5), None))),
            (None, said(5), None, None),
            (Some(log_id), None, None, None),
        ] {
            let report = Reported { log_id: pinned, node: node.clone(), seen, proof, ..blank.clone() }.write();
            let read = SeenByNode::read(&report, &node, log_id, &key.public());
            let shown = read.map(|seen| {
                let proven = seen.proven.map(|cause| cause.position.get());
                assert_eq!(seen.is_beyond(7.into()), proven.is_some(), "{seen:?}");
                (seen.position.map(Position::get), proven)
            });
            assert_eq!(shown, expected);
            let other = "b".parse().expect("an id");
            assert_eq!(SeenByNode::read(&report, &other, log_id, &key.public()), None, "under another node's key");
        }
    }
}
