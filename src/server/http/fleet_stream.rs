//! The live stream of the fleet's table: a table, then what changes in it.
//!
//! Always: all viewers are served by one task, which computes the table at most four times a second and takes at most a tenth of a core for
//! it. A viewer that reads too slowly gets a whole table in place of the changes that it missed; what waits for it holds a memory permit.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use futures::stream::unfold;
use program::tasks::run_blocking;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};

use crate::event_log::UnavailableError;
use crate::http::auth::AuthenticatedState;
use crate::http::context::AppState;
use crate::http::fleet_feed::{NewestTable, TableMessage, TablePublisher, TableSource};
use crate::http::fleet_rows::FleetRows;
use crate::http::guarded_body::guard_bytes;
use crate::http::problem::ProblemResponse;
use crate::http::stream_session::{COMMENT, StreamSession, StreamTurn, message, stream_response};

/// The pause between two tables.
const COMPUTE_EVERY: Duration = Duration::from_millis(250);
/// How many times as long as it took to compute a table the pause is at least, so that a large fleet leaves the cores to others.
const PAUSE_FACTOR: u32 = 9;
/// Rows of a change. With more, a table has fewer bytes.
const CHANGED_ROWS_MAX: usize = 2_000;

/// The names of the messages.
const TABLE: &str = "table";
const CHANGE: &str = "change";

struct TableViewer {
    session: StreamSession,
    source: Arc<TableSource>,
    messages: broadcast::Receiver<TableMessage>,
    /// The table that the viewer has; 0 for none.
    number: u64,
}

/// Opens a stream of the table.
pub(super) async fn open(app: AuthenticatedState) -> Result<Response, ProblemResponse> {
    let session = StreamSession::open(app)?;
    let shared = AppState::clone(&session.app);
    let source = session.app.fleet_feed().join(|publisher| drop(tokio::spawn(compute_tables(shared, publisher))));
    let messages = source.messages.resubscribe();
    let mut viewer = TableViewer { session, source, messages, number: 0 };
    let first = viewer.whole_table().await?;
    let shown = unfold((Some(first), viewer), |(first, mut viewer)| async {
        let next = match first {
            Some(first) => first,
            None => viewer.next().await?,
        };
        Some((next, (None, viewer)))
    });
    Ok(stream_response(shown))
}

/// Computes tables as long as somebody looks and the server runs.
async fn compute_tables(app: AppState, publisher: TablePublisher) {
    while publisher.is_watched() && !app.closing().is_cancelled() {
        // The pause depends on the time of the work alone: waiting for the log uses no processor.
        let snapshot = app.present_for_nodes().await;
        let begun = Instant::now();
        let (scanned, last) = (app.clone(), publisher.last());
        let computed = run_blocking(move || {
            let rows = scanned.scan_fleet(&snapshot);
            let Some(last) = last else { return Some((NewestTable::new(1, rows), None)) };
            let message = difference(&rows, &last.rows)?;
            Some((NewestTable::new(last.number + 1, rows), Some(message)))
        });
        if let Some((table, message)) = computed.await {
            publisher.publish(table, message);
        }
        let pause = COMPUTE_EVERY.max(begun.elapsed() * PAUSE_FACTOR);
        app.closing().run_until_cancelled(sleep(pause)).await;
    }
}

/// The message that makes the table of the one before; none if they are the same.
fn difference(rows: &FleetRows, earlier: &FleetRows) -> Option<Bytes> {
    let change = rows.change_since(earlier)?;
    Some(match change.rows.len() > CHANGED_ROWS_MAX {
        true => table_message(rows),
        false => message(rows.position, CHANGE, &to_json(&change)),
    })
}

fn table_message(rows: &FleetRows) -> Bytes {
    message(rows.position, TABLE, &to_json(&rows.table()))
}

fn to_json(shown: &impl Serialize) -> String {
    serde_json::to_string(shown).expect("BUG: a table is text and numbers")
}

impl TableViewer {
    /// The next message to send; none ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.session.is_over() {
                return None;
            }
            let received = self.messages.recv();
            let bytes = match self.session.wait(async { Some(received.await) }).await? {
                StreamTurn::Idle => return Some(COMMENT),
                StreamTurn::Next(Ok(known)) if known.number <= self.number => continue,
                StreamTurn::Next(Ok(TableMessage { number, bytes })) => {
                    self.number = number;
                    self.guarded(bytes).await
                }
                StreamTurn::Next(Err(RecvError::Lagged(_))) => self.whole_table().await,
                StreamTurn::Next(Err(RecvError::Closed)) => return None,
            };
            let bytes = bytes.inspect_err(|problem| tracing::debug!(?problem, "a live table ends early")).ok()?;
            // Memory may have been waited for.
            return (!self.session.is_over()).then_some(bytes);
        }
    }

    /// The newest table, as soon as there is one.
    async fn whole_table(&mut self) -> Result<Bytes, ProblemResponse> {
        let mut newest = self.source.newest.clone();
        let table = newest.wait_for(Option::is_some).await.ok().and_then(|table| table.clone());
        let Some(table) = table else {
            return Err(UnavailableError("the table of the fleet can't be computed".to_owned()).into());
        };
        self.number = table.number;
        let bytes = run_blocking(move || table.message.get_or_init(|| table_message(&table.rows)).clone()).await;
        self.guarded(bytes).await
    }

    /// The bytes with a permit for their memory, which is held until they were sent.
    async fn guarded(&self, bytes: Bytes) -> Result<Bytes, ProblemResponse> {
        let memory = self.session.app.reserve_memory(bytes.len()).await?;
        Ok(guard_bytes(bytes, &Arc::new(memory)))
    }
}
