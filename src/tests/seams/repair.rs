//! Repair: whatever was done to NATS, it holds again what follows from the log; only what is ahead of the log is left alone.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Config;
use schema::address::{Bucket, Prefix};
use schema::desired::Desired;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::EventId;
use schema::object::{ObjectName, ObjectSecret};
use schema::position::Position;
use schema::seal::SignedRecord;
use schema::wire::WireRecord as _;
use serde_json::json;
use server::relay::Phase;
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

use crate::SOON;
use crate::desk::{Desk, Open, Relaying, enrol, one, put, retry};
use testkit::eventually::eventually;
use testkit::law;

/// How long a running relay may take to see that somebody laid hands on NATS.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// How long reading an object may take.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Content that travels as an object.
fn large() -> String {
    "large ".repeat(10_000)
}

/// A log with two nodes and two documents, one of them large.
async fn filled() -> (Desk, Open) {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let commands = [enrol("a"), enrol("b"), put("small", "small"), put("large", &large())];
    open.submit(json!({"commands": commands})).await.unwrap();
    open.submit(one(retry("a"))).await.unwrap();
    (desk, open)
}

async fn following(desk: &Desk, open: &Open) -> (Relaying, Context) {
    let relay = desk.following(&open.log).await;
    (relay, desk.nats().await.jetstream())
}

/// The record of a node as it lies in the bucket.
async fn record(desk: &Desk, jetstream: &Context, node: &str) -> Result<Desired, String> {
    let stream = jetstream.get_stream(Prefix::default().bucket_stream(Bucket::Desired)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let subject = Prefix::default().bucket_subject(Bucket::Desired, node);
    let message = stream.get_last_raw_message_by_subject(&subject).await.map_err(|error| error.to_string())?;
    let signed = SignedRecord::read(&message.payload).map_err(|error| error.to_string())?;
    let body = desk.key.public().open(&signed).map_err(|error| error.to_string())?;
    Desired::read(body).map_err(|error| error.to_string())
}

/// The names of the objects of a content: of its ciphertext, and of what nodes without keys may read.
fn names(desk: &Desk, digest: Digest) -> [String; 2] {
    [ObjectSecret::of(desk.log_id, digest).name(), ObjectName::Plain(digest)].map(|name| name.to_string())
}

/// What is stored as an object.
async fn object(jetstream: &Context, name: &str) -> Result<Vec<u8>, String> {
    let store = jetstream.get_object_store(Prefix::default().blobs()).await.map_err(|error| error.to_string())?;
    let (mut object, mut bytes) = (store.get(name).await.map_err(|error| error.to_string())?, Vec::new());
    // The client's reader waits for ever for a chunk that the relay takes away meanwhile, to put the right ones there.
    let read = tokio::time::timeout(READ_WITHIN, object.read_to_end(&mut bytes)).await;
    read.map_err(|_| "a chunk does not come".to_owned())?.map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Whether everything is in NATS that follows from the log: records, their objects, events.
async fn is_level(desk: &Desk, jetstream: &Context) -> Result<(), String> {
    for (node, position) in [("a", 5), ("b", 4)] {
        let desired = record(desk, jetstream, node).await?;
        if (desired.node.as_str(), desired.position) != (node, Position::from(position)) || desired.entries.len() != 2 {
            return Err(format!("{desired:?}"));
        }
        let fetched = desired.entries.iter().find(|entry| entry.inline.is_none()).unwrap();
        let [sealed, plain] = names(desk, fetched.digest);
        let mut content = object(jetstream, &sealed).await?;
        ObjectSecret::of(desk.log_id, fetched.digest).cipher().apply(&mut content);
        for content in [content, object(jetstream, &plain).await?] {
            if content != large().into_bytes() {
                return Err("an object has other content".to_owned());
            }
        }
    }
    match law::stream(&desk.backends.nats.url()).await?.len() {
        5 => Ok(()),
        other => Err(format!("{other} events")),
    }
}

async fn becomes_level(desk: &Desk, jetstream: &Context, after: &str) {
    eventually(&format!("NATS is level again after {after}"), SEEN_WITHIN, async || is_level(desk, jetstream).await)
        .await;
    law::holds(&desk.backends).await;
}

#[tokio::test]
async fn a_nats_that_lost_everything_is_filled_again() {
    let (desk, open) = filled().await;
    let (relay, jetstream) = following(&desk, &open).await;
    becomes_level(&desk, &jetstream, "the start").await;
    let mut names: Vec<String> = Bucket::ALL.map(|bucket| Prefix::default().bucket_stream(bucket)).into();
    names.extend([Prefix::default().blob_stream(), Prefix::default().event_stream()]);
    for name in names {
        jetstream.delete_stream(name).await.unwrap();
    }
    becomes_level(&desk, &jetstream, "all was deleted").await;
    relay.stop().await;
}

#[tokio::test]
async fn a_record_that_somebody_else_wrote_is_put_right_at_once() {
    let (desk, open) = filled().await;
    let (relay, jetstream) = following(&desk, &open).await;
    let subject = Prefix::default().bucket_subject(Bucket::Desired, "a");
    let theirs =
        desk.key.seal(Desired { entries: Vec::new(), ..record(&desk, &jetstream, "b").await.unwrap() }.write());
    for written in [b"garbage".to_vec(), theirs.write(), Vec::new()] {
        jetstream.publish(subject.clone(), written.into()).await.unwrap().await.unwrap();
        becomes_level(&desk, &jetstream, "a record was overwritten").await;
    }
    let store = jetstream.get_key_value(Prefix::default().bucket(Bucket::Desired)).await.unwrap();
    store.delete("a").await.unwrap();
    becomes_level(&desk, &jetstream, "a record was deleted").await;
    store.purge("a").await.unwrap();
    becomes_level(&desk, &jetstream, "a record was purged").await;
    // One of nobody's is taken away.
    store.put("nobody", "x".into()).await.unwrap();
    eventually("nobody's record is gone", SEEN_WITHIN, async || match store.get("nobody").await.unwrap() {
        None => Ok(()),
        Some(record) => Err(format!("{record:?}")),
    })
    .await;
    relay.stop().await;
}

#[tokio::test]
async fn a_record_with_its_own_body_and_a_wrong_signature_is_set_again() {
    let (desk, open) = filled().await;
    let (relay, jetstream) = following(&desk, &open).await;
    becomes_level(&desk, &jetstream, "the start").await;
    let subject = Prefix::default().bucket_subject(Bucket::Desired, "a");
    let right = desk.key.seal(record(&desk, &jetstream, "a").await.unwrap().write());
    let wrong = SignedRecord { sig: [7; 64], ..right.clone() }.write();
    let stands = async |expected: &[u8], after: &str| {
        let stream = jetstream.get_stream(Prefix::default().bucket_stream(Bucket::Desired)).await.unwrap();
        eventually(&format!("the record is as it was, {after}"), SEEN_WITHIN, async || {
            let found = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
            if found.payload == expected { Ok(found.sequence) } else { Err(format!("revision {}", found.sequence)) }
        })
        .await
    };
    jetstream.publish(subject.clone(), wrong.clone().into()).await.unwrap().await.unwrap();
    stands(&right.write(), "beside the relay").await;

    // The same while no relay looks.
    relay.stop().await;
    let sent = jetstream.publish(subject.clone(), wrong.into()).await.unwrap().await.unwrap();
    let (relay, _) = following(&desk, &open).await;
    assert_eq!(stands(&right.write(), "after a start").await, sent.sequence + 1, "it is set once");
    relay.stop().await;

    // Whoever wrote the same bytes left nothing to do.
    let sent = jetstream.publish(subject.clone(), right.write().into()).await.unwrap().await.unwrap();
    let (relay, _) = following(&desk, &open).await;
    open.submit(one(put("small", "other"))).await.unwrap();
    eventually("the next record", SEEN_WITHIN, async || match record(&desk, &jetstream, "a").await? {
        next if next.position == Position::from(6) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let stream = jetstream.get_stream(Prefix::default().bucket_stream(Bucket::Desired)).await.unwrap();
    let last = stream.get_last_raw_message_by_subject(&subject).await.unwrap().sequence;
    assert!(last <= sent.sequence + 2, "{last}: a record each for `a` and `b`, and nothing before");
    relay.stop().await;
}

#[tokio::test]
async fn an_object_that_was_deleted_is_put_again_at_the_next_start() {
    let (desk, open) = filled().await;
    let (relay, jetstream) = following(&desk, &open).await;
    becomes_level(&desk, &jetstream, "the start").await;
    relay.stop().await;
    let store = jetstream.get_object_store(Prefix::default().blobs()).await.unwrap();
    for name in names(&desk, Digest::of(large().as_bytes())) {
        store.delete(&name).await.unwrap();
        let (relay, _) = following(&desk, &open).await;
        becomes_level(&desk, &jetstream, "an object was deleted").await;
        relay.stop().await;
    }

    // The same where only its chunks are gone.
    let stream = jetstream.get_stream(Prefix::default().blob_stream()).await.unwrap();
    let [chunks, _metas] = Prefix::default().blob_subjects();
    stream.purge().filter(chunks).await.unwrap();
    let (relay, _) = following(&desk, &open).await;
    becomes_level(&desk, &jetstream, "its chunks were purged").await;
    relay.stop().await;
}

/// What NATS is asked for ends in time, or the test says what did not.
async fn ended<T>(what: &str, asked: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, asked).await.unwrap_or_else(|_| panic!("{what} did not end within {SOON:?}"))
}

#[tokio::test]
async fn a_running_relay_sees_that_a_bucket_or_an_object_is_gone() {
    let (desk, open) = filled().await;
    let (relay, jetstream) = following(&desk, &open).await;
    becomes_level(&desk, &jetstream, "the start").await;
    let store = jetstream.get_object_store(Prefix::default().blobs()).await.unwrap();
    for name in names(&desk, Digest::of(large().as_bytes())) {
        ended("deleting an object", store.delete(&name)).await.unwrap();
        becomes_level(&desk, &jetstream, "an object was deleted").await;
        let mut other = b"other content".as_slice();
        ended("overwriting an object", store.put(name.as_str(), &mut other)).await.unwrap();
        becomes_level(&desk, &jetstream, "an object was overwritten").await;
    }
    let bucket = jetstream.delete_stream(Prefix::default().bucket_stream(Bucket::Desired));
    ended("deleting the bucket", bucket).await.unwrap();
    becomes_level(&desk, &jetstream, "the bucket of records was deleted").await;
    ended("stopping the relay", relay.stop()).await;
}

#[tokio::test]
async fn an_event_stream_with_a_hole_or_without_its_tail_is_filled_again() {
    let (desk, open) = filled().await;
    let (relay, jetstream) = following(&desk, &open).await;
    becomes_level(&desk, &jetstream, "the start").await;
    let name = Prefix::default().event_stream();
    let (mut stream, mut messages) = (jetstream.get_stream(&name).await.unwrap(), Vec::new());
    for sequence in 1..=5 {
        messages.push(stream.get_raw_message(sequence).await.unwrap());
    }
    let config = stream.info().await.unwrap().config.clone();
    // The server keeps even an administrator from taking events out.
    assert!(stream.delete_message(3).await.is_err() && stream.purge().await.is_err());
    relay.stop().await;

    for (kept, hole) in [(5, Some(3)), (5, Some(5)), (3, None)] {
        jetstream.delete_stream(&name).await.unwrap();
        let loose = Config { deny_delete: false, deny_purge: false, ..config.clone() };
        let stream = jetstream.create_stream(loose).await.unwrap();
        for message in &messages[..kept] {
            let sent = jetstream.publish(message.subject.clone(), message.payload.clone()).await.unwrap();
            sent.await.unwrap();
        }
        if let Some(sequence) = hole {
            stream.delete_message(sequence).await.unwrap();
        }
        let (relay, _) = following(&desk, &open).await;
        becomes_level(&desk, &jetstream, &format!("{kept} events were left, without {hole:?}")).await;
        relay.stop().await;
    }
}

/// Waits until a relay says that it will not go on, and why.
async fn refuses(mut relay: Relaying, why: &str) {
    let says = relay.standing.wait_for(|standing| standing.fault.as_ref().is_some_and(|fault| fault.contains(why)));
    let said = tokio::time::timeout(SOON, says).await.map(|standing| standing.unwrap().clone());
    let standing = said.unwrap_or_else(|_| panic!("it says {:?}", relay.standing.borrow()));
    assert_ne!(standing.phase, Phase::Following);
    relay.stop().await;
}

#[tokio::test]
async fn what_is_ahead_of_the_log_is_left_alone() {
    let (desk, open) = filled().await;
    let (relay, jetstream) = following(&desk, &open).await;
    becomes_level(&desk, &jetstream, "the start").await;

    // A record that this log's own key signed, for a position that the log does not have.
    let subject = Prefix::default().bucket_subject(Bucket::Desired, "b");
    let ours = record(&desk, &jetstream, "b").await.unwrap();
    let ahead = desk.key.seal(Desired { position: Position::from(9), ..ours }.write()).write();
    jetstream.publish(subject.clone(), ahead.clone().into()).await.unwrap().await.unwrap();
    refuses(relay, "at position 9").await;
    refuses(desk.relay(&open.log).await, "at position 9").await;
    let bucket = jetstream.get_stream(Prefix::default().bucket_stream(Bucket::Desired)).await.unwrap();
    assert_eq!(bucket.get_last_raw_message_by_subject(&subject).await.unwrap().payload, ahead);
    let commanded = open.submit(one(put("meanwhile", "x"))).await.unwrap();
    assert_eq!(law::stream(&desk.backends.nats.url()).await.unwrap().len(), 5, "nothing was published");

    // Once the log has come that far, nothing is ahead any more.
    assert_eq!(commanded.position, Position::from(6));
    for _ in 0..3 {
        open.submit(one(retry("b"))).await.unwrap();
    }
    let (relay, _) = following(&desk, &open).await;
    law::holds(&desk.backends).await;
    relay.stop().await;

    // An event that the log does not have, and may have lost.
    let message =
        jetstream.get_stream(Prefix::default().event_stream()).await.unwrap().get_raw_message(9).await.unwrap();
    let last = Event::read(&message.payload).unwrap();
    let command_id = Uuid::now_v7().into();
    let event_id = EventId::derived(command_id, 1, last.at);
    let (position, version) = (last.position.next(), last.version.next());
    let next = Event { position, version, command_id, event_id, ..last }.sealed();
    jetstream.publish(message.subject.clone(), next.write().into()).await.unwrap().await.unwrap();
    refuses(desk.relay(&open.log).await, "at position 10").await;

    // What stands behind it does not hide it: neither what is no event, nor one that the log has.
    for (behind, position) in [(b"garbage".to_vec(), "at position 11"), (message.payload.to_vec(), "at position 12")] {
        jetstream.publish(message.subject.clone(), behind.into()).await.unwrap().await.unwrap();
        refuses(desk.relay(&open.log).await, position).await;
    }
    let stream = jetstream.get_stream(Prefix::default().event_stream()).await.unwrap();
    assert_eq!(Event::read(&stream.get_raw_message(10).await.unwrap().payload).unwrap(), next, "it was not wiped away");
}

#[tokio::test]
async fn another_logs_events_are_left_alone() {
    let (desk, open) = filled().await;
    let (relay, jetstream) = following(&desk, &open).await;
    becomes_level(&desk, &jetstream, "the start").await;
    relay.stop().await;
    let name = Prefix::default().event_stream();
    let mut stream = jetstream.get_stream(&name).await.unwrap();
    let (config, message) = (stream.info().await.unwrap().config.clone(), stream.get_raw_message(1).await.unwrap());
    jetstream.delete_stream(&name).await.unwrap();
    jetstream.create_stream(config).await.unwrap();
    let ours = Event::read(&message.payload).unwrap();
    let theirs = Event { log_id: Uuid::from_u128(7).into(), ..ours }.sealed();
    jetstream.publish(message.subject, theirs.write().into()).await.unwrap().await.unwrap();
    refuses(desk.relay(&open.log).await, "not what the log has there").await;
}
