//! What all viewers of the fleet's table share: the newest table, and the changes that led to it.
//!
//! Always: at most one task computes tables, and only while somebody holds a [`TableSource`]. It keeps one table, and the last
//! [`CHANGES_KEPT`] messages, however many viewers there are and however slowly they read.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{broadcast, watch};

use crate::http::fleet_rows::FleetRows;

/// Messages that a viewer may be behind before it gets a whole table: four seconds of them.
const CHANGES_KEPT: usize = 16;

/// The table as it was computed last, whole.
#[derive(Debug)]
pub(super) struct NewestTable {
    /// Counts the tables from 1.
    pub(super) number: u64,
    pub(super) rows: FleetRows,
    /// The table as a message, once a viewer needed it.
    pub(super) message: OnceLock<Bytes>,
}

/// A message to all viewers, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct TableMessage {
    /// The table that a viewer has after it.
    pub(super) number: u64,
    pub(super) bytes: Bytes,
}

/// Where viewers get tables and messages from. Both channels close when the task has ended.
#[derive(Debug)]
pub(super) struct TableSource {
    /// None until the first table was computed.
    pub(super) newest: watch::Receiver<Option<Arc<NewestTable>>>,
    pub(super) messages: broadcast::Receiver<TableMessage>,
}

/// The task's side.
#[derive(Debug)]
pub(super) struct TablePublisher {
    newest: watch::Sender<Option<Arc<NewestTable>>>,
    messages: broadcast::Sender<TableMessage>,
    source: Weak<TableSource>,
}

/// The source that viewers share, as long as there are any.
#[derive(Debug, Default)]
pub(super) struct FleetFeed(Mutex<Weak<TableSource>>);

impl NewestTable {
    pub(super) fn new(number: u64, rows: FleetRows) -> Self {
        Self { number, rows, message: OnceLock::new() }
    }
}

impl FleetFeed {
    /// The source; `begin` starts the task if there is none.
    pub(super) fn join(&self, begin: impl FnOnce(TablePublisher)) -> Arc<TableSource> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A task that has panicked has closed its channels, and gets a successor.
        if let Some(source) = shared.upgrade().filter(|source| source.newest.has_changed().is_ok()) {
            return source;
        }
        let ((newest, tables), (messages, received)) = (watch::channel(None), broadcast::channel(CHANGES_KEPT));
        let source = Arc::new(TableSource { newest: tables, messages: received });
        *shared = Arc::downgrade(&source);
        begin(TablePublisher { newest, messages, source: Arc::downgrade(&source) });
        source
    }
}

impl TablePublisher {
    /// Whether anybody looks. Once nobody does, nobody ever will: the next viewer gets a source of its own.
    pub(super) fn is_watched(&self) -> bool {
        self.source.strong_count() > 0
    }

    /// The table that was published last.
    pub(super) fn last(&self) -> Option<Arc<NewestTable>> {
        self.newest.borrow().clone()
    }

    /// Publishes a table, and the message that makes it of the one before, if there was one.
    pub(super) fn publish(&self, table: NewestTable, message: Option<Bytes>) {
        let number = table.number;
        // The table comes first: a viewer that takes it skips the message that made it.
        self.newest.send_replace(Some(Arc::new(table)));
        if let Some(bytes) = message {
            // All viewers may have gone meanwhile.
            drop(self.messages.send(TableMessage { number, bytes }));
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::instant::Instant;

    use super::*;

    fn table(number: u64) -> NewestTable {
        let rows = FleetRows { position: number.into(), at: Instant::default(), is_past: false, rows: Vec::new() };
        NewestTable::new(number, rows)
    }

    #[test]
    fn viewers_share_one_task_which_ends_after_the_last_of_them() {
        let feed = FleetFeed::default();
        let mut begun = Vec::new();
        let first = feed.join(|publisher| begun.push(publisher));
        let second = feed.join(|publisher| begun.push(publisher));
        assert!(Arc::ptr_eq(&first, &second) && begun.len() == 1);
        drop(first);
        assert!(begun[0].is_watched());
        drop(second);
        assert!(!begun[0].is_watched());
        drop(feed.join(|publisher| begun.push(publisher)));
        assert_eq!(begun.len(), 2, "the next viewer starts another one");
    }

    #[test]
    fn a_task_that_broke_down_gets_a_successor() {
        let feed = FleetFeed::default();
        let broken = feed.join(drop);
        let next = feed.join(|publisher| publisher.publish(table(1), None));
        assert!(!Arc::ptr_eq(&broken, &next));
    }

    #[test]
    fn the_table_is_there_before_the_message_that_made_it() {
        let feed = FleetFeed::default();
        let mut begun = None;
        let source = feed.join(|publisher| begun = Some(publisher));
        let publisher = begun.expect("it began");
        let mut messages = source.messages.resubscribe();
        for number in 1..=20 {
            publisher.publish(table(number), Some(Bytes::from_static(b"data")));
        }
        let missed = messages.try_recv();
        assert!(matches!(missed, Err(broadcast::error::TryRecvError::Lagged(4))), "{missed:?}");
        assert_eq!(messages.try_recv().map(|message| message.number), Ok(5));
        assert_eq!(publisher.last().map(|last| last.number), Some(20));
    }
}
