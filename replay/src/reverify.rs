//! Reverification: the log is folded again from its first event and compared with every witness of it.
//!
//! Witnesses are the stored nodes of the tree, the signed checkpoints, the root at the head, and the live state. A witness
//! that agrees vouches for all events before it, so an error names the range from the last agreement to here.
//!
//! Absent on purpose: I/O. The caller brings events and witnesses.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use projections::configuration::Configuration;
use projections::render::render;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{LogId, NodeId};
use schema::position::Position;

use crate::log::{DivergenceError, Follower};
use crate::tree::{Frontier, TreeNode};

/// The witness that an event is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReverifyWitness {
    /// The stored nodes of the tree.
    Tree,
    /// The root at the head of the log.
    Head,
    /// A checkpoint.
    Checkpoint,
    /// The live state, folded before.
    Live,
    /// The events in NATS.
    Published,
}

/// Where and how the log differs from a witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReverifyError {
    /// An event does not follow from the log before it.
    #[error(transparent)]
    Diverged(#[from] DivergenceError),
    /// A row can't be read as an event, or is missing.
    #[error("at position {position}: {why}")]
    Row {
        /// The position of the row.
        position: Position,
        /// The error.
        why: String,
    },
    /// One event differs from the one that the witness saw.
    #[error("at position {position}: the event is not the one {witness}")]
    Changed {
        /// The position of the event.
        position: Position,
        /// The witness that differs.
        witness: ReverifyWitness,
    },
    /// At least one event of a range differs.
    #[error("from position {first} to {last}: an event is not the one {witness}")]
    ChangedWithin {
        /// The first position of the range.
        first: Position,
        /// The last position of the range.
        last: Position,
        /// The witness that differs.
        witness: ReverifyWitness,
    },
    /// A witness is missing, or can't be trusted.
    #[error("at position {position}: {why}")]
    NoWitness {
        /// The position up to which the witness should vouch for events.
        position: Position,
        /// The error.
        why: String,
    },
    /// A node's record differs, although the events are the same.
    #[error(
        "at position {position}: the record of {node} is {live} and comes to {refolded} when the log is folded again"
    )]
    Folded {
        /// The event that one of the records follows from.
        position: Position,
        /// The node of the record.
        node: NodeId,
        /// The digest in the live state; none where there is no record.
        live: RecordDigest,
        /// The digest after folding again.
        refolded: RecordDigest,
    },
    /// The state differs, although every node's record is the same.
    #[error("at position {position}: the state is not what it comes to when the log is folded again")]
    State {
        /// The position of both.
        position: Position,
    },
}

/// A record's digest, or that there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordDigest(pub Option<Digest>);

impl ReverifyError {
    /// The first position that can be wrong.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Diverged(DivergenceError { position, .. })
            | Self::Row { position, .. }
            | Self::Changed { position, .. }
            | Self::ChangedWithin { first: position, .. }
            | Self::NoWitness { position, .. }
            | Self::Folded { position, .. }
            | Self::State { position } => *position,
        }
    }

    /// The first and the last row that may have been changed; `None` if the rows are not in doubt.
    #[must_use]
    pub fn rows(&self) -> Option<(Position, Position)> {
        match self {
            Self::Diverged(DivergenceError { position, .. })
            | Self::Row { position, .. }
            | Self::Changed { position, .. } => Some((*position, *position)),
            Self::ChangedWithin { first, last, .. } => Some((*first, *last)),
            Self::NoWitness { .. } | Self::Folded { .. } | Self::State { .. } => None,
        }
    }
}

/// A log that is being folded again.
#[derive(Clone, Debug)]
pub struct Reverification {
    follower: Follower,
    frontier: Frontier,
    completed: Vec<(TreeNode, Digest)>,
    agreed: Position,
}

impl Reverification {
    /// From the first event on.
    #[must_use]
    pub fn new(log_id: LogId) -> Self {
        Self {
            follower: Follower::new(log_id),
            frontier: Frontier::default(),
            completed: Vec::new(),
            agreed: Position::ZERO,
        }
    }

    /// The last event that was folded.
    #[must_use]
    pub fn position(&self) -> Position {
        self.follower.position()
    }

    /// The last position up to which a witness agreed.
    #[must_use]
    pub fn agreed(&self) -> Position {
        self.agreed
    }

    /// Folds the next event.
    ///
    /// # Errors
    /// If it does not follow from the log before it.
    pub fn advance(&mut self, event: &Event) -> Result<(), ReverifyError> {
        self.follower.advance(event)?;
        let Self { frontier, completed, .. } = self;
        frontier.push_with(event.leaf, |node, hash| completed.push((node, hash)));
        Ok(())
    }

    /// The subtrees that were completed since the last call.
    pub fn completed(&mut self) -> Vec<(TreeNode, Digest)> {
        core::mem::take(&mut self.completed)
    }

    /// Compares a subtree with its stored hash.
    ///
    /// # Errors
    /// If they differ, or no hash is stored.
    pub fn check_node(&mut self, (node, hash): (TreeNode, Digest), kept: Option<Digest>) -> Result<(), ReverifyError> {
        let (_, last) = node.span();
        let Some(kept) = kept else {
            let why = "what should be kept of the tree is not there";
            return Err(ReverifyError::NoWitness { position: last, why: why.into() });
        };
        self.check(kept == hash, last, ReverifyWitness::Tree)
    }

    /// Compares the present root with a witness's.
    ///
    /// # Errors
    /// If they differ.
    pub fn check_root(&mut self, root: Digest, witness: ReverifyWitness) -> Result<(), ReverifyError> {
        self.check(root == self.frontier.root(), self.position(), witness)
    }

    fn check(&mut self, is_same: bool, position: Position, witness: ReverifyWitness) -> Result<(), ReverifyError> {
        if is_same {
            self.agreed = self.agreed.max(position);
            return Ok(());
        }
        Err(match self.agreed.next() {
            first if first < position => ReverifyError::ChangedWithin { first, last: position, witness },
            first if first == position => ReverifyError::Changed { position, witness },
            _ => {
                let why =
                    format!("another witness agrees with the events up to here, but they are not those {witness}");
                ReverifyError::NoWitness { position, why }
            }
        })
    }

    /// Compares everything with the live state of the same position: the tree, each node's record by its digest, and the
    /// state.
    ///
    /// # Errors
    /// With the first that differs; of several nodes, with the one whose record has the least position.
    pub fn check_live(&mut self, live: &Follower) -> Result<(), ReverifyError> {
        assert_eq!(live.position(), self.position(), "BUG: only what has come equally far can be compared");
        self.check(live.frontier() == &self.frontier, live.position(), ReverifyWitness::Live)?;
        let (before, again) = (live.configuration(), self.follower.configuration());
        let nodes = before.nodes().keys().chain(again.nodes().keys());
        let differing = nodes.filter_map(|node| differing(before, again, node));
        if let Some(first) = differing.min_by_key(ReverifyError::position) {
            return Err(first);
        }
        if before == again { Ok(()) } else { Err(ReverifyError::State { position: self.position() }) }
    }
}

/// How a node's record differs between two states.
fn differing(live: &Configuration, again: &Configuration, node: &NodeId) -> Option<ReverifyError> {
    let record = |state| render(state, node).map(|manifest| (manifest.digest, manifest.cause.position, manifest.retry));
    let (live, again) = (record(live), record(again));
    if live == again {
        return None;
    }
    let position = [live, again].into_iter().flatten().map(|(_, position, _)| position).min();
    let digest = |record: Option<(Digest, _, _)>| RecordDigest(record.map(|(digest, _, _)| digest));
    let (node, position) = (node.clone(), position.unwrap_or_default());
    Some(ReverifyError::Folded { position, node, live: digest(live), refolded: digest(again) })
}

/// The first event that differs from the one published at its position. `published` has the same order as `events`, with
/// `None` where the published event is unknown.
#[must_use]
pub fn first_changed(events: &[Event], published: &[Option<Event>]) -> Option<ReverifyError> {
    let is_other = |(event, published): &(&Event, &Option<Event>)| {
        published.as_ref().is_some_and(|published| published.is_intact() && published.leaf != event.leaf)
    };
    let (event, _) = events.iter().zip(published).find(is_other)?;
    Some(ReverifyError::Changed { position: event.position, witness: ReverifyWitness::Published })
}

impl fmt::Display for ReverifyWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tree => "that the tree was made from",
            Self::Head => "that the root at the head of the log was made from",
            Self::Checkpoint => "that was signed for",
            Self::Live => "that was folded before",
            Self::Published => "that was published",
        })
    }
}

impl fmt::Display for RecordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(digest) => fmt::Display::fmt(&digest, f),
            None => f.write_str("not there"),
        }
    }
}
