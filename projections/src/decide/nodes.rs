//! Nodes that a command names.

use schema::id::NodeId;

use crate::configuration::{Configuration, Node};
use crate::refusal::Refusal;

/// A node that was enrolled once.
pub(super) fn node<'a>(state: &'a Configuration, id: &NodeId) -> Result<&'a Node, Refusal> {
    state.nodes.get(id).ok_or_else(|| Refusal::Unknown(id.into()))
}

/// A node that is enrolled and not retired.
pub(super) fn active<'a>(state: &'a Configuration, id: &NodeId) -> Result<&'a Node, Refusal> {
    match node(state, id)? {
        node if node.retired => Err(Refusal::Retired(id.clone())),
        node => Ok(node),
    }
}
