//! From the write-ahead log to acknowledged in the event stream, against `pg_recvlogical` throwing the same bytes away while a bare
//! pipelined publisher sends as many messages of the same size: what no relay between the two could do faster.

use std::time::{Duration, Instant};

use bus::connect::Link;
use lab::nats::Access;
use schema::address::Prefix;
use schema::position::Position;
use server::relay::RelayStatus;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;
use wal::slot::Slot;

use crate::bare_publisher::publish;
use crate::bench_log::{BenchLog, relabel};
use crate::relay::received;
use crate::times::{median, range};
use crate::{Figure, Result, fsync};

/// Events of one round, in transactions of 500.
const EVENTS: usize = 100_000;
const BATCH: usize = 500;
const ROUNDS: usize = 5;
/// Events of a batch, of which the first comes before the time that is taken.
const FIRST_BATCH_MAX: u64 = 8_192;
/// After this an acknowledgement has reached PostgreSQL.
const REST: Duration = Duration::from_secs(2);
/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(120);
/// The slot that stands where the relay's stands.
const COPY: &str = "beside_relay";

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    let (nats, link) = bench.nats(Access::Password).await?;
    bench.enrol(BATCH, |_| None).await?;
    let (client, connection) = tokio_postgres::connect(&bench.url, NoTls).await?;
    tokio::spawn(connection);
    let slot = Slot::parse(&bench.url, None)?;
    let stop = CancellationToken::new();
    let mut status = bench.relay(&link, &stop)?.status;
    let (mut figures, mut ratios) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        reach(&mut status, bench.log.view().position()).await?;
        tokio::time::sleep(REST).await;
        let disk = fsync::median(bench.folder.path())?;
        let copied = "SELECT pg_copy_logical_replication_slot($1, $2)";
        client.execute(copied, &[&slot.name(), &COPY]).await?;
        // The relay can publish nothing until all events wait for it.
        nats.child().freeze(true);
        let appended = append(&bench, round).await;
        nats.child().freeze(false);
        appended?;
        let ours = relayed(&mut status, bench.log.view().position()).await?;
        let end: String = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.get(0);
        let theirs = bare_pair(&bench, &link, &end).await?;
        // PostgreSQL lets go of a slot a moment after its reader has gone.
        while client.execute("SELECT pg_drop_replication_slot($1)", &[&COPY]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        ratios.push(ours / theirs);
        figures.push(Figure::new(
            format!("round {round}: events/s relayed, events/s of the bare pair"),
            format!("{ours:.0} / {theirs:.0}"),
            format!("ratio {:.2}, fsync {:.2} ms", ours / theirs, disk.as_secs_f64() * 1e3),
        ));
    }
    stop.cancel();
    let middle = format!("{:.2}", median(&mut ratios));
    figures.push(Figure::new("median ratio (wanted: 0.9)", middle, range(&ratios, 2)));
    Ok(figures)
}

async fn append(bench: &BenchLog, round: usize) -> Result<()> {
    for part in 0..EVENTS / BATCH {
        bench.command((0..BATCH).map(|number| relabel(number, round * EVENTS + part)).collect()).await?;
    }
    Ok(())
}

/// Events per second that the relay publishes: from the first that are public to the last.
async fn relayed(status: &mut watch::Receiver<RelayStatus>, head: Position) -> Result<f64> {
    let before = Position::from(head.get() - EVENTS as u64);
    let first = reach(status, before.next()).await?;
    if first.get() - before.get() > FIRST_BATCH_MAX {
        return Err("the relay has read the events from the table, because NATS was frozen for too long".into());
    }
    let began = Instant::now();
    reach(status, head).await?;
    Ok((head.get() - first.get()) as f64 / began.elapsed().as_secs_f64())
}

/// Waits until a position is public, and says how far it went.
async fn reach(status: &mut watch::Receiver<RelayStatus>, position: Position) -> Result<Position> {
    let reached = timeout(WITHIN, status.wait_for(|status| status.published >= position)).await??;
    Ok(reached.published)
}

/// Events per second of the two that know nothing of each other: the time of the one that takes longer.
async fn bare_pair(bench: &BenchLog, link: &Link, end: &str) -> Result<f64> {
    let name = Prefix::default().event_stream();
    let events = link.jetstream().get_stream(&name).await?;
    let last = events.get_raw_message(events.cached_info().state.last_sequence).await?;
    let (read, sent) =
        tokio::try_join!(received(bench, COPY, end), publish(link, &events, last.payload, (EVENTS, BATCH)))?;
    Ok(EVENTS as f64 / read.max(sent).as_secs_f64())
}
