//! Decisions about who may connect to NATS. A join is decided at the head of the log, so that a token lets in exactly as many
//! nodes as it says, also of those that join at once.

use alloc::sync::Arc;
use alloc::vec::Vec;

use schema::change::{Change, JoinTokenCreated, JoinTokenUsed, NodeEnrolled, NodeKeysSet};
use schema::command::{CreateJoinToken, EnrolNode, JoinNode, SetNodeKeys};
use schema::entity::Entity;
use schema::id::{JoinTokenId, LogId, NodeId};
use schema::labels::Labels;
use schema::node_keys::NodeKeys;

use super::context::DecisionContext;
use super::nodes::{active, node};
use crate::configuration::Configuration;
use crate::identities::{JoinToken, JoinTokenState};
use crate::refusal::Refusal;

pub(super) fn enrol_node(state: &Configuration, enrol: &EnrolNode) -> Result<Option<Change>, Refusal> {
    let EnrolNode { id, labels, keys } = enrol;
    match state.nodes.get(id) {
        Some(node) if !node.retired => {
            let is_same = node.labels == *labels && keys.is_none_or(|keys| node.access.keys.as_deref() == Some(&keys));
            return if is_same { Ok(None) } else { Err(Refusal::AlreadyEnrolled(id.clone())) };
        }
        Some(node) if node.access.is_barred() && keys.is_none() => return Err(Refusal::Barred(id.clone())),
        _ => {}
    }
    keys.map_or(Ok(()), |keys| are_free(state, id, &keys))?;
    Ok(Some(Change::NodeEnrolled(NodeEnrolled { labels: labels.clone(), keys: *keys })))
}

pub(super) fn set_keys(state: &Configuration, set: &SetNodeKeys) -> Result<Option<Change>, Refusal> {
    let node = active(state, &set.id)?;
    if node.access.is_barred() {
        return Err(Refusal::Barred(set.id.clone()));
    }
    if node.access.keys.as_deref() == Some(&set.keys) {
        return Ok(None);
    }
    are_free(state, &set.id, &set.keys)?;
    Ok(Some(Change::NodeKeysSet(NodeKeysSet { keys: set.keys })))
}

pub(super) fn bar(state: &Configuration, id: &NodeId) -> Result<Option<Change>, Refusal> {
    Ok((!node(state, id)?.access.is_barred()).then_some(Change::NodeBarred))
}

/// Only a retired node is dismissed, and only if it has keys to lose.
pub(super) fn dismiss(state: &Configuration, id: &NodeId) -> Result<Option<Change>, Refusal> {
    let node = node(state, id)?;
    Ok((node.retired && node.access.keys.is_some()).then_some(Change::NodeDismissed))
}

pub(super) fn create_token(state: &Configuration, create: &CreateJoinToken) -> Result<Option<Change>, Refusal> {
    let CreateJoinToken { id, key, node, labels, uses, for_s } = create.clone();
    let becomes = JoinTokenCreated { key, node, labels, uses, for_s };
    match state.identities.tokens.get(&id) {
        Some(known) if *known.created == becomes && !known.revoked => return Ok(None),
        Some(_) => return Err(Refusal::JoinTokenExists(id)),
        None => {}
    }
    match state.identities.is_taken(&key) {
        true => Err(Refusal::KeyInUse { field: "key", key }),
        false => Ok(Some(Change::JoinTokenCreated(Arc::new(becomes)))),
    }
}

pub(super) fn revoke_token(state: &Configuration, id: &JoinTokenId) -> Result<Option<Change>, Refusal> {
    Ok((!token(state, id)?.revoked).then_some(Change::JoinTokenRevoked))
}

/// A node joins. The same node with the same keys again is answered as before, unless it lost its access meanwhile: an answer
/// may be lost on its way.
pub(super) fn join(
    state: &Configuration,
    join: &JoinNode,
    context: &DecisionContext<'_>,
) -> Result<Vec<(Entity, Change)>, Refusal> {
    let JoinNode { token: id, node, keys } = join;
    let token = token(state, id)?;
    let known = state.nodes.get(node);
    if token.used.get(node) == Some(keys)
        && known.is_some_and(|known| !known.retired && known.access.keys.as_deref() == Some(keys))
    {
        return Ok(Vec::new());
    }
    match token.state(context.at) {
        JoinTokenState::Open => {}
        ended => return Err(Refusal::JoinTokenEnded { token: id.clone(), state: ended }),
    }
    let change = match (&token.created.node, known) {
        (Some(only), _) if only != node => {
            return Err(Refusal::JoinOtherNode { token: id.clone(), node: only.clone() });
        }
        (None, Some(_)) => return Err(Refusal::NodeExists(node.clone())),
        (_, Some(known)) if !known.retired && known.access.is_barred() => return Err(Refusal::Barred(node.clone())),
        (_, Some(known)) if !known.retired => Change::NodeKeysSet(NodeKeysSet { keys: *keys }),
        _ => enrolled(&token.created.labels, keys),
    };
    are_free(state, node, keys)?;
    let used = JoinTokenUsed { node: node.clone(), keys: *keys };
    Ok(Vec::from([(Entity::from(id), Change::JoinTokenUsed(used)), (Entity::from(node), change)]))
}

pub(super) fn close_bus(
    state: &Configuration,
    log: LogId,
    context: &DecisionContext<'_>,
) -> Result<Option<Change>, Refusal> {
    match log == context.log_id {
        true => Ok((!state.identities.is_closed).then_some(Change::BusClosed)),
        false => Err(Refusal::Unknown(Entity::log(log))),
    }
}

fn enrolled(labels: &Labels, keys: &NodeKeys) -> Change {
    Change::NodeEnrolled(NodeEnrolled { labels: labels.clone(), keys: Some(*keys) })
}

fn token<'a>(state: &'a Configuration, id: &JoinTokenId) -> Result<&'a JoinToken, Refusal> {
    state.identities.tokens.get(id).ok_or_else(|| Refusal::Unknown(id.into()))
}

/// Neither key is another one's, and neither was a barred node's.
fn are_free(state: &Configuration, node: &NodeId, keys: &NodeKeys) -> Result<(), Refusal> {
    for (key, field) in [(keys.bus, "keys.bus"), (keys.say, "keys.say")] {
        let is_own = state.identities.node_of(&key) == Some(node);
        if state.identities.is_taken(&key) && !is_own {
            return Err(Refusal::KeyInUse { field, key });
        }
    }
    Ok(())
}
