//! Nodes are heard through a real nats-server, also through one that dies and comes back without its memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use schema::address::{Bucket, Prefix};
use schema::digest::Digest;
use schema::id::NodeId;
use schema::position::Position;
use schema::report::{DRIFT_PATHS_MAX, REPORT_BYTES_MAX, RecordRef, Reported};
use schema::seal::SecretKey;
use schema::wire::WireRecord;
use server::fleet::listener::ReportListener;
use server::fleet::report_watch::listen;
use server::fleet::standing::Standing;
use testkit::nats::Server;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);

async fn client(nats: &Server) -> async_nats::Client {
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    options.connect(nats.url()).await.unwrap()
}

async fn bucket(client: &async_nats::Client) -> kv::Store {
    let context = jetstream::new(client.clone());
    let made = async {
        loop {
            let config = kv::Config { bucket: Prefix::default().bucket(Bucket::Reported), ..kv::Config::default() };
            match context.create_key_value(config).await {
                Ok(store) => return store,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(DEADLINE, made).await.unwrap()
}

fn report(node: &str, seq: u64, running: u64) -> Reported {
    let running = Some(RecordRef { position: running.into(), digest: Digest::of(&running.to_be_bytes()) });
    Reported { seq, running, ..Reported::blank(node.parse().unwrap(), "boot".into(), "test/1".into()) }
}

/// Puts until it is there: right after a restart the server may not answer yet.
async fn say(store: &kv::Store, key: &str, report: &Reported) {
    let said = async {
        while store.put(key, report.write().into()).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(DEADLINE, said).await.unwrap();
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("it never came true that {what}"));
}

fn seq(listener: &ReportListener, node: &str) -> Option<u64> {
    listener.heard(&node.parse().unwrap()).map(|heard| heard.report.seq)
}

/// A listener that runs until the guard is dropped.
async fn listener(nats: &Server) -> (ReportListener, tokio_util::sync::DropGuard) {
    listening(nats, ReportListener::default()).await
}

async fn listening(nats: &Server, listener: ReportListener) -> (ReportListener, tokio_util::sync::DropGuard) {
    let closing = CancellationToken::new();
    tokio::spawn(listen(client(nats).await, Prefix::default(), listener.clone(), closing.clone()));
    (listener, closing.drop_guard())
}

#[tokio::test]
async fn the_newest_report_of_each_node_is_heard_and_lies_are_not() {
    let nats = Server::start();
    let store = bucket(&client(&nats).await).await;
    say(&store, "n-1", &report("n-1", 1, 1)).await;
    say(&store, "n-1", &report("n-1", 2, 1)).await;
    let (listener, _listening) = listener(&nats).await;
    until("what was there is heard", || seq(&listener, "n-1") == Some(2)).await;
    assert!(listener.is_listening());
    say(&store, "n-2", &report("n-1", 99, 1)).await;
    store.put("n-3", "no report".into()).await.unwrap();
    say(&store, "n.4", &report("n-1", 98, 1)).await;
    say(&store, "n-5", &report("n-5", 1, 1)).await;
    until("what is said after the lies is heard", || seq(&listener, "n-5") == Some(1)).await;
    assert_eq!(listener.all().keys().map(NodeId::as_str).collect::<Vec<_>>(), ["n-1", "n-5"]);
    assert_eq!(seq(&listener, "n-1"), Some(2));
    store.delete("n-5").await.unwrap();
    until("who is deleted is forgotten", || seq(&listener, "n-5").is_none()).await;
}

#[tokio::test]
async fn old_words_are_as_old_as_they_are() {
    let nats = Server::start();
    let store = bucket(&client(&nats).await).await;
    say(&store, "n-1", &report("n-1", 1, 1)).await;
    let written = std::time::Instant::now();
    until("time passes", || written.elapsed() > Duration::from_millis(1_200)).await;
    let (listener, _listening) = listener(&nats).await;
    until("what was there is heard", || seq(&listener, "n-1") == Some(1)).await;
    let heard = listener.heard(&"n-1".parse().unwrap()).unwrap();
    assert!(heard.silence >= Duration::from_secs(1), "{:?}", heard.silence);
}

#[tokio::test]
async fn changes_are_given_to_who_writes_them_and_heartbeats_are_not() {
    let nats = Server::start();
    let store = bucket(&client(&nats).await).await;
    let (listener, _listening) = listener(&nats).await;
    let noted = std::sync::Mutex::new(None);
    let is_news = |_: &NodeId, summary: &schema::report::ReportSummary| {
        (noted.lock().unwrap().as_ref() != Some(summary)).then_some(Position::ZERO)
    };
    say(&store, "n-1", &report("n-1", 1, 1)).await;
    let (node, summary) = timeout(DEADLINE, listener.next_change(is_news)).await.unwrap();
    assert_eq!((node.as_str(), summary.running.unwrap().position.get()), ("n-1", 1));
    *noted.lock().unwrap() = Some(summary);
    let first = std::time::Instant::now();
    for seq in 2..5 {
        say(&store, "n-1", &report("n-1", seq, 1)).await;
    }
    for (seq, running) in [(5, 2), (6, 3)] {
        say(&store, "n-1", &report("n-1", seq, running)).await;
    }
    until("all was said", || seq(&listener, "n-1") == Some(6)).await;
    let (_, summary) = timeout(DEADLINE, listener.next_change(is_news)).await.unwrap();
    assert_eq!(summary.running.unwrap().position.get(), 3, "the newest wins");
    assert!(first.elapsed() >= Duration::from_millis(900), "a second lies between two lines");
}

#[tokio::test]
async fn hearing_outlives_the_server_and_its_memory() {
    let mut nats = Server::start();
    let client = client(&nats).await;
    let store = bucket(&client).await;
    let (listener, _listening) = listener(&nats).await;
    for seq in 1..=20 {
        say(&store, "n-1", &report("n-1", seq, 1)).await;
    }
    until("the first words are heard", || seq(&listener, "n-1") == Some(20)).await;
    nats.kill();
    nats.run();
    say(&store, "n-1", &report("n-1", 21, 1)).await;
    until("a server that was killed is heard again", || seq(&listener, "n-1") == Some(21)).await;
    nats.kill();
    nats.wipe();
    nats.run();
    // The new bucket counts from 1: a watch that waited for number 22 would wait for long.
    let store = bucket(&client).await;
    say(&store, "n-1", &report("n-1", 22, 1)).await;
    until("a server that forgot everything is heard again", || seq(&listener, "n-1") == Some(22)).await;
}

/// A listener of a log that knows these nodes.
fn listener_of(enrolled: &Arc<Mutex<BTreeSet<NodeId>>>) -> ReportListener {
    let (log_id, key) = (uuid::Uuid::from_u128(1).into(), SecretKey::from_seed(&[7; 32]).public());
    let enrolled = Arc::clone(enrolled);
    ReportListener::of(log_id, key, move |node| enrolled.lock().unwrap().contains(node).then(Standing::default))
}

#[tokio::test]
async fn of_a_node_that_is_not_enrolled_only_its_id_is_held_until_it_is() {
    let nats = Server::start();
    let store = bucket(&client(&nats).await).await;
    let enrolled = Arc::default();
    let (listener, _listening) = listening(&nats, listener_of(&enrolled)).await;
    until("nodes can be heard", || listener.is_listening()).await;
    say(&store, "n-1", &report("n-1", 1, 1)).await;
    until("it is counted", || listener.unknown() == 1).await;
    assert!(listener.all().is_empty());
    enrolled.lock().unwrap().insert("n-1".parse().unwrap());
    // It says nothing more: what it said is read again.
    until("who is enrolled is heard", || seq(&listener, "n-1") == Some(1)).await;
    assert_eq!(listener.unknown(), 0);
}

#[tokio::test]
async fn a_report_that_is_too_large_is_passed_over_and_the_others_are_cut() {
    let nats = Server::start();
    let store = bucket(&client(&nats).await).await;
    let (listener, _listening) = listener(&nats).await;
    let drift = |paths: usize| vec!["files/".to_owned() + &"a".repeat(180); paths];
    let large = Reported { drift: drift(5_000), ..report("n-1", 1, 1) };
    assert!(large.write().len() > REPORT_BYTES_MAX);
    say(&store, "n-1", &large).await;
    say(&store, "n-2", &Reported { drift: drift(1_000), ..report("n-2", 1, 1) }).await;
    until("what comes after it is heard", || seq(&listener, "n-2") == Some(1)).await;
    assert_eq!(seq(&listener, "n-1"), None);
    assert!(metrics::open_metrics_text().contains("reports_passed_over_total{why=\"too_large\"} 1"));
    assert_eq!(listener.heard(&"n-2".parse().unwrap()).unwrap().report.drift.len(), DRIFT_PATHS_MAX);
}

#[tokio::test]
async fn two_agents_with_one_id_are_seen_and_the_higher_boot_counts() {
    let nats = Server::start();
    let store = bucket(&client(&nats).await).await;
    let (listener, _listening) = listener(&nats).await;
    let of = |boot: &str, boot_no: u64, seq: u64| Reported {
        boot: boot.into(),
        boot_no: Some(boot_no),
        ..report("n-1", seq, boot_no)
    };
    let heard = || listener.heard(&"n-1".parse().unwrap());
    say(&store, "n-1", &of("first", 1, 1)).await;
    until("the first is heard", || seq(&listener, "n-1") == Some(1)).await;
    say(&store, "n-1", &of("second", 2, 10)).await;
    until("the second is heard", || seq(&listener, "n-1") == Some(10)).await;
    assert!(!heard().unwrap().duplicate, "it may have taken the place of the first");
    say(&store, "n-1", &of("first", 1, 2)).await;
    until("the first is heard again", || heard().unwrap().duplicate).await;
    assert_eq!(seq(&listener, "n-1"), Some(10), "its number is lower");
    say(&store, "n-1", &of("second", 2, 11)).await;
    until("the second goes on", || seq(&listener, "n-1") == Some(11)).await;
}
