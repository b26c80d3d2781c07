//! Layers: which document is in force where several select a node at the same path.

use alloc::collections::BTreeMap;

use schema::document_mode::DocumentMode;
use schema::id::{DocumentId, NodeId};
use schema::path::DocumentPath;

use crate::configuration::{Configuration, Document, Node};

impl Configuration {
    /// The document in force at one path of an active node, found without looking at its other paths; none for a retired node.
    #[must_use]
    pub fn document_in_force<'a>(&'a self, id: &NodeId, path: &DocumentPath) -> Option<(&'a DocumentId, &'a Document)> {
        let node = self.nodes().get(id).filter(|node| !node.retired)?;
        let selects = |(_, document): &(_, &Document)| document.put.target.matches(id, &node.labels);
        let releases = self.rollouts().releases_of(id);
        let is_released = |id: &DocumentId| {
            let staged = self.rollouts().staged().get(id);
            staged.zip(releases).is_some_and(|(staged, releases)| releases.contains_key(&staged.rollout))
        };
        let proven = self.documents_at(path).filter(|(id, _)| !is_released(id));
        let staged = self.rollouts().staged_at(path).filter(|(id, _)| is_released(id));
        proven.chain(staged).filter(selects).max_by_key(|(id, document)| (document.put.priority, *id))
    }

    /// The mode of the file that a node desires at a path; that of a new file if it desires none.
    #[must_use]
    pub fn mode_in_force(&self, id: &NodeId, path: &DocumentPath) -> DocumentMode {
        self.document_in_force(id, path).map(|(_, document)| document.put.mode).unwrap_or_default()
    }

    /// For each path of a node the document in force: the highest priority, ties by the greatest id.
    #[must_use]
    pub fn layers<'a>(
        &'a self,
        id: &NodeId,
        node: &'a Node,
    ) -> BTreeMap<&'a DocumentPath, (&'a DocumentId, &'a Document)> {
        let mut winners: BTreeMap<&DocumentPath, (&DocumentId, &Document)> = BTreeMap::new();
        // Ids come in order, so that of two with the same priority the later one is the greater one.
        for (id, document) in self.documents_of(id, node) {
            let holder = winners.entry(&document.put.path).or_insert((id, document));
            if document.put.priority >= holder.1.put.priority {
                *holder = (id, document);
            }
        }
        winners
    }
}
