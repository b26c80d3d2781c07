//! A private PostgreSQL with a log in it, and what the figures need around it.

use std::sync::Arc;

use bus::bus_folder::CentreUser;
use bus::connect::{Link, connect, connect_as};
use lab::nats::{Access, NatsServer};
use lab::postgres::Cluster;
use lab::running_server::RunningServer;
use schema::address::Prefix;
use schema::command::{Command, Content, EnrolNode, Merge, PutDocument};
use schema::document_mode::DocumentMode;
use schema::entity::Actor;
use schema::id::NodeId;
use schema::labels::Labels;
use schema::node_keys::NodeKeys;
use schema::request::Request;
use schema::seal::SecretKey;
use schema::target::Target;
use server::adapters::ContentSource;
use server::admission::answerer::Answerer;
use server::publish::publisher::PublishSettings;
use server::relay::{Relay, RelayStatus};
use store::appender::Appender;
use store::database::Database;
use store::install::{Passwords, install};
use store::log::Log;
use store::reader::Reader;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
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

/// A relay that runs.
pub(crate) struct BenchRelay {
    /// Notified, the relay signs.
    pub(crate) signature_wanted: Arc<Notify>,
    pub(crate) status: watch::Receiver<RelayStatus>,
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

    /// A nats-server that lets these in, and a connection to it of a server with a relay. Where NATS asks who may come in, the log
    /// answers.
    pub(crate) async fn nats(&self, access: Access) -> Result<(RunningServer<NatsServer>, Link)> {
        let nats = NatsServer::start_with(self.folder.path(), access, None).await?;
        let link = match nats.bus().identity(CentreUser::Relay)? {
            Some(relay) => connect_as(&nats.url(), &relay, "figures").await?,
            None => connect(&nats.url(), "figures").await?,
        };
        link.up().await;
        self.answer(&nats).await?;
        Ok((nats, link))
    }

    /// Answers nats-server who may come in, if it asks.
    async fn answer(&self, nats: &NatsServer) -> Result<()> {
        let bus = nats.bus();
        let (Some(user), Some(issuer)) = (bus.identity(CentreUser::Answerer)?, bus.secret(CentreUser::Issuer)?) else {
            return Ok(());
        };
        let link = connect_as(&nats.url(), &user, "figures answerer").await?;
        let answerer = Answerer { link, issuer, prefix: Prefix::default(), open: None };
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(answerer.run(self.log.clone())));
        Ok(())
    }

    /// Relays the log until told to stop.
    pub(crate) fn relay(&self, link: &Link, stop: &CancellationToken) -> Result<BenchRelay> {
        let settings = PublishSettings {
            jetstream: link.jetstream(),
            prefix: Prefix::default(),
            replicas: 1,
            key: self.key.clone(),
            log_id: self.log.log_id(),
        };
        let reader = self.log.reader().beside();
        let slot = Slot::parse(&self.url, None)?;
        let (relay, status) = Relay::new(slot, reader.clone(), link.clone(), settings, Arc::new(ContentSource(reader)));
        let signature_wanted = relay.signature_wanted();
        tokio::spawn(relay.run(stop.clone()));
        Ok(BenchRelay { signature_wanted, status })
    }

    /// Enrols nodes `n-0` to `n-<count - 1>`, with the keys that each has.
    pub(crate) async fn enrol(&self, count: usize, keys: impl Fn(usize) -> Option<NodeKeys>) -> Result<()> {
        let enrol =
            |number| Command::EnrolNode(EnrolNode { id: node(number), labels: Labels::new(), keys: keys(number) });
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

/// A command that puts this content at `etc/round` of every node.
pub(crate) fn put(content: Vec<u8>) -> Command {
    Command::PutDocument(PutDocument {
        id: "round".parse().expect("an id"),
        path: "etc/round".parse().expect("a path"),
        media_type: "text/plain".parse().expect("a media type"),
        content: Content::new(content).expect("it is small enough").into(),
        target: Target::All,
        priority: 0,
        merge: Merge::Replace,
        mode: DocumentMode::Plain,
        rollout: None,
    })
}
