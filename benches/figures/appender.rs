//! The appender with 256 commands in flight against single-row transactions on 64 connections to the same PostgreSQL.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;

use crate::bench_log::{BenchLog, relabel};
use crate::single_rows::SingleRows;
use crate::{Figure, Result, fsync};

const IN_FLIGHT: usize = 256;
/// Each side runs this long, in turn.
const ROUND: Duration = Duration::from_secs(4);
const ROUNDS: usize = 5;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    bench.enrol(IN_FLIGHT, |_| None).await?;
    let single = SingleRows::beside_log(&bench.url).await?;
    let mut figures = Vec::new();
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let disk = fsync::median(bench.folder.path())?;
        let ours = appended(&bench).await?;
        let theirs = single.inserted(ROUND).await?;
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
