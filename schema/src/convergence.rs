//! The state of a node: whether it runs what is desired of it.

use serde::{Deserialize, Serialize};

/// The state of a node. `projections` judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvergenceState {
    /// The node runs its desired tree, and its hook accepted the tree.
    Converged,
    /// The node has not finished applying its desired record.
    Progressing,
    /// The node tried its desired record and failed.
    Failed,
    /// The node refused its desired record.
    Refused,
    /// The files of the node differ from what it applied.
    Drifted,
    /// The node's last report is older than 30 s.
    Offline,
    /// The node has accepted a position that this log does not have: the log lost its tail, or was forked.
    Ahead,
    /// Two agents report under the node's id, and their reports may contradict each other.
    Duplicate,
    /// The node has never reported.
    Unknown,
}

impl ConvergenceState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Converged,
        Self::Progressing,
        Self::Failed,
        Self::Refused,
        Self::Drifted,
        Self::Offline,
        Self::Ahead,
        Self::Duplicate,
        Self::Unknown,
    ];

    /// The state's name on every wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Progressing => "progressing",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Drifted => "drifted",
            Self::Offline => "offline",
            Self::Ahead => "ahead",
            Self::Duplicate => "duplicate",
            Self::Unknown => "unknown",
        }
    }
}
