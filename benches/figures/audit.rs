//! What an audit costs: verifying a million events against hashing the same bytes, folding against decoding, replaying from
//! PostgreSQL against copying the table out of it; and how much memory exporting and verifying take.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use projections::configuration::Configuration;
use replay::checkpoint::Checkpoint;
use replay::file::PREFIX_BYTES;
use replay::file::block::{BlockHead, BlockKind, Unpacker};
use replay::log::Follower;
use schema::command::{Command as Ask, Content, Merge, PutDocument};
use schema::digest::Hasher;
use schema::document_mode::DocumentMode;
use schema::event::Event;
use schema::position::Position;
use schema::target::Target;
use store::reader::EventPage;
use tokio_postgres::NoTls;

use crate::bench_log::{BenchLog, node, relabel};
use crate::process::status_kib;
use crate::{Figure, Result, times};

const EVENTS: u64 = 1_000_000;
const BATCH: usize = 500;
/// Of each batch so many put a document.
const DOCUMENTS: usize = 25;
const ROUNDS: usize = 3;
/// Events that are held in memory to be decoded and folded.
const HELD: usize = 200_000;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    fill(&bench).await?;
    let file = bench.folder.path().join("log.hwlog");
    let mut figures = vec![exported(&bench, &file)?];
    figures.extend(verified(&bench, &file)?);
    figures.extend(folded(&bench).await?);
    figures.extend(replayed(&bench).await?);
    Ok(figures)
}

/// A million events about five hundred nodes and a thousand documents, all of them signed for.
async fn fill(bench: &BenchLog) -> Result<()> {
    bench.enrol(BATCH, |_| None).await?;
    for round in 0.. {
        let position = bench.log.view().position().get();
        if position >= EVENTS {
            break;
        }
        let relabels = (DOCUMENTS..BATCH).map(|number| relabel(number, round));
        bench.command(relabels.chain((0..DOCUMENTS).map(|number| put(number, round))).collect()).await?;
    }
    let (position, root) = (bench.log.view().position(), bench.log.reader().head().await?.root);
    let checkpoint = Checkpoint { log_id: bench.log.log_id(), position, root };
    Ok(bench.log.reader().keep_checkpoint(position, &checkpoint.sign(&bench.key)).await?)
}

fn put(number: usize, round: usize) -> Ask {
    let name = format!("d-{}", (round * DOCUMENTS + number) % 1_000);
    let content = format!("{name} in round {round}\n{}", "0123456789 ".repeat(20));
    Ask::PutDocument(PutDocument {
        id: name.parse().expect("an id"),
        path: format!("etc/{name}").parse().expect("a path"),
        media_type: "text/plain".parse().expect("a media type"),
        content: Content::new(content.into_bytes()).expect("it is small").into(),
        target: Target::Nodes([node(number)].into()),
        priority: 0,
        merge: Merge::Replace,
        mode: DocumentMode::Plain,
        rollout: None,
    })
}

fn exported(bench: &BenchLog, file: &Path) -> Result<Figure> {
    let mut export = Command::new(env!("CARGO_BIN_EXE_headwater"));
    export.arg("export").arg("--to").arg(file).env("HEADWATER_DATABASE_URL", &bench.url);
    let Run { taken, peak_kib } = run(&mut export)?;
    let bytes = file.metadata()?.len();
    Ok(Figure::new(
        "export: memory at most (wanted: below 200 MB)",
        format!("{} MB", peak_kib / 1_000),
        format!("{:.1} s, {} MB of file", taken.as_secs_f64(), bytes / 1_000_000),
    ))
}

fn verified(bench: &BenchLog, file: &Path) -> Result<Vec<Figure>> {
    let auditor = auditor()?;
    let unpacked = bench.folder.path().join("unpacked");
    unpack(file, &unpacked)?;
    let (mut figures, mut packed_ratios, mut ratios, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 1..=ROUNDS {
        let key = hex::encode(bench.key.public().as_bytes());
        let Run { taken, peak_kib } = run(Command::new(&auditor).arg("verify").arg(file).args(["--trust", &key]))?;
        let (packed, raw) = (hashed(file)?, hashed(&unpacked)?);
        peak = peak.max(peak_kib);
        packed_ratios.push(taken.as_secs_f64() / packed.as_secs_f64());
        ratios.push(taken.as_secs_f64() / raw.as_secs_f64());
        figures.push(Figure::new(
            format!("round {round}: verify; read and hash the file, the same unpacked"),
            format!("{:.2} s", taken.as_secs_f64()),
            format!("{:.2} s, {:.2} s", packed.as_secs_f64(), raw.as_secs_f64()),
        ));
    }
    figures.extend([
        Figure::new("verify, against what it unpacks (wanted: at most 4)", median(&mut ratios), ""),
        Figure::new("verify, against the file as it is packed", median(&mut packed_ratios), ""),
        Figure::new("verify: memory at most (wanted: below 200 MB)", format!("{} MB", peak / 1_000), ""),
    ]);
    Ok(figures)
}

/// Reads a file and hashes it.
fn hashed(path: &Path) -> Result<Duration> {
    let began = Instant::now();
    let (mut file, mut hasher, mut chunk) = (File::open(path)?, Hasher::default(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            count => hasher.update(&chunk[..count]),
        }
    }
    std::hint::black_box(hasher.finish());
    Ok(began.elapsed())
}

/// Writes what an export's blocks unpack to.
fn unpack(from: &Path, to: &Path) -> Result<()> {
    let bytes = std::fs::read(from)?;
    let (mut offset, mut out, mut unpacker) = (PREFIX_BYTES, File::create(to)?, Unpacker::default());
    while offset < bytes.len() {
        let head = BlockHead::read(bytes[offset..offset + BlockHead::BYTES].try_into()?)?;
        offset += BlockHead::BYTES;
        if head.kind != BlockKind::End {
            out.write_all(&unpacker.unpack(head, &bytes[offset..offset + head.stored])?)?;
        }
        offset += head.stored;
    }
    Ok(())
}

async fn folded(bench: &BenchLog) -> Result<Vec<Figure>> {
    let page = EventPage { after: Position::ZERO, limit: HELD, ..EventPage::default() };
    let events = bench.log.reader().events(page).await?;
    let texts: Vec<String> = events.iter().map(serde_json::to_string).collect::<std::result::Result<_, _>>()?;
    let (mut of_data, mut of_event) = (Vec::new(), Vec::new());
    let mut figures = Vec::new();
    for round in 1..=ROUNDS {
        let began = Instant::now();
        let changes: Vec<_> = events.iter().map(Event::change).collect::<std::result::Result<_, _>>()?;
        let data = began.elapsed();
        let began = Instant::now();
        for text in &texts {
            std::hint::black_box(serde_json::from_str::<Event>(text)?.change()?);
        }
        let whole = began.elapsed();
        let mut state = Configuration::default();
        let began = Instant::now();
        events.iter().zip(&changes).for_each(|(event, change)| drop(state.fold(event, change)));
        let fold = began.elapsed();
        of_data.push(data.as_secs_f64() / fold.as_secs_f64());
        of_event.push(whole.as_secs_f64() / fold.as_secs_f64());
        let each = |taken: Duration| taken.as_secs_f64() * 1e6 / events.len() as f64;
        figures.push(Figure::new(
            format!("round {round}: fold; decode `data`, decode whole events"),
            format!("{:.2} µs", each(fold)),
            format!("{:.2} µs, {:.2} µs each", each(data), each(whole)),
        ));
    }
    figures.extend([
        Figure::new("fold, in terms of decoding events' JSON (wanted: 0.7)", median(&mut of_event), ""),
        Figure::new("fold, in terms of decoding their `data` alone", median(&mut of_data), ""),
    ]);
    Ok(figures)
}

async fn replayed(bench: &BenchLog) -> Result<Vec<Figure>> {
    let (client, connection) = tokio_postgres::connect(&bench.url, NoTls).await?;
    tokio::spawn(connection);
    let head = bench.log.view().position();
    let (mut figures, mut ratios) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let began = Instant::now();
        let mut follower = Follower::new(bench.log.log_id());
        bench.log.reader().follow(&mut follower, head).await?;
        let ours = began.elapsed();
        assert_eq!(follower.position(), head);
        let began = Instant::now();
        let copied = client.copy_out("COPY event TO STDOUT (FORMAT binary)").await?;
        let bytes = copied.try_fold(0, async |bytes, chunk| Ok(bytes + chunk.len())).await?;
        let theirs = began.elapsed();
        ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
        figures.push(Figure::new(
            format!("round {round}: replay from PostgreSQL; COPY of the table"),
            format!("{:.2} s", ours.as_secs_f64()),
            format!("{:.2} s, {} MB", theirs.as_secs_f64(), bytes / 1_000_000),
        ));
    }
    figures.push(Figure::new("replay, in terms of COPY (wanted: 0.7)", median(&mut ratios), ""));
    Ok(figures)
}

fn median(values: &mut [f64]) -> String {
    format!("{:.2}", times::median(values))
}

/// The auditor's program as it is shipped, which is built if it is not there yet.
fn auditor() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--quiet", "--release", "--workspace", "--bin", "headwater-replay"];
    match Command::new(cargo).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
        true => Ok(Path::new(env!("CARGO_BIN_EXE_headwater")).with_file_name("headwater-replay")),
        false => Err("headwater-replay can't be built".into()),
    }
}

/// What a process took.
struct Run {
    taken: Duration,
    /// The most memory that it had at once.
    peak_kib: u64,
}

fn run(command: &mut Command) -> Result<Run> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak_kib = 0;
    let ended = loop {
        // What it had at most only grows, so the last look tells it but for the last moments.
        peak_kib = status_kib(child.id(), "VmHWM").unwrap_or(peak_kib);
        match child.try_wait()? {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if ended.success() {
        Ok(Run { taken: began.elapsed(), peak_kib })
    } else {
        Err(format!("it ended with {ended}").into())
    }
}
