//! A cache of the digests of desired records.
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

/// By node, the digest of the record that was rendered last, and the position of its cause.
#[derive(Debug, Default)]
pub(super) struct RecordDigestCache(Mutex<HashMap<NodeId, (Position, Digest)>>);

impl RecordDigestCache {
    /// The digest of a node's desired record. `state` must be a state of the log, never that of a dry run.
    pub(super) fn of(&self, state: &Configuration, id: &NodeId, node: &Node) -> Digest {
        if let Some((position, digest)) = self.cached(id)
            && position == node.cause.position
        {
            return digest;
        }
        let digest = render(state, id).expect("BUG: a node of the state has a record").digest;
        self.with_map(|cache| cache.insert(id.clone(), (node.cause.position, digest)));
        digest
    }

    fn cached(&self, id: &NodeId) -> Option<(Position, Digest)> {
        self.with_map(|cache| cache.get(id).copied())
    }

    fn with_map<T>(&self, act: impl FnOnce(&mut HashMap<NodeId, (Position, Digest)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
