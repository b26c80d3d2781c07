//! What a node says of itself, on change and every 10 s.
//!
//! What always holds: of one boot each report has a higher number than the one before; nothing is queued while NATS is
//! away, so what comes first on return is how things are now.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::connect::Link;
use program::backoff::Backoff;
use program::failpoints;
use schema::address::{Bucket, Prefix};
use schema::id::NodeId;
use schema::instant::Instant;
use schema::report::{DRIFT_PATHS_MAX, Reported};
use schema::wire::Record as _;
use tokio::sync::watch;
use tokio::time::timeout;

/// The agent and its version, as every report says it.
pub const AGENT: &str = concat!("headwater/", env!("CARGO_PKG_VERSION"));
/// How often a node is heard at least.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How long one report may take to be stored.
const STORED_WITHIN: Duration = Duration::from_secs(5);

/// What is to be reported, counted, so that somebody can wait until it was.
#[derive(Clone, Debug)]
pub struct ReportUpdate {
    /// Counts the changes.
    pub count: u64,
    /// All of the report except its number and time.
    pub report: Reported,
}

/// A blank report of this boot, the `boot_no`th of the node, of an agent that is an assessment runtime or not.
#[must_use]
pub fn blank(node: NodeId, boot_no: Option<u64>, runtime: bool) -> Reported {
    let boot = uuid::Uuid::now_v7().to_string();
    let (log_id, seen, attempt, running, last_good) = (None, None, None, None, None);
    let (rejected, drift, agent, at) = (Vec::new(), Vec::new(), AGENT.to_owned(), now());
    let v = Reported::NEWEST;
    Reported {
        v,
        log_id,
        node,
        boot,
        boot_no,
        seq: 0,
        seen,
        attempt,
        running,
        last_good,
        rejected,
        drift,
        runtime,
        proof: None,
        warnings: Vec::new(),
        agent,
        at,
    }
}

/// The node's clock.
#[must_use]
pub fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Reports `news` for ever; `told` follows its count.
pub async fn tell(link: Link, prefix: Prefix, mut news: watch::Receiver<ReportUpdate>, told: watch::Sender<u64>) {
    let (mut seq, mut backoff) = (0, Backoff::default());
    let mut ups = link.ups();
    loop {
        link.up().await;
        ups.mark_unchanged();
        let ReportUpdate { count, mut report } = news.borrow_and_update().clone();
        seq += 1;
        (report.seq, report.at) = (seq, now());
        // More of them no server holds, and beside the largest record they would be more than NATS takes.
        report.drift.truncate(DRIFT_PATHS_MAX);
        let pause = match store(&link, &prefix, &report).await {
            Ok(()) => {
                failpoints::REPORT_STORED.reached();
                backoff.reset();
                told.send_replace(count);
                REPORT_EVERY
            }
            Err(why) => {
                let pause = backoff.failed();
                tracing::warn!(%why, ?pause, "the report could not be stored");
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = news.changed() => if changed.is_err() { return },
            _ = ups.changed() => {}
        }
    }
}

async fn store(link: &Link, prefix: &Prefix, report: &Reported) -> Result<(), String> {
    let subject = prefix.bucket_subject(Bucket::Reported, report.node.as_str());
    let stored = async {
        let stored =
            link.jetstream().publish(subject, report.write().into()).await.map_err(|error| error.to_string())?;
        stored.await.map_err(|error| error.to_string())
    };
    match timeout(STORED_WITHIN, stored).await {
        Ok(stored) => stored.map(|_| ()),
        Err(_) => Err("NATS did not answer within 5 s: may this user publish its report?".to_owned()),
    }
}
