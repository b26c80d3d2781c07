//! The commands about proposals: a node proposes and withdraws, an administrator accepts and rejects.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content::{Content, MediaType};
use super::form::strict;
use crate::id::{NodeId, ProposalId, ProposalUuid};
use crate::invalid::InputError;
use crate::limit::{PROPOSAL_BYTES_MAX, REASON_BYTES_MAX};
use crate::path::DocumentPath;
use crate::proposal::ProposalBase;

/// A file that a node proposes for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propose {
    /// The node, which is the only one that the file is for.
    pub node: NodeId,
    /// The id that the node gave the proposal.
    pub uuid: ProposalUuid,
    /// The path of the file below `files/` on the node.
    pub path: DocumentPath,
    /// The media type, as the node gave it.
    pub media_type: MediaType,
    /// The content.
    pub content: Content,
    /// What the node had at the path when it proposed.
    pub base: ProposalBase,
}

/// The fields of `accept_proposal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceptProposal {
    /// The id of the proposal.
    pub id: ProposalId,
    /// The priority of the document that is made of it; 1,000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Accept it although the node had another file at the path when it proposed than is desired now.
    #[serde(default)]
    pub anyway: bool,
}

/// The fields of `reject_proposal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RejectProposal {
    /// The id of the proposal.
    pub id: ProposalId,
    /// Why, for the node and its operator: at most 4 KiB.
    #[cfg_attr(feature = "json-schema", schemars(length(min = 1, max = REASON_BYTES_MAX)))]
    pub reason: String,
}

impl Propose {
    /// The same proposal, if its path and its content are such as a new proposal may have.
    ///
    /// # Errors
    /// `invalid_path` or `too_large`, with the field that is at fault.
    pub fn checked(self) -> Result<Self, InputError> {
        self.path.check_visible()?;
        match self.content.bytes().len() {
            bytes if bytes > PROPOSAL_BYTES_MAX => {
                let detail = format!("a proposal has at most {PROPOSAL_BYTES_MAX} bytes, this one {bytes}");
                Err(InputError::new("too_large", detail).at("content"))
            }
            _ => Ok(self),
        }
    }
}

impl RejectProposal {
    pub(super) fn read<C>(fields: Map<String, Value>, command: fn(Self) -> C) -> Result<C, InputError> {
        let reject: Self = strict(fields)?;
        match reject.reason.len() {
            0 => Err(InputError::new("invalid_value", "a reason says something").at("reason")),
            1..=REASON_BYTES_MAX => Ok(command(reject)),
            bytes => {
                let detail = format!("a reason has at most {REASON_BYTES_MAX} bytes, this one {bytes}");
                Err(InputError::new("too_large", detail).at("reason"))
            }
        }
    }
}
