//! The queue of the appender: submitted requests, gathered into batches of bounded size (group commit).
//!
//! The queue is bounded twice: by the number of requests and by their bytes. A caller beyond a bound is told [`SubmitError::Busy`].

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::batch::DecidedBatch;
use super::submission::{AcceptedSubmission, Submission, SubmissionVerdict, SubmitError};

/// Requests in the queue at most.
const QUEUE_REQUESTS_MAX: usize = 4_096;
/// KiB of requests in the queue at most: four full transactions.
const QUEUE_KIB_MAX: usize = 64 * 1024;
/// Bytes of the requests of one transaction at most, unless a single request is larger.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Requests of one transaction at most, so that none waits long while the others are decided.
const BATCH_REQUESTS_MAX: usize = 1_000;

/// What a caller is told.
pub(crate) type SubmitResult = Result<AcceptedSubmission, SubmitError>;

/// A submission in the queue, with the way back to its caller.
pub(crate) struct PendingRequest {
    pub(crate) submission: Arc<Submission>,
    bytes: usize,
    reply: oneshot::Sender<SubmitResult>,
    _room: OwnedSemaphorePermit,
}

impl PendingRequest {
    /// Whether the caller has stopped waiting for the answer.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(crate) fn answer(self, verdict: SubmissionVerdict) {
        // A caller that has gone meanwhile asks again under its key.
        let _ = self.reply.send(verdict.map_err(SubmitError::from));
    }

    pub(crate) fn fail(self, error: SubmitError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Requests that share one transaction.
#[derive(Default)]
pub(crate) struct PendingBatch {
    requests: Vec<PendingRequest>,
    bytes: usize,
}

impl PendingBatch {
    /// Adds a request, or gives it back if the batch is full.
    pub(crate) fn add(&mut self, next: PendingRequest) -> Result<(), PendingRequest> {
        let fits = self.requests.len() < BATCH_REQUESTS_MAX && self.bytes + next.bytes <= BATCH_BYTES_MAX;
        if !fits && !self.requests.is_empty() {
            return Err(next);
        }
        self.bytes += next.bytes;
        self.requests.push(next);
        Ok(())
    }
}

/// The sending end of the queue. Cheap to clone.
#[derive(Clone)]
pub(crate) struct QueueSender {
    sender: mpsc::Sender<PendingRequest>,
    room: Arc<Semaphore>,
}

impl QueueSender {
    /// Puts a submission into the queue. The receiver gets the reply; it is closed without one if the appender ends before.
    pub(crate) fn submit(&self, submission: Arc<Submission>) -> Result<oneshot::Receiver<SubmitResult>, SubmitError> {
        let bytes = submission.bytes();
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib).map_err(|_| SubmitError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let pending = PendingRequest { submission, bytes, reply, _room: room };
        self.sender.try_send(pending).map_err(|_| SubmitError::Busy)?;
        Ok(answer)
    }
}

/// The appender's end of the queue.
pub(crate) struct RequestQueue {
    receiver: mpsc::Receiver<PendingRequest>,
    /// A request that was received and had no room in a batch. It is the first of the next one.
    first: Option<PendingRequest>,
    /// The next batch, gathered while the one before it was in flight; with its speculative decision, if that holds.
    next_batch: Option<(PendingBatch, Option<Box<DecidedBatch>>)>,
}

impl RequestQueue {
    pub(crate) fn new() -> (QueueSender, Self) {
        let (sender, receiver) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let room = Arc::new(Semaphore::new(QUEUE_KIB_MAX));
        (QueueSender { sender, room }, Self { receiver, first: None, next_batch: None })
    }

    /// Whether every request that was received belongs to a batch that was taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.first.is_none() && self.next_batch.is_none()
    }

    /// Waits for the next request; `None` once all senders are dropped.
    pub(crate) async fn receive(&mut self) -> Option<PendingRequest> {
        self.receiver.recv().await
    }

    /// Makes a received request the first of the next batch.
    pub(crate) fn put_first(&mut self, request: PendingRequest) {
        self.first = Some(request);
    }

    /// Makes this the next batch, unless it is empty.
    ///
    /// # Panics
    /// If there is a next batch already.
    pub(crate) fn put_batch(&mut self, batch: PendingBatch, decided: Option<Box<DecidedBatch>>) {
        if !batch.requests.is_empty() {
            assert!(self.next_batch.is_none(), "BUG: two batches were gathered at once");
            self.next_batch = Some((batch, decided));
        }
    }

    /// The requests of the next batch, with their speculative decision if there is one. If no batch was gathered, it is made from the
    /// first request and what the channel holds; `None` without a first request.
    pub(crate) fn take_batch(&mut self) -> Option<(Vec<PendingRequest>, Option<Box<DecidedBatch>>)> {
        if let Some((batch, decided)) = self.next_batch.take() {
            return Some((batch.requests, decided));
        }
        let mut batch = PendingBatch::default();
        batch.add(self.first.take()?).ok()?;
        while self.first.is_none()
            && let Ok(next) = self.receiver.try_recv()
        {
            self.first = batch.add(next).err();
        }
        Some((batch.requests, None))
    }
}
