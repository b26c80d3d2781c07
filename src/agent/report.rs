//! Publishes the node's report to NATS, on change and every 10 s.
//!
//! Invariants: no report has a number that an earlier one of the node had; within one boot each has a higher `seq` than the one before;
//! nothing is queued while NATS is away, so the first report after a reconnect is the current one.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::DirectGetErrorKind;
use bus::connect::Link;
use program::backoff::Backoff;
use program::clock::system_time;
use program::failpoints;
use schema::address::{Bucket, Prefix};
use schema::id::NodeId;
use schema::report::{DRIFT_PATHS_MAX, Reported};
use schema::say::{SIGNATURE_HEADER, Statement};
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::boot_number::BootNumber;

/// Name and version of the agent, in every report.
pub const AGENT: &str = concat!("headwater/", env!("CARGO_PKG_VERSION"));
/// The heartbeat.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How long NATS may take to acknowledge a report, or to give the last one.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A report and its number among the changes, so that a caller can wait until it was published.
#[derive(Clone, Debug)]
pub struct ReportUpdate {
    /// Counts changes of the report in this process.
    pub count: u64,
    /// Complete except for `boot_no`, `seq` and `at`.
    pub report: Reported,
}

/// The first report of a boot, before anything is known. `runtime` says whether the node runs jobs.
#[must_use]
pub fn blank_report(node: NodeId, runtime: bool) -> Reported {
    let boot = uuid::Uuid::now_v7().to_string();
    Reported { runtime, at: system_time(), ..Reported::blank(node, boot, AGENT.to_owned()) }
}

/// Publishes the reports of one boot.
#[derive(Debug)]
pub struct ReportPublisher {
    /// The connection.
    pub link: Link,
    /// What the names in NATS begin with.
    pub prefix: Prefix,
    /// Signs each report.
    pub say: SecretKey,
    /// The number of the boot.
    pub boot_number: BootNumber,
    /// Whether the node connects with its own key, and so may read its last report.
    pub has_own_user: bool,
}

impl ReportPublisher {
    /// Publishes each of `updates`, for ever; `published` gets the count of each one that NATS acknowledged.
    pub async fn run(self, mut updates: watch::Receiver<ReportUpdate>, published: watch::Sender<u64>) {
        self.link.up().await;
        let first = updates.borrow().report.clone();
        let boot_no = self.boot_number.settle(self.least_boot_number(&first).await);
        let (mut seq, mut backoff) = (0, Backoff::default());
        let mut ups = self.link.ups();
        loop {
            self.link.up().await;
            ups.mark_unchanged();
            let ReportUpdate { count, mut report } = updates.borrow_and_update().clone();
            seq += 1;
            (report.boot_no, report.seq, report.at) = (Some(boot_no), seq, system_time());
            // Servers keep no more, and with the largest proof the message would exceed the limit of NATS.
            report.drift.truncate(DRIFT_PATHS_MAX);
            let pause = match self.store(&report).await {
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

    /// The least number that no earlier boot of the node has reported with: one more than in its last report, if the node signed that.
    /// Somebody else may have written it. A node that may not read it, because NATS has older permissions, goes by its own count.
    async fn least_boot_number(&self, own: &Reported) -> u64 {
        let mut backoff = Backoff::default();
        loop {
            match self.last_report(&own.node).await {
                Ok(Some(last)) if last.boot != own.boot => {
                    return last.boot_no.map_or(0, |boot_no| boot_no.saturating_add(1));
                }
                Ok(_) => return 0,
                Err(why) if self.has_own_user => {
                    let pause = backoff.failed();
                    tracing::warn!(%why, ?pause, "the node's last report can't be read, so it can't report yet; trying again");
                    tokio::time::sleep(pause).await;
                    self.link.up().await;
                }
                Err(why) => {
                    tracing::warn!(%why, "the node's last report can't be read; its boots are counted in its folder alone");
                    return 0;
                }
            }
        }
    }

    async fn last_report(&self, node: &NodeId) -> Result<Option<Reported>, String> {
        let stream = self.link.jetstream().get_stream_no_info(self.prefix.bucket_stream(Bucket::Reported)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let read = stream.direct_get_last_for_subject(self.prefix.bucket_subject(Bucket::Reported, node.as_str()));
        match timeout(ANSWER_WITHIN, read).await {
            Ok(Ok(message)) => {
                let signature = message.headers.get(SIGNATURE_HEADER).map_or("", |signature| signature.as_str());
                let is_own = Statement::Report.is_signed(&self.say.public(), &message.payload, signature);
                Ok(Reported::read(&message.payload).ok().filter(|_| is_own))
            }
            Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("NATS did not answer within 5 s: may this user read its own report?".to_owned()),
        }
    }

    async fn store(&self, report: &Reported) -> Result<(), String> {
        let subject = self.prefix.bucket_subject(Bucket::Reported, report.node.as_str());
        let message = report.write();
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, Statement::Report.sign(&self.say, &message));
        let stored = async {
            let sent = self.link.jetstream().publish_with_headers(subject, headers, message.into()).await;
            sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        };
        match timeout(ANSWER_WITHIN, stored).await {
            Ok(stored) => stored.map(|_| ()),
            Err(_) => Err("NATS did not answer within 5 s: may this user publish its report?".to_owned()),
        }
    }
}
