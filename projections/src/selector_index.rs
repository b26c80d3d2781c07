//! An index between selectors and labels: between documents and nodes, or assessments and components.
//!
//! It finds the nodes that a document may select, and the documents that may select a node, through a label that both name.
//! Where several labels would do, the rarest is used. The index gives candidates; the selector itself decides.

use core::borrow::Borrow;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use imbl::{OrdMap, OrdSet};
use schema::compliance::Coverage;
use schema::id::{ComponentId, NodeId};
use schema::labels::Labels;
use schema::target::{Operator, Selector, Target};

/// A label as one text: key, U+0000, value. Neither contains U+0000. `Arc`, because an index that a snapshot shares is copied on
/// write.
type Pair = Arc<str>;

/// The index between `S`, the ids of selectors, and `T`, the ids of labelled items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorIndex<S, T>
where
    S: Ord + Clone,
    T: Ord + Clone,
{
    anchors: OrdMap<S, Anchor<T>>,
    everywhere: OrdSet<S>,
    by_name: OrdMap<T, OrdSet<S>>,
    by_pair: OrdMap<Pair, OrdSet<S>>,
    by_key: OrdMap<String, OrdSet<S>>,
    bearers_by_pair: OrdMap<Pair, OrdSet<T>>,
}

/// The keys of the index under which a selector is found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Anchor<T: Ord> {
    /// Found by every item: the selector selects all, or requires no label.
    Everywhere,
    /// Found by the items with these ids.
    Names(BTreeSet<T>),
    /// Found by the items with one of these labels.
    Pairs(Vec<Pair>),
    /// Found by the items with a label of this key.
    Key(String),
}

/// The condition of a selector.
#[derive(Clone, Copy, Debug)]
pub enum Matcher<'a, T> {
    /// Every item matches.
    Everything,
    /// The items with these ids match.
    Names(&'a BTreeSet<T>),
    /// The items whose labels meet the requirements match.
    Fitting(&'a Selector),
}

impl<'a> From<&'a Target> for Matcher<'a, NodeId> {
    fn from(target: &'a Target) -> Self {
        match target {
            Target::All => Self::Everything,
            Target::Nodes(nodes) => Self::Names(nodes),
            Target::Selector(selector) => Self::Fitting(selector),
        }
    }
}

impl<'a> From<&'a Coverage> for Matcher<'a, ComponentId> {
    fn from(cover: &'a Coverage) -> Self {
        match cover {
            Coverage::Components(components) => Self::Names(components),
            Coverage::Selector(selector) => Self::Fitting(selector),
        }
    }
}

impl<T: Ord> Matcher<'_, T> {
    /// Whether the item with this id and these labels matches.
    #[must_use]
    pub fn matches(&self, name: &T, labels: &Labels) -> bool {
        match self {
            Self::Everything => true,
            Self::Names(names) => names.contains(name),
            Self::Fitting(selector) => selector.matches(labels),
        }
    }
}

impl<S: Ord + Clone, T: Ord + Clone> Default for SelectorIndex<S, T> {
    fn default() -> Self {
        Self {
            anchors: OrdMap::new(),
            everywhere: OrdSet::new(),
            by_name: OrdMap::new(),
            by_pair: OrdMap::new(),
            by_key: OrdMap::new(),
            bearers_by_pair: OrdMap::new(),
        }
    }
}

impl<S: Ord + Clone, T: Ord + Clone> SelectorIndex<S, T> {
    /// Adds a selector, or replaces its condition.
    pub(crate) fn insert_selector(&mut self, id: &S, aim: Matcher<'_, T>) {
        self.remove_selector(id);
        let anchor = self.anchor(aim);
        match &anchor {
            Anchor::Everywhere => drop(self.everywhere.insert(id.clone())),
            Anchor::Names(names) => names.iter().for_each(|name| insert(&mut self.by_name, name, id)),
            Anchor::Pairs(pairs) => pairs.iter().for_each(|pair| insert(&mut self.by_pair, pair, id)),
            Anchor::Key(key) => insert(&mut self.by_key, key, id),
        }
        self.anchors.insert(id.clone(), anchor);
    }

    /// Removes a selector.
    pub(crate) fn remove_selector(&mut self, id: &S) {
        match self.anchors.remove(id) {
            None => {}
            Some(Anchor::Everywhere) => drop(self.everywhere.remove(id)),
            Some(Anchor::Names(names)) => names.iter().for_each(|name| remove(&mut self.by_name, name, id)),
            Some(Anchor::Pairs(pairs)) => pairs.iter().for_each(|pair| remove(&mut self.by_pair, pair, id)),
            Some(Anchor::Key(key)) => remove(&mut self.by_key, &key, id),
        }
    }

    /// Adds the labels of an item.
    pub(crate) fn insert_labels(&mut self, bearer: &T, labels: &Labels) {
        pairs(labels).for_each(|pair| insert(&mut self.bearers_by_pair, &pair, bearer));
    }

    /// Removes the labels of an item.
    pub(crate) fn remove_labels(&mut self, bearer: &T, labels: &Labels) {
        pairs(labels).for_each(|pair| remove(&mut self.bearers_by_pair, &pair, bearer));
    }

    /// Replaces the labels of an item. Only labels that differ are written: most are the same.
    pub(crate) fn replace_labels(&mut self, bearer: &T, before: &Labels, labels: &Labels) {
        for (key, value) in before.iter().filter(|(key, value)| labels.get(key) != Some(*value)) {
            remove(&mut self.bearers_by_pair, &pair(key, value), bearer);
        }
        for (key, value) in labels.iter().filter(|(key, value)| before.get(key) != Some(*value)) {
            insert(&mut self.bearers_by_pair, &pair(key, value), bearer);
        }
    }

    /// The anchor that is shared with the fewest others.
    fn anchor(&self, aim: Matcher<'_, T>) -> Anchor<T> {
        let selector = match aim {
            Matcher::Everything => return Anchor::Everywhere,
            Matcher::Names(names) => return Anchor::Names(names.clone()),
            Matcher::Fitting(selector) => selector,
        };
        let crowd = |pairs: &Vec<Pair>| -> usize { pairs.iter().map(|pair| count(&self.by_pair, pair)).sum() };
        match alternatives(selector).min_by_key(crowd) {
            Some(pairs) => Anchor::Pairs(pairs),
            None => keys(selector).next().map_or(Anchor::Everywhere, |key| Anchor::Key(key.clone())),
        }
    }

    /// The selectors that may select an item with this name and these labels, in order.
    pub(crate) fn candidate_selectors<'a>(&'a self, name: &T, labels: &'a Labels) -> BTreeSet<&'a S> {
        let by_pair = pairs(labels).filter_map(|pair| self.by_pair.get(&pair));
        let by_key = labels.keys().filter_map(|key| self.by_key.get(key));
        let named = self.by_name.get(name);
        by_pair.chain(by_key).chain(named).chain([&self.everywhere]).flatten().collect()
    }

    /// An upper bound for the number of [`Self::candidate_selectors`], without reading them.
    pub(crate) fn candidate_selectors_max(&self, name: &T, labels: &Labels) -> usize {
        let by_pair = pairs(labels).map(|pair| count(&self.by_pair, &pair));
        let by_key = labels.keys().map(|key| count(&self.by_key, key));
        by_pair.chain(by_key).sum::<usize>() + count(&self.by_name, name) + self.everywhere.len()
    }

    /// The selectors that name this item.
    pub(crate) fn selectors_by_name(&self, name: &T) -> impl Iterator<Item = &S> {
        self.by_name.get(name).into_iter().flatten()
    }

    /// The items that a selector may match: those with its rarest label; `None` if it requires no label.
    pub(crate) fn bearers(&self, selector: &Selector) -> Option<impl Iterator<Item = &T>> {
        let rarest = alternatives(selector)
            .map(|pairs| pairs.iter().filter_map(|pair| self.bearers_by_pair.get(pair)).collect::<Vec<_>>())
            .min_by_key(|sets| sets.iter().map(|set| set.len()).sum::<usize>());
        let sets = match rarest {
            Some(sets) => sets,
            None => self.with_key(keys(selector).next()?),
        };
        Some(sets.into_iter().flatten())
    }

    fn with_key(&self, key: &str) -> Vec<&OrdSet<T>> {
        let start = pair(key, "");
        let bearers = self.bearers_by_pair.range(Arc::clone(&start)..);
        bearers.take_while(|(found, _)| found.starts_with(&*start)).map(|(_, bearers)| bearers).collect()
    }
}

/// The sets of labels of which a matching node has at least one: one set for each equality that the selector asks for.
fn alternatives(selector: &Selector) -> impl Iterator<Item = Vec<Pair>> {
    let exact = selector.match_labels.iter().map(|(key, value)| alloc::vec![pair(key, value)]);
    let among = selector.match_expressions.iter().filter(|requirement| requirement.operator == Operator::In);
    exact.chain(among.map(|requirement| requirement.values.iter().map(|value| pair(&requirement.key, value)).collect()))
}

/// The keys that a matching node must have.
fn keys(selector: &Selector) -> impl Iterator<Item = &String> {
    let exists = selector.match_expressions.iter().filter(|requirement| requirement.operator == Operator::Exists);
    exists.map(|requirement| &requirement.key)
}

fn pairs(labels: &Labels) -> impl Iterator<Item = Pair> {
    labels.iter().map(|(key, value)| pair(key, value))
}

fn pair(key: &str, value: &str) -> Pair {
    [key, "\0", value].concat().into()
}

fn count<K, Q, T>(index: &OrdMap<K, OrdSet<T>>, key: &Q) -> usize
where
    K: Ord + Clone + Borrow<Q>,
    Q: Ord + ?Sized,
    T: Ord + Clone,
{
    index.get(key).map_or(0, OrdSet::len)
}

pub(crate) fn insert<K: Ord + Clone, T: Ord + Clone>(index: &mut OrdMap<K, OrdSet<T>>, key: &K, item: &T) {
    match index.get_mut(key) {
        Some(items) => drop(items.insert(item.clone())),
        None => drop(index.insert(key.clone(), OrdSet::unit(item.clone()))),
    }
}

pub(crate) fn remove<K: Ord + Clone, T: Ord + Clone>(index: &mut OrdMap<K, OrdSet<T>>, key: &K, item: &T) {
    let Some(items) = index.get_mut(key) else { return };
    items.remove(item);
    if items.is_empty() {
        index.remove(key);
    }
}
