//! A server that starts on a log that was changed. The log can't be folded, so no question can be answered and nothing appended.
//!
//! Meanwhile an HTTP API says why, as a process that ends again and again tells nobody. Once somebody has put the log right, the server
//! goes on by itself.

use std::time::Duration;

use bus::connect::Link;
use program::tasks::resume_panic;
use schema::address::Prefix;
use store::appender::Appender;
use store::database::{Database, Error as LogError};
use store::log::Log;
use store::reader::Reader;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::http::damaged_log;
use crate::http::listener::{self, ConnectionLimits, HttpListener};
use crate::publish::event_stream::PublishedEvents;
use crate::relay::log_check::{Error as CheckError, LogCheck};

/// The shortest pause before the log is read again.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// The pause is this many times as long as reading took: reading a large log at full speed again and again would leave little for
/// others.
const REST: u32 = 3;
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long the search for the first changed event may take.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// The log that can't be folded, and where it was published.
pub(super) struct DamagedLog {
    pub(super) database: Database,
    pub(super) link: Link,
    pub(super) prefix: Prefix,
}

impl DamagedLog {
    /// Folds the log once that is possible, and says over HTTP until then why it is not; nothing if the server is stopped before.
    pub(super) async fn until_intact(
        self,
        error: LogError,
        socket: HttpListener,
        stop: &CancellationToken,
    ) -> Option<(Appender, Log)> {
        let (fault, faults) = watch::channel(error.to_string());
        let closing = stop.child_token();
        let limits = ConnectionLimits::default();
        let served = tokio::spawn(listener::serve(socket, damaged_log::router(faults), limits, closing.clone()));
        // In a task of its own, as folding may keep its thread busy.
        let opening = AbortOnDropHandle::new(tokio::spawn(self.open(error, fault)));
        let opened = stop.run_until_cancelled(opening).await;
        closing.cancel();
        // A panic of the HTTP API was reported where it happened.
        let _ = served.await;
        opened.map(resume_panic)
    }

    async fn open(self, mut error: LogError, fault: watch::Sender<String>) -> (Appender, Log) {
        loop {
            let began = Instant::now();
            let text = format!(
                "{}. Nothing is taken or published until the log is put right",
                self.first_change(&error).await
            );
            tracing::error!(error = text, "the log was changed: this server takes no command and answers no question");
            fault.send_replace(text);
            sleep((began.elapsed() * REST).clamp(PAUSE_MIN, PAUSE_MAX)).await;
            let opened = async { Appender::start(Reader::open(self.database.clone()).await?).await };
            match opened.await {
                Ok(opened) => {
                    tracing::info!("the log is intact again");
                    return opened;
                }
                Err(again) => error = again,
            }
        }
    }

    /// The sentence that names the first event that was changed, which may stand before the one where folding stopped: the comparison
    /// with the published events finds it.
    async fn first_change(&self, error: &LogError) -> String {
        let checked = async {
            let reader = Reader::open(self.database.clone()).await.ok()?;
            let published = PublishedEvents::new(self.link.jetstream(), self.prefix.clone());
            LogCheck::new(&reader, published).check_whole_log().await.err()
        };
        match timeout(FOUND_WITHIN, checked).await {
            Ok(Some(CheckError::Found(first))) => LogError::Found(first).to_string(),
            _ => error.to_string(),
        }
    }
}
