//! Folding of events about who may connect to NATS. They touch no node's record: what a node runs does not depend on its keys.

use alloc::sync::Arc;

use imbl::OrdMap;
use schema::change::{Change, JoinTokenCreated, JoinTokenUsed};
use schema::event::Event;
use schema::id::{JoinTokenId, NodeId};
use schema::node_keys::NodeKeys;
use schema::position::Position;

use super::AffectedNodes;
use crate::configuration::Configuration;
use crate::identities::{JoinToken, NodeAccess, NodeOfKey};

impl Configuration {
    pub(super) fn apply_identity_change(&mut self, event: &Event, change: &Change) -> AffectedNodes {
        let id = event.entity.id.clone();
        match change {
            Change::NodeKeysSet(set) => self.set_keys(&id.into(), event, set.keys),
            Change::NodeBarred => self.bar(&id.into(), event),
            Change::NodeDismissed => self.dismiss(&id.into(), event),
            Change::JoinTokenCreated(created) => self.create_token(id.into(), event, created),
            Change::JoinTokenUsed(used) => self.use_token(&id.into(), event, used),
            Change::JoinTokenRevoked => self.revoke_token(&id.into(), event),
            _ => self.identities.is_closed = true,
        }
        AffectedNodes::new()
    }

    /// Gives a node keys, which take the place of those it has.
    pub(super) fn give_keys(&mut self, id: &NodeId, position: Position, keys: &NodeKeys) {
        self.take_keys(id);
        let Some(node) = self.nodes.get_mut(id) else { return };
        let retired_at = node.access.retired_at;
        node.access = NodeAccess { keys: Some(Arc::new(*keys)), keyed: position, barred: Position::ZERO, retired_at };
        for (key, is_for_connecting) in [(keys.bus, true), (keys.say, false)] {
            self.identities.nodes.insert(key, NodeOfKey { node: id.clone(), is_for_connecting });
        }
    }

    /// Takes the keys of a node away, and returns them.
    fn take_keys(&mut self, id: &NodeId) -> Option<Arc<NodeKeys>> {
        let keys = self.nodes.get_mut(id)?.access.keys.take()?;
        for key in [keys.bus, keys.say] {
            self.identities.nodes.remove(&key);
        }
        Some(keys)
    }

    fn set_keys(&mut self, id: &NodeId, event: &Event, keys: NodeKeys) {
        self.give_keys(id, event.position, &keys);
        self.count_node_event(id, event);
    }

    fn bar(&mut self, id: &NodeId, event: &Event) {
        if let Some(keys) = self.take_keys(id) {
            self.identities.barred.extend([keys.bus, keys.say].map(|key| (key, id.clone())));
        }
        if let Some(node) = self.nodes.get_mut(id) {
            (node.access.barred, node.access.keyed) = (event.position, event.position);
        }
        self.count_node_event(id, event);
    }

    fn dismiss(&mut self, id: &NodeId, event: &Event) {
        self.take_keys(id);
        if let Some(node) = self.nodes.get_mut(id) {
            node.access.keyed = event.position;
        }
        self.count_node_event(id, event);
    }

    fn count_node_event(&mut self, id: &NodeId, event: &Event) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.version = event.version;
        }
    }

    fn create_token(&mut self, id: JoinTokenId, event: &Event, created: &Arc<JoinTokenCreated>) {
        self.identities.token_keys.insert(created.key, id.clone());
        let token = JoinToken {
            created: Arc::clone(created),
            at: event.at,
            used: OrdMap::new(),
            uses: 0,
            revoked: false,
            version: event.version,
            position: event.position,
        };
        self.identities.tokens.insert(id, token);
    }

    fn use_token(&mut self, id: &JoinTokenId, event: &Event, used: &JoinTokenUsed) {
        let Some(token) = self.identities.tokens.get_mut(id) else { return };
        token.used.insert(used.node.clone(), used.keys);
        token.uses = token.uses.saturating_add(1);
        (token.version, token.position) = (event.version, event.position);
    }

    fn revoke_token(&mut self, id: &JoinTokenId, event: &Event) {
        let Some(token) = self.identities.tokens.get_mut(id) else { return };
        token.revoked = true;
        (token.version, token.position) = (event.version, event.position);
    }
}
