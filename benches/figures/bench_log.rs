//! A private PostgreSQL with a log in it, and what the figures need around it.

use std::sync::Arc;

use bus::connect::{Link, connect};
use lab::nats::NatsServer;
use lab::postgres::Cluster;
use lab::running_server::RunningServer;
use schema::address::Prefix;
use schema::command::{Command, EnrolNode};
use schema::entity::Actor;
use schema::id::NodeId;
use schema::request::Request;
use schema::seal::SecretKey;
use schema::target::Labels;
use server::adapters::ContentSource;
use server::publish::publisher::PublishSettings;
use server::relay::Relay;
use store::appender::Appender;
use store::database::Database;
use store::install::{Passwords, install};
use store::log::Log;
use store::reader::Reader;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wal::slot::Slot;

use crate::Result;

/// The servers and the log. Dropping it stops and removes all.
pub(crate) struct BenchLog {
    pub(crate) folder: TempDir,
    _cluster: RunningServer<Cluster>,
    pub(crate) url: String,
    pub(crate) log: Log,
    pub(crate) key: SecretKey,
    stop: CancellationToken,
}

impl BenchLog {
    pub(crate) async fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let cluster = Cluster::start(folder.path(), &[]).await?;
        let url = cluster.create_database("figures").await?;
        let database = Database::parse(&url)?;
        let key = SecretKey::from_seed(&[7; 32]);
        install(&database, &Passwords::default(), &key.public()).await?;
        let (appender, log) = Appender::start(Reader::open(database).await?).await?;
        let stop = CancellationToken::new();
        tokio::spawn(appender.run(stop.clone()));
        Ok(Self { folder, _cluster: cluster, url, log, key, stop })
    }

    pub(crate) async fn command(&self, commands: Vec<Command>) -> Result<u64> {
        let answer = self.log.submit(Request::of(commands), Actor::Install, None).await?;
        Ok(answer.position.get())
    }

    /// A nats-server, and a connection to it.
    pub(crate) async fn nats(&self) -> Result<(RunningServer<NatsServer>, Link)> {
        let nats = NatsServer::start(self.folder.path()).await?;
        let link = connect(&nats.url(), "figures").await?;
        link.up().await;
        Ok((nats, link))
    }

    /// Relays the log until told to stop; notified, the relay signs.
    pub(crate) fn relay(&self, link: &Link, stop: &CancellationToken) -> Result<Arc<Notify>> {
        let settings = PublishSettings {
            jetstream: link.jetstream(),
            prefix: Prefix::default(),
            replicas: 1,
            key: self.key.clone(),
            log_id: self.log.log_id(),
        };
        let reader = self.log.reader().beside();
        let slot = Slot::parse(&self.url, None)?;
        let (relay, _) = Relay::new(slot, reader.clone(), link.clone(), settings, Arc::new(ContentSource(reader)));
        let demand = relay.signature_wanted();
        tokio::spawn(relay.run(stop.clone()));
        Ok(demand)
    }

    /// Enrols nodes `n-0` to `n-<count - 1>`.
    pub(crate) async fn enrol(&self, count: usize) -> Result<()> {
        let enrol = |number| Command::EnrolNode(EnrolNode { id: node(number), labels: Labels::new(), keys: None });
        for numbers in (0..count).collect::<Vec<_>>().chunks(500) {
            self.command(numbers.iter().copied().map(enrol).collect()).await?;
        }
        Ok(())
    }
}

impl Drop for BenchLog {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn node(number: usize) -> NodeId {
    format!("n-{number}").parse().expect("an id")
}

/// A command that changes something each round.
pub(crate) fn relabel(number: usize, round: usize) -> Command {
    let labels = [("round".to_owned(), round.to_string()), ("site".to_owned(), "lund".to_owned())];
    Command::LabelNode(node(number), labels.into())
}
