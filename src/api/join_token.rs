//! A join token, as `GET /v1/join-tokens` shows it. Its secret half is not in the log.

use alloc::string::String;
use alloc::vec::Vec;

use schema::id::{JoinTokenId, NodeId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::node_keys::KeyBytes;
use schema::position::{Position, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A token with which nodes join, or could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinTokenView {
    /// Its id, which the events of nodes that join with it carry as actor `join/<id>`.
    pub id: JoinTokenId,
    /// Whether it lets nodes join: `open`, or `used`, `expired` or `revoked`.
    pub state: String,
    /// The only node that may join with it; null if any id may that was never enrolled.
    pub node: Option<NodeId>,
    /// The labels of a node that is enrolled by it.
    pub labels: Labels,
    /// How many nodes may join with it.
    pub uses: u32,
    /// How often a node joined with it.
    pub used: u32,
    /// The nodes that joined with it.
    pub nodes: Vec<NodeId>,
    /// The last moment at which a node may join.
    pub expires: Instant,
    /// The public half of its key.
    pub key: KeyBytes,
    /// How often it was changed.
    pub version: Version,
    /// The event that changed it last.
    pub position: Position,
}
