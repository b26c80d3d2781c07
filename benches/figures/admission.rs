//! A thousand nodes that connect at once, each by its own key: how long until all are in, with one server of Headwater that answers
//! nats-server and with two, beside the same nodes with one password that nats-server knows itself.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::DirectGetErrorKind;
use bus::connect::{Link, connect};
use futures::future::try_join_all;
use lab::nats::NatsServer;
use schema::address::{Bucket, Prefix};
use serde_json::{Value, json};
use server::publish::streams;
use testkit::fleet::Fleet;
use tokio::time::timeout;

use crate::light_node::LightNode;
use crate::process::cpu_time;
use crate::times::{median, percentile, range};
use crate::{Figure, Result};

const NODES: usize = 1_000;
const ROUNDS: usize = 3;
/// Commands of one request.
const AT_ONCE: usize = 500;
/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(60);
/// After this nats-server has forgotten who has gone.
const REST: Duration = Duration::from_secs(1);
/// The pause before NATS is asked again about a record.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Where a server counts its answers to nats-server.
const ADMITTED: &str = "headwater_nats_admissions_total{answer=\"admitted\"} ";

/// How the nodes came in.
struct Arrival {
    /// Until half of them were in, and until all were.
    half: Duration,
    all: Duration,
    /// Questions that the servers answered with yes: more than there are nodes, if answers came too late.
    answers: u64,
    /// What the servers took of the processors.
    server_cpu: Duration,
    nats_cpu: Duration,
}

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let nodes: Vec<LightNode> = (0..NODES).map(LightNode::numbered).collect();
    let mut fleet = Fleet::with_identities().await;
    enrol(&fleet, &nodes).await;
    fleet.serve("all").await;
    let dir = tempfile::tempdir()?;
    let open = NatsServer::start(dir.path()).await?;
    let first = connect(&open.url(), "figures").await?;
    first.up().await;
    streams::ensure(&first.jetstream(), &Prefix::default(), 1).await?;
    let mut arrivals: [Vec<Arrival>; 3] = Default::default();
    for _ in 0..ROUNDS {
        if !fleet.servers[1].process.stop().await {
            return Err("a server did not end well".into());
        }
        arrivals[0].push(by_keys(&fleet, 1, &nodes).await?);
        fleet.servers[1].process.start_again();
        fleet.servers[1].api.ready().await;
        arrivals[1].push(by_keys(&fleet, 2, &nodes).await?);
        arrivals[2].push(arrive(&open.url(), open.pid(), &nodes).await?);
    }
    let mut figures = Vec::new();
    for (arrivals, name) in arrivals.iter().zip(["one server answers", "two servers answer", "one password"]) {
        let row = |what: &str, value: fn(&Arrival) -> Duration| {
            let mut values: Vec<f64> = arrivals.iter().map(|arrival| value(arrival).as_secs_f64()).collect();
            let middle = median(&mut values);
            Figure::new(format!("{name}: {what}"), format!("{middle:.2} s"), range(&values, 2))
        };
        figures.push(row("half are in", |arrival| arrival.half));
        figures.push(row("all are in", |arrival| arrival.all));
        figures.push(row("of the processors, servers", |arrival| arrival.server_cpu));
        figures.push(row("of the processors, nats-server", |arrival| arrival.nats_cpu));
        let answers: Vec<String> = arrivals.iter().map(|arrival| arrival.answers.to_string()).collect();
        figures.push(Figure::new(format!("{name}: questions answered with yes"), answers.join(", "), ""));
    }
    let [one, two, _] = &arrivals;
    let pairs = one.iter().zip(two);
    let mut ratios: Vec<f64> = pairs.map(|(one, two)| two.all.as_secs_f64() / one.all.as_secs_f64()).collect();
    let middle = median(&mut ratios);
    figures.push(Figure::new("all are in: two servers, in terms of one", format!("{middle:.2}"), range(&ratios, 2)));
    Ok(figures)
}

async fn enrol(fleet: &Fleet, nodes: &[LightNode]) {
    for nodes in nodes.chunks(AT_ONCE) {
        let enrol = |node: &LightNode| json!({"type": "enrol_node", "id": node.id, "labels": {}, "keys": node.keys()});
        fleet.api().accepted(json!({"commands": nodes.iter().map(enrol).collect::<Vec<Value>>()})).await;
    }
}

async fn by_keys(fleet: &Fleet, servers: usize, nodes: &[LightNode]) -> Result<Arrival> {
    let servers = &fleet.servers[..servers];
    let taken = || servers.iter().map(|server| cpu_time(server.process.pid())).sum::<Result<Duration>>();
    let answered = async || {
        let mut sum = 0;
        for server in servers {
            let metrics = server.api.get("/metrics").await?;
            let text = metrics.body.as_str().unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(ADMITTED));
            sum += line.unwrap_or("0").parse::<u64>()?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(sum)
    };
    let (cpu, answers) = (taken()?, answered().await?);
    let arrival = arrive(&fleet.backends.nats_url(), fleet.backends.nats.pid(), nodes).await?;
    let (server_cpu, answers) = (taken()? - cpu, answered().await? - answers);
    if answers < nodes.len() as u64 {
        return Err(format!("{} nodes are in, and only {answers} questions were answered with yes", nodes.len()).into());
    }
    Ok(Arrival { server_cpu, answers, ..arrival })
}

/// All nodes connect at once, and go when all are in.
async fn arrive(url: &str, nats: u32, nodes: &[LightNode]) -> Result<Arrival> {
    tokio::time::sleep(REST).await;
    let cpu = cpu_time(nats)?;
    let began = Instant::now();
    let arriving = nodes.iter().map(|node| async {
        let link = node.connect(url).await?;
        is_in(node, &link).await?;
        Ok::<(Link, Duration), Box<dyn std::error::Error + Send + Sync>>((link, began.elapsed()))
    });
    let arrived = timeout(WITHIN, try_join_all(arriving)).await??;
    let nats_cpu = cpu_time(nats)? - cpu;
    let (links, mut times): (Vec<Link>, Vec<Duration>) = arrived.into_iter().unzip();
    drop(links);
    let (half, all) = (percentile(&mut times, 50), percentile(&mut times, 100));
    Ok(Arrival { half, all, answers: 0, server_cpu: Duration::ZERO, nats_cpu })
}

/// Waits until NATS has answered the node about its record: that shows that it was let in, whatever the client takes for a connection.
async fn is_in(node: &LightNode, link: &Link) -> Result<()> {
    link.up().await;
    let prefix = Prefix::default();
    let bucket = link.jetstream().get_stream_no_info(prefix.bucket_stream(Bucket::Desired)).await?;
    let subject = prefix.bucket_subject(Bucket::Desired, node.id.as_str());
    loop {
        match bucket.direct_get_last_for_subject(subject.as_str()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(()),
            Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}
