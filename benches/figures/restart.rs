//! A restart of `headwater serve`: with 100,000 nodes, which have a document each, and with a log of a million events. From the start of
//! the program until it answers and its relay follows the log; and how much memory it has in use then, for each node.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::fleet::{Fleet, Ways};

use crate::bench_log::node;
use crate::log_status::until;
use crate::process::{load, resident_mib};
use crate::times::{median, range};
use crate::{Figure, Result};

const NODES: usize = 100_000;
const EVENTS: usize = 1_000_000;
/// Nodes of the log of a million events.
const FEW_NODES: usize = 500;
/// Commands of one request.
const AT_ONCE: usize = 500;
const ROUNDS: usize = 5;
/// After this a server has given back what it does not need any more.
const REST: Duration = Duration::from_secs(5);

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    // One after the other: the servers of the first are gone before those of the second start.
    let mut figures = many_nodes().await?;
    figures.extend(many_events().await?);
    Ok(figures)
}

async fn many_nodes() -> Result<Vec<Figure>> {
    let mut fleet = started().await;
    let (_, empty) = restarted(&mut fleet).await?;
    enrol(&fleet, NODES).await;
    let put = json!({"type": "put_document", "id": "d", "path": "etc/d", "media_type": "text/plain", "content": "x\n",
        "target": {"all": true}, "priority": 0});
    fleet.api().accepted(json!({"commands": [put]})).await;
    let (times, memory) = restarted(&mut fleet).await?;
    let each = memory.iter().zip(&empty).map(|(full, empty)| (full - empty) * 1024.0 / NODES as f64);
    Ok(vec![
        row(&format!("{NODES} nodes: start until it follows"), "s", &times),
        row("memory for each node", "KiB", &each.collect::<Vec<f64>>()),
    ])
}

async fn many_events() -> Result<Vec<Figure>> {
    let mut fleet = started().await;
    enrol(&fleet, FEW_NODES).await;
    for round in 0..EVENTS / AT_ONCE {
        let relabel = |number: usize| {
            let labels = json!({"round": round.to_string(), "site": "lund"});
            json!({"type": "label_node", "id": node(number % FEW_NODES), "labels": labels})
        };
        fleet.api().accepted(json!({"commands": (0..AT_ONCE).map(relabel).collect::<Vec<_>>()})).await;
    }
    let (times, memory) = restarted(&mut fleet).await?;
    Ok(vec![
        row(&format!("{EVENTS} events: start until it follows"), "s", &times),
        row("memory in use", "MiB", &memory),
    ])
}

async fn started() -> Fleet {
    let mut fleet = Fleet::on(TestBackends::start().await, Ways::default()).await;
    fleet.serve("all").await;
    fleet
}

async fn enrol(fleet: &Fleet, nodes: usize) {
    let enrol = |number: usize| {
        let labels = json!({"site": format!("site-{}", number % 20), "rack": format!("rack-{}", number / 40)});
        json!({"type": "enrol_node", "id": node(number), "labels": labels})
    };
    let commands: Vec<Value> = (0..nodes).map(enrol).collect();
    for commands in commands.chunks(AT_ONCE) {
        fleet.api().accepted(json!({ "commands": commands })).await;
    }
}

/// Seconds from the start of the program until it follows, and MiB that are resident then, each time.
async fn restarted(fleet: &mut Fleet) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    until(fleet, |log| log["published"] == log["position"]).await?;
    for _ in 0..ROUNDS {
        let mut server = fleet.servers.pop().ok_or("there is no server")?;
        server.process.stop().await;
        let began = Instant::now();
        fleet.serve("all").await;
        until(fleet, |log| log["relay"] == "following").await?;
        times.push(began.elapsed().as_secs_f64());
        tokio::time::sleep(REST).await;
        memory.push(resident_mib(fleet.servers[0].process.pid())?);
    }
    Ok((times, memory))
}

fn row(what: &str, unit: &str, values: &[f64]) -> Figure {
    let mut values = values.to_vec();
    let middle = format!("{:.2} {unit}", median(&mut values));
    Figure::new(what, middle, format!("{}; load {}", range(&values, 2), load()))
}
