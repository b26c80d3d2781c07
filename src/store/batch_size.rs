//! How many bytes of requests share a transaction, and how many wait for one.
//!
//! A transaction that takes longer to reach PostgreSQL than its lock may be held is never stored, and one that takes longer than callers
//! wait is stored for nobody. So batches get smaller while PostgreSQL is slow and larger again once it is not, and what may wait is
//! always the same number of batches: what a caller waits for is finished within seconds, or is refused at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Bytes of the requests of one transaction at most.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The bytes to which batches get smaller at most.
const BATCH_BYTES_MIN: usize = 256 * 1024;
/// How many batches may wait or be in flight. A request that is larger than what is left enters all the same, if something is left.
const BATCHES_WAITING: usize = 4;
/// A full batch that was stored in less time may be followed by one of twice its size.
const QUICK: Duration = Duration::from_millis(500);
/// A full batch that took longer is followed by one of half its size.
const SLOW: Duration = Duration::from_secs(2);
/// After so long a time without such a batch the next one may have twice the size, full or not.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// A batch that was lost is followed by one of this part of its size: finding out takes seconds, so there is no time for many steps.
const AFTER_LOSS: usize = 8;

/// The size of batches at present, and what waits. Shared by the callers and the appender.
#[derive(Debug)]
pub(crate) struct BatchSize {
    bytes: AtomicUsize,
    /// When it was changed last.
    changed: Mutex<Instant>,
    waiting: AtomicUsize,
}

/// The room that a request takes until it is answered.
#[derive(Debug)]
pub(crate) struct WaitingRoom {
    size: Arc<BatchSize>,
    bytes: usize,
}

impl Default for BatchSize {
    fn default() -> Self {
        let bytes = AtomicUsize::new(BATCH_BYTES_MAX);
        Self { bytes, changed: Mutex::new(Instant::now()), waiting: AtomicUsize::new(0) }
    }
}

impl BatchSize {
    /// Bytes of the requests of the next transaction at most, unless a single request is larger.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Room for a request; none while enough requests wait.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize) -> Option<WaitingRoom> {
        let room = BATCHES_WAITING * self.bytes();
        let enter = |waiting: usize| (waiting < room).then_some(waiting.saturating_add(bytes));
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok()?;
        Some(WaitingRoom { size: Arc::clone(self), bytes })
    }

    /// A batch of so many bytes was stored.
    pub(crate) fn stored(&self, bytes: usize, took: Duration) {
        let (size, is_full) = (self.bytes(), bytes >= self.bytes() / 2);
        if took > SLOW {
            // What makes a small batch slow is not its size.
            self.set(if is_full { size / 2 } else { size });
        } else if (took < QUICK && is_full) || self.unchanged_for() > WELL_AFTER {
            self.set(size.saturating_mul(2));
        }
    }

    /// A batch of so many bytes was sent, and the connection broke before the answer.
    pub(crate) fn lost(&self, bytes: usize) {
        if bytes > BATCH_BYTES_MIN {
            self.set(self.bytes().min(bytes) / AFTER_LOSS);
        }
    }

    fn unchanged_for(&self) -> Duration {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Only the appender sets it.
    fn set(&self, bytes: usize) {
        let (bytes, before) = (bytes.clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX), self.bytes());
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if bytes != before {
            tracing::debug!(bytes, before, "size of batches changed");
            self.bytes.store(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for WaitingRoom {
    fn drop(&mut self) {
        self.size.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn batches_shrink_while_full_ones_are_slow_or_lost_and_grow_when_they_are_quick_or_all_is_well() {
        let size = BatchSize::default();
        size.lost(16 * MIB);
        assert_eq!(size.bytes(), 2 * MIB);
        size.stored(2 * MIB, Duration::from_secs(4));
        assert_eq!(size.bytes(), MIB);
        size.stored(MIB / 4, Duration::from_secs(4));
        size.stored(MIB, Duration::from_secs(1));
        size.stored(MIB / 4, Duration::from_millis(1));
        assert_eq!(size.bytes(), MIB, "slow and not full, neither quick nor slow, quick and not full");
        (0..5).for_each(|_| size.stored(size.bytes(), Duration::from_millis(1)));
        assert_eq!(size.bytes(), BATCH_BYTES_MAX);
        size.lost(16 * MIB);
        for doubled in [4 * MIB, 8 * MIB] {
            tokio::time::advance(Duration::from_secs(31)).await;
            size.stored(1, Duration::from_secs(1));
            size.stored(1, Duration::from_secs(1));
            assert_eq!(size.bytes(), doubled);
        }
    }

    #[tokio::test]
    async fn the_size_of_a_small_batch_is_not_why_it_was_lost_and_no_batch_gets_too_small() {
        let size = BatchSize::default();
        size.lost(2_000);
        assert_eq!(size.bytes(), BATCH_BYTES_MAX);
        (0..100).for_each(|_| size.lost(size.bytes()));
        assert_eq!(size.bytes(), BATCH_BYTES_MIN);
        size.lost(30 * MIB);
        assert_eq!(size.bytes(), BATCH_BYTES_MIN);
    }

    #[tokio::test]
    async fn four_batches_wait_and_a_request_of_any_size_gets_in_if_there_is_room_at_all() {
        let size = Arc::new(BatchSize::default());
        (0..6).for_each(|_| size.lost(size.bytes()));
        let large = size.enter(50 * MIB).expect("an empty queue has room");
        assert!(size.enter(1).is_none(), "no room behind it");
        drop(large);
        let waiting: Vec<_> = std::iter::from_fn(|| size.enter(BATCH_BYTES_MIN)).collect();
        assert_eq!(waiting.len(), BATCHES_WAITING);
        drop(waiting);
        assert!(size.enter(1).is_some());
    }
}
