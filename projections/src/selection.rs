//! Who selects whom: the active nodes of a target, and the documents of a node.
//!
//! The index names those who may match, and the selector itself decides. Which of several documents wins at a path is
//! absent here: [`crate::layers`] says so.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use schema::id::{DocumentId, NodeId};
use schema::target::Target;

use crate::configuration::{Configuration, Node};

impl Configuration {
    /// The active nodes that a target selects.
    #[must_use]
    pub fn nodes_of(&self, target: &Target) -> BTreeSet<NodeId> {
        let active = |id: &NodeId| self.nodes.get(id).filter(|node| !node.retired);
        let selected = |id: &&NodeId| active(id).is_some_and(|node| target.matches(id, &node.labels));
        match target {
            Target::Nodes(nodes) => nodes.iter().filter(selected).cloned().collect(),
            Target::All => self.nodes.keys().filter(selected).cloned().collect(),
            Target::Selector(selector) => match self.reach.bearers(selector) {
                Some(bearers) => bearers.into_iter().filter(selected).cloned().collect(),
                None => self.nodes.keys().filter(selected).cloned().collect(),
            },
        }
    }

    /// A number that the documents selecting a node do not exceed, found without looking at them.
    #[must_use]
    pub fn documents_max(&self, id: &NodeId, node: &Node) -> usize {
        if node.retired { 0 } else { self.reach.candidates_max(id, &node.labels) }
    }

    /// The documents that select a node, in the order of their ids. A retired node has none.
    #[must_use]
    pub fn documents_of<'a>(&'a self, id: &NodeId, node: &'a Node) -> Vec<&'a DocumentId> {
        if node.retired {
            return Vec::new();
        }
        let selects = |document: &&DocumentId| {
            self.documents.get(*document).is_some_and(|document| document.put.target.matches(id, &node.labels))
        };
        self.reach.candidates(id, &node.labels).into_iter().filter(selects).collect()
    }
}
