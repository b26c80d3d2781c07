//! The Merkle tree over the log (RFC 6962): roots, inclusion proofs and consistency proofs.
//!
//! Leaf `position − 1` is the event's own `leaf`, so that the size of a tree is the position of its last event. Proofs are
//! made and checked by `tlog_tiles`; here are the frontier that a growing tree needs, and the nodes by level and index that a
//! proof is made from. The caller stores the nodes.
//!
//! Absent on purpose: where nodes are stored, and signatures ([`crate::checkpoint`]).

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use schema::digest::Digest;
use schema::position::Position;
use tlog_tiles::tlog::{self, Hash, HashReader};

/// The size of the largest tree: a million events a second for 70,000 years. Beyond it, `tlog_tiles` counts its
/// stored hashes past what 64 bits hold.
const SIZE_MAX: u64 = 1 << 61;

/// A complete subtree: the `index`th, from 0, of those that have `2^level` leaves. At level 0 it is a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeNode {
    /// The height: 0 for a leaf.
    pub level: u8,
    /// The place among the subtrees of its height, from 0.
    pub index: u64,
}

impl TreeNode {
    /// The first and the last event below it.
    #[must_use]
    pub fn span(self) -> (Position, Position) {
        let first = (self.index << self.level) + 1;
        (first.into(), (first + (1 << self.level) - 1).into())
    }

    fn stored(index: u64) -> Self {
        let (level, index) = tlog::split_stored_hash_index(index);
        Self { level, index }
    }
}

/// The hash of two neighbours of one height.
#[must_use]
pub fn parent_hash(left: Digest, right: Digest) -> Digest {
    digest(tlog::node_hash(hash(left), hash(right)))
}

/// The frontier of a tree: the roots of its complete subtrees, which suffice to append leaves to a tree of any size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: Position,
    /// The roots of the complete subtrees that the tree falls into, from the largest to the smallest.
    roots: Vec<Digest>,
}

impl Frontier {
    /// The frontier of the tree over these leaves.
    #[must_use]
    pub fn over(leaves: impl IntoIterator<Item = Digest>) -> Self {
        let mut frontier = Self::default();
        leaves.into_iter().for_each(|leaf| frontier.push(leaf));
        frontier
    }

    /// The position of the last leaf; 0 if there is none.
    #[must_use]
    pub fn size(&self) -> Position {
        self.size
    }

    /// Takes the next leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.push_with(leaf, |_, _| {});
    }

    /// Takes the next leaf, and tells of every subtree that it completes, from itself upwards.
    pub fn push_with(&mut self, leaf: Digest, mut note: impl FnMut(TreeNode, Digest)) {
        let mut node = TreeNode { level: 0, index: self.size.get() };
        let mut hash = leaf;
        note(node, hash);
        // A subtree with an odd index has its left neighbour on the edge.
        while node.index % 2 == 1 {
            let left = self.roots.pop().expect("BUG: an odd subtree has a left neighbour");
            node = TreeNode { level: node.level + 1, index: node.index / 2 };
            hash = parent_hash(left, hash);
            note(node, hash);
        }
        self.roots.push(hash);
        self.size = self.size.next();
    }

    /// The roots of the complete subtrees that the tree falls into, from the largest to the smallest.
    #[must_use]
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// The tree's root. That of the empty tree is SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let joined = self.roots.iter().rev().copied().reduce(|right, left| parent_hash(left, right));
        joined.unwrap_or_else(|| digest(tlog::EMPTY_HASH))
    }
}

/// A question that a root or a proof answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeQuery {
    /// The root of the tree of a size.
    Root {
        /// The size of the tree.
        size: Position,
    },
    /// That the tree of a size has an event's leaf at its position.
    Inclusion {
        /// The position of the event.
        position: Position,
        /// The size of the tree that contains it.
        size: Position,
    },
    /// That a tree begins with all of a smaller one.
    Consistency {
        /// The size of the smaller tree, at least 1.
        from: Position,
        /// The size of the larger tree.
        to: Position,
    },
}

/// A query that can't be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeQueryError {
    /// Positions begin with 1 and end with the tree's size; a smaller tree is not larger than the larger.
    #[error("there is no such event in a tree of that size")]
    OutOfRange,
    /// A node that the answer needs is missing.
    #[error("a hash of the tree is missing")]
    Missing,
}

/// The hashes of a proof, in the order of RFC 6962.
pub type ProofHashes = Vec<Digest>;

impl TreeQuery {
    /// The nodes that the answer is made from. All of them are complete in a tree of that size.
    ///
    /// # Errors
    /// If the question makes no sense.
    pub fn required_nodes(self) -> Result<Vec<TreeNode>, TreeQueryError> {
        let recorder = ReadRecorder::default();
        self.compute(&recorder)?;
        Ok(recorder.0.into_inner().into_iter().map(TreeNode::stored).collect())
    }

    /// The answer: the hashes of a proof, or a root alone.
    ///
    /// # Errors
    /// If the question makes no sense, or a node that it needs is not among those given.
    pub fn answer(self, nodes: &BTreeMap<TreeNode, Digest>) -> Result<ProofHashes, TreeQueryError> {
        Ok(self.compute(&GivenHashes(nodes))?.into_iter().map(digest).collect())
    }

    fn compute(self, nodes: &impl HashReader) -> Result<Vec<Hash>, TreeQueryError> {
        // What makes no sense is refused here, so that the one thing that can go wrong there is a missing node.
        let (first, second, largest) = match self {
            Self::Root { size } => (size, size, size),
            Self::Inclusion { position, size } => (position, size, size),
            Self::Consistency { from, to } => (from, to, to),
        };
        let is_root = matches!(self, Self::Root { .. });
        if first > second || largest.get() > SIZE_MAX || (first == Position::ZERO && !is_root) {
            return Err(TreeQueryError::OutOfRange);
        }
        let answer = match self {
            Self::Root { size } => tlog::tree_hash(size.get(), nodes).map(|root| vec![root]),
            Self::Inclusion { position, size } => tlog::prove_record(size.get(), position.previous().get(), nodes),
            Self::Consistency { from, to } => tlog::prove_tree(to.get(), from.get(), nodes),
        };
        answer.map_err(|_| TreeQueryError::Missing)
    }
}

/// A proof does not prove its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not show this")]
pub struct ProofError;

/// Checks that the tree of this size and root has `leaf` at `position`.
///
/// # Errors
/// If the proof does not show it.
pub fn check_inclusion(
    proof: &[Digest],
    (size, root): (Position, Digest),
    (position, leaf): (Position, Digest),
) -> Result<(), ProofError> {
    if position == Position::ZERO {
        return Err(ProofError);
    }
    let index = position.previous().get();
    tlog::check_record(&hashes(proof), size.get(), hash(root), index, hash(leaf)).map_err(|_| ProofError)
}

/// Checks that the tree of size and root `to` begins with all of the tree `from`.
///
/// # Errors
/// If the proof does not show it.
pub fn check_consistency(proof: &[Digest], from: (Position, Digest), to: (Position, Digest)) -> Result<(), ProofError> {
    let (smaller, larger) = (hash(from.1), hash(to.1));
    tlog::check_tree(&hashes(proof), to.0.get(), larger, from.0.get(), smaller).map_err(|_| ProofError)
}

/// Records the indexes that an answer reads, and returns empty hashes.
#[derive(Default)]
struct ReadRecorder(RefCell<Vec<u64>>);

impl HashReader for ReadRecorder {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        self.0.borrow_mut().extend_from_slice(indexes);
        Ok(vec![tlog::EMPTY_HASH; indexes.len()])
    }
}

/// Reads the hashes that the caller gave.
struct GivenHashes<'a>(&'a BTreeMap<TreeNode, Digest>);

impl HashReader for GivenHashes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let given = |index: &u64| self.0.get(&TreeNode::stored(*index)).copied().map(hash);
        indexes.iter().map(given).collect::<Option<_>>().ok_or(tlog::Error::IndexesNotInTree)
    }
}

fn hash(digest: Digest) -> Hash {
    Hash(*digest.as_bytes())
}

fn hashes(digests: &[Digest]) -> Vec<Hash> {
    digests.iter().copied().map(hash).collect()
}

fn digest(hash: Hash) -> Digest {
    Digest::from_bytes(hash.0)
}
