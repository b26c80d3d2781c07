//! A log in this process: installed, with appenders and relays to be opened on it as a test wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::connect::{Link, connect};
use program::clock::Clock;
use schema::address::{APP_ROLE, Prefix, READER_ROLE, RELAY_ROLE};
use schema::answer::Answer;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use schema::request::Request;
use schema::seal::SecretKey;
use serde_json::{Value, json};
use server::adapters::ContentSource;
use server::publish::publisher::PublishSettings;
use server::relay::{Phase, Relay, RelayStatus};
use store::appender::Appender;
use store::database::Database;
use store::install::{Passwords, install};
use store::log::{Log, SubmitError};
use store::reader::{EventPage, Reader};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;
use wal::slot::Slot;

use testkit::backends::{DATABASE, TestBackends};
use testkit::proxy::Proxy;

/// An installed log.
pub(crate) struct Desk {
    pub(crate) backends: TestBackends,
    pub(crate) log_id: LogId,
    pub(crate) key: SecretKey,
}

/// An appender at work. It ends when this is dropped.
pub(crate) struct Open {
    pub(crate) log: Log,
    _stop: tokio_util::sync::DropGuard,
}

/// A relay at work.
pub(crate) struct Relaying {
    pub(crate) standing: watch::Receiver<RelayStatus>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let backends = TestBackends::start().await;
        let key = SecretKey::from_seed(&[7; 32]);
        let log_id =
            install(&Database::parse(&backends.database()).unwrap(), &passwords(), &key.public()).await.unwrap();
        Self { backends, log_id, key }
    }

    /// Opens an appender on the log.
    pub(crate) async fn open(&self) -> Open {
        Self::open_at(&self.backends.database_as(APP_ROLE)).await
    }

    /// Opens an appender on the log behind a URL.
    pub(crate) async fn open_at(url: &str) -> Open {
        Self::open_by(url, Clock::system()).await
    }

    /// Opens an appender on the log behind a URL, which dates events by a clock.
    pub(crate) async fn open_by(url: &str, clock: Clock) -> Open {
        let reader = Reader::open(Database::parse(url).unwrap()).await.unwrap();
        let (appender, log) = Appender::start_with(reader, clock).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(appender.run(stop.clone()));
        Open { log, _stop: stop.drop_guard() }
    }

    /// The slot as the relay has it.
    pub(crate) fn slot(&self) -> Slot {
        Slot::parse(&self.backends.database_as(RELAY_ROLE), None).unwrap()
    }

    pub(crate) async fn nats(&self) -> Link {
        let link = connect(&self.backends.nats.url(), "test").await.unwrap();
        link.up().await;
        link
    }

    /// Opens a relay on the log.
    pub(crate) async fn relay(&self, log: &Log) -> Relaying {
        let link = self.nats().await;
        let settings = PublishSettings {
            jetstream: link.jetstream(),
            prefix: Prefix::default(),
            replicas: 1,
            key: self.key.clone(),
            log_id: self.log_id,
        };
        let reader = log.reader().clone();
        let table = Arc::new(ContentSource(reader.clone()));
        let (relay, standing) = Relay::new(self.slot(), reader, link, settings, table);
        let stop = CancellationToken::new();
        let ended = tokio::spawn(relay.run(stop.clone()));
        Relaying { standing, stop, ended }
    }

    /// Opens a relay on the log, and waits until it follows.
    pub(crate) async fn following(&self, log: &Log) -> Relaying {
        let mut relay = self.relay(log).await;
        relay.follows().await;
        relay
    }

    /// Runs statements as the superuser.
    pub(crate) async fn sql(&self, statements: &str) {
        testkit::law::execute(&self.backends.database(), statements).await;
    }

    /// Asks one value as text as the superuser; empty for no row and for NULL.
    pub(crate) async fn ask(&self, query: &str) -> String {
        let (client, connection) = tokio_postgres::connect(&self.backends.database(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let row = client.query_opt(&format!("SELECT ({query})::text"), &[]).await.unwrap();
        row.and_then(|row| row.get(0)).unwrap_or_default()
    }
}

impl Open {
    pub(crate) async fn submit(&self, body: Value) -> Result<Answer, SubmitError> {
        self.submit_under(body, None).await
    }

    pub(crate) async fn submit_under(&self, body: Value, key: Option<&str>) -> Result<Answer, SubmitError> {
        self.log.submit(Request::read(body.to_string().as_bytes()).unwrap(), Actor::Install, key).await
    }

    /// All events of the log, as Headwater reads them.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let page = EventPage { after: Position::ZERO, limit: usize::MAX, ..EventPage::default() };
        self.log.reader().events(page).await.unwrap()
    }
}

impl Relaying {
    /// Waits until it follows.
    pub(crate) async fn follows(&mut self) {
        let follows = self.standing.wait_for(|standing| standing.phase == Phase::Following);
        let waited = tokio::time::timeout(crate::SOON, follows).await;
        drop(waited.expect("it follows soon").unwrap());
    }

    /// Ends it, and gives its slot back.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap();
    }
}

/// An appender that reaches PostgreSQL through a proxy.
pub(crate) async fn open_behind(desk: &Desk) -> (Open, Proxy) {
    let proxy = Proxy::to(desk.backends.postgres.port()).await;
    let url = format!("postgres://headwater_app:headwater_app@127.0.0.1:{}/{DATABASE}", proxy.port());
    (Desk::open_at(&url).await, proxy)
}

/// Each role's password is its name.
pub(crate) fn passwords() -> Passwords {
    let [app, relay, reader] = [APP_ROLE, RELAY_ROLE, READER_ROLE].map(|role| Some(role.to_owned()));
    Passwords { app, relay, reader }
}

pub(crate) fn enrol(id: &str) -> Value {
    json!({"type": "enrol_node", "id": id, "labels": {}})
}

pub(crate) fn retry(id: &str) -> Value {
    json!({"type": "retry_node", "id": id})
}

pub(crate) fn put(id: &str, content: &str) -> Value {
    json!({
        "type": "put_document", "id": id, "path": id, "media_type": "text/plain", "content": content,
        "target": {"all": true}, "priority": 0,
    })
}

pub(crate) fn one(command: Value) -> Value {
    json!({"commands": [command]})
}

/// A request that names itself by its reason.
pub(crate) fn named(reason: &str, command: Value) -> Value {
    json!({"reason": reason, "commands": [command]})
}

/// How often each reason stands in the log.
pub(crate) fn reasons(events: &[Event]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for reason in events.iter().filter_map(|event| event.reason.clone()) {
        *times.entry(reason).or_default() += 1;
    }
    times
}
