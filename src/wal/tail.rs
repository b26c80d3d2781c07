//! Following: whole transactions in commit order, and what may be acknowledged when.
//!
//! A transaction is acknowledged by whoever received it, once everything derived from it is safe. What lies between
//! transactions is acknowledged here, and only while nothing is open and nothing is outstanding: without that PostgreSQL
//! could neither shut down quickly nor recycle its write-ahead log on an idle log. None of it is remembered anywhere.

use std::time::Duration;

use futures::FutureExt as _;
use pgwire_replication::{Lsn, ReplicationClient, ReplicationEvent};
use schema::address::HEARTBEAT;
use schema::event::Event;
use schema::id::LogId;
use tokio::task::coop::has_budget_remaining;
use tokio::task::yield_now;
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout_at};
use tokio_postgres::Client;

use super::Error;
use super::decode::Decoder;
use super::publication;
use super::session::answered;
use super::tunnel::Tunnel;

/// How often a heartbeat is written into the write-ahead log.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(4);
/// How long after a heartbeat nothing at all may come through. A frozen walsender keeps its socket open, so that only
/// this finds it out.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Events that are handed over at once at most, unless one transaction has more.
const BATCH_EVENTS: usize = 4_096;
/// If so many events are ready and another transaction follows them, the reader is behind. Then it waits this long for more events before it
/// hands the batch over: a large batch costs less for each event, because a node gets one record for all changes in it.
const BACKLOG_EVENTS: usize = 256;
const MORE_WITHIN: Duration = Duration::from_millis(20);
/// Bytes of their data that are handed over at once at most, unless one transaction has more. What comes after waits in
/// PostgreSQL.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A slot that is held, and the stream that it gives.
pub struct Tail {
    client: ReplicationClient,
    /// What the stream comes through, if TLS is spoken. It ends with the stream.
    _tunnel: Option<Tunnel>,
    control: Client,
    decoder: Decoder,
    heartbeat: Interval,
    /// When the oldest heartbeat was written that nothing was heard since.
    waiting: Option<Instant>,
    /// Events of the transaction that is coming in.
    open: Option<Vec<Event>>,
    /// Events of whole transactions that were not handed over yet.
    ready: Vec<Event>,
    /// How many transactions these are.
    ready_transactions: usize,
    /// How much data they have.
    ready_bytes: usize,
    /// Until when more may come that is handed over with them, where there is a backlog.
    more_until: Option<Instant>,
    /// The end of the last whole transaction that came in.
    received: Lsn,
    /// The end of the last transaction that was acknowledged.
    acknowledged: Lsn,
}

/// Whole transactions.
#[derive(Debug)]
pub struct Batch {
    /// Their events in the order of the log.
    pub events: Vec<Event>,
    /// What to acknowledge once everything derived from them is safe.
    pub receipt: Receipt,
}

/// Stands for a batch that was handed over.
#[derive(Debug)]
pub struct Receipt(Lsn);

impl Tail {
    pub(crate) fn new(client: ReplicationClient, tunnel: Option<Tunnel>, control: Client, log_id: LogId) -> Self {
        let mut heartbeat = tokio::time::interval(HEARTBEAT_EVERY);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            client,
            _tunnel: tunnel,
            control,
            decoder: Decoder::new(log_id),
            heartbeat,
            waiting: None,
            open: None,
            ready: Vec::new(),
            ready_transactions: 0,
            ready_bytes: 0,
            more_until: None,
            received: Lsn::default(),
            acknowledged: Lsn::default(),
        }
    }

    /// Waits for the next whole transaction, and takes with it those that have come in already. It may be cancelled and
    /// called again; nothing is lost.
    ///
    /// # Errors
    /// If the stream broke, fell silent or makes no sense, or the publication is not what it must be. It is of no use then.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        loop {
            self.take_what_came().await?;
            if !self.ready.is_empty() {
                (self.ready_transactions, self.ready_bytes, self.more_until) = (0, 0, None);
                return Ok(Batch { events: std::mem::take(&mut self.ready), receipt: Receipt(self.received) });
            }
            self.wait().await?;
        }
    }

    /// Takes what has come in already, up to a limit; behind a backlog also what comes within a moment.
    async fn take_what_came(&mut self) -> Result<(), Error> {
        while self.ready.len() < BATCH_EVENTS && self.ready_bytes < BATCH_BYTES {
            let heard = match self.client.recv().now_or_never() {
                Some(heard) => heard?,
                // Tokio lets a task receive a limited number of messages at once, and then says that the channel is empty.
                None if !has_budget_remaining() => {
                    yield_now().await;
                    continue;
                }
                None if !self.is_behind() => break,
                None => {
                    let until = *self.more_until.get_or_insert_with(|| Instant::now() + MORE_WITHIN);
                    match timeout_at(until, self.client.recv()).await {
                        Ok(heard) => heard?,
                        Err(_) => break,
                    }
                }
            };
            self.hear(heard)?;
        }
        Ok(())
    }

    /// Whether there is a backlog. One transaction alone, however large, tells nothing of what comes behind it.
    fn is_behind(&self) -> bool {
        let has_more = self.ready_transactions > 1 || self.open.is_some();
        has_more && self.ready.len() >= BACKLOG_EVENTS
    }

    /// Tells PostgreSQL that it may forget everything up to the end of a batch.
    pub fn acknowledge(&mut self, receipt: Receipt) {
        self.acknowledged = receipt.0;
        self.client.update_applied_lsn(receipt.0);
    }

    /// Waits until something is heard, or a heartbeat is due, or the silence has lasted too long.
    async fn wait(&mut self) -> Result<(), Error> {
        let silent_at = self.waiting.map_or_else(|| Instant::now() + HEARTBEAT_EVERY * 2, |since| since + SILENCE_MAX);
        tokio::select! {
            biased;
            heard = self.client.recv() => self.hear(heard?),
            _ = self.heartbeat.tick() => {
                self.waiting.get_or_insert_with(Instant::now);
                let emit = "SELECT pg_logical_emit_message(false, $1, '')";
                answered(self.control.execute(emit, &[&HEARTBEAT])).await?;
                // Its changes may be skipped without a word.
                match publication::fault(&self.control).await? {
                    None => Ok(()),
                    Some(fault) => Err(Error::Publication(fault)),
                }
            }
            () = tokio::time::sleep_until(silent_at) => match self.waiting {
                Some(_) => Err(Error::Silent),
                None => Ok(()),
            },
        }
    }

    fn hear(&mut self, heard: Option<ReplicationEvent>) -> Result<(), Error> {
        self.waiting = None;
        match heard.ok_or(Error::Ended)? {
            ReplicationEvent::Begin { .. } => self.open = Some(Vec::new()),
            ReplicationEvent::XLogData { data, .. } => {
                let event = self.decoder.read(&data)?;
                if let (Some(open), Some(event)) = (&mut self.open, event) {
                    open.push(event);
                }
            }
            ReplicationEvent::Commit { end_lsn, .. } => self.close(end_lsn),
            ReplicationEvent::KeepAlive { wal_end, .. } => self.quiet(wal_end),
            ReplicationEvent::Message { lsn, .. } => self.quiet(lsn),
            _ => {}
        }
        Ok(())
    }

    /// A transaction has come in whole. One without events leaves nothing to be made safe.
    fn close(&mut self, end: Lsn) {
        let events = self.open.take().unwrap_or_default();
        if events.is_empty() {
            return self.quiet(end);
        }
        self.received = end;
        self.ready_transactions += 1;
        self.ready_bytes += events.iter().map(|event| event.data.len()).sum::<usize>();
        self.ready.extend(events);
    }

    /// Everything before `reached` has come in; acknowledge it if all of that is safe.
    fn quiet(&mut self, reached: Lsn) {
        if self.is_settled() && self.open.is_none() {
            self.client.update_applied_lsn(reached);
        }
    }

    fn is_settled(&self) -> bool {
        self.ready.is_empty() && self.received == self.acknowledged
    }
}
