//! Opening and folding the log at a server's start, while PostgreSQL may be starting too.

use std::time::Duration;

use store::appender::Appender;
use store::database::{Database, Error as LogError};
use store::log::Log;
use store::reader::Reader;
use tokio::time::{Instant, sleep, timeout};

/// How long a server waits for PostgreSQL at its start before it gives up: databases and servers start together.
const DATABASE_WITHIN: Duration = Duration::from_secs(30);
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// How often the same reason for waiting is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(5);
/// When a session that PostgreSQL neither opens nor refuses is logged.
const LOGGED_AFTER: Duration = Duration::from_secs(2);

/// Folds the log, waiting a while for PostgreSQL.
pub(super) async fn open(database: Database) -> Result<(Appender, Log), LogError> {
    let deadline = Instant::now() + DATABASE_WITHIN;
    let mut logged: Option<(String, Instant)> = None;
    loop {
        let opened = async { Appender::start(open_reader(&database).await?).await };
        match opened.await {
            Ok(opened) => return Ok(opened),
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                let text = error.to_string();
                if logged.as_ref().is_none_or(|(before, at)| *before != text || at.elapsed() > LOGGED_EVERY) {
                    let left = deadline.saturating_duration_since(Instant::now()).as_secs();
                    tracing::warn!(%error, "waiting for PostgreSQL: trying again twice a second, for {left} s more");
                    logged = Some((text, Instant::now()));
                }
                sleep(RETRY_EVERY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn open_reader(database: &Database) -> Result<Reader, LogError> {
    let mut opening = std::pin::pin!(Reader::open(database.clone()));
    if let Ok(opened) = timeout(LOGGED_AFTER, &mut opening).await {
        return opened;
    }
    tracing::warn!(at = database.place(), user = database.user(), "waiting for PostgreSQL: it has not answered yet");
    opening.await
}
