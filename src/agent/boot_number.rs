//! The number of this boot of the agent, which orders what the node says without a clock.
//!
//! It is counted in `state.json`. A node whose state is older than its last report in NATS would count lower than before, and its
//! reports would be taken for old ones: so the number is at least one more than in that report. Nothing is said before that is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// The number, once it is known, and the numbers of the requests of this boot. Clones share both.
#[derive(Clone, Debug)]
pub struct BootNumber {
    counted: u64,
    settled: Arc<watch::Sender<Option<u64>>>,
    requests: Arc<AtomicU64>,
}

impl BootNumber {
    /// The number of a boot that was counted in the node's folder.
    #[must_use]
    pub fn counted(counted: u64) -> Self {
        Self { counted, settled: Arc::new(watch::Sender::new(None)), requests: Arc::default() }
    }

    /// NATS was asked: no earlier boot has reported with `least` or more. Returns the number of this boot.
    pub fn settle(&self, least: u64) -> u64 {
        let number = self.counted.max(least);
        self.settled.send_replace(Some(number));
        number
    }

    /// The number, if it is known.
    #[must_use]
    pub fn get(&self) -> Option<u64> {
        *self.settled.borrow()
    }

    /// The number, whenever it becomes known.
    #[must_use]
    pub fn watched(&self) -> watch::Receiver<Option<u64>> {
        self.settled.subscribe()
    }

    /// Waits until the number is known.
    pub async fn known(&self) -> u64 {
        let mut settled = self.settled.subscribe();
        match settled.wait_for(Option::is_some).await.ok().and_then(|number| *number) {
            Some(number) => number,
            // The sender lives as long as this value.
            None => std::future::pending().await,
        }
    }

    /// The number of the next request of this boot, from 1.
    #[must_use]
    pub fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }
}
