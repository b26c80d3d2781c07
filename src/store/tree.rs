//! The stored nodes of the tree, and how any other node is computed from them.
//!
//! Stored are the roots of the complete subtrees whose heights are multiples of 8, one row for 256 events, and the root of the whole tree
//! in the head row. Every other node of a proof is computed from at most 128 stored nodes, or from leaves in table `event`.

use replay::tree::{Frontier, TreeNode};
use schema::digest::Digest;
use tokio_postgres::types::{ToSql, Type};

use super::rows;

/// Distance between the levels that are stored.
const STRIDE: u8 = 8;

/// Inserts any number of nodes in one statement, whose parameters from number `first` on are those of [`NodeColumns`]; nothing unless
/// `condition` holds, an SQL clause or no text.
pub(crate) fn insert(first: usize, condition: &str) -> String {
    let [level, index, hash] = [first, first + 1, first + 2];
    format!(
        "INSERT INTO tree (level, index, hash) \
         SELECT * FROM unnest(${level}::int2[], ${index}::int8[], ${hash}::bytea[]) {condition}"
    )
}

/// The types of its parameters.
pub(crate) const INSERT_TYPES: [Type; 3] = [Type::INT2_ARRAY, Type::INT8_ARRAY, Type::BYTEA_ARRAY];

/// A tree that grows, with the nodes to be stored that were completed meanwhile.
#[derive(Clone, Debug)]
pub struct Growth {
    frontier: Frontier,
    nodes: Vec<(TreeNode, Digest)>,
}

impl From<Frontier> for Growth {
    fn from(frontier: Frontier) -> Self {
        Self { frontier, nodes: Vec::new() }
    }
}

impl Growth {
    /// Takes the next leaf.
    pub fn push(&mut self, leaf: Digest) {
        let Self { frontier, nodes } = self;
        frontier.push_with(leaf, |node, hash| {
            if is_kept(node.level) {
                nodes.push((node, hash));
            }
        });
    }

    /// Forgets the completed nodes, after they were stored.
    pub(crate) fn clear_nodes(&mut self) {
        self.nodes.clear();
    }

    /// Forgets the completed nodes that need not be stored.
    pub(crate) fn retain_nodes(&mut self, is_wanted: impl FnMut(TreeNode, Digest) -> bool) {
        let mut is_wanted = is_wanted;
        self.nodes.retain(|(node, hash)| is_wanted(*node, *hash));
    }

    /// The frontier of the tree so far.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The frontier of the whole tree.
    #[must_use]
    pub fn into_edge(self) -> Frontier {
        self.frontier
    }

    /// The completed nodes that are to be stored, in the order of their completion.
    #[must_use]
    pub fn nodes(&self) -> &[(TreeNode, Digest)] {
        &self.nodes
    }
}

/// Whether nodes of a level are kept.
#[must_use]
pub fn is_kept(level: u8) -> bool {
    level > 0 && level.is_multiple_of(STRIDE)
}

/// What a node is computed from: these of a kept level, or of the leaves (level 0), all of them there once the node is
/// complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TreeNodeInputs {
    pub(crate) level: u8,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl TreeNodeInputs {
    pub(crate) fn of(node: TreeNode) -> Self {
        let height = node.level % STRIDE;
        let first = node.index << height;
        Self { level: node.level - height, first, last: first + (1 << height) - 1 }
    }

    /// The node's hash, from those below it in their order.
    pub(crate) fn hash(self, below: &[Digest]) -> Option<Digest> {
        let count = usize::try_from(self.last - self.first + 1).unwrap_or(usize::MAX);
        (below.len() == count).then(|| Frontier::over(below.iter().copied()).root())
    }
}

/// Nodes column by column, as [`insert`] takes them.
pub(crate) struct NodeColumns<'a> {
    level: Vec<i16>,
    index: Vec<i64>,
    hash: Vec<&'a [u8]>,
}

impl<'a> NodeColumns<'a> {
    pub(crate) fn of(nodes: &'a [(TreeNode, Digest)]) -> Self {
        Self {
            level: nodes.iter().map(|(node, _)| node.level.into()).collect(),
            index: nodes.iter().map(|(node, _)| rows::signed(node.index)).collect(),
            hash: nodes.iter().map(|(_, hash)| &hash.as_bytes()[..]).collect(),
        }
    }

    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 3] {
        [&self.level, &self.index, &self.hash]
    }
}
