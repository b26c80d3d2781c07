//! Who may connect to NATS: the keys of nodes, join tokens, and whether the shared password still opens it.
//!
//! Who is let in follows from this state and nothing else, so that each server answers the same.

use alloc::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use schema::change::JoinTokenCreated;
use schema::id::{JoinTokenId, NodeId};
use schema::instant::Instant;
use schema::node_keys::{KeyBytes, NodeKeys};
use schema::position::{Position, Version};

/// A retired node that was not heard to have dropped what it ran is dismissed after so many seconds: 30 days.
pub const DISMISSED_AFTER_S: u32 = 30 * 24 * 60 * 60;

/// Keys, tokens, and the state of the bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// The node of each key that is let in, or that signs; both keys of a node are here.
    pub(crate) nodes: OrdMap<KeyBytes, NodeOfKey>,
    /// The keys of nodes that were barred, and whose each was.
    pub(crate) barred: OrdMap<KeyBytes, NodeId>,
    pub(crate) tokens: OrdMap<JoinTokenId, JoinToken>,
    /// The token of each token's key, ended or not.
    pub(crate) token_keys: OrdMap<KeyBytes, JoinTokenId>,
    pub(crate) is_closed: bool,
}

/// The node that has a key, and what the key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeOfKey {
    pub(crate) node: NodeId,
    /// Whether the node connects with it. It signs with the other one.
    pub(crate) is_for_connecting: bool,
}

/// The keys of one node, and what became of its access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAccess {
    /// The keys of the node; none if it never had any, was barred or dismissed.
    pub keys: Option<Arc<NodeKeys>>,
    /// The position of the event that gave it these keys or took them away, or 0. Numbers of reports from before do not count.
    pub keyed: Position,
    /// The position of the event that barred it; 0 if it is not barred.
    pub barred: Position,
    /// When the node was last retired: its access ends some time after that.
    pub retired_at: Instant,
}

impl NodeAccess {
    /// Whether a retired node with keys has to be dismissed: it has dropped what it ran, or was not heard to for too long.
    #[must_use]
    pub fn is_to_be_dismissed(&self, has_dropped: bool, now: Instant) -> bool {
        self.keys.is_some() && (has_dropped || now > self.retired_at.plus_seconds(DISMISSED_AFTER_S))
    }

    /// Whether the node is shut out, until it is enrolled again with other keys.
    #[must_use]
    pub fn is_barred(&self) -> bool {
        self.barred != Position::ZERO
    }
}

/// A token with which nodes may join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// The data of its `JoinTokenCreated`.
    pub created: Arc<JoinTokenCreated>,
    /// When it was made.
    pub at: Instant,
    /// The nodes that joined with it, and their keys then.
    pub used: OrdMap<NodeId, NodeKeys>,
    /// How often a node joined with it; the same node may have come more than once, with other keys.
    pub uses: u32,
    /// Whether it was ended before its time.
    pub revoked: bool,
    /// How many events the token has had.
    pub version: Version,
    /// The position of its last event.
    pub position: Position,
}

/// Whether a token still lets nodes join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinTokenState {
    /// It does.
    Open,
    /// As many nodes have joined as may.
    Used,
    /// Its time is over.
    Expired,
    /// An administrator ended it.
    Revoked,
}

impl JoinTokenState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Used, Self::Expired, Self::Revoked];

    /// The state's name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl JoinToken {
    /// The last moment at which a node may join.
    #[must_use]
    pub fn expires(&self) -> Instant {
        self.at.plus_seconds(self.created.for_s)
    }

    /// Whether it lets another node join at a time.
    #[must_use]
    pub fn state(&self, at: Instant) -> JoinTokenState {
        match () {
            () if self.revoked => JoinTokenState::Revoked,
            () if at > self.expires() => JoinTokenState::Expired,
            () if self.uses >= self.created.uses => JoinTokenState::Used,
            () => JoinTokenState::Open,
        }
    }
}

impl Identities {
    /// The node of a key that it has now.
    #[must_use]
    pub fn node_of(&self, key: &KeyBytes) -> Option<&NodeId> {
        self.nodes.get(key).map(|holder| &holder.node)
    }

    /// Whether a node connects with a key that it has now.
    #[must_use]
    pub fn is_for_connecting(&self, key: &KeyBytes) -> bool {
        self.nodes.get(key).is_some_and(|holder| holder.is_for_connecting)
    }

    /// All tokens that were ever made, by id.
    #[must_use]
    pub fn tokens(&self) -> &OrdMap<JoinTokenId, JoinToken> {
        &self.tokens
    }

    /// The token of a token's key.
    #[must_use]
    pub fn token_of(&self, key: &KeyBytes) -> Option<(&JoinTokenId, &JoinToken)> {
        self.tokens.get_key_value(self.token_keys.get(key)?)
    }

    /// Whether an administrator closed NATS for nodes without keys.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The node that had a key when it was barred.
    #[must_use]
    pub fn barred_node_of(&self, key: &KeyBytes) -> Option<&NodeId> {
        self.barred.get(key)
    }

    /// Whether a key belonged to a node that was barred.
    #[must_use]
    pub fn is_barred(&self, key: &KeyBytes) -> bool {
        self.barred.contains_key(key)
    }

    /// Whether somebody who was let in by `before` may have lost that.
    #[must_use]
    pub fn takes_access_of(&self, before: &Self) -> bool {
        let lost_key = before.nodes.diff(&self.nodes).any(|change| !matches!(change, DiffItem::Add(..)));
        let is_ended = |id: &JoinTokenId| self.tokens.get(id).is_none_or(|token| token.revoked);
        let ended = before.tokens.diff(&self.tokens).any(|change| match change {
            DiffItem::Update { old: (id, old), .. } => !old.revoked && is_ended(id),
            DiffItem::Add(..) => false,
            DiffItem::Remove(..) => true,
        });
        lost_key || ended || self.is_closed != before.is_closed
    }

    /// Whether a key is anybody's, or was a barred node's.
    pub(crate) fn is_taken(&self, key: &KeyBytes) -> bool {
        self.nodes.contains_key(key) || self.token_keys.contains_key(key) || self.is_barred(key)
    }
}
