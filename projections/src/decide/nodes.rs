//! Nodes that a command names or selects.

use alloc::vec::Vec;

use schema::change::{Change, Labelled};
use schema::command::RelabelNodes;
use schema::entity::Entity;
use schema::id::NodeId;
use schema::limit::EVENTS_MAX;
use schema::target::Target;

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

/// Sets labels of the nodes that a target selects now, and takes labels from them: a change for each node whose labels become others.
pub(super) fn relabel(state: &Configuration, relabel: &RelabelNodes) -> Result<Vec<(Entity, Change)>, Refusal> {
    if let Target::Nodes(named) = &relabel.target {
        named.iter().try_for_each(|id| is_active_target(state, id))?;
    }
    let changes = state.selected(&relabel.target).filter_map(|id| {
        let labels = relabel.relabelled(&state.nodes.get(id)?.labels)?;
        Some((id.into(), Change::NodeLabelled(Labelled { labels })))
    });
    // One more than a request may have, so that it is refused and little is made for it before.
    Ok(changes.take(EVENTS_MAX + 1).collect())
}

/// Unlike a document, a change of labels can't wait for a node that is enrolled later.
fn is_active_target(state: &Configuration, id: &NodeId) -> Result<(), Refusal> {
    match state.nodes.get(id) {
        None => Err(Refusal::UnknownReference { field: "target", entity: id.into() }),
        Some(node) if node.retired => Err(Refusal::RetiredTarget(id.clone())),
        Some(_) => Ok(()),
    }
}
