//! Publishing to a real nats-server, with somebody else at it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context};
use futures::{FutureExt as _, StreamExt as _};
use projections::configuration::Configuration;
use projections::request::{RequestContext, decide_request};
use schema::address::{Bucket, Prefix, STRAY_SUBJECT};
use schema::command::{Command, EnrolNode};
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::Position;
use schema::request::Request;
use schema::seal::{PublicKeyRecord, SecretKey};
use schema::wire::WireRecord as _;
use server::publish::Error;
use server::publish::error::SourceFuture;
use server::publish::ownership::{PublicKeys, prefix_owner};
use server::publish::publisher::{PublishSettings, PublishSource, Publisher};
use server::publish::streams;
use testkit::nats::Server;
use uuid::Uuid;

fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

/// A nats-server with everything that `install` makes.
pub(crate) async fn nats() -> (Server, Context, Prefix) {
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

    /// Each is enrolled by a request of its own, so that a smaller one is a larger one's beginning.
    fn of(nodes: usize) -> Self {
        let mut table = Self::default();
        for number in 0..nodes {
            let enrol = Command::EnrolNode(EnrolNode {
                id: format!("n-{number}").parse().unwrap(),
                labels: Labels::new(),
                keys: None,
            });
            let command_id = CommandId::derived(Self::log_id(), "test", &number.to_string());
            let clock = Instant::from_unix_micros(1);
            let envelope =
                RequestContext { log_id: Self::log_id(), command_id, actor: Actor::Install, clock, entropy: [0; 16] };
            let decided = decide_request(&table.0, &envelope, &Request::of([enrol])).unwrap();
            table.0 = decided.configuration;
            table.1.extend(decided.events);
        }
        table
    }

    fn publisher(&self, jetstream: &Context, prefix: &Prefix) -> Publisher {
        let (jetstream, prefix, log_id) = (jetstream.clone(), prefix.clone(), Self::log_id());
        Publisher::new(PublishSettings { jetstream, prefix, replicas: 1, key: key(), log_id }, Arc::new(self.clone()))
    }
}

impl PublishSource for Table {
    fn contents(&self, _: Vec<Digest>) -> SourceFuture<'_, BTreeMap<Digest, Vec<u8>>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    fn events(&self, after: Position, limit: usize) -> SourceFuture<'_, Vec<Event>> {
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

/// Publishes to the event stream as anybody who may.
async fn write(jetstream: &Context, prefix: &Prefix, payload: Vec<u8>) {
    let subject = format!("{prefix}.events.node.n-0.NodeEnrolled");
    jetstream.publish(subject, payload.into()).await.unwrap().await.unwrap();
}

/// Makes everything level, and takes every step that is due.
async fn mended(publisher: &mut Publisher, table: &Table) {
    // A stream that is deleted may refuse what is meant for the one that takes its place; a relay begins anew as well.
    let mended = async {
        while publisher.repair(&table.0).await.is_err() {}
        while publisher.stream_repair_due().now_or_never().is_some() {
            if publisher.repair_stream(table.0.position()).await.is_err() {
                while publisher.repair(&table.0).await.is_err() {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), mended).await.unwrap();
}

/// What was put aside: where it stood, and what it was.
async fn strays(jetstream: &Context, prefix: &Prefix) -> Vec<(String, Vec<u8>)> {
    let Ok(stream) = jetstream.get_stream(prefix.stray_stream()).await else { return Vec::new() };
    let mut strays = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let subject = message.headers.get(STRAY_SUBJECT).map(|subject| subject.as_str().to_owned());
        assert_eq!(subject, Some(format!("{prefix}.events.node.n-0.NodeEnrolled")));
        strays.push((message.subject.to_string(), message.payload.to_vec()));
    }
    strays
}

#[tokio::test]
async fn what_cannot_be_this_logs_is_put_aside_and_the_stream_made_anew() {
    let (_nats, jetstream, prefix) = nats().await;
    let table = Table::of(3);
    mended(&mut table.publisher(&jetstream, &prefix), &table).await;
    assert_eq!(stored(&jetstream, &prefix).await, table.1);

    let next = Table::of(4).1.pop().unwrap();
    let kinds: [(&str, Vec<u8>); 6] = [
        ("no event", b"no event".to_vec()),
        ("one that the log has", table.1[0].write()),
        ("another log's", Event { log_id: Uuid::from_u128(7).into(), ..next.clone() }.sealed().write()),
        ("a far position", Event { position: 1_000_000.into(), ..next.clone() }.sealed().write()),
        ("a wrong leaf", Event { reason: Some("another".into()), ..next.clone() }.write()),
        ("a version that is not next", Event { version: 7.into(), ..next.clone() }.sealed().write()),
    ];
    for (index, (kind, stray)) in kinds.into_iter().enumerate() {
        write(&jetstream, &prefix, stray.clone()).await;
        // What stands behind it does not make it this log's.
        write(&jetstream, &prefix, next.write()).await;
        let mut publisher = table.publisher(&jetstream, &prefix);
        mended(&mut publisher, &table).await;
        assert_eq!(stored(&jetstream, &prefix).await, table.1, "{kind}");
        let aside = strays(&jetstream, &prefix).await;
        assert_eq!(aside.len(), 2 * (index + 1), "{kind}");
        let [.., first, second] = &aside[..] else { panic!("{kind}") };
        assert_eq!(*first, (format!("{prefix}.strays.4"), stray), "{kind}");
        assert_eq!(*second, (format!("{prefix}.strays.5"), next.write()), "{kind}");
        publisher.inspect().await.unwrap();
    }
}

#[tokio::test]
async fn a_message_that_took_the_place_of_an_event_on_its_way_is_found_before_a_good_end() {
    let (_nats, jetstream, prefix) = nats().await;
    let (table, longer) = (Table::of(3), Table::of(6));
    mended(&mut table.publisher(&jetstream, &prefix), &table).await;
    // Events are sent with the sequence before them, each of which may be somebody else's by then.
    write(&jetstream, &prefix, b"no event".to_vec()).await;
    for event in &longer.1[4..] {
        write(&jetstream, &prefix, event.write()).await;
    }
    mended(&mut longer.publisher(&jetstream, &prefix), &longer).await;
    assert_eq!(stored(&jetstream, &prefix).await, longer.1);
    assert_eq!(strays(&jetstream, &prefix).await, [(format!("{prefix}.strays.4"), b"no event".to_vec())]);
}

#[tokio::test]
async fn what_might_be_this_logs_stops_the_publisher_each_time_also_before_a_good_end() {
    let (_nats, jetstream, prefix) = nats().await;
    let (table, longer) = (Table::of(3), Table::of(6));
    mended(&mut table.publisher(&jetstream, &prefix), &table).await;
    let command_id = CommandId::derived(Table::log_id(), "somebody else", "1");
    let clock = Instant::from_unix_micros(1);
    let envelope =
        RequestContext { log_id: Table::log_id(), command_id, actor: Actor::Install, clock, entropy: [0; 16] };
    let enrol = Command::EnrolNode(EnrolNode { id: "forged".parse().unwrap(), labels: Labels::new(), keys: None });
    let forged = decide_request(&table.0, &envelope, &Request::of([enrol])).unwrap().events.remove(0);
    write(&jetstream, &prefix, forged.write()).await;
    for event in &longer.1[4..] {
        write(&jetstream, &prefix, event.write()).await;
    }
    let before = stored(&jetstream, &prefix).await;
    let mut publisher = longer.publisher(&jetstream, &prefix);
    for time in 1..=3 {
        let refused = publisher.repair(&longer.0).await;
        assert!(matches!(refused, Err(Error::Differs { position, .. }) if position == 4.into()), "{time}: {refused:?}");
    }
    assert_eq!(stored(&jetstream, &prefix).await, before, "nothing is touched");
}

#[tokio::test]
async fn a_second_time_within_ten_minutes_events_wait_and_records_do_not() {
    let (_nats, jetstream, prefix) = nats().await;
    let (table, longer) = (Table::of(3), Table::of(4));
    let mut publisher = table.publisher(&jetstream, &prefix);
    for _ in 0..2 {
        mended(&mut publisher, &table).await;
        write(&jetstream, &prefix, b"no event".to_vec()).await;
    }
    assert!(matches!(publisher.inspect().await, Err(Error::Disturbed(_))));
    mended(&mut publisher, &table).await;
    assert_eq!(publisher.published(), table.0.position(), "up to there it is this log's");
    publisher.inspect().await.unwrap();
    let new = longer.1.last().unwrap().clone();
    let affected = [new.entity.id.clone().into()].into();
    publisher.publish(&longer.0, affected, &[new]).await.unwrap();
    let bucket = jetstream.get_stream(prefix.bucket_stream(Bucket::Desired)).await.unwrap();
    let record = bucket.get_last_raw_message_by_subject(&prefix.bucket_subject(Bucket::Desired, "n-3")).await;
    assert!(!record.unwrap().payload.is_empty(), "the record of the new node is there");
    publisher.repair(&longer.0).await.unwrap();
    assert_eq!(publisher.published(), table.0.position(), "its event waits");
    assert!(publisher.stream_repair_due().now_or_never().is_none());
    // Another server, or this one started anew, has not made it anew yet.
    mended(&mut longer.publisher(&jetstream, &prefix), &longer).await;
    assert_eq!(stored(&jetstream, &prefix).await, longer.1);
}

#[tokio::test]
async fn a_durable_consumer_goes_on_where_it_was() {
    let (_nats, jetstream, prefix) = nats().await;
    let table = Table::of(3);
    let mut publisher = table.publisher(&jetstream, &prefix);
    mended(&mut publisher, &table).await;
    let stream = jetstream.get_stream(prefix.event_stream()).await.unwrap();
    let durable = |name: &str| pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subject: format!("{prefix}.events.node.>"),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(durable("reads-two")).await.unwrap();
    let mut messages = consumer.fetch().max_messages(2).messages().await.unwrap();
    while let Some(message) = messages.next().await {
        message.unwrap().double_ack().await.unwrap();
    }
    write(&jetstream, &prefix, b"no event".to_vec()).await;
    // One that has taken even what somebody else wrote.
    let eager = stream.create_consumer(durable("reads-all")).await.unwrap();
    let mut messages = eager.fetch().max_messages(4).messages().await.unwrap();
    while let Some(message) = messages.next().await {
        message.unwrap().double_ack().await.unwrap();
    }
    mended(&mut publisher, &table).await;
    let longer = Table::of(4);
    publisher.publish(&longer.0, [].into(), &longer.1[3..]).await.unwrap();
    let stream = jetstream.get_stream(prefix.event_stream()).await.unwrap();
    for (name, first) in [("reads-two", 3), ("reads-all", 4)] {
        let mut consumer = stream.get_consumer::<pull::Config>(name).await.unwrap();
        assert_eq!(consumer.info().await.unwrap().config.filter_subject, format!("{prefix}.events.node.>"));
        let mut messages = consumer.fetch().max_messages(10).messages().await.unwrap();
        let mut read = Vec::new();
        while let Some(message) = messages.next().await {
            read.push(Event::read(&message.unwrap().payload).unwrap());
        }
        assert_eq!(read, longer.1[first - 1..], "{name}");
    }
}

#[tokio::test]
async fn a_sealed_stream_is_named_with_its_cure() {
    let (_nats, jetstream, prefix) = nats().await;
    let table = Table::of(3);
    let mut publisher = table.publisher(&jetstream, &prefix);
    mended(&mut publisher, &table).await;
    let mut stream = jetstream.get_stream(prefix.event_stream()).await.unwrap();
    let config = stream.info().await.unwrap().config.clone();
    jetstream.update_stream(Config { sealed: true, ..config }).await.unwrap();
    let refused = publisher.inspect().await.unwrap_err();
    assert!(matches!(&refused, Error::Sealed(name) if *name == prefix.event_stream()), "{refused:?}");
    assert!(refused.to_string().contains("`nats stream rm cfg_events`"), "{refused}");
    jetstream.delete_stream(prefix.event_stream()).await.unwrap();
    mended(&mut publisher, &table).await;
    assert_eq!(stored(&jetstream, &prefix).await, table.1);
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
async fn keys(jetstream: &Context, prefix: &Prefix) -> (Vec<PublicKeyRecord>, u64) {
    let mut stream = jetstream.get_stream(prefix.bucket_stream(Bucket::Keys)).await.unwrap();
    let state = stream.info().await.unwrap().state.clone();
    let mut keys = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        keys.extend(PublicKeyRecord::read(&message.payload));
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
    PublicKeys::new(jetstream.clone(), prefix.clone(), first, theirs.clone()).publish(false).await.unwrap();
    let found = prefix_owner(&jetstream, &prefix, &key().public()).await.unwrap().unwrap();
    assert_eq!(found.log_id, Some(first));
    let table = Table::of(1);
    let refused = table.publisher(&jetstream, &prefix).repair(&table.0).await;
    let Err(Error::Owned { prefix: under, owner, log_id }) = refused else { panic!("{refused:?}") };
    assert_eq!((under, log_id), (prefix.to_string(), Table::log_id()));
    assert!(owner.contains(&first.to_string()), "{owner}");
    assert_eq!(keys(&jetstream, &prefix).await, (vec![theirs.record().of_log(first)], 1));
    assert_eq!(stored(&jetstream, &prefix).await, []);

    // Whose events are public, his it is.
    PublicKeys::new(jetstream.clone(), prefix.clone(), Table::log_id(), key().public()).publish(true).await.unwrap();
    table.publisher(&jetstream, &prefix).repair(&table.0).await.unwrap();
    let found = prefix_owner(&jetstream, &prefix, &theirs).await.unwrap().unwrap();
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
