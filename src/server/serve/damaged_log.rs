//! A server whose log is not what it was when it starts: it can't be folded, so nobody can be told anything of it or append to it.
//!
//! Meanwhile a door is open that says so, as a process that ends again and again tells nobody why. Once somebody has put the log right,
//! the server goes on by itself.

use std::net::SocketAddr;
use std::time::Duration;

use bus::connect::Link;
use schema::address::Prefix;
use store::appender::Appender;
use store::database::{Database, Error as LogError};
use store::log::Log;
use store::reader::Reader;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::http::damaged_log;
use crate::http::listener::{self, ConnectionLimits};
use crate::publish::event_stream::PublishedEvents;
use crate::relay::log_check::{Error as CheckError, LogCheck};

/// The pause before the log is read again.
const AGAIN: Duration = Duration::from_secs(2);
/// How much longer it rests than it read: reading all of a large log at full speed, only to find the same, would leave little for others.
const REST: u32 = 3;
/// The longest pause.
const REST_MAX: Duration = Duration::from_secs(60);
/// How long it may take to find out where the log was changed.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// The log that can't be folded, and what was published of it.
pub(super) struct DamagedLog {
    pub(super) database: Database,
    pub(super) link: Link,
    pub(super) prefix: Prefix,
}

impl DamagedLog {
    /// Folds the log once it can be, and says until then at `http` why it can't; nothing if it is told to stop before.
    pub(super) async fn until_intact(
        self,
        error: LogError,
        http: SocketAddr,
        stop: &CancellationToken,
    ) -> std::io::Result<Option<(Appender, Log)>> {
        let (why, whys) = watch::channel(error.to_string());
        let (socket, closing) = (TcpListener::bind(http).await?, stop.child_token());
        let limits = ConnectionLimits::default();
        let door = tokio::spawn(listener::serve(socket, damaged_log::router(whys), limits, closing.clone()));
        // In a task of its own, as folding may keep its thread busy.
        let opening = AbortOnDropHandle::new(tokio::spawn(self.opened(error, why)));
        let opened = stop.run_until_cancelled(opening).await;
        closing.cancel();
        // A panic of the door was reported where it happened.
        let _ = door.await;
        Ok(opened.map(|opened| opened.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))))
    }

    async fn opened(self, mut error: LogError, why: watch::Sender<String>) -> (Appender, Log) {
        loop {
            let began = Instant::now();
            let said =
                format!("{}. Nothing is taken or published until the log is put right", self.told_where(&error).await);
            tracing::error!(%said, "this server takes no command and answers no question");
            why.send_replace(said);
            sleep(AGAIN.max(began.elapsed() * REST).min(REST_MAX)).await;
            let opened = async { Appender::start(Reader::open(self.database.clone()).await?).await };
            match opened.await {
                Ok(opened) => {
                    tracing::info!("the log is what it was");
                    return opened;
                }
                Err(again) => error = again,
            }
        }
    }

    /// A log that can't be folded may have been changed before the place where that shows: what was published tells.
    async fn told_where(&self, error: &LogError) -> String {
        let checked = async {
            let reader = Reader::open(self.database.clone()).await.ok()?;
            let published = PublishedEvents::new(self.link.jetstream(), self.prefix.clone());
            LogCheck::new(&reader, published).whole().await.err()
        };
        match timeout(FOUND_WITHIN, checked).await {
            Ok(Some(CheckError::Found(first))) => LogError::Found(first).to_string(),
            _ => error.to_string(),
        }
    }
}
