//! From commit to file switched on one idle node, beside the parts that it can't avoid: a commit, three acknowledged
//! publishes, and the node's own fsyncs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use headwater::edge;
use schema::address::{Bucket, Prefix};
use schema::command::{Command, Content, Merge, PutDocument};
use schema::target::Target;
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, node};
use crate::{Figure, Result, fsync};

const SAMPLES: usize = 200;
/// Between two samples everything is idle again.
const REST: Duration = Duration::from_millis(40);

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let ground = Ground::lay().await?;
    let (nats, link) = ground.nats().await?;
    let stop = CancellationToken::new();
    ground.relay(&link, &stop)?;
    ground.enrol(1).await?;
    let dir = ground.folder.path().join("node");
    let agent = tokio::spawn(edge::run(agent(&dir, &nats.url())?, stop.clone()));

    let file = dir.join("current/files/etc/round");
    let mut commits = Vec::new();
    let mut switches = Vec::new();
    for round in 0..SAMPLES + 10 {
        let text = format!("{round}\n");
        let began = Instant::now();
        ground.command(vec![put(&text)]).await?;
        let committed = began.elapsed();
        switched(&file, &text).await?;
        // The first rounds warm everything up.
        if round >= 10 {
            commits.push(committed);
            switches.push(began.elapsed() - committed);
        }
        tokio::time::sleep(REST).await;
    }
    stop.cancel();
    agent.await??;
    let disk = fsync::median(ground.folder.path())?;
    let publish = acknowledged(&link.jetstream()).await?;
    commits.sort();
    switches.sort();
    let row = |what: &str, value: Duration, beside: &str| {
        Figure::new(what, format!("{:.2} ms", value.as_secs_f64() * 1e3), beside)
    };
    Ok(vec![
        row("request to commit, p50", commits[SAMPLES / 2], ""),
        row("commit to file switched, p50", switches[SAMPLES / 2], ""),
        row("commit to file switched, p99", switches[SAMPLES * 99 / 100], ""),
        row("one fsync, p50", disk, "the node makes several for a generation: see src/node/tree.rs"),
        row("one acknowledged publish, p50", publish, "two are in the way of the node: record, event"),
    ])
}

fn agent(dir: &Path, nats: &str) -> Result<edge::Options> {
    #[derive(clap::Parser)]
    struct Agent {
        #[command(flatten)]
        options: edge::Options,
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

/// Waits until the file holds `text`, looking as often as it can without taking a core away.
async fn switched(file: &PathBuf, text: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::fs::read_to_string(file).ok().as_deref() != Some(text) {
        if Instant::now() > deadline {
            return Err("the file was not switched within 20 s".into());
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
