//! The appender with 256 commands in flight against single-row transactions on 64 connections to the same PostgreSQL.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio_postgres::NoTls;

use crate::bench_log::{BenchLog, relabel};
use crate::{Figure, Result, fsync};

const IN_FLIGHT: usize = 256;
const CONNECTIONS: usize = 64;
/// Each side runs this long, in turn.
const ROUND: Duration = Duration::from_secs(4);
const ROUNDS: usize = 5;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    bench.enrol(IN_FLIGHT, |_| None).await?;
    let (client, connection) = tokio_postgres::connect(&bench.url, NoTls).await?;
    tokio::spawn(connection);
    // The same columns and indexes, numbered by a sequence as a log without a batching writer would be.
    client
        .batch_execute(
            "CREATE TABLE single (LIKE event INCLUDING ALL); CREATE SEQUENCE single_position; \
             ALTER TABLE single ALTER position SET DEFAULT nextval('single_position')",
        )
        .await?;
    let mut figures = Vec::new();
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let disk = fsync::median(bench.folder.path())?;
        let ours = appended(&bench).await?;
        let theirs = single_rows(&bench.url).await?;
        ratios.push(ours / theirs);
        figures.push(Figure::new(
            format!("round {round}: events/s in batches, rows/s one by one"),
            format!("{ours:.0} / {theirs:.0}"),
            format!("ratio {:.1}, fsync {:.2} ms", ours / theirs, disk.as_secs_f64() * 1e3),
        ));
    }
    ratios.sort_by(f64::total_cmp);
    figures.push(Figure::new(
        "median ratio (wanted: 4 at fast fsync, more at slow)",
        format!("{:.1}", ratios[ROUNDS / 2]),
        "",
    ));
    Ok(figures)
}

async fn appended(bench: &BenchLog) -> Result<f64> {
    let done = AtomicUsize::new(0);
    let began = Instant::now();
    let callers = (0..IN_FLIGHT).map(|number| {
        let done = &done;
        async move {
            while began.elapsed() < ROUND {
                bench.command(vec![relabel(number, done.fetch_add(1, Ordering::Relaxed))]).await?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        }
    });
    try_join_all(callers).await?;
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

async fn single_rows(url: &str) -> Result<f64> {
    let insert = "INSERT INTO single (event_id, command_id, ordinal, count, entity, version, type, v, actor, at, data, leaf) \
                  SELECT id, id, 1, 1, 'node/' || id, 1, 'NodeLabelled', 1, 'system/install', now(), \
                  '{\"labels\":{\"round\":\"1\",\"site\":\"lund\"}}', decode(repeat('00', 32), 'hex') \
                  FROM gen_random_uuid() AS id";
    let done = AtomicUsize::new(0);
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let statement = client.prepare(insert).await?;
        clients.push((client, statement));
    }
    let began = Instant::now();
    let writers = clients.iter().map(|(client, statement)| {
        let done = &done;
        async move {
            while began.elapsed() < ROUND {
                client.execute(statement, &[]).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, tokio_postgres::Error>(())
        }
    });
    try_join_all(writers).await?;
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
