//! The digests of desired records, remembered.
//!
//! A record is a pure function of the log as of its cause, so a digest that was rendered for a cause is right for as long
//! as the node has that cause. Counting a fleet then renders only what has changed since it was counted last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use projections::configuration::{Configuration, Node};
use projections::render::render;
use schema::digest::Digest;
use schema::id::NodeId;
use schema::position::Position;

/// What was rendered last, by node, with the position of its cause.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<HashMap<NodeId, (Position, Digest)>>);

impl Digests {
    /// The digest of a node's record. `state` is one of the log's own: never one that was only tried out.
    pub(super) fn of(&self, state: &Configuration, id: &NodeId, node: &Node) -> Digest {
        if let Some((position, digest)) = self.known(id)
            && position == node.cause.position
        {
            return digest;
        }
        let digest = render(state, id).expect("BUG: a node of the state has a record").digest;
        self.map(|known| known.insert(id.clone(), (node.cause.position, digest)));
        digest
    }

    fn known(&self, id: &NodeId) -> Option<(Position, Digest)> {
        self.map(|known| known.get(id).copied())
    }

    fn map<T>(&self, act: impl FnOnce(&mut HashMap<NodeId, (Position, Digest)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
