//! Proposals: a file that a node proposes for itself, and what became of it.

use alloc::string::String;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::command::MediaType;
use crate::digest::Digest;
use crate::id::{DocumentId, NodeId, ProposalId, ProposalUuid};
use crate::path::DocumentPath;
use crate::position::Position;
use crate::variant::UnknownVariantName;

/// The priority of a document that is made of a proposal, unless the administrator gives another one.
pub const PRIORITY_DEFAULT: i32 = 1_000;

/// A file that a node proposes. The event does not hold the content, only its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The node, which is the only one that the file is for.
    pub node: NodeId,
    /// The id that the node gave the proposal.
    pub uuid: ProposalUuid,
    /// The path of the file below `files/` on the node.
    pub path: DocumentPath,
    /// The media type, as the node gave it.
    pub media_type: MediaType,
    /// SHA-256 of the content, which table `blob` holds under it.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// What the node had at the path when it proposed.
    pub base: ProposalBase,
}

/// What a node had at the path of a proposal when it proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ProposalBase {
    /// The position of the record that the node ran; 0 if it ran none.
    pub position: Position,
    /// SHA-256 of the file's content; null if the node had no such file.
    pub digest: Option<Digest>,
}

/// An accepted proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalAccepted {
    /// The node that proposed.
    pub node: NodeId,
    /// The document that was made of the proposal.
    pub document: DocumentId,
}

/// A rejected proposal: by a person, with a reason, or by a rule of the log, with a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalRejected {
    /// The node that proposed.
    pub node: NodeId,
    /// The rule; absent if a person rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<RejectionCode>,
    /// Why, in the person's words; absent if a rule rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A proposal whose place a newer one took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalSuperseded {
    /// The node that proposed both.
    pub node: NodeId,
    /// The newer proposal.
    pub by: ProposalId,
}

/// A proposal that its node took back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalWithdrawn {
    /// The node that proposed.
    pub node: NodeId,
}

open_enum! {
    /// The rule by which the log itself rejects a proposal.
    pub enum RejectionCode {
        /// What is desired at the path is not what the node had when it proposed.
        Stale = "proposal_stale",
        /// The node was retired.
        NodeRetired = "node_retired",
    }
}

open_enum! {
    /// What became of a proposal.
    pub enum ProposalState {
        /// It waits for a decision.
        Open = "open",
        /// An administrator accepted it.
        Accepted = "accepted",
        /// An administrator or a rule of the log rejected it.
        Rejected = "rejected",
        /// A newer one of the same node for the same path took its place.
        Superseded = "superseded",
        /// The node took it back.
        Withdrawn = "withdrawn",
    }
}

impl ProposalState {
    /// Every state that this program knows.
    pub const ALL: [Self; 5] = [Self::Open, Self::Accepted, Self::Rejected, Self::Superseded, Self::Withdrawn];
}

impl Proposed {
    /// The id under which the log knows the proposal.
    #[must_use]
    pub fn id(&self) -> ProposalId {
        ProposalId::derived(&self.node, self.uuid)
    }

    /// The document that is made of the proposal when it is accepted.
    #[must_use]
    pub fn document(&self) -> DocumentId {
        DocumentId::of_proposals(&self.node, &self.path)
    }
}
