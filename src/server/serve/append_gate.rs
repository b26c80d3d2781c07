//! Whether the log in PostgreSQL goes on from what was made public of it: a database that was put back to an earlier state
//! does not, and whoever appended to it would tell another story from there.
//!
//! What always holds: nothing is appended before the log was compared once with what is public, nor while the two differ;
//! whoever asks is told why. What can't be compared now, after it once was, changes nothing: the appender holds what it
//! folded itself against the head each time. Absent on purpose: any mending, which is for a person to choose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::connect::Link;
use schema::address::Prefix;
use schema::id::NodeId;
use schema::position::Position;
use store::log::Log;
use store::reader::Head;
use tokio::time::Instant;

use crate::fleet::listener::ReportListener;
use crate::publish::Error as PublishError;
use crate::publish::checkpoint_bucket::{CheckpointBucket, PublishedCheckpoint};
use crate::publish::nats_clock;
use crate::publish::stream_comparison::{ExcessOrigin, StreamComparison};
use crate::relay::checkpoint_signer::{Error, goes_on_from, has_proven};

/// How often the two are compared.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long it is waited at a start for nodes whose reports NATS has lost: they report every 10 s.
const LISTEN_FOR: Duration = Duration::from_secs(15);
/// How often it is looked whether they were heard.
const LISTEN_EVERY: Duration = Duration::from_millis(200);
/// What is said before they were compared.
const NOT_YET: &str = "the log was not yet compared with what was made public of it, so nothing is appended";

/// What is looked at.
pub(super) struct Outlook {
    pub(super) log: Log,
    pub(super) link: Link,
    pub(super) prefix: Prefix,
    pub(super) reports: ReportListener,
    pub(super) events: StreamComparison,
    /// Whether somebody else wrote to the event stream. The relay takes it out, and publishes no events meanwhile.
    pub(super) strays: Arc<AtomicBool>,
}

impl Outlook {
    /// Lets nothing be appended before the first look.
    pub(super) fn withhold_at_first(&self) {
        self.log.withhold(Some(format!("{NOT_YET}: NATS can't be reached")));
    }

    /// Looks for ever.
    pub(super) async fn keep(mut self) {
        let mut listens_until = None;
        loop {
            self.link.up().await;
            match nats_clock::read(&self.link.jetstream(), &self.prefix).await {
                Ok(time) => self.log.nats_clock().said(time),
                Err(error) => tracing::debug!(%error, "NATS's time is not known"),
            }
            match self.compare().await {
                Ok(()) if self.listens(&mut listens_until) => {
                    tokio::time::sleep(LISTEN_EVERY).await;
                    continue;
                }
                Ok(()) => {
                    if self.log.withheld().is_some() {
                        tracing::info!("the log goes on from what is public: it may be appended to");
                    }
                    self.log.withhold(None);
                }
                Err(error) if passes(&error) => {
                    tracing::warn!(%error, "the log can't be compared with what is public");
                    if self.log.withheld().is_some_and(|reason| reason.starts_with(NOT_YET)) {
                        self.log.withhold(Some(format!("{NOT_YET}: {error}")));
                    }
                }
                Err(differs) => {
                    if self.log.withheld().as_ref() != Some(&differs.to_string()) {
                        tracing::error!(%differs, "nothing is appended: see `headwater recover`");
                    }
                    self.log.withhold(Some(differs.to_string()));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether it is still waited for nodes: at a start, until all that reported before were heard, and not for long.
    fn listens(&self, until: &mut Option<Instant>) -> bool {
        if !self.log.withheld().is_some_and(|reason| reason.starts_with(NOT_YET)) {
            return false;
        }
        let until = *until.get_or_insert_with(|| Instant::now() + LISTEN_FOR);
        let Some(why) = self.unheard().filter(|_| Instant::now() < until) else { return false };
        self.log.withhold(Some(format!("{NOT_YET}: {why}")));
        true
    }

    /// What is public is read first: whatever is public by then is in the log by the time that is read. But with a
    /// synchronous standby the write-ahead log brings an event before the table shows it, for as long as the commit waits:
    /// only a head that is still behind once that has let go of its lock was put back.
    async fn compare(&mut self) -> Result<(), Error> {
        let table = self.log.reader().clone();
        let public = self.events.last().await?;
        let kept = CheckpointBucket::new(self.link.jetstream(), self.prefix.clone()).read().await?;
        let mut head = table.head().await?;
        if public > head.position {
            head = table.head_at_rest().await?;
        }
        match self.hold(public, &kept, head).await {
            Err(Error::Publish(PublishError::Forked { .. }) | Error::Ahead { .. } | Error::NodeAhead { .. }) => {
                self.hold(public, &kept, table.head_at_rest().await?).await
            }
            held => held,
        }
    }

    /// Holds a head against what is public and what is kept outside.
    async fn hold(&mut self, public: Position, kept: &PublishedCheckpoint, head: Head) -> Result<(), Error> {
        let excess = self.events.excess(public, head.position, public, &self.log.view()).await?;
        let strays = excess.as_ref().is_some_and(|excess| matches!(excess.origin, ExcessOrigin::Stray(_)));
        self.strays.store(strays, Ordering::Relaxed);
        if let Some(excess) = excess.filter(|_| !strays) {
            return Err(excess.refused(self.prefix.event_stream(), head.position).into());
        }
        let table = self.log.reader();
        goes_on_from(table, kept, (head.position, head.root)).await?;
        has_proven(table, self.reports.furthest(), head.position).await
    }

    /// Who may hold more than the log: a node that reported before, as the log knows, and of which NATS has no report, because
    /// it lost what nodes had said; or one that says so, before it has found out whether NATS holds what would prove it.
    fn unheard(&self) -> Option<String> {
        let state = self.log.view();
        let takes_part = |node: &&NodeId| state.nodes().get(*node).is_some_and(|node| !node.retired);
        state.reports().keys().filter(takes_part).find_map(|node| match self.reports.heard(node) {
            None => Some(format!("NATS lost what nodes had reported, and {node} was not heard again")),
            Some(heard) => {
                let seen = heard.report.seen?.position;
                let proves = format!("node {node} says that it has seen position {seen}, and has yet to prove it");
                (seen > state.position()).then_some(proves)
            }
        })
    }
}

/// Whether it may be compared later without anybody's doing.
fn passes(error: &Error) -> bool {
    match error {
        Error::Log(error) => error.is_transient(),
        Error::Publish(error) => error.is_transient(),
        _ => false,
    }
}
