//! Proposals of nodes, and what became of them.

use alloc::string::String;

use schema::command::MediaType;
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::id::{CommandId, DocumentId, NodeId, ProposalId, ProposalUuid};
use schema::instant::Instant;
use schema::path::DocumentPath;
use schema::position::Position;
use schema::proposal::{ProposalBase, ProposalState, RejectionCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A proposal as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalSummary {
    /// The proposal's id.
    pub id: ProposalId,
    /// The node that proposed, which is the only one that the file is for.
    pub node: NodeId,
    /// The path of the file on the node.
    pub path: DocumentPath,
    /// What became of it.
    pub state: ProposalState,
    /// The rule of the log that rejected it; missing if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<RejectionCode>,
    /// Whether it is open, and the node had another file at the path when it proposed than is desired now: it can be accepted with
    /// `anyway` only.
    pub stale: bool,
    /// Why the node proposes it, in the words of its operator.
    pub reason: Option<String>,
    /// When it was proposed.
    pub at: Instant,
    /// The event that proposed it.
    pub position: Position,
    /// The document that was made of it; missing if it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentId>,
}

/// A proposal with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalDetail {
    /// The proposal as a list shows it.
    #[serde(flatten)]
    pub summary: ProposalSummary,
    /// The id that the node gave it.
    pub uuid: ProposalUuid,
    /// The media type of the file.
    pub media_type: MediaType,
    /// What the node had at the path when it proposed.
    pub base: ProposalBase,
    /// SHA-256 of the file that is desired at the path now; null if none is.
    pub now: Option<Digest>,
    /// The mode of the file that is desired at the path now, which the proposed one gets if it is accepted now. Older servers do not say.
    #[serde(default)]
    pub mode: DocumentMode,
    /// How and why it ended; null while it is open.
    pub decision: Option<ProposalDecision>,
    /// What the proposal changes: of an open one the file that is desired now, of another one the file that the node had. Null if
    /// there is none.
    pub before: Option<ProposalContent>,
    /// The file that is proposed.
    pub after: ProposalContent,
    /// The difference of the texts, line by line, as `diff -u` writes it; empty if they are the same, null if one of them is not
    /// known or no text.
    pub unified: Option<String>,
}

/// How a proposal ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalDecision {
    /// Who decided: a principal, the node that took it back, or `system` for a rule of the log.
    pub by: String,
    /// Why it was rejected or accepted, in the words of who decided.
    pub reason: Option<String>,
    /// The event that ended it.
    pub position: Position,
    /// When that was.
    pub at: Instant,
    /// The request that the event belongs to.
    pub command_id: CommandId,
}

/// A file before or after a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalContent {
    /// Names its bytes.
    pub digest: Digest,
    /// Its text; null if it is not UTF-8, has more than 256 KiB, or is not stored any more.
    pub text: Option<String>,
}
