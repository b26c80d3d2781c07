//! A document as its events left it.

use alloc::sync::Arc;

use schema::change::DocumentPut;
use schema::instant::Instant;
use schema::position::{Position, Version};

/// A present document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The data of its last `DocumentPut`, or of the `DocumentStaged` that became it.
    pub put: Arc<DocumentPut>,
    /// The version that this event made.
    pub version: Version,
    /// The position of this event.
    pub position: Position,
    /// The time of this event.
    pub at: Instant,
    /// The rollout that made this revision the proven one; none if it was put.
    pub promoted: Option<Arc<Promotion>>,
}

/// How a rollout made a revision the proven one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The position of the event that opened the rollout.
    pub opened: Position,
    /// The position of the event that ended it.
    pub position: Position,
}

/// A document that was at a path before it was removed or moved to another path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerDocument {
    /// The data of the last event of the document at that path.
    pub put: Arc<DocumentPut>,
    /// The position of the event that removed or moved it.
    pub position: Position,
}

impl Document {
    /// Whether a put would leave the document as it is.
    #[must_use]
    pub fn equals(&self, put: &DocumentPut) -> bool {
        *self.put == *put
    }
}
