//! Commands over HTTP, one in each request, at 64 connections and at 256, beside plain INSERT on 64 connections to the same PostgreSQL:
//! once to a server with the HTTP API alone, and once to one that relays as well.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde_json::json;
use testkit::backends::TestBackends;
use testkit::fleet::{Fleet, Ways};

use crate::bench_log::node;
use crate::keep_alive::KeepAlive;
use crate::log_status::until;
use crate::process::{cpu_time, load};
use crate::single_rows::SingleRows;
use crate::times::{median, millis, range};
use crate::{Figure, Result};

const CONNECTIONS: [usize; 2] = [64, 256];
const NODES: usize = 256;
/// Each side runs this long, in turn.
const ROUND: Duration = Duration::from_secs(4);
const ROUNDS: usize = 5;
/// After this PostgreSQL and NATS have done what they do in the background.
const REST: Duration = Duration::from_secs(1);

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let mut fleet = Fleet::on(TestBackends::start().await, Ways::default()).await;
    let single = SingleRows::beside_log(&fleet.backends.database()).await?;
    let mut figures = Vec::new();
    for role in ["door", "all"] {
        fleet.serve(role).await;
        if role == "door" {
            enrol(&fleet).await;
        }
        figures.extend(served(&fleet, role, &single).await?);
        for mut server in fleet.servers.drain(..) {
            server.process.stop().await;
        }
    }
    Ok(figures)
}

async fn enrol(fleet: &Fleet) {
    let commands: Vec<_> =
        (0..NODES).map(|number| json!({"type": "enrol_node", "id": node(number), "labels": {}})).collect();
    fleet.api().accepted(json!({ "commands": commands })).await;
}

/// The figures of one server.
async fn served(fleet: &Fleet, role: &str, single: &SingleRows) -> Result<Vec<Figure>> {
    let server = fleet.servers[0].process.pid();
    let mut ratios: [Vec<f64>; CONNECTIONS.len()] = Default::default();
    let mut micros: [Vec<f64>; CONNECTIONS.len()] = Default::default();
    let mut figures = Vec::new();
    for round in 1..=ROUNDS {
        let rows = single.inserted(ROUND).await?;
        for (index, connections) in CONNECTIONS.into_iter().enumerate() {
            let before = cpu_time(server)?;
            let (commands, elapsed) = commanded(fleet, connections).await?;
            let behind = Instant::now();
            if role == "all" {
                until(fleet, |log| log["published"] == log["position"]).await?;
            }
            let behind = millis(behind.elapsed());
            let each = (cpu_time(server)? - before).as_secs_f64() * 1e6 / commands;
            let commands = commands / elapsed.as_secs_f64();
            ratios[index].push(commands / rows);
            micros[index].push(each);
            figures.push(Figure::new(
                format!("role {role}, round {round}: commands/s on {connections}, rows/s"),
                format!("{commands:.0} / {rows:.0}"),
                format!(
                    "ratio {:.2}, {each:.0} µs of the server's processor time each; public {behind:.0} ms later; load {}",
                    commands / rows,
                    load()
                ),
            ));
            tokio::time::sleep(REST).await;
        }
    }
    for (connections, (ratios, micros)) in CONNECTIONS.into_iter().zip(ratios.iter_mut().zip(&mut micros)) {
        figures.push(Figure::new(
            format!("role {role}: median ratio on {connections} connections"),
            format!("{:.2}", median(ratios)),
            format!("{}; {:.0} µs each", range(ratios, 2), median(micros)),
        ));
    }
    Ok(figures)
}

/// How many commands were accepted on so many connections, and in which time.
async fn commanded(fleet: &Fleet, connections: usize) -> Result<(f64, Duration)> {
    let done = AtomicUsize::new(0);
    let mut callers =
        try_join_all((0..connections).map(|_| KeepAlive::connect(fleet.api().url(), fleet.token()))).await?;
    let began = Instant::now();
    let calling = callers.iter_mut().enumerate().map(|(number, caller)| {
        let done = &done;
        async move {
            while began.elapsed() < ROUND {
                let round = done.fetch_add(1, Ordering::Relaxed).to_string();
                let labels = json!({"round": round, "site": "lund"});
                let command = json!({"type": "label_node", "id": node(number), "labels": labels});
                caller.command(&json!({ "commands": [command] }).to_string()).await?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        }
    });
    try_join_all(calling).await?;
    Ok((done.load(Ordering::Relaxed) as f64, began.elapsed()))
}
