//! From the write-ahead log to folded state, against `pg_recvlogical` throwing the same slot's bytes away.

use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::server_programs;
use replay::log::Follower;
use schema::position::Position;
use store::reader::EventPage;
use tokio_postgres::NoTls;
use wal::slot::Slot;

use crate::bench_log::{BenchLog, relabel};
use crate::{Figure, Result, fsync};

/// Events to drain, in transactions of 500.
const EVENTS: usize = 150_000;
const BATCH: usize = 500;
const ROUNDS: usize = 3;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    bench.enrol(BATCH, |_| None).await?;
    let slot = Slot::parse(&bench.url, None)?;
    slot.ensure().await?;
    let mut before = Follower::new(bench.log.log_id());
    bench.log.reader().follow(&mut before, bench.log.view().position()).await?;
    for round in 0..EVENTS / BATCH {
        bench.command((0..BATCH).map(|number| relabel(number, round)).collect()).await?;
    }
    let head = bench.log.view().position();
    let (client, connection) = tokio_postgres::connect(&bench.url, NoTls).await?;
    tokio::spawn(connection);
    let end: String = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.get(0);

    let mut figures = Vec::new();
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let disk = fsync::median(bench.folder.path())?;
        // Copies stand where the slot stands, so that each run drains the same.
        let copies = [format!("ours_{round}"), format!("theirs_{round}")];
        for copy in &copies {
            let copied = "SELECT pg_copy_logical_replication_slot($1, $2)";
            client.execute(copied, &[&slot.name(), copy]).await?;
        }
        let ours = folded(&bench, &before, head, &copies[0]).await?;
        let theirs = EVENTS as f64 / received(&bench, &copies[1], &end).await?.as_secs_f64();
        for copy in &copies {
            // The server lets go of a slot a moment after its reader has gone.
            while client.execute("SELECT pg_drop_replication_slot($1)", &[copy]).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        ratios.push(ours / theirs);
        figures.push(Figure::new(
            format!("round {round}: events/s folded, events/s thrown away"),
            format!("{ours:.0} / {theirs:.0}"),
            format!("ratio {:.2}, fsync {:.2} ms", ours / theirs, disk.as_secs_f64() * 1e3),
        ));
    }
    ratios.sort_by(f64::total_cmp);
    figures.push(Figure::new("median ratio (wanted: 0.8)", format!("{:.2}", ratios[ROUNDS / 2]), ""));
    Ok(figures)
}

async fn folded(bench: &BenchLog, before: &Follower, head: Position, slot: &str) -> Result<f64> {
    let slot = Slot::parse(&bench.url, Some(slot.to_owned()))?;
    let mut follower = before.clone();
    let began = Instant::now();
    let mut tail = slot.take(bench.log.log_id()).await?;
    while follower.position() < head {
        for event in &tail.next().await?.events {
            follower.advance(event)?;
        }
    }
    let taken = began.elapsed();
    let last = bench.log.reader().events(EventPage { after: head.previous(), limit: 1, ..EventPage::default() });
    assert_eq!(last.await?.first().map(|event| event.position), Some(follower.position()));
    Ok(EVENTS as f64 / taken.as_secs_f64())
}

/// The time in which `pg_recvlogical` reads a slot up to an end.
pub(crate) async fn received(bench: &BenchLog, slot: &str, end: &str) -> Result<Duration> {
    let program = server_programs::find_postgres(None)?.bin.join("pg_recvlogical");
    let began = Instant::now();
    let status = tokio::process::Command::new(program)
        .args(["--dbname", &bench.url, "--slot", slot, "--start", "--no-loop", "--endpos", end, "--file", "/dev/null"])
        .args(["--option", "proto_version=1", "--option", "publication_names=headwater", "--option", "binary=true"])
        .stdout(Stdio::null())
        .status()
        .await?;
    if !status.success() {
        return Err(format!("pg_recvlogical ended with {status}").into());
    }
    Ok(began.elapsed())
}
