//! What signed reports cost: a node that signs, and a server that verifies, by the time that its process has of the processors while
//! ten thousand nodes report as they do every ten seconds. Beside it as many nodes without keys, whose reports nobody signs and nobody
//! verifies; and a server that hears nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bus::bus_folder::CentreUser;
use bus::connect::{Link, connect_as};
use bytes::Bytes;
use program::clock::system_time;
use schema::address::{Bucket, Prefix};
use schema::digest::Digest;
use schema::id::NodeId;
use schema::position::Position;
use schema::report::{Attempt, AttemptState, RecordRef, Reported};
use schema::say::{SIGNATURE_HEADER, Statement};
use schema::wire::WireRecord as _;
use serde_json::{Value, json};
use testkit::fleet::Fleet;
use tokio::time::interval;

use crate::light_node::LightNode;
use crate::process::cpu_time;
use crate::times::{median, range};
use crate::{Figure, Result};

/// Nodes with keys, and as many without.
const NODES: usize = 10_000;
/// A fleet reports once in this time.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How often a few of them are sent.
const TICK: Duration = Duration::from_millis(10);
const ROUNDS: usize = 3;
/// After this the server has heard what was sent.
const REST: Duration = Duration::from_millis(500);
/// How long a server may take to note the first report of each node.
const NOTED_WITHIN: Duration = Duration::from_secs(120);
/// Commands of one request.
const AT_ONCE: usize = 500;

/// Where a report is sent, and its headers and bytes.
type SentReport = (String, HeaderMap, Bytes);

/// Whose reports a server hears.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reporters {
    WithKeys,
    WithoutKeys,
    Nobody,
}

/// What a server took of the processors in a time.
struct ServerTime {
    cpu: Duration,
    elapsed: Duration,
}

impl ServerTime {
    /// Of one core.
    fn share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let mut figures = at_the_node()?;
    let nodes: Vec<LightNode> = (0..NODES).map(LightNode::numbered).collect();
    let mut fleet = Reporting::start(nodes).await?;
    let mut taken: [Vec<ServerTime>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let reporters = [Reporters::WithKeys, Reporters::WithoutKeys, Reporters::Nobody];
        for (taken, reporters) in taken.iter_mut().zip(reporters) {
            taken.push(fleet.hears(reporters).await?);
        }
    }
    let [keys, none, idle] = &taken;
    // Per report, above the rate of the other side.
    let of = |one: &[ServerTime], other: &[ServerTime]| -> Vec<f64> {
        let above =
            |(one, other): (&ServerTime, &ServerTime)| (one.share() - other.share()) * one.elapsed.as_secs_f64();
        one.iter().zip(other).map(|pair| above(pair) * 1e6 / NODES as f64).collect()
    };
    let share = |values: &[ServerTime]| -> Vec<f64> { values.iter().map(|value| value.share() * 100.0).collect() };
    let row = |what: &str, unit: &str, mut values: Vec<f64>| {
        let middle = median(&mut values);
        Figure::new(what, format!("{middle:.1} {unit}"), range(&values, 1))
    };
    figures.extend([
        row("server: a report that is verified", "µs", of(keys, idle)),
        row("server: a report of a node without keys", "µs", of(none, idle)),
        row("server: of it signature and number", "µs", of(keys, none)),
        row("server: 10,000 nodes with keys, of one core", "%", share(keys)),
        row("server: 10,000 nodes without keys, of one core", "%", share(none)),
        row("server: nobody reports, of one core", "%", share(idle)),
    ]);
    Ok(figures)
}

/// What a node takes for a report, and a server for the parts of its verification.
fn at_the_node() -> Result<Vec<Figure>> {
    let node = LightNode::numbered(0);
    let report = report(&node.id, 1);
    let message = report.write();
    let signature = Statement::Report.sign(&node.say, &message);
    let key = node.keys().say;
    let bytes = message.len();
    let mut figures = Vec::new();
    let mut row = |what: &str, act: &dyn Fn()| -> Result<()> {
        let mut each: Vec<f64> = (0..ROUNDS).map(|_| micros_each(act)).collect::<Result<_>>()?;
        let middle = median(&mut each);
        figures.push(Figure::new(what, format!("{middle:.1} µs"), range(&each, 1)));
        Ok(())
    };
    row(&format!("node: a report of {bytes} bytes written"), &|| drop(black_box(report.write())))?;
    row("node: it is signed", &|| drop(black_box(Statement::Report.sign(&node.say, &message))))?;
    row("server: it is read", &|| drop(black_box(Reported::read(&message))))?;
    row("server: the key is unpacked", &|| assert!(black_box(key.key()).is_some()))?;
    let public = node.say.public();
    row("server: the signature is verified", &|| {
        assert!(black_box(Statement::Report.is_signed(&public, &message, &signature)));
    })?;
    Ok(figures)
}

/// Microseconds of a processor that one of many calls takes. Nothing else runs in this process meanwhile; the time that passes would
/// count what other processes do.
fn micros_each(act: &dyn Fn()) -> Result<f64> {
    const CALLS: u32 = 20_000;
    let before = cpu_time(std::process::id())?;
    (0..CALLS).for_each(|_| act());
    Ok((cpu_time(std::process::id())? - before).as_secs_f64() * 1e6 / f64::from(CALLS))
}

/// A report as an agent sends it that has applied its record.
fn report(node: &NodeId, seq: u64) -> Reported {
    let applied = RecordRef { position: Position::from(1), digest: Digest::of(node.as_str().as_bytes()) };
    let RecordRef { position, digest } = applied;
    let attempt =
        Attempt { position, digest, state: AttemptState::Applied, code: None, detail: None, at: system_time() };
    Reported {
        boot_no: Some(1),
        seq,
        seen: Some(applied),
        attempt: Some(attempt),
        running: Some(applied),
        last_good: Some(applied),
        at: system_time(),
        ..Reported::blank(node.clone(), "0192f0c4-0000-7000-8000-000000000001".into(), "headwater/0.1.0".into())
    }
}

/// A server and its fleet.
struct Reporting {
    fleet: Fleet,
    /// In the account of the servers: who sends a report in NATS does not matter, who signed it does.
    link: Link,
    nodes: Vec<LightNode>,
    seq: u64,
}

impl Reporting {
    /// Enrols all nodes, and lets the server note the first report of each.
    async fn start(nodes: Vec<LightNode>) -> Result<Self> {
        let fleet = Fleet::with_identities().await;
        let with_keys =
            nodes.iter().map(|node| json!({"type": "enrol_node", "id": node.id, "labels": {}, "keys": node.keys()}));
        let without = nodes.iter().map(|node| json!({"type": "enrol_node", "id": unkeyed(node), "labels": {}}));
        let commands: Vec<Value> = with_keys.chain(without).collect();
        for commands in commands.chunks(AT_ONCE) {
            fleet.api().accepted(json!({ "commands": commands })).await;
        }
        let relay = fleet.backends.nats.bus().identity(CentreUser::Relay)?.ok_or("the relay has no key")?;
        let link = connect_as(&fleet.backends.nats_url(), &relay, "figures").await?;
        link.up().await;
        let wanted = fleet.api().position().await + 2 * NODES as u64;
        let mut reporting = Self { fleet, link, nodes, seq: 0 };
        for reporters in [Reporters::WithKeys, Reporters::WithoutKeys] {
            let messages = reporting.messages(reporters);
            reporting.send(messages).await?;
        }
        let deadline = Instant::now() + NOTED_WITHIN;
        while reporting.fleet.api().position().await < wanted {
            if Instant::now() > deadline {
                return Err("the server did not note the first reports in time".into());
            }
            tokio::time::sleep(REST).await;
        }
        Ok(reporting)
    }

    /// The time that the server has of the processors while all of these report once.
    async fn hears(&mut self, reporters: Reporters) -> Result<ServerTime> {
        let position = self.fleet.api().position().await;
        let server = self.fleet.servers[0].process.pid();
        // Signing ten thousand reports takes this process a second, which is none of the server's.
        let messages = self.messages(reporters);
        let (before, began) = (cpu_time(server)?, Instant::now());
        match reporters {
            Reporters::Nobody => tokio::time::sleep(REPORT_EVERY).await,
            _ => self.send(messages).await?,
        }
        tokio::time::sleep(REST).await;
        let taken = ServerTime { cpu: cpu_time(server)? - before, elapsed: began.elapsed() };
        if self.fleet.api().position().await != position {
            return Err("a report changed something, and appending it was measured, too".into());
        }
        if reporters != Reporters::Nobody {
            self.check_heard(reporters).await?;
        }
        Ok(taken)
    }

    /// The next report of each node.
    fn messages(&mut self, reporters: Reporters) -> Vec<SentReport> {
        self.seq += 1;
        self.nodes.iter().map(|node| message(node, reporters, self.seq)).collect()
    }

    /// Sends them, evenly spread.
    async fn send(&self, messages: Vec<SentReport>) -> Result<()> {
        let mut ticks = interval(TICK);
        let at_once = NODES * usize::try_from(TICK.as_millis())? / usize::try_from(REPORT_EVERY.as_millis())?;
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            ticks.tick().await;
            for (subject, headers, message) in messages.by_ref().take(at_once) {
                self.link.client().publish_with_headers(subject, headers, message).await?;
            }
        }
        Ok(self.link.client().flush().await?)
    }

    /// The server has heard the last one that was sent.
    async fn check_heard(&self, reporters: Reporters) -> Result<()> {
        let last = self.nodes.last().ok_or("there are no nodes")?;
        let id = if reporters == Reporters::WithKeys { last.id.clone() } else { unkeyed(last) };
        let shown = self.fleet.api().get(&format!("/v1/nodes/{id}")).await?;
        match shown.body["reported"]["seq"] == self.seq {
            true => Ok(()),
            false => Err(format!("the server has not heard {id} in time: {shown:?}").into()),
        }
    }
}

fn message(node: &LightNode, reporters: Reporters, seq: u64) -> SentReport {
    let mut headers = HeaderMap::new();
    let (id, message) = if reporters == Reporters::WithKeys {
        let message = report(&node.id, seq).write();
        headers.insert(SIGNATURE_HEADER, Statement::Report.sign(&node.say, &message));
        (node.id.clone(), message)
    } else {
        let id = unkeyed(node);
        let message = report(&id, seq).write();
        // As long as a signature: an agent without keys in the log signs as well, and nobody looks.
        headers.insert(SIGNATURE_HEADER, "0".repeat(128));
        (id, message)
    };
    (Prefix::default().bucket_subject(Bucket::Reported, id.as_str()), headers, message.into())
}

/// The node of the same number that has no keys.
fn unkeyed(node: &LightNode) -> NodeId {
    format!("open-{}", node.id).parse().expect("an id")
}
