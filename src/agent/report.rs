//! Publishes the node's report to NATS, on change and every 10 s.
//!
//! Invariants: within one boot each report has a higher `seq` than the one before; nothing is queued while NATS is away, so the
//! first report after a reconnect is the current one.

use std::time::Duration;

use bus::connect::Link;
use program::backoff::Backoff;
use program::clock::system_time;
use program::failpoints;
use schema::address::{Bucket, Prefix};
use schema::id::NodeId;
use schema::report::{DRIFT_PATHS_MAX, Reported};
use schema::wire::WireRecord as _;
use tokio::sync::watch;
use tokio::time::timeout;

/// Name and version of the agent, in every report.
pub const AGENT: &str = concat!("headwater/", env!("CARGO_PKG_VERSION"));
/// The heartbeat.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How long NATS may take to acknowledge a report.
const STORED_WITHIN: Duration = Duration::from_secs(5);

/// A report and its number among the changes, so that a caller can wait until it was published.
#[derive(Clone, Debug)]
pub struct ReportUpdate {
    /// Counts changes of the report in this process.
    pub count: u64,
    /// Complete except for `seq` and `at`.
    pub report: Reported,
}

/// The first report of a boot, before anything is known. `runtime` says whether the node runs jobs.
#[must_use]
pub fn blank_report(node: NodeId, boot_no: Option<u64>, runtime: bool) -> Reported {
    let boot = uuid::Uuid::now_v7().to_string();
    Reported { boot_no, runtime, at: system_time(), ..Reported::blank(node, boot, AGENT.to_owned()) }
}

/// Publishes each of `updates`, for ever; `published` gets the count of each one that NATS acknowledged.
pub async fn publish_reports(
    link: Link,
    prefix: Prefix,
    mut updates: watch::Receiver<ReportUpdate>,
    published: watch::Sender<u64>,
) {
    let (mut seq, mut backoff) = (0, Backoff::default());
    let mut ups = link.ups();
    loop {
        link.up().await;
        ups.mark_unchanged();
        let ReportUpdate { count, mut report } = updates.borrow_and_update().clone();
        seq += 1;
        (report.seq, report.at) = (seq, system_time());
        // Servers keep no more, and with the largest proof the message would exceed the limit of NATS.
        report.drift.truncate(DRIFT_PATHS_MAX);
        let pause = match store_report(&link, &prefix, &report).await {
            Ok(()) => {
                failpoints::REPORT_STORED.reached();
                backoff.reset();
                published.send_replace(count);
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
            changed = updates.changed() => if changed.is_err() { return },
            _ = ups.changed() => {}
        }
    }
}

async fn store_report(link: &Link, prefix: &Prefix, report: &Reported) -> Result<(), String> {
    let subject = prefix.bucket_subject(Bucket::Reported, report.node.as_str());
    let stored = async {
        let sent = link.jetstream().publish(subject, report.write().into()).await.map_err(|error| error.to_string())?;
        sent.await.map_err(|error| error.to_string())
    };
    match timeout(STORED_WITHIN, stored).await {
        Ok(stored) => stored.map(|_| ()),
        Err(_) => Err("NATS did not answer within 5 s: may this user publish its report?".to_owned()),
    }
}
