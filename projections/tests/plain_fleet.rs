//! What a log says of documents and nodes, kept without any index: the plainest thing that could be right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::change::{Change, DocumentPut, Labelled, NodeEnrolled};
use schema::desired::Cause;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{DocumentId, NodeId, RolloutId};
use schema::labels::Labels;
use schema::position::Position;

/// What the log says, kept without any index.
#[derive(Clone, Default)]
pub(crate) struct Plain {
    documents: BTreeMap<DocumentId, Arc<DocumentPut>>,
    staged: BTreeMap<DocumentId, (RolloutId, Option<Arc<DocumentPut>>)>,
    pub(crate) released: BTreeMap<RolloutId, BTreeSet<NodeId>>,
    pub(crate) nodes: BTreeMap<NodeId, PlainNode>,
}

#[derive(Clone, Default)]
pub(crate) struct PlainNode {
    pub(crate) labels: Labels,
    pub(crate) retired: bool,
    pub(crate) retry: Position,
    pub(crate) cause: Option<Cause>,
}

impl Plain {
    /// The active nodes that a document selects, found by trying all.
    fn selected_by(&self, id: &DocumentId) -> BTreeSet<NodeId> {
        self.selected(self.documents.get(id))
    }

    fn selected(&self, put: Option<&Arc<DocumentPut>>) -> BTreeSet<NodeId> {
        let Some(put) = put else { return BTreeSet::new() };
        let selected = |(id, node): &(&NodeId, &PlainNode)| !node.retired && put.target.matches(id, &node.labels);
        self.nodes.iter().filter(selected).map(|(id, _)| id.clone()).collect()
    }

    /// Takes an event in, and says whom it concerns: whom it names, and whom it selects before or after.
    pub(crate) fn take(&mut self, event: &Event) -> BTreeSet<NodeId> {
        let (document, node) = (DocumentId::from(event.entity.id.clone()), NodeId::from(event.entity.id.clone()));
        let change = event.change().unwrap();
        let mut concerned = match change {
            Change::DocumentPut(_) | Change::DocumentRemoved => self.selected_by(&document),
            Change::NodeEnrolled(_) | Change::NodeLabelled(_) | Change::NodeRetired | Change::NodeRetried => {
                [node.clone()].into()
            }
            Change::NodesReleased(ref released) => {
                released.nodes.iter().map(|node| node.id.clone()).chain(released.moot.iter().cloned()).collect()
            }
            Change::RolloutAborted(_) | Change::RolloutPromoted | Change::RolloutCompleted => {
                self.end(&event.entity.id.clone().into(), !matches!(change, Change::RolloutAborted(_)))
            }
            // What is to be assessed and by whom has histories of its own, in `claims`.
            _ => BTreeSet::new(),
        };
        let is_about_document = matches!(change, Change::DocumentPut(_) | Change::DocumentRemoved);
        match change {
            Change::DocumentStaged(staged) => {
                self.staged.insert(document.clone(), (staged.rollout.clone(), Some(Arc::new(staged.put.clone()))));
            }
            Change::RemovalStaged(staged) => drop(self.staged.insert(document.clone(), (staged.rollout, None))),
            Change::NodesReleased(_) => {
                self.released.entry(event.entity.id.clone().into()).or_default().extend(concerned.iter().cloned());
            }
            Change::DocumentPut(put) => drop(self.documents.insert(document.clone(), put)),
            Change::DocumentRemoved => drop(self.documents.remove(&document)),
            Change::NodeEnrolled(NodeEnrolled { labels, .. }) | Change::NodeLabelled(Labelled { labels }) => {
                let node = self.nodes.entry(node).or_default();
                (node.labels, node.retired) = (labels, false);
            }
            Change::NodeRetired => {
                for released in self.released.values_mut() {
                    released.remove(&node);
                }
                self.nodes.get_mut(&node).unwrap().retired = true;
            }
            Change::NodeRetried => self.nodes.get_mut(&node).unwrap().retry = event.position,
            _ => {}
        }
        if is_about_document {
            concerned.append(&mut self.selected_by(&document));
        }
        let cause = Cause { position: event.position, event_id: event.event_id, command_id: event.command_id };
        for id in &concerned {
            self.nodes.get_mut(id).unwrap().cause = Some(cause);
        }
        concerned
    }

    /// Ends a rollout, and says whom that concerns: whom it had released, or whom else its changes are for.
    fn end(&mut self, id: &RolloutId, is_good: bool) -> BTreeSet<NodeId> {
        let released = self.released.remove(id).unwrap_or_default();
        let changes: Vec<_> = self.staged.iter().filter(|(_, (of, _))| of == id).map(|(id, _)| id.clone()).collect();
        let mut members = BTreeSet::new();
        for document in changes {
            let (_, put) = self.staged.remove(&document).unwrap();
            members.append(&mut self.selected_by(&document));
            members.append(&mut self.selected(put.as_ref()));
            match put {
                Some(put) if is_good => drop(self.documents.insert(document, put)),
                None if is_good => drop(self.documents.remove(&document)),
                _ => {}
            }
        }
        if is_good { &members - &released } else { released }
    }

    /// For each path of a node the document in force.
    pub(crate) fn files(&self, id: &NodeId) -> BTreeMap<String, (DocumentId, Digest)> {
        let node = &self.nodes[id];
        let selects = |put: &DocumentPut| !node.retired && put.target.matches(id, &node.labels);
        let mut documents: BTreeMap<&DocumentId, &Arc<DocumentPut>> = self.documents.iter().collect();
        for (document, (rollout, put)) in &self.staged {
            if self.released.get(rollout).is_some_and(|released| released.contains(id)) {
                match put {
                    Some(put) => drop(documents.insert(document, put)),
                    None => drop(documents.remove(document)),
                }
            }
        }
        let mut chosen: Vec<_> = documents.into_iter().filter(|(_, put)| selects(put)).collect();
        chosen.sort_by_key(|(document, put)| (put.priority, document.as_str()));
        chosen.into_iter().map(|(document, put)| (put.path.to_string(), (document.clone(), put.digest))).collect()
    }
}
