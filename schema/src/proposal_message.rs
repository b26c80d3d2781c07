//! Proposals and verdicts as they travel: a node puts a proposal into bucket `cfg_proposed`, signed by its key `say`; the server
//! answers in bucket `cfg_verdict`, under the same key, signed by the log's key.
//!
//! Path and media type of a proposal are text here, whatever they say: a node that gives a path that no node may have gets a
//! verdict that names it, as somebody does who gives it over HTTP.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::command::{Command, Content, Propose};
use crate::digest::Digest;
use crate::id::{CommandId, DocumentId, LogId, NodeId, ProposalId, ProposalUuid};
use crate::instant::Instant;
use crate::invalid::InputError;
use crate::limit::REASON_BYTES_MAX;
use crate::position::Position;
use crate::proposal::{ProposalBase, ProposalState};
use crate::request::Request;
use crate::seal::{PublicKey, SecretKey, SignatureError, SignedRecord};
use crate::variant::UnknownVariantName;
use crate::wire::{RecordError, WireRecord};

/// A proposal on its way from a node to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalMessage {
    /// The format of the message.
    pub v: u16,
    /// The log that the node follows.
    pub log_id: LogId,
    /// The node that proposes.
    pub node: NodeId,
    /// The number of the agent's boot. A message of an earlier boot than the node's last report counts for nothing: the agent sends what
    /// is open again at each start.
    pub boot_no: u64,
    /// The number of the message within its boot.
    pub seq: u64,
    /// The id that the node gave the proposal.
    pub id: ProposalUuid,
    /// Whether the node takes the proposal back.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub withdrawn: bool,
    /// The path of the file below `files/`.
    pub path: String,
    /// The media type of the file.
    pub media_type: String,
    /// The file.
    #[serde(with = "serde_bytes")]
    pub content: Vec<u8>,
    /// What the node had at the path when it proposed.
    pub base: ProposalBase,
    /// Why, in the words of the node's operator.
    pub reason: Option<String>,
    /// When the node proposed, by its clock, which may be wrong: nothing is decided by it.
    pub at: Instant,
}

impl WireRecord for ProposalMessage {
    const WHAT: &'static str = "proposal";
}

impl ProposalMessage {
    /// The id under which the log knows the proposal.
    #[must_use]
    pub fn proposal(&self) -> ProposalId {
        ProposalId::derived(&self.node, self.id)
    }

    /// The key under which the log stores the request once, however often the message is sent.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        let verb = if self.withdrawn { "withdraw" } else { "proposal" };
        format!("{verb}/{}/{}", self.node, self.id)
    }

    /// The request that the message asks for.
    ///
    /// # Errors
    /// With the code and the field that are at fault.
    pub fn request(self) -> Result<Request, InputError> {
        if self.withdrawn {
            return Ok(Request::of([Command::WithdrawProposal(self.node, self.id)]));
        }
        let Self { node, id: uuid, path, media_type, content, base, reason, .. } = self;
        if let Some(fault) = reason.as_deref().and_then(fault_of_reason) {
            return Err(fault.at("reason"));
        }
        let propose = Propose {
            node,
            uuid,
            path: path.parse().map_err(|fault: InputError| fault.at("path"))?,
            media_type: media_type.parse().map_err(|fault: InputError| fault.at("media_type"))?,
            content: Content::new(content).map_err(|fault| fault.at("content"))?,
            base,
        };
        let propose = propose.checked()?;
        let fingerprint = fingerprint(&propose);
        Ok(Request { reason, fingerprint, ..Request::of([Command::Propose(propose)]) })
    }
}

/// What tells two proposals under one id apart.
fn fingerprint(propose: &Propose) -> Digest {
    let Propose { path, media_type, content, base, .. } = propose;
    let base_digest = base.digest.map_or([0; Digest::BYTES], |digest| *digest.as_bytes());
    Digest::of_parts([
        path.as_str().as_bytes(),
        &[0],
        media_type.as_str().as_bytes(),
        &[0],
        content.digest().as_bytes().as_slice(),
        &base.position.get().to_be_bytes(),
        &[u8::from(base.digest.is_some())],
        base_digest.as_slice(),
    ])
}

/// Why PostgreSQL or the log takes no such reason; nothing if they do.
fn fault_of_reason(reason: &str) -> Option<InputError> {
    if reason.contains('\0') {
        return Some(InputError::new("nul_in_text", "text can't hold U+0000"));
    }
    let bytes = reason.len();
    let detail = || format!("a reason has at most {REASON_BYTES_MAX} bytes, this one {bytes}");
    (bytes > REASON_BYTES_MAX).then(|| InputError::new("too_large", detail()))
}

/// What became of a proposal, as its node is told. All but `refused` follow from the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The format of the verdict.
    pub v: u16,
    /// What the record is: the log's key signs records of desired state as well.
    pub context: VerdictContext,
    /// The log that the verdict is of.
    pub log_id: LogId,
    /// The node that proposed.
    pub node: NodeId,
    /// The id that the node gave the proposal.
    pub id: ProposalUuid,
    /// What became of it.
    pub state: VerdictState,
    /// Why it was refused, or rejected by a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The member of the message that is at fault, where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Why it was refused, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The position of the event that made it so; of a refusal the head of the log that refused.
    pub position: Position,
    /// The request that this event belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// Who decided: a principal, the node itself, or `system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in the words of who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The document that was made of the proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentId>,
}

open_enum! {
    /// What became of a proposal, as its node is told.
    pub enum VerdictState {
        /// It waits for a decision.
        Open = "open",
        /// An administrator accepted it.
        Accepted = "accepted",
        /// An administrator or a rule of the log rejected it.
        Rejected = "rejected",
        /// A newer one took its place.
        Superseded = "superseded",
        /// The node took it back.
        Withdrawn = "withdrawn",
        /// It is no proposal that the log could hold: nothing of it was stored.
        Refused = "refused",
    }
}

/// The text `hw1/verdict`, which every verdict has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictContext;

/// A verdict that counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerdictError {
    /// The bytes are no verdict.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The log's key did not sign it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl WireRecord for Verdict {
    const WHAT: &'static str = "verdict";
}

impl From<ProposalState> for VerdictState {
    fn from(state: ProposalState) -> Self {
        match state {
            ProposalState::Open => Self::Open,
            ProposalState::Accepted => Self::Accepted,
            ProposalState::Rejected => Self::Rejected,
            ProposalState::Superseded => Self::Superseded,
            ProposalState::Withdrawn => Self::Withdrawn,
            ProposalState::Unknown(name) => Self::Unknown(name),
        }
    }
}

impl Verdict {
    /// Whether nothing more will become of the proposal. A state that only newer programs know ends it, too.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.state != VerdictState::Open
    }

    /// The verdict as bucket `cfg_verdict` holds it.
    #[must_use]
    pub fn seal(&self, key: &SecretKey) -> Vec<u8> {
        key.seal(self.write()).write()
    }

    /// A verdict that the log's key signed.
    ///
    /// # Errors
    /// If it did not, or the bytes are something else.
    pub fn open(bytes: &[u8], key: &PublicKey) -> Result<Self, VerdictError> {
        let signed = SignedRecord::read(bytes)?;
        Ok(Self::read(key.open(&signed)?)?)
    }
}

impl VerdictContext {
    const TEXT: &'static str = "hw1/verdict";
}

impl Serialize for VerdictContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for VerdictContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            Self::TEXT => Ok(Self),
            other => Err(serde::de::Error::custom(format!("its context is {}", crate::terminal::line(other)))),
        }
    }
}
