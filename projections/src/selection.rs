//! Selection: the active nodes of a target, and the documents of a node.
//!
//! The index gives candidates, and the selector itself decides. Which of several documents is in force at a path is decided
//! in [`crate::layers`].

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use schema::id::{DocumentId, NodeId};
use schema::labels::Labels;
use schema::target::Target;

use crate::configuration::{Configuration, Document, Node};
use crate::rollouts::Rollout;

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

    /// The documents that a node gets, in the order of their ids: of the rollouts that have released it the staged revisions, else the
    /// proven ones. A retired node has none.
    #[must_use]
    pub fn documents_of<'a>(&'a self, id: &NodeId, node: &'a Node) -> Vec<(&'a DocumentId, &'a Document)> {
        let proven = self.proven_documents_of(id, node).into_iter().filter_map(|id| self.documents.get_key_value(id));
        let Some(releases) = self.rollouts.releases_of(id).filter(|_| !node.retired) else { return proven.collect() };
        let is_replaced = |id: &DocumentId| {
            self.rollouts.staged().get(id).is_some_and(|staged| releases.contains_key(&staged.rollout))
        };
        let staged = self.rollouts.staged_for(releases).filter_map(|(id, staged)| Some((id, staged.put.as_ref()?)));
        let staged = staged.filter(|(_, document)| document.put.target.matches(id, &node.labels));
        let mut all: Vec<_> = proven.filter(|(id, _)| !is_replaced(id)).chain(staged).collect();
        all.sort_by_key(|(id, _)| *id);
        all
    }

    /// The active nodes that any change of a rollout is for, as it would become or as it is.
    #[must_use]
    pub fn members<'a>(&'a self, rollout: &'a Rollout) -> BTreeSet<&'a NodeId> {
        // Many changes have the same target: whom it selects is looked up once.
        let mut targets: Vec<&Target> = Vec::new();
        for target in self.targets_of(rollout) {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        targets.into_iter().flat_map(|target| self.selected(target)).collect()
    }

    /// Whether any change of a rollout is for an active node.
    #[must_use]
    pub fn is_member(&self, rollout: &Rollout, id: &NodeId) -> bool {
        let active = self.nodes.get(id).filter(|node| !node.retired);
        active.is_some_and(|node| self.would_be_member(rollout, id, &node.labels))
    }

    /// Whether any change of a rollout would be for a node with these labels.
    pub(crate) fn would_be_member(&self, rollout: &Rollout, id: &NodeId, labels: &Labels) -> bool {
        self.targets_of(rollout).any(|target| target.matches(id, labels))
    }

    fn targets_of<'a>(&'a self, rollout: &'a Rollout) -> impl Iterator<Item = &'a Target> {
        let revisions = |id: &'a DocumentId| {
            let staged = self.rollouts.staged().get(id).and_then(|staged| staged.put.as_ref());
            staged.into_iter().chain(self.documents.get(id))
        };
        rollout.changes.iter().flat_map(revisions).map(|document| &document.put.target)
    }

    /// The documents whose proven revisions select a node, in the order of their ids. A retired node has none.
    #[must_use]
    pub fn proven_documents_of<'a>(&'a self, id: &NodeId, node: &'a Node) -> Vec<&'a DocumentId> {
        if node.retired {
            return Vec::new();
        }
        let selects = |document: &&DocumentId| {
            self.documents.get(*document).is_some_and(|document| document.put.target.matches(id, &node.labels))
        };
        self.selector_index.candidate_selectors(id, &node.labels).into_iter().filter(selects).collect()
    }
}
