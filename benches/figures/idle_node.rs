//! One idle node and all that a document takes to get there: PostgreSQL, the relay, NATS, and the agent, in this process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent::layout::Layout;
use agent::main_loop;
use agent::node_seed::NodeSeed;
use agent::options::Options;
use async_nats::Subscriber;
use bus::connect::Link;
use futures::StreamExt as _;
use lab::nats::{Access, NatsServer};
use lab::running_server::RunningServer;
use schema::address::{Bucket, Prefix};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::bench_log::{BenchLog, node, put};

/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(20);

/// How often the file is looked at: as often as it can be without taking a core away.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// A node that has nothing to do, and its servers.
pub(crate) struct IdleNode {
    pub(crate) bench: BenchLog,
    pub(crate) link: Link,
    _nats: RunningServer<NatsServer>,
    records: Subscriber,
    file: PathBuf,
    stop: CancellationToken,
    agent: JoinHandle<std::result::Result<(), main_loop::Error>>,
}

/// When each part of one change was done.
pub(crate) struct ChangeTimes {
    /// From the request to its commit.
    pub(crate) commit: Duration,
    /// From the commit to the record in NATS.
    pub(crate) publish: Duration,
    /// From the record to the file.
    pub(crate) switch: Duration,
}

impl ChangeTimes {
    /// From the commit to the file.
    pub(crate) fn whole(&self) -> Duration {
        self.publish + self.switch
    }
}

impl IdleNode {
    /// A node of a NATS that lets these in: with keys of its own, or with the password that all share.
    pub(crate) async fn start(access: Access) -> Result<Self> {
        let bench = BenchLog::start().await?;
        let (nats, link) = bench.nats(access).await?;
        let stop = CancellationToken::new();
        let subject = Prefix::default().bucket_subject(Bucket::Desired, node(0).as_str());
        let mut records = link.client().subscribe(subject).await?;
        link.client().flush().await?;
        bench.relay(&link, &stop)?;
        let dir = bench.folder.path().join("node");
        std::fs::create_dir(&dir)?;
        let seed = NodeSeed::read_or_create(&Layout::of(dir.clone()))?;
        bench.enrol(1, |_| (access == Access::Identities).then(|| seed.keys())).await?;
        record(&mut records).await?;
        let agent = tokio::spawn(main_loop::run(agent(&dir, &nats.url())?, stop.clone()));
        let file = dir.join("current/files/etc/round");
        Ok(Self { bench, link, _nats: nats, records, file, stop, agent })
    }

    /// Puts a document, and waits until the node's file has its content.
    pub(crate) async fn change(&mut self, round: usize) -> Result<ChangeTimes> {
        let text = format!("{round}\n");
        let began = Instant::now();
        self.bench.command(vec![put(text.clone().into_bytes())]).await?;
        let committed = began.elapsed();
        record(&mut self.records).await?;
        let published = began.elapsed();
        switched(&self.file, &text).await?;
        let switched = began.elapsed();
        Ok(ChangeTimes { commit: committed, publish: published - committed, switch: switched - published })
    }

    /// Ends the agent.
    pub(crate) async fn stop_agent(&mut self) -> Result<()> {
        self.stop.cancel();
        Ok((&mut self.agent).await??)
    }
}

fn agent(dir: &Path, nats: &str) -> Result<Options> {
    #[derive(clap::Parser)]
    struct Agent {
        #[command(flatten)]
        options: Options,
    }
    let dir = dir.display().to_string();
    let node = node(0).to_string();
    let arguments = ["edge", "--node", &node, "--dir", &dir, "--nats-url", nats];
    Ok(<Agent as clap::Parser>::try_parse_from(arguments)?.options)
}

/// Waits for the node's next record.
async fn record(records: &mut Subscriber) -> Result<()> {
    timeout(WITHIN, records.next()).await?.map(drop).ok_or_else(|| "the connection to NATS has ended".into())
}

/// Waits until the file holds `text`, on a thread of its own: the timers of tokio count whole milliseconds.
async fn switched(file: &Path, text: &str) -> Result<()> {
    let (file, text) = (file.to_owned(), text.to_owned());
    let look = move || {
        let deadline = Instant::now() + WITHIN;
        while std::fs::read_to_string(&file).ok().as_deref() != Some(&text) {
            if Instant::now() > deadline {
                return Err("the file was not switched in time".into());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    };
    tokio::task::spawn_blocking(look).await?
}
