//! Selection: the active nodes of a target, and the documents of a node.
//!
//! The index gives candidates, and the selector itself decides. Which of several documents is in force at a path is decided
//! in [`crate::layers`].

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use schema::id::{DocumentId, NodeId};
use schema::target::Target;

use crate::configuration::{Configuration, Node};

impl Configuration {
    /// The active nodes that a target selects.
    #[must_use]
    pub fn nodes_of(&self, target: &Target) -> BTreeSet<NodeId> {
        self.selected(target).cloned().collect()
    }

    /// Whether a target selects any active node.
    #[must_use]
    pub fn selects_any(&self, target: &Target) -> bool {
        self.selected(target).next().is_some()
    }

    /// The active nodes that a target selects, each once.
    pub(crate) fn selected<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a NodeId> {
        let active = |id: &NodeId| self.nodes.get(id).filter(|node| !node.retired);
        let may_match: Box<dyn Iterator<Item = &NodeId>> = match target {
            Target::Nodes(nodes) => Box::new(nodes.iter()),
            Target::All => Box::new(self.nodes.keys()),
            Target::Selector(selector) => match self.selector_index.bearers(selector) {
                Some(bearers) => Box::new(bearers),
                None => Box::new(self.nodes.keys()),
            },
        };
        may_match.filter(move |id| active(id).is_some_and(|node| target.matches(id, &node.labels)))
    }

    /// A number that the documents selecting a node do not exceed, found without looking at them.
    #[must_use]
    pub fn documents_max(&self, id: &NodeId, node: &Node) -> usize {
        if node.retired { 0 } else { self.selector_index.candidate_selectors_max(id, &node.labels) }
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
        self.selector_index.candidate_selectors(id, &node.labels).into_iter().filter(selects).collect()
    }
}
