//! The append gate: closed until the log was compared with what was published of it, and while the two differ.
//!
//! Appending to a database that was restored from a backup would fork the published history. So the gate compares the log with the
//! event stream, with the newest checkpoint outside PostgreSQL and with what nodes prove, again and again:
//!
//! | gate | the comparison says | then |
//! |---|---|---|
//! | closed, not compared | the log goes on, and all nodes that take part were heard, or 15 s are over | open |
//! | closed, not compared | the log goes on, and a node may hold more of it | closed, not compared: which node |
//! | closed, not compared | it could not be made | closed, not compared: the error |
//! | open, or closed as forked | it could not be made | as it was: the appender checks the head at each transaction |
//! | any | the log does not go on | closed, forked |
//! | open, or closed as forked | the log goes on | open |
//!
//! A caller is given the reason. Absent on purpose: any repair, which is for a person to choose (`headwater recover`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::connect::Link;
use replay::stray::StrayError;
use schema::address::Prefix;
use schema::id::NodeId;
use schema::position::Position;
use store::log::Log;
use store::reader::Head;
use tokio::time::{Instant, sleep};

use crate::continuity::{ContinuityError, check_checkpoint, check_node_proof};
use crate::fleet::listener::ReportListener;
use crate::publish::Error as PublishError;
use crate::publish::checkpoint_bucket::{CheckpointBucket, PublishedCheckpoint};
use crate::publish::nats_clock;
use crate::publish::stream_comparison::{StreamComparison, StreamExcess};

const COMPARE_EVERY: Duration = Duration::from_secs(2);
/// How long a starting server waits for nodes whose reports NATS has lost: nodes report every 10 s.
const LISTEN_FOR: Duration = Duration::from_secs(15);
/// How often it compares meanwhile.
const LISTEN_EVERY: Duration = Duration::from_millis(200);

/// Whether requests may be appended.
#[derive(Debug)]
enum AppendGate {
    Open,
    Closed(CloseReason),
}

#[derive(Debug)]
enum CloseReason {
    /// The log was never compared with what was published, for this reason.
    NotCompared(Obstacle),
    /// The log does not go on from what was published, signed or proven.
    Forked(ContinuityError),
}

/// What keeps the first comparison from being complete.
#[derive(Debug)]
enum Obstacle {
    NatsUnreachable,
    Failed(ContinuityError),
    /// The log knows that this node reported, and NATS has no report of it: it lost what nodes had reported.
    ReportLost(NodeId),
    /// The node claims to have seen this position, which the log does not have, and has not proven it yet.
    NotProven(NodeId, Position),
}

/// The result of a comparison.
enum Comparison {
    GoesOn,
    /// The log goes on, but a node that was not heard yet may hold more of it.
    Incomplete(Obstacle),
    Failed(ContinuityError),
    Forked(ContinuityError),
}

impl AppendGate {
    /// The gate after a comparison: the table above.
    fn after(self, comparison: Comparison) -> Self {
        use CloseReason::{Forked, NotCompared};
        match (self, comparison) {
            (_, Comparison::Forked(error)) => Self::Closed(Forked(error)),
            (Self::Closed(NotCompared(_)), Comparison::Failed(error)) => {
                Self::Closed(NotCompared(Obstacle::Failed(error)))
            }
            (Self::Closed(NotCompared(_)), Comparison::Incomplete(obstacle)) => Self::Closed(NotCompared(obstacle)),
            (gate, Comparison::Failed(_)) => gate,
            (_, Comparison::GoesOn | Comparison::Incomplete(_)) => Self::Open,
        }
    }

    fn is_compared(&self) -> bool {
        !matches!(self, Self::Closed(CloseReason::NotCompared(_)))
    }

    /// What a caller is told; nothing if the gate is open.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Closed(reason) => Some(reason.to_string()),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCompared(obstacle) => write!(
                f,
                "the log was not yet compared with what was made public of it, so nothing is appended: {obstacle}"
            ),
            Self::Forked(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NatsUnreachable => write!(f, "NATS can't be reached"),
            Self::Failed(error) => error.fmt(f),
            Self::ReportLost(node) => write!(f, "NATS lost what nodes had reported, and {node} was not heard again"),
            Self::NotProven(node, seen) => {
                write!(f, "node {node} says that it has seen position {seen}, and has yet to prove it")
            }
        }
    }
}

/// Opens and closes the append gate of one log.
pub(super) struct AppendGateKeeper {
    gate: AppendGate,
    log: Log,
    link: Link,
    prefix: Prefix,
    reports: ReportListener,
    events: StreamComparison,
    /// The end of the event stream at the comparison before.
    public: Position,
    /// Up to here the events of the stream were compared with the log's one by one.
    agreed: Position,
    /// Whether the event stream has foreign messages. The relay removes them, and publishes no events meanwhile.
    strays: Arc<AtomicBool>,
    /// Until when a starting server waits for nodes that were not heard yet.
    listens_until: Option<Instant>,
}

impl AppendGateKeeper {
    /// Closes the gate until the first comparison.
    pub(super) fn closed(
        log: Log,
        link: Link,
        prefix: Prefix,
        reports: ReportListener,
        events: StreamComparison,
        strays: Arc<AtomicBool>,
    ) -> Self {
        let gate = AppendGate::Closed(CloseReason::NotCompared(Obstacle::NatsUnreachable));
        log.withhold(gate.reason());
        let (public, agreed) = (Position::ZERO, Position::ZERO);
        Self { gate, log, link, prefix, reports, events, public, agreed, strays, listens_until: None }
    }

    /// Compares for ever.
    pub(super) async fn run(mut self) {
        loop {
            self.link.up().await;
            match nats_clock::read(&self.link.jetstream(), &self.prefix).await {
                Ok(time) => self.log.nats_clock().said(time),
                Err(error) => tracing::debug!(%error, "the time of NATS is not known"),
            }
            let comparison = match self.compare().await {
                Ok(()) => self.unheard_node().map_or(Comparison::GoesOn, Comparison::Incomplete),
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "the log can't be compared with what was published");
                    Comparison::Failed(error)
                }
                Err(error) => Comparison::Forked(error),
            };
            let pause = if matches!(comparison, Comparison::Incomplete(_)) { LISTEN_EVERY } else { COMPARE_EVERY };
            self.move_gate(comparison);
            sleep(pause).await;
        }
    }

    fn move_gate(&mut self, comparison: Comparison) {
        let before = self.gate.reason();
        let gate = std::mem::replace(&mut self.gate, AppendGate::Open);
        self.gate = gate.after(comparison);
        let reason = self.gate.reason();
        if reason != before {
            match &self.gate {
                AppendGate::Open => tracing::info!("append gate opened: the log goes on from what was published"),
                AppendGate::Closed(CloseReason::Forked(error)) => {
                    tracing::error!(%error, "append gate closed: see `headwater recover`");
                }
                AppendGate::Closed(CloseReason::NotCompared(_)) => {}
            }
            self.log.withhold(reason);
        }
    }

    /// A node that may hold more than the log, before the gate was open for the first time and while it waits for such nodes: one that
    /// reported before, as the log knows, and of which NATS has no report; or one that claims more than it has proven yet.
    fn unheard_node(&mut self) -> Option<Obstacle> {
        if self.gate.is_compared() {
            return None;
        }
        let until = *self.listens_until.get_or_insert_with(|| Instant::now() + LISTEN_FOR);
        let state = self.log.view();
        let takes_part = |node: &&NodeId| state.nodes().get(*node).is_some_and(|node| !node.retired);
        let mut nodes = state.reports().keys().filter(takes_part);
        let obstacle = nodes.find_map(|node| match self.reports.heard(node) {
            None => Some(Obstacle::ReportLost(node.clone())),
            Some(heard) => {
                let seen = heard.report.seen?.position;
                (seen > state.position()).then(|| Obstacle::NotProven(node.clone(), seen))
            }
        });
        obstacle.filter(|_| Instant::now() < until)
    }

    /// What is public is read before the log's head, because what is public then is in the log by the time that its head is read. But
    /// with a synchronous standby the write-ahead log brings an event before the table shows it, for as long as the commit waits: only
    /// a head that is still behind after that commit released its lock was restored from a backup.
    async fn compare(&mut self) -> Result<(), ContinuityError> {
        let table = self.log.reader().clone();
        let public = self.events.last().await?;
        let checkpoint = CheckpointBucket::new(self.link.jetstream(), self.prefix.clone()).read().await?;
        let mut head = table.head().await?;
        if public > head.position {
            head = table.head_at_rest().await?;
        }
        match self.compare_with(public, &checkpoint, head).await {
            Err(error) if error.is_about_length() => {
                self.compare_with(public, &checkpoint, table.head_at_rest().await?).await
            }
            compared => compared,
        }
    }

    async fn compare_with(
        &mut self,
        public: Position,
        checkpoint: &PublishedCheckpoint,
        head: Head,
    ) -> Result<(), ContinuityError> {
        let strays = self.compare_events(public, head.position).await;
        // A comparison that could not be made says nothing about foreign messages.
        if !strays.as_ref().is_err_and(PublishError::is_transient) {
            self.strays.store(matches!(strays, Ok(Some(_))), Ordering::Relaxed);
        }
        strays?;
        let table = self.log.reader();
        check_checkpoint(table, checkpoint, (head.position, head.root)).await?;
        check_node_proof(table, self.reports.furthest_proof(), head.position).await
    }

    /// The foreign messages in the event stream. While its end moves and the gate is open, only the ends are compared, because the
    /// relay stops at a foreign message. Otherwise the events are compared one by one: a foreign message may stand before some that
    /// were in flight with the event whose place it took.
    async fn compare_events(
        &mut self,
        public: Position,
        head: Position,
    ) -> Result<Option<(StreamExcess, StrayError)>, PublishError> {
        let is_one_by_one = public == self.public || !matches!(self.gate, AppendGate::Open);
        self.public = public;
        if public < self.agreed {
            // The stream was rebuilt.
            self.agreed = Position::ZERO;
        }
        let known = if is_one_by_one { self.agreed } else { public };
        let strays = self.events.strays(public, head, known, &self.log.view()).await?;
        if strays.is_none() && is_one_by_one {
            self.agreed = public.min(head);
        }
        Ok(strays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_compared() -> AppendGate {
        AppendGate::Closed(CloseReason::NotCompared(Obstacle::NatsUnreachable))
    }

    fn forked() -> ContinuityError {
        ContinuityError::Ahead { kept: 9.into(), head: 7.into() }
    }

    fn unreachable() -> ContinuityError {
        PublishError::nats("reading", "no answer").into()
    }

    fn unproven() -> Obstacle {
        Obstacle::NotProven("n1".parse().expect("an id"), 9.into())
    }

    #[test]
    fn the_gate_opens_after_a_whole_comparison_only() {
        assert!(matches!(not_compared().after(Comparison::GoesOn), AppendGate::Open));
        for comparison in [Comparison::Failed(unreachable()), Comparison::Incomplete(unproven())] {
            let gate = not_compared().after(comparison);
            assert!(!gate.is_compared());
            let reason = gate.reason().expect("it is closed");
            assert!(reason.contains("no answer") || reason.contains("n1"), "{reason}");
        }
    }

    #[test]
    fn a_log_that_does_not_go_on_closes_the_gate_until_it_does() {
        for gate in [AppendGate::Open, not_compared(), AppendGate::Closed(CloseReason::Forked(forked()))] {
            let closed = gate.after(Comparison::Forked(forked()));
            assert_eq!(closed.reason(), Some(forked().to_string()));
            let closed = closed.after(Comparison::Failed(unreachable()));
            assert_eq!(closed.reason(), Some(forked().to_string()), "what can't be compared changes nothing");
            assert!(matches!(closed.after(Comparison::GoesOn), AppendGate::Open));
        }
    }

    #[test]
    fn an_open_gate_stays_open_while_nothing_can_be_compared() {
        assert!(matches!(AppendGate::Open.after(Comparison::Failed(unreachable())), AppendGate::Open));
    }
}
