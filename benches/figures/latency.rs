//! From commit to file switched on one idle node, beside the parts that it can't avoid: a commit, three acknowledged
//! publishes, and the node's own fsyncs. And the same of a node with keys of its own, beside one that has the shared password.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::nats::Access;
use schema::address::{Bucket, Prefix};

use crate::idle_node::{ChangeTimes, IdleNode};
use crate::times::{median, millis, percentile, range};
use crate::{Figure, Result, fsync};

const SAMPLES: usize = 200;
/// Rounds before those that count.
const WARM: usize = 10;
/// Between two samples everything is idle again.
const REST: Duration = Duration::from_millis(40);
/// Rounds of the comparison, each with so many changes of both nodes.
const COMPARED_ROUNDS: usize = 3;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let mut node = IdleNode::start(Access::Password).await?;
    let (mut changes, mut bare) = (Vec::new(), Vec::new());
    let beside = node.bench.folder.path().join("beside");
    for round in 0..SAMPLES + WARM {
        let change = node.change(round).await?;
        tokio::time::sleep(REST).await;
        let taken = by_hand(&beside, round)?;
        tokio::time::sleep(REST).await;
        // The first rounds warm everything up.
        if round >= WARM {
            changes.push(change);
            bare.push(taken);
        }
    }
    node.stop_agent().await?;
    let mut disk = fsync::sorted(node.bench.folder.path())?;
    let publish = acknowledged(&node.link.jetstream()).await?;
    let mut commits: Vec<Duration> = changes.iter().map(|change| change.commit).collect();
    let mut whole: Vec<Duration> = changes.iter().map(ChangeTimes::whole).collect();
    let mut publishes: Vec<Duration> = changes.iter().map(|change| change.publish).collect();
    let mut switches: Vec<Duration> = changes.iter().map(|change| change.switch).collect();
    let row = |what: &str, value: Duration, beside: &str| Figure::new(what, format!("{:.2} ms", millis(value)), beside);
    Ok(vec![
        row("request to commit, p50", percentile(&mut commits, 50), ""),
        row("commit to file switched, p50", percentile(&mut whole, 50), ""),
        row("commit to file switched, p99", percentile(&mut whole, 99), ""),
        row(
            "of it commit to record, p50",
            percentile(&mut publishes, 50),
            "through the write-ahead log, the fold, and NATS",
        ),
        row("of it commit to record, p99", percentile(&mut publishes, 99), ""),
        row(
            "of it record to file switched, p50",
            percentile(&mut switches, 50),
            "accept, fetch, verify, write, switch",
        ),
        row("of it record to file switched, p99", percentile(&mut switches, 99), ""),
        row(
            "a tree of one file written and switched, p50",
            percentile(&mut bare, 50),
            "nothing but files, between the others",
        ),
        row("a tree of one file written and switched, p99", percentile(&mut bare, 99), ""),
        row(
            "one fsync, p50",
            percentile(&mut disk, 50),
            "the node makes several for a generation: see src/agent/tree.rs",
        ),
        row("one fsync, p99", percentile(&mut disk, 99), ""),
        row("one acknowledged publish, p50", publish, "two are in the way of the node: record, event"),
    ])
}

/// A node with keys of its own beside one that has the shared password, each with servers of its own, changed in turn.
pub(crate) async fn by_keys() -> Result<Vec<Figure>> {
    let mut keyed = IdleNode::start(Access::Identities).await?;
    let mut open = IdleNode::start(Access::Password).await?;
    for round in 0..WARM {
        keyed.change(round).await?;
        open.change(round).await?;
    }
    let (mut figures, mut ratios) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..COMPARED_ROUNDS {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for sample in 0..SAMPLES {
            let number = WARM + round * SAMPLES + sample;
            // Whoever comes second finds the machine as the first one left it, so they take turns in that, too.
            if sample % 2 == 0 {
                with.push(rested(&mut keyed, number).await?);
                without.push(rested(&mut open, number).await?);
            } else {
                without.push(rested(&mut open, number).await?);
                with.push(rested(&mut keyed, number).await?);
            }
        }
        for (ratios, of_hundred) in ratios.iter_mut().zip([50, 90]) {
            let (with, without) = (percentile(&mut with, of_hundred), percentile(&mut without, of_hundred));
            let ratio = with.as_secs_f64() / without.as_secs_f64();
            ratios.push(ratio);
            figures.push(Figure::new(
                format!("round {}: keys, shared password, p{of_hundred}", round + 1),
                format!("{:.2} / {:.2} ms", millis(with), millis(without)),
                format!("ratio {ratio:.2}"),
            ));
        }
    }
    keyed.stop_agent().await?;
    open.stop_agent().await?;
    for (mut ratios, of_hundred) in ratios.into_iter().zip([50, 90]) {
        figures.push(Figure::new(
            format!("median ratio, p{of_hundred} (wanted: at most 1.1)"),
            format!("{:.2}", median(&mut ratios)),
            range(&ratios, 2),
        ));
    }
    Ok(figures)
}

async fn rested(node: &mut IdleNode, round: usize) -> Result<Duration> {
    tokio::time::sleep(REST).await;
    Ok(node.change(round).await?.whole())
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

async fn acknowledged(jetstream: &async_nats::jetstream::Context) -> Result<Duration> {
    let subject = Prefix::default().bucket_subject(Bucket::Verdict, "figures.1");
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let began = Instant::now();
        jetstream.publish(subject.clone(), "x".into()).await?.await?;
        times.push(began.elapsed());
    }
    Ok(percentile(&mut times, 50))
}
