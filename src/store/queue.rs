//! The queue of the appender: submitted requests, gathered into batches of bounded size (group commit).
//!
//! The queue is bounded twice: by the number of requests and by their bytes (see [`super::batch_size`]). A caller beyond a bound is told
//! [`SubmitError::Busy`].

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::batch::DecidedBatch;
use super::batch_size::{BatchSize, WaitingRoom};
use super::submission::{AcceptedSubmission, Submission, SubmissionVerdict, SubmitError};

/// Requests in the queue at most.
const QUEUE_REQUESTS_MAX: usize = 4_096;
/// Requests of one transaction at most, so that none waits long while the others are decided.
const BATCH_REQUESTS_MAX: usize = 1_000;

/// What a caller is told.
pub(crate) type SubmitResult = Result<AcceptedSubmission, SubmitError>;

/// A submission in the queue, with the way back to its caller.
pub(crate) struct PendingRequest {
    pub(crate) submission: Arc<Submission>,
    bytes: usize,
    reply: oneshot::Sender<SubmitResult>,
    _room: WaitingRoom,
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

/// The bytes of requests.
pub(crate) fn bytes_of(requests: &[PendingRequest]) -> usize {
    requests.iter().map(|request| request.bytes).sum()
}

/// The same requests in parts of so many bytes at most, or of one request that is larger.
pub(crate) fn split(requests: Vec<PendingRequest>, bytes_max: usize) -> Vec<Vec<PendingRequest>> {
    let mut parts = vec![PendingBatch::of(bytes_max)];
    for request in requests {
        if let Some(Err(request)) = parts.last_mut().map(|part| part.add(request)) {
            parts.push(PendingBatch { bytes: request.bytes, requests: vec![request], bytes_max });
        }
    }
    parts.into_iter().map(|part| part.requests).collect()
}

/// Requests that share one transaction.
pub(crate) struct PendingBatch {
    requests: Vec<PendingRequest>,
    bytes: usize,
    bytes_max: usize,
}

impl PendingBatch {
    /// An empty one for so many bytes.
    pub(crate) fn of(bytes_max: usize) -> Self {
        Self { requests: Vec::new(), bytes: 0, bytes_max }
    }

    /// Adds a request, or gives it back if the batch is full.
    pub(crate) fn add(&mut self, next: PendingRequest) -> Result<(), PendingRequest> {
        let fits = self.requests.len() < BATCH_REQUESTS_MAX && self.bytes + next.bytes <= self.bytes_max;
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
    size: Arc<BatchSize>,
}

impl QueueSender {
    /// Puts a submission into the queue. The receiver gets the reply; it is closed without one if the appender ends before.
    pub(crate) fn submit(&self, submission: Arc<Submission>) -> Result<oneshot::Receiver<SubmitResult>, SubmitError> {
        let bytes = submission.bytes();
        let room = self.size.enter(bytes).ok_or(SubmitError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let pending = PendingRequest { submission, bytes, reply, _room: room };
        self.sender.try_send(pending).map_err(|_| SubmitError::Busy)?;
        Ok(answer)
    }
}

/// The appender's end of the queue.
pub(crate) struct RequestQueue {
    receiver: mpsc::Receiver<PendingRequest>,
    size: Arc<BatchSize>,
    /// A request that was received and had no room in a batch. It is the first of the next one.
    first: Option<PendingRequest>,
    /// The next batch, gathered while the one before it was in flight; with its speculative decision, if that holds.
    next_batch: Option<(PendingBatch, Option<Box<DecidedBatch>>)>,
}

impl RequestQueue {
    pub(crate) fn new() -> (QueueSender, Self) {
        let (sender, receiver) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let size = Arc::new(BatchSize::default());
        (QueueSender { sender, size: Arc::clone(&size) }, Self { receiver, size, first: None, next_batch: None })
    }

    /// The size of batches.
    pub(crate) fn size(&self) -> &BatchSize {
        &self.size
    }

    /// An empty batch of the size at present.
    pub(crate) fn empty_batch(&self) -> PendingBatch {
        PendingBatch::of(self.size.bytes())
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
        let mut batch = self.empty_batch();
        batch.add(self.first.take()?).ok()?;
        while self.first.is_none()
            && let Ok(next) = self.receiver.try_recv()
        {
            self.first = batch.add(next).err();
        }
        Some((batch.requests, None))
    }
}
