//! A thousand nodes watch their records: what that costs nats-server, and how soon all of them hear one change. Without a consumer, as
//! agents do, with keys and with one password; and with one consumer each, as agents did before.

use std::time::{Duration, Instant};

use agent::record_watch::{NewestRecord, watch_record};
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use bus::connect::Link;
use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use lab::nats::Access;
use schema::address::{Bucket, Prefix};
use schema::desired::Desired;
use schema::id::NodeId;
use schema::seal::SignedRecord;
use schema::wire::WireRecord as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bench_log::{BenchLog, put};
use crate::light_node::LightNode;
use crate::process::resident_mib;
use crate::times::{median, millis, percentile, range};
use crate::{Figure, Result};

const NODES: usize = 1_000;
const ROUNDS: usize = 3;
/// Changes of one document for all nodes, of which the median counts.
const CHANGES: usize = 9;
/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(60);
/// After this nats-server has done what it does in the background.
const REST: Duration = Duration::from_millis(500);

/// How the nodes of a fleet connect and watch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By keys of their own and without a consumer: as agents do.
    Keys,
    /// By one password and without a consumer: as agents without keys do.
    Password,
    /// By one password and with a consumer each: as agents did. A node that connects by a key may make none.
    Consumers,
}

/// What one fleet took.
struct WatchCost {
    /// Mebibytes of nats-server for the connections, and for the watches beside.
    connected_mib: f64,
    watching_mib: f64,
    /// All of it, after the changes.
    whole_mib: f64,
    /// From the commit until the last node heard of it.
    heard: Duration,
}

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let ways = [Way::Keys, Way::Password, Way::Consumers];
    let mut costs: [Vec<WatchCost>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (costs, way) in costs.iter_mut().zip(ways) {
            costs.push(fleet(way).await?);
        }
    }
    let mut figures = Vec::new();
    for (costs, way) in costs.iter().zip(ways) {
        let row = |what: &str, unit: &str, value: fn(&WatchCost) -> f64| {
            let mut values: Vec<f64> = costs.iter().map(value).collect();
            let median = median(&mut values);
            Figure::new(format!("{}: {what}", way.name()), format!("{median:.0} {unit}"), range(&values, 0))
        };
        figures.push(row("memory, connections", "MiB", |cost| cost.connected_mib));
        figures.push(row("memory, watches beside", "MiB", |cost| cost.watching_mib));
        figures.push(row("memory of nats-server after all", "MiB", |cost| cost.whole_mib));
        figures.push(row("all hear one change", "ms", |cost| millis(cost.heard)));
    }
    let [keys, password, consumers] = &costs;
    let ratio = |what: &str, costs: &[WatchCost], value: fn(&WatchCost) -> f64| {
        let pairs = costs.iter().zip(consumers);
        let mut ratios: Vec<f64> = pairs.map(|(cost, consumers)| value(cost) / value(consumers)).collect();
        let median = median(&mut ratios);
        Figure::new(format!("{what}, in terms of consumers"), format!("{median:.2}"), range(&ratios, 2))
    };
    figures.extend([
        ratio("keys: memory after all", keys, |cost| cost.whole_mib),
        ratio("password: memory after all", password, |cost| cost.whole_mib),
        ratio("keys: all hear one change", keys, |cost| millis(cost.heard)),
        ratio("password: all hear one change", password, |cost| millis(cost.heard)),
    ]);
    Ok(figures)
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Password => "password",
            Self::Consumers => "consumers",
        }
    }

    const fn access(self) -> Access {
        match self {
            Self::Keys => Access::Identities,
            Self::Password | Self::Consumers => Access::Password,
        }
    }
}

async fn fleet(way: Way) -> Result<WatchCost> {
    let bench = BenchLog::start().await?;
    let (nats, link) = bench.nats(way.access()).await?;
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    let mut records = link.client().subscribe(Prefix::default().bucket_subjects(Bucket::Desired)).await?;
    link.client().flush().await?;
    bench.relay(&link, &stop)?;
    let nodes: Vec<LightNode> = (0..NODES).map(LightNode::numbered).collect();
    bench.enrol(NODES, |number| Some(nodes[number].keys())).await?;
    timeout(WITHIN, records.by_ref().take(NODES).count()).await?;
    drop(records);
    tokio::time::sleep(REST).await;
    let empty = resident_mib(nats.pid())?;

    let url = nats.url();
    let links = try_join_all(nodes.iter().map(|node| node.connect(&url))).await?;
    timeout(WITHIN, join_all(links.iter().map(Link::up))).await?;
    tokio::time::sleep(REST).await;
    let connected = resident_mib(nats.pid())?;

    let mut watches = JoinSet::new();
    let mut heard = Vec::new();
    for (node, link) in nodes.iter().zip(links) {
        let (found, newest) = watch::channel(NewestRecord::default());
        heard.push(newest);
        let id = node.id.clone();
        match way {
            Way::Keys | Way::Password => watches.spawn(watch_record(link, Prefix::default(), id, found)),
            Way::Consumers => watches.spawn(watch_by_consumer(link, id, found)),
        };
    }
    all_hear(&mut heard, 0).await?;
    tokio::time::sleep(REST).await;
    let watching = resident_mib(nats.pid())?;

    let mut times = Vec::new();
    for round in 0..CHANGES {
        let position = bench.command(vec![put(format!("{round}\n").into_bytes())]).await?;
        let began = Instant::now();
        all_hear(&mut heard, position).await?;
        times.push(began.elapsed());
        tokio::time::sleep(REST).await;
    }
    let whole_mib = resident_mib(nats.pid())?;
    let heard = percentile(&mut times, 50);
    Ok(WatchCost { connected_mib: connected - empty, watching_mib: watching - connected, whole_mib, heard })
}

/// Waits until every node has a record of at least this position.
async fn all_hear(heard: &mut [watch::Receiver<NewestRecord>], position: u64) -> Result<()> {
    let each = heard.iter_mut().map(|newest| newest.wait_for(|record| reaches(record, position)));
    let all = try_join_all(each.map(|hears| async { hears.await.map(drop) }));
    timeout(WITHIN, all).await??;
    Ok(())
}

fn reaches(record: &NewestRecord, position: u64) -> bool {
    let NewestRecord::Record(bytes) = record else { return false };
    let desired = SignedRecord::read(bytes).ok().and_then(|signed| Desired::read(&signed.body).ok());
    desired.is_some_and(|desired| desired.position.get() >= position)
}

/// Watches a node's record by an ordered consumer of its key, for ever.
async fn watch_by_consumer(link: Link, node: NodeId, records: watch::Sender<NewestRecord>) {
    let prefix = Prefix::default();
    let config = OrderedConfig {
        name: Some(format!("{node}-{:016x}", fastrand::u64(..))),
        deliver_subject: link.client().new_inbox(),
        filter_subject: prefix.bucket_subject(Bucket::Desired, node.as_str()),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ..OrderedConfig::default()
    };
    let stream = link.jetstream().get_stream_no_info(prefix.bucket_stream(Bucket::Desired)).await;
    let consumer = stream.expect("the bucket's name is right").create_consumer(config).await;
    let mut messages = consumer.expect("everybody may make a consumer").messages().await.expect("a consumer delivers");
    while let Some(message) = messages.next().await {
        let message = message.expect("no message is lost on this machine");
        records.send_replace(NewestRecord::Record(message.payload.clone()));
    }
}
