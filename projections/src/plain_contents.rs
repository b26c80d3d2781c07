//! Which contents the object store also has to hold as they are, for nodes whose program can't read ciphertext.
//!
//! A node that has keys runs a program that can. One without keys may run an older one, for as long as the log lets such nodes into
//! NATS: what it desires has to be there in plain, too. The answer follows from the state alone, however events were batched.

use alloc::collections::{BTreeMap, BTreeSet};

use schema::digest::Digest;
use schema::entity::Kind;
use schema::event::Event;
use schema::id::NodeId;

use crate::configuration::Configuration;
use crate::render::Manifest;

/// Whether a node may run a program that reads content in plain only.
#[must_use]
pub fn reads_plain(state: &Configuration, id: &NodeId) -> bool {
    let may = |access: &crate::identities::NodeAccess| access.keys.is_none() && !access.is_barred();
    !state.identities().is_closed() && state.nodes().get(id).is_some_and(|node| may(&node.access))
}

/// The contents that are needed in plain, brought up to date node by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainContents {
    /// What each node that reads plain objects fetches; a node that fetches nothing is not here.
    of_nodes: BTreeMap<NodeId, BTreeSet<Digest>>,
    /// How many of these nodes fetch a content.
    readers: BTreeMap<Digest, usize>,
}

impl PlainContents {
    /// Notes what a node fetches by its newest record. True if that changed something.
    pub fn note(&mut self, state: &Configuration, manifest: &Manifest) -> bool {
        let fetched: BTreeSet<Digest> = match reads_plain(state, &manifest.node) {
            true => manifest.fetched().collect(),
            false => BTreeSet::new(),
        };
        if self.of_nodes.get(&manifest.node).map_or(fetched.is_empty(), |known| *known == fetched) {
            return false;
        }
        self.forget(&manifest.node);
        if !fetched.is_empty() {
            fetched.iter().for_each(|digest| *self.readers.entry(*digest).or_default() += 1);
            self.of_nodes.insert(manifest.node.clone(), fetched);
        }
        true
    }

    /// Forgets the nodes that read nothing in plain any more after these events. Events that make a node read in plain change its record
    /// as well, and [`PlainContents::note`] hears of that. True if that changed something.
    pub fn follow(&mut self, state: &Configuration, events: &[Event]) -> bool {
        let before = self.of_nodes.len();
        if state.identities().is_closed() {
            *self = Self::default();
        }
        for event in events.iter().filter(|event| event.entity.kind == Kind::Node) {
            let node = NodeId::from(event.entity.id.clone());
            if !reads_plain(state, &node) {
                self.forget(&node);
            }
        }
        self.of_nodes.len() != before
    }

    /// Whether a content is needed in plain.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.readers.contains_key(digest)
    }

    /// Which of these contents are needed in plain.
    #[must_use]
    pub fn among(&self, contents: &BTreeSet<Digest>) -> BTreeSet<Digest> {
        contents.iter().copied().filter(|digest| self.contains(digest)).collect()
    }

    fn forget(&mut self, node: &NodeId) {
        for digest in self.of_nodes.remove(node).unwrap_or_default() {
            let left = self.readers.get_mut(&digest).expect("BUG: every fetched content has a reader");
            *left -= 1;
            if *left == 0 {
                self.readers.remove(&digest);
            }
        }
    }
}
