//! The totals of an audit.

use crate::checkpoint::Checkpoint;

/// The totals of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditTotals {
    /// The number of contents, each counted once.
    pub blobs: u64,
    /// The sum of their sizes in bytes.
    pub blob_bytes: u64,
    /// The number of checkpoints.
    pub checkpoints: u64,
    /// The last checkpoint.
    pub signed: Option<Checkpoint>,
}
