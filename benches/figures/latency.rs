//! From commit to file switched on one idle node, beside the parts that it can't avoid: a commit, three acknowledged
//! publishes, and the node's own fsyncs.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent::main_loop;
use agent::options::Options;
use async_nats::Subscriber;
use futures::StreamExt as _;
use schema::address::{Bucket, Prefix};
use schema::command::{Command, Content, Merge, PutDocument};
use schema::target::Target;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bench_log::{BenchLog, node};
use crate::{Figure, Result, fsync};

/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(20);
const SAMPLES: usize = 200;
/// Rounds before those that count.
const WARM: usize = 10;
/// Between two samples everything is idle again.
const REST: Duration = Duration::from_millis(40);

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let bench = BenchLog::start().await?;
    let (nats, link) = bench.nats().await?;
    let stop = CancellationToken::new();
    let subject = Prefix::default().bucket_subject(Bucket::Desired, node(0).as_str());
    let mut records = link.client().subscribe(subject).await?;
    link.client().flush().await?;
    bench.relay(&link, &stop)?;
    bench.enrol(1).await?;
    record(&mut records).await?;
    let dir = bench.folder.path().join("node");
    let agent = tokio::spawn(main_loop::run(agent(&dir, &nats.url())?, stop.clone()));

    let file = dir.join("current/files/etc/round");
    let (mut commits, mut publishes, mut switches) = (Vec::new(), Vec::new(), Vec::new());
    let (mut whole, mut bare) = (Vec::new(), Vec::new());
    let beside = bench.folder.path().join("beside");
    for round in 0..SAMPLES + WARM {
        let text = format!("{round}\n");
        let began = Instant::now();
        bench.command(vec![put(&text)]).await?;
        let committed = began.elapsed();
        record(&mut records).await?;
        let published = began.elapsed();
        switched(&file, &text).await?;
        let switched = began.elapsed();
        // The first rounds warm everything up.
        if round >= WARM {
            commits.push(committed);
            publishes.push(published.saturating_sub(committed));
            switches.push(switched - published);
            whole.push(switched - committed);
        }
        tokio::time::sleep(REST).await;
        let taken = by_hand(&beside, round)?;
        if round >= WARM {
            bare.push(taken);
        }
        tokio::time::sleep(REST).await;
    }
    stop.cancel();
    agent.await??;
    let disk = fsync::sorted(bench.folder.path())?;
    let publish = acknowledged(&link.jetstream()).await?;
    for times in [&mut commits, &mut publishes, &mut switches, &mut whole, &mut bare] {
        times.sort();
    }
    let p99 = SAMPLES * 99 / 100;
    let row = |what: &str, value: Duration, beside: &str| {
        Figure::new(what, format!("{:.2} ms", value.as_secs_f64() * 1e3), beside)
    };
    Ok(vec![
        row("request to commit, p50", commits[SAMPLES / 2], ""),
        row("commit to file switched, p50", whole[SAMPLES / 2], ""),
        row("commit to file switched, p99", whole[p99], ""),
        row("of it commit to record, p50", publishes[SAMPLES / 2], "through the write-ahead log, the fold, and NATS"),
        row("of it commit to record, p99", publishes[p99], ""),
        row("of it record to file switched, p50", switches[SAMPLES / 2], "accept, fetch, verify, write, switch"),
        row("of it record to file switched, p99", switches[p99], ""),
        row("a tree of one file written and switched, p50", bare[SAMPLES / 2], "nothing but files, between the others"),
        row("a tree of one file written and switched, p99", bare[p99], ""),
        row("one fsync, p50", disk[disk.len() / 2], "the node makes several for a generation: see src/agent/tree.rs"),
        row("one fsync, p99", disk[disk.len() * 99 / 100], ""),
        row("one acknowledged publish, p50", publish, "two are in the way of the node: record, event"),
    ])
}

fn agent(dir: &Path, nats: &str) -> Result<Options> {
    #[derive(clap::Parser)]
    struct Agent {
        #[command(flatten)]
        options: Options,
    }
    let dir = dir.display().to_string();
    let node = node(0).to_string();
    let arguments = ["edge", "--node", &node, "--dir", &dir, "--nats-url", nats];
    Ok(<Agent as clap::Parser>::try_parse_from(arguments)?.options)
}

fn put(text: &str) -> Command {
    Command::PutDocument(PutDocument {
        id: "round".parse().expect("an id"),
        path: "etc/round".parse().expect("a path"),
        media_type: "text/plain".parse().expect("a media type"),
        content: Content::new(text.as_bytes().to_vec()).expect("small content"),
        target: Target::All,
        priority: 0,
        merge: Merge::Replace,
    })
}

/// What a disk takes for a tree of one file beside the old one, synced, and a link that is switched to it; and for forgetting an old
/// one, which it does in the background. Nobody who keeps whole generations can take less.
fn by_hand(folder: &Path, round: usize) -> Result<Duration> {
    let began = Instant::now();
    let (tree, link) = (folder.join(round.to_string()), folder.join("link"));
    let below = tree.join("files/etc");
    fs::create_dir_all(&below)?;
    let mut file = File::create(below.join("round"))?;
    file.write_all(format!("{round}\n").as_bytes())?;
    file.sync_all()?;
    for synced in [&below, &tree.join("files"), &tree, folder] {
        File::open(synced)?.sync_all()?;
    }
    std::os::unix::fs::symlink(&tree, &link)?;
    fs::rename(&link, folder.join("current"))?;
    File::open(folder)?.sync_all()?;
    let taken = began.elapsed();
    if let Some(old) = round.checked_sub(3) {
        fs::remove_dir_all(folder.join(old.to_string()))?;
    }
    Ok(taken)
}

/// Waits for the node's next record.
async fn record(records: &mut Subscriber) -> Result<()> {
    timeout(WITHIN, records.next()).await?.map(drop).ok_or_else(|| "the connection to NATS has ended".into())
}

/// Waits until the file holds `text`, looking as often as it can without taking a core away.
async fn switched(file: &PathBuf, text: &str) -> Result<()> {
    let deadline = Instant::now() + WITHIN;
    while std::fs::read_to_string(file).ok().as_deref() != Some(text) {
        if Instant::now() > deadline {
            return Err("the file was not switched in time".into());
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    Ok(())
}

async fn acknowledged(jetstream: &async_nats::jetstream::Context) -> Result<Duration> {
    let subject = Prefix::default().bucket_subject(Bucket::Verdict, "figures.1");
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let began = Instant::now();
        jetstream.publish(subject.clone(), "x".into()).await?.await?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[SAMPLES / 2])
}
