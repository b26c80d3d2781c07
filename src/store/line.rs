//! Who waits to be appended: in the queue, left over from a load that had no room, or in the next load already.

use tokio::sync::mpsc;

use super::batch::Batch;
use super::handle::Waiting;

/// Bytes of requests that one transaction takes at most, unless a single one is larger.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Requests that one transaction takes at most, so that none waits long for the deciding of the others.
const BATCH_REQUESTS_MAX: usize = 1_000;

/// Requests that wait for one transaction.
#[derive(Default)]
pub(crate) struct Load {
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Load {
    /// Takes a request in, or gives it back if there is no room for it.
    pub(crate) fn take(&mut self, next: Waiting) -> Result<(), Waiting> {
        let fits = self.waiting.len() < BATCH_REQUESTS_MAX && self.bytes + next.bytes <= BATCH_BYTES_MAX;
        if !fits && !self.waiting.is_empty() {
            return Err(next);
        }
        self.bytes += next.bytes;
        self.waiting.push(next);
        Ok(())
    }
}

/// The line.
pub(crate) struct Line {
    queue: mpsc::Receiver<Waiting>,
    /// A request that a load had no room for: it comes first next time.
    left: Option<Waiting>,
    /// The next load, with what it comes to if that is decided.
    load: Option<(Load, Option<Batch>)>,
}

impl Line {
    pub(crate) fn new(queue: mpsc::Receiver<Waiting>) -> Self {
        Self { queue, left: None, load: None }
    }

    /// Whether nobody is there but in the queue.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_none() && self.load.is_none()
    }

    /// The next in the queue, once there is one; none if there can be none any more.
    pub(crate) async fn next(&mut self) -> Option<Waiting> {
        self.queue.recv().await
    }

    /// Lets a request come first next time.
    pub(crate) fn leave(&mut self, left: Option<Waiting>) {
        self.left = left;
    }

    /// Lets a load be the next. `decided` is what it comes to, if that is known.
    ///
    /// # Panics
    /// If there is one: nobody is taken from the queue then.
    pub(crate) fn queue_up(&mut self, load: Load, decided: Option<Batch>) {
        if !load.waiting.is_empty() {
            assert!(self.load.is_none(), "BUG: a load was gathered beside another");
            self.load = Some((load, decided));
        }
    }

    /// The next load, or else who comes first and everybody in the queue, as far as one transaction takes them.
    pub(crate) fn take(&mut self) -> Option<(Vec<Waiting>, Option<Batch>)> {
        if let Some((load, decided)) = self.load.take() {
            return Some((load.waiting, decided));
        }
        let mut load = Load::default();
        load.take(self.left.take()?).ok()?;
        while self.left.is_none()
            && let Ok(next) = self.queue.try_recv()
        {
            self.left = load.take(next).err();
        }
        Some((load.waiting, None))
    }
}
