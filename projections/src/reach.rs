//! Who is concerned: the index between documents and nodes.
//!
//! A change of one document finds the nodes that it can affect, and a node finds the documents that can select it,
//! through a label that both name; neither tries all of the other. Where several labels would do, the rarest is taken.
//! The index says who *may* match; the target itself decides.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use imbl::{OrdMap, OrdSet};
use schema::id::{DocumentId, NodeId};
use schema::target::{Labels, Operator, Selector, Target};

use crate::configuration::{Configuration, Node};

/// A label: its key and its value.
type Pair = (String, String);

/// The index. It follows from documents and nodes alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    anchors: OrdMap<DocumentId, Anchor>,
    everywhere: OrdSet<DocumentId>,
    by_node: OrdMap<NodeId, OrdSet<DocumentId>>,
    by_pair: OrdMap<Pair, OrdSet<DocumentId>>,
    by_key: OrdMap<String, OrdSet<DocumentId>>,
    nodes_by_pair: OrdMap<Pair, OrdSet<NodeId>>,
}

/// Where a document is found by the nodes that it may be for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Anchor {
    /// By every node: it is for all, or names no label that must be there.
    Everywhere,
    /// By these nodes.
    Nodes(BTreeSet<NodeId>),
    /// By nodes with one of these labels.
    Pairs(Vec<Pair>),
    /// By nodes with a label of this key.
    Key(String),
}

impl Reach {
    /// Takes a document in, or moves it where its target now says.
    pub(crate) fn place(&mut self, id: &DocumentId, target: &Target) {
        self.displace(id);
        let anchor = self.anchor(target);
        match &anchor {
            Anchor::Everywhere => drop(self.everywhere.insert(id.clone())),
            Anchor::Nodes(nodes) => nodes.iter().for_each(|node| insert(&mut self.by_node, node, id)),
            Anchor::Pairs(pairs) => pairs.iter().for_each(|pair| insert(&mut self.by_pair, pair, id)),
            Anchor::Key(key) => insert(&mut self.by_key, key, id),
        }
        self.anchors.insert(id.clone(), anchor);
    }

    /// Forgets a document.
    pub(crate) fn displace(&mut self, id: &DocumentId) {
        match self.anchors.remove(id) {
            None => {}
            Some(Anchor::Everywhere) => drop(self.everywhere.remove(id)),
            Some(Anchor::Nodes(nodes)) => nodes.iter().for_each(|node| remove(&mut self.by_node, node, id)),
            Some(Anchor::Pairs(pairs)) => pairs.iter().for_each(|pair| remove(&mut self.by_pair, pair, id)),
            Some(Anchor::Key(key)) => remove(&mut self.by_key, &key, id),
        }
    }

    /// Takes a node's labels in.
    pub(crate) fn label(&mut self, node: &NodeId, labels: &Labels) {
        pairs(labels).for_each(|pair| insert(&mut self.nodes_by_pair, &pair, node));
    }

    /// Forgets a node's labels.
    pub(crate) fn unlabel(&mut self, node: &NodeId, labels: &Labels) {
        pairs(labels).for_each(|pair| remove(&mut self.nodes_by_pair, &pair, node));
    }

    /// The anchor that is shared with the fewest other documents.
    fn anchor(&self, target: &Target) -> Anchor {
        let selector = match target {
            Target::All => return Anchor::Everywhere,
            Target::Nodes(nodes) => return Anchor::Nodes(nodes.clone()),
            Target::Selector(selector) => selector,
        };
        let crowd = |pairs: &Vec<Pair>| -> usize { pairs.iter().map(|pair| count(&self.by_pair, pair)).sum() };
        match alternatives(selector).min_by_key(crowd) {
            Some(pairs) => Anchor::Pairs(pairs),
            None => keys(selector).next().map_or(Anchor::Everywhere, |key| Anchor::Key(key.clone())),
        }
    }

    /// The documents that may select a node with these labels, in the order of their ids.
    fn candidates<'a>(&'a self, node: &NodeId, labels: &'a Labels) -> BTreeSet<&'a DocumentId> {
        let by_pair = pairs(labels).filter_map(|pair| self.by_pair.get(&pair));
        let by_key = labels.keys().filter_map(|key| self.by_key.get(key));
        let named = self.by_node.get(node);
        by_pair.chain(by_key).chain(named).chain([&self.everywhere]).flatten().collect()
    }

    /// How many documents may select a node with these labels at most: counted, not looked at.
    fn candidates_max(&self, node: &NodeId, labels: &Labels) -> usize {
        let by_pair = pairs(labels).map(|pair| count(&self.by_pair, &pair));
        let by_key = labels.keys().map(|key| count(&self.by_key, key));
        by_pair.chain(by_key).sum::<usize>() + count(&self.by_node, node) + self.everywhere.len()
    }

    /// The nodes that a selector may match: those with its rarest label; none says that it names no label.
    fn bearers(&self, selector: &Selector) -> Option<Vec<&NodeId>> {
        let rarest = alternatives(selector)
            .map(|pairs| pairs.iter().filter_map(|pair| self.nodes_by_pair.get(pair)).collect::<Vec<_>>())
            .min_by_key(|sets| sets.iter().map(|set| set.len()).sum::<usize>());
        let sets = match rarest {
            Some(sets) => sets,
            None => self.with_key(keys(selector).next()?),
        };
        Some(sets.into_iter().flatten().collect())
    }

    fn with_key(&self, key: &str) -> Vec<&OrdSet<NodeId>> {
        let start = (String::from(key), String::new());
        self.nodes_by_pair.range(start..).take_while(|((found, _), _)| found == key).map(|(_, nodes)| nodes).collect()
    }
}

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

/// The sets of labels of which a matching node has at least one: one set for each equality that the selector asks for.
fn alternatives(selector: &Selector) -> impl Iterator<Item = Vec<Pair>> {
    let exact = pairs(&selector.match_labels).map(|pair| alloc::vec![pair]);
    let among = selector.match_expressions.iter().filter(|requirement| requirement.operator == Operator::In);
    exact.chain(
        among.map(|requirement| {
            requirement.values.iter().map(|value| (requirement.key.clone(), value.clone())).collect()
        }),
    )
}

/// The keys that a matching node must have.
fn keys(selector: &Selector) -> impl Iterator<Item = &String> {
    let exists = selector.match_expressions.iter().filter(|requirement| requirement.operator == Operator::Exists);
    exists.map(|requirement| &requirement.key)
}

fn pairs(labels: &Labels) -> impl Iterator<Item = Pair> {
    labels.iter().map(|(key, value)| (key.clone(), value.clone()))
}

fn count<K: Ord + Clone, T: Ord + Clone>(index: &OrdMap<K, OrdSet<T>>, key: &K) -> usize {
    index.get(key).map_or(0, OrdSet::len)
}

pub(crate) fn insert<K: Ord + Clone, T: Ord + Clone>(index: &mut OrdMap<K, OrdSet<T>>, key: &K, item: &T) {
    index.entry(key.clone()).or_default().insert(item.clone());
}

pub(crate) fn remove<K: Ord + Clone, T: Ord + Clone>(index: &mut OrdMap<K, OrdSet<T>>, key: &K, item: &T) {
    let Some(items) = index.get_mut(key) else { return };
    items.remove(item);
    if items.is_empty() {
        index.remove(key);
    }
}
