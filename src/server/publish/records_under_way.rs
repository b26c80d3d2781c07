//! Records on their way into the bucket: many are signed beside the relay's own work, on every core, and many are sent before the first is
//! acknowledged. How many depends on their bytes.

use std::collections::VecDeque;
use std::thread::available_parallelism;

use async_nats::jetstream::context::PublishAckFuture;
use bytes::Bytes;
use program::tasks::resume_panic;
use schema::desired::Desired;
use schema::id::NodeId;
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use tokio::task::{JoinHandle, spawn_blocking};

/// Records that are signed at once where they are rendered: handing them to another thread takes longer than signing so few.
const SIGNED_HERE_MAX: usize = 8;

/// Records that are being signed, and those that are sent and not acknowledged.
#[derive(Debug, Default)]
pub struct RecordsUnderWay {
    signing: VecDeque<SigningGroup>,
    sent: VecDeque<SentRecord>,
    /// The bytes of all of them.
    bytes: usize,
    written: usize,
}

/// Records that another thread signs.
#[derive(Debug)]
struct SigningGroup {
    signed: JoinHandle<Vec<SignedBytes>>,
    size: usize,
}

/// The record of a node before it is signed.
#[derive(Debug)]
pub(super) struct RecordBody {
    pub(super) node: NodeId,
    pub(super) bytes: Vec<u8>,
}

impl RecordBody {
    pub(super) fn of(desired: Desired) -> Self {
        Self { bytes: desired.write(), node: desired.node }
    }
}

/// The record of a node as it is published.
#[derive(Debug)]
pub(super) struct SignedBytes {
    pub(super) node: NodeId,
    pub(super) bytes: Bytes,
}

/// A record that waits for its acknowledgement.
#[derive(Debug)]
pub(super) struct SentRecord {
    pub(super) node: NodeId,
    pub(super) size: usize,
    pub(super) ack: PublishAckFuture,
}

/// What may be under way at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWayLimit {
    /// Groups of records that are being signed.
    signing: usize,
    /// Records that are sent.
    sent: usize,
    /// The bytes of all.
    bytes: usize,
}

impl UnderWayLimit {
    pub(super) const NOTHING: Self = Self { signing: 0, sent: 0, bytes: 0 };

    /// Enough to keep every core and NATS busy. Of the largest records (768 KiB) 64 are sent at once.
    pub(super) fn whole() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self { signing: cores, sent: 1_024, bytes: 48 * 1024 * 1024 }
    }
}

impl RecordsUnderWay {
    /// Begins to sign records. Gives few of them right away.
    pub(super) fn sign(&mut self, key: &SecretKey, bodies: Vec<RecordBody>) -> Option<Vec<SignedBytes>> {
        if bodies.len() <= SIGNED_HERE_MAX {
            return Some(sign(key, bodies));
        }
        let (key, size) = (key.clone(), bodies.iter().map(|body| body.bytes.len()).sum());
        self.bytes += size;
        self.signing.push_back(SigningGroup { signed: spawn_blocking(move || sign(&key, bodies)), size });
        None
    }

    /// A group of records that is signed: the first one, if it is ready, or if nothing else can be waited for.
    pub(super) async fn signed(&mut self, limit: UnderWayLimit) -> Option<Vec<SignedBytes>> {
        let first = self.signing.front()?;
        let is_last_to_wait_for = self.sent.is_empty() && !self.is_within(limit);
        if !first.signed.is_finished() && self.signing.len() <= limit.signing && !is_last_to_wait_for {
            return None;
        }
        let SigningGroup { signed, size } = self.signing.pop_front()?;
        self.bytes -= size;
        Some(resume_panic(signed.await))
    }

    pub(super) fn note_sent(&mut self, sent: SentRecord) {
        self.bytes += sent.size;
        self.written += 1;
        self.sent.push_back(sent);
    }

    /// The record that was sent first, which is not under way any more.
    pub(super) fn next_sent(&mut self) -> Option<SentRecord> {
        let sent = self.sent.pop_front()?;
        self.bytes -= sent.size;
        Some(sent)
    }

    pub(super) fn is_within(&self, limit: UnderWayLimit) -> bool {
        self.signing.len() <= limit.signing && self.sent.len() <= limit.sent && self.bytes <= limit.bytes
    }

    /// How many were sent in all.
    pub(super) fn written(&self) -> usize {
        self.written
    }
}

fn sign(key: &SecretKey, bodies: Vec<RecordBody>) -> Vec<SignedBytes> {
    let signed = |RecordBody { node, bytes }| SignedBytes { node, bytes: key.seal(bytes).write().into() };
    bodies.into_iter().map(signed).collect()
}
