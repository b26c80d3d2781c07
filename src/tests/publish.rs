//! Publishing to a real nats-server, with somebody else at it.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

#[path = "node/server.rs"]
#[expect(dead_code, reason = "nodes need more of it")]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use headwater::nats::objects::Objects;
use headwater::publish::blobs::Blobs;
use headwater::publish::error::Later;
use headwater::publish::ownership::{PublicKeys, owner};
use headwater::publish::publisher::{Publisher, Settings, Source};
use headwater::publish::{Error, streams};
use projections::configuration::Configuration;
use projections::request::{Envelope, decide_request};
use schema::address::{Bucket, Prefix};
use schema::command::Command;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use schema::request::Request;
use schema::seal::{KeyRecord, SecretKey};
use schema::target::Labels;
use schema::wire::Record as _;
use server::Server;
use uuid::Uuid;

fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

/// A nats-server with everything that `install` makes.
async fn nats() -> (Server, Context, Prefix) {
    let nats = Server::start();
    let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(nats.url()).await.unwrap();
    let (jetstream, prefix) = (jetstream::new(client), Prefix::default());
    let made = async { while streams::ensure(&jetstream, &prefix, 1).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(60), made).await.unwrap();
    (nats, jetstream, prefix)
}

/// A log of three nodes.
#[derive(Clone, Default)]
struct Table(Configuration, Vec<Event>);

impl Table {
    fn log_id() -> LogId {
        "0197f3a0-0000-7000-8000-0000000000a1".parse().unwrap()
    }

    fn of(nodes: usize) -> Self {
        let enrol = |number| Command::EnrolNode(format!("n-{number}").parse().unwrap(), Labels::new());
        let command_id = CommandId::derived(Self::log_id(), "test", "1");
        let clock = Instant::from_unix_micros(1);
        let envelope = Envelope { log_id: Self::log_id(), command_id, actor: Actor::Install, clock, entropy: [0; 16] };
        let request = Request::of((0..nodes).map(enrol));
        let decided = decide_request(&Configuration::default(), &envelope, &request).unwrap();
        Self(decided.configuration, decided.events)
    }

    fn publisher(&self, jetstream: &Context, prefix: &Prefix) -> Publisher {
        let (jetstream, prefix, log_id) = (jetstream.clone(), prefix.clone(), Self::log_id());
        Publisher::new(Settings { jetstream, prefix, replicas: 1, key: key(), log_id }, Arc::new(self.clone()))
    }
}

impl Source for Table {
    fn contents(&self, _: Vec<Digest>) -> Later<'_, BTreeMap<Digest, Vec<u8>>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    fn events(&self, after: Position, limit: usize) -> Later<'_, Vec<Event>> {
        Box::pin(async move { Ok(self.1.iter().filter(|event| event.position > after).take(limit).cloned().collect()) })
    }
}

async fn stored(jetstream: &Context, prefix: &Prefix) -> Vec<Event> {
    let stream = jetstream.get_stream(prefix.event_stream()).await.unwrap();
    let mut events = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        events.push(Event::read(&stream.get_raw_message(sequence).await.unwrap().payload).unwrap());
    }
    events
}

#[tokio::test]
async fn an_object_with_other_content_than_its_name_says_is_put_again() {
    let (_nats, jetstream, prefix) = nats().await;
    let content = vec![b'a'; 300_000];
    let digest = Digest::of(&content);
    let mut blobs = Blobs::new(jetstream.clone(), prefix.clone());
    let ensure = async |blobs: &mut Blobs| {
        blobs.recover().await.unwrap();
        blobs.ensure(BTreeSet::from([digest]), |_| std::future::ready(Ok(content.clone()))).await.unwrap();
    };
    ensure(&mut blobs).await;

    let store = jetstream.get_object_store(prefix.blobs()).await.unwrap();
    store.put(digest.to_string().as_str(), &mut vec![b'b'; 300_000].as_slice()).await.unwrap();
    assert!(!blobs.is_undisturbed().await.unwrap());
    ensure(&mut blobs).await;
    let mut read = Vec::new();
    Objects::of(&jetstream, &prefix).await.read(digest, 300_000, &mut read).await.unwrap();
    assert_eq!(Digest::of(&read), digest);

    let before = blobs.is_undisturbed().await.unwrap();
    ensure(&mut blobs).await;
    assert!(before && blobs.is_undisturbed().await.unwrap(), "what is right is left alone");
}

#[tokio::test]
async fn what_is_no_event_at_the_end_of_the_stream_is_taken_away() {
    let (_nats, jetstream, prefix) = nats().await;
    let table = Table::of(3);
    let mut publisher = table.publisher(&jetstream, &prefix);
    publisher.repair(&table.0).await.unwrap();
    assert_eq!(stored(&jetstream, &prefix).await, table.1);

    let repeated = table.1[0].write();
    for stray in [b"no event".to_vec(), repeated] {
        let subject = prefix.event_subject(&table.1[0]);
        jetstream.publish(subject, stray.into()).await.unwrap().await.unwrap();
        assert!(matches!(publisher.inspect().await, Err(Error::Disturbed(_))));
        publisher.repair(&table.0).await.unwrap();
        assert_eq!(stored(&jetstream, &prefix).await, table.1);
        publisher.inspect().await.unwrap();
    }
}

#[tokio::test]
async fn an_event_that_the_log_does_not_have_is_no_stray_and_stops_the_publisher() {
    let (_nats, jetstream, prefix) = nats().await;
    let longer = Table::of(3);
    longer.publisher(&jetstream, &prefix).repair(&longer.0).await.unwrap();
    let shorter = Table::of(2);
    let refused = shorter.publisher(&jetstream, &prefix).repair(&shorter.0).await;
    assert!(matches!(refused, Err(Error::Forked { .. })), "{refused:?}");
    assert_eq!(stored(&jetstream, &prefix).await, longer.1, "nothing is touched");
}

/// The keys that are published, and how many messages say so.
async fn keys(jetstream: &Context, prefix: &Prefix) -> (Vec<KeyRecord>, u64) {
    let mut stream = jetstream.get_stream(prefix.bucket_stream(Bucket::Keys)).await.unwrap();
    let state = stream.info().await.unwrap().state.clone();
    let mut keys = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        keys.extend(KeyRecord::read(&message.payload));
    }
    (keys, state.messages)
}

#[tokio::test]
async fn another_logs_key_is_taken_away_and_what_cannot_be_read_is_left() {
    let (_nats, jetstream, prefix) = nats().await;
    let table = Table::of(1);
    let mut publisher = table.publisher(&jetstream, &prefix);
    publisher.repair(&table.0).await.unwrap();
    let ours = key().public().record().of_log(Table::log_id());
    let theirs = SecretKey::from_seed(&[2; 32]).public().record();
    let named = SecretKey::from_seed(&[3; 32]).public().record().of_log(Uuid::from_u128(7).into());
    for (id, written) in
        [("theirs", theirs.write()), ("named", named.write()), ("later", b"of a later program".to_vec())]
    {
        let subject = prefix.bucket_subject(Bucket::Keys, id);
        jetstream.publish(subject, written.into()).await.unwrap().await.unwrap();
    }
    publisher.inspect().await.unwrap();
    assert_eq!(keys(&jetstream, &prefix).await, (vec![ours], 2));
}

#[tokio::test]
async fn nothing_is_published_under_a_prefix_that_another_log_was_installed_with() {
    let (_nats, jetstream, prefix) = nats().await;
    let first: LogId = Uuid::from_u128(7).into();
    let theirs = SecretKey::from_seed(&[2; 32]).public();
    PublicKeys::new(jetstream.clone(), prefix.clone(), first, theirs.clone()).settle(false).await.unwrap();
    let found = owner(&jetstream, &prefix, &key().public()).await.unwrap().unwrap();
    assert_eq!(found.log_id, Some(first));
    let table = Table::of(1);
    let refused = table.publisher(&jetstream, &prefix).repair(&table.0).await.unwrap_err().to_string();
    for named in [first.to_string(), Table::log_id().to_string(), prefix.to_string()] {
        assert!(refused.contains(&named), "{refused}");
    }
    assert_eq!(keys(&jetstream, &prefix).await, (vec![theirs.record().of_log(first)], 1));
    assert_eq!(stored(&jetstream, &prefix).await, []);

    // Whose events are public, his it is.
    PublicKeys::new(jetstream.clone(), prefix.clone(), Table::log_id(), key().public()).settle(true).await.unwrap();
    table.publisher(&jetstream, &prefix).repair(&table.0).await.unwrap();
    let found = owner(&jetstream, &prefix, &theirs).await.unwrap().unwrap();
    assert_eq!(found.log_id, Some(Table::log_id()));
}

#[tokio::test]
async fn a_bucket_of_the_nodes_that_is_gone_is_made_again() {
    let (_nats, jetstream, prefix) = nats().await;
    let table = Table::of(1);
    let mut publisher = table.publisher(&jetstream, &prefix);
    publisher.repair(&table.0).await.unwrap();
    for bucket in [Bucket::Reported, Bucket::Keys] {
        jetstream.delete_stream(prefix.bucket_stream(bucket)).await.unwrap();
        publisher.inspect().await.unwrap();
        let made = jetstream.get_stream(prefix.bucket_stream(bucket)).await.unwrap();
        assert_eq!(made.cached_info().config.allow_rollup, !bucket.written_by_nodes());
    }
}
