//! The data of events about the log, documents, nodes, join tokens and principals. That of all others stands with what it is about.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::command::{MediaType, Merge, Role};
use crate::digest::Digest;
use crate::document_mode::DocumentMode;
use crate::id::{LogId, NodeId, ProposalId, RolloutId};
use crate::labels::Labels;
use crate::node_keys::{KeyBytes, NodeKeys};
use crate::path::DocumentPath;
use crate::position::Position;
use crate::target::Target;

/// The origin of a log that was recovered from another one. The other log's leaves up to `position` have this root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBegun {
    /// The id of the other log.
    pub from: LogId,
    /// The last event that is taken over from it.
    pub position: Position,
    /// The root of the other log's Merkle tree at `position`.
    pub root: Digest,
    /// The newest checkpoint of the other log that was found, as signed. If its position is later, the events between are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// A document from an event on. The event does not hold the content, only its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct DocumentPut {
    /// The path of the file below `files/` on each node.
    pub path: DocumentPath,
    /// The media type, as the administrator gave it.
    pub media_type: MediaType,
    /// SHA-256 of the content, which table `blob` holds under it.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// Which nodes get the document.
    pub target: Target,
    /// Of the documents that share a path on a node, the one with the highest priority wins.
    pub priority: i32,
    /// How it combines with documents of lower priority.
    pub merge: Merge,
    /// The proposal that the document was made of, when an administrator accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<ProposalId>,
    /// The mode of the file on each node; missing where it is `644`.
    #[serde(default, skip_serializing_if = "DocumentMode::is_plain")]
    pub mode: DocumentMode,
}

/// A change of a document that only nodes of the rollout get, until it is promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentStaged {
    /// The rollout.
    pub rollout: RolloutId,
    /// The document as it would be put.
    #[serde(flatten)]
    pub put: DocumentPut,
}

/// A removal of a document that only nodes of the rollout see, until it is promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalStaged {
    /// The rollout.
    pub rollout: RolloutId,
}

/// Content that an event names: table `blob` holds the bytes under the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct NamedContent {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// How many bytes there are.
    pub size: u64,
}

/// The labels of a node from an event on, and its keys if the event gives it some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEnrolled {
    /// The labels, which replace all earlier ones.
    pub labels: Labels,
    /// The public keys of the node, which replace the earlier ones. An event that has this member is of the second format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<NodeKeys>,
}

/// The keys of a node from an event on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeKeysSet {
    /// The public keys, which replace the earlier ones.
    pub keys: NodeKeys,
}

/// A token with which nodes may join. The event holds the public half of its key only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenCreated {
    /// The public half of the token's key.
    pub key: KeyBytes,
    /// The only node that may join with it; null if any id may that was never enrolled.
    pub node: Option<NodeId>,
    /// The labels of a node that is enrolled by it.
    pub labels: Labels,
    /// How many nodes may join with it.
    pub uses: u32,
    /// For how many seconds after this event nodes may join with it.
    pub for_s: u32,
}

/// A node that joined with a token, and its keys then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenUsed {
    /// The node.
    pub node: NodeId,
    /// The public keys that it joined with.
    pub keys: NodeKeys,
}

/// The labels of a node from an event on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// The labels, which replace all earlier ones.
    pub labels: Labels,
}

/// The role and the token of a principal from an event on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalCreated {
    /// What the principal may do over HTTP.
    pub role: Role,
    /// SHA-256 of the token's text; the token itself is not stored.
    pub token_hash: Digest,
}
