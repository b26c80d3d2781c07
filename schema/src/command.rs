//! Commands: what a caller can ask for.
//!
//! A command states an intention about one entity. It is read from JSON strictly: an unknown field is refused. A command is
//! complete: deciding it needs no clock, no file and nothing more from the sender.

mod bundle;
mod compliance;
mod content;
mod form;
mod identity;
mod labelling;
mod proposal;
mod rollout;
mod typo;
mod write;

use alloc::format;
use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::bundle::{AssignBundle, SetMark};
pub use self::compliance::{ClaimJobs, CompleteJob, ReleaseJobs};
#[cfg(feature = "json-schema")]
pub(crate) use self::compliance::{Define, Definition, Renewal};
use self::compliance::{define, renewing};
pub use self::content::{Content, ContentForm, KnownContent, MediaType, PutContent};
#[cfg(feature = "json-schema")]
pub(crate) use self::identity::OwnLog;

use self::form::{Only, strict};
use self::identity::own_log;
pub use self::identity::{CreateJoinToken, EnrolNode, JoinNode, SetNodeKeys, check_keys};
#[cfg(feature = "json-schema")]
use self::labelling::LabelNodeForm;
pub use self::labelling::RelabelNodes;
use self::labelling::labelled;
pub use self::proposal::{AcceptProposal, Propose, RejectProposal};
use self::rollout::open_rollout;
pub use self::rollout::{AdvanceRollout, ApproveStage, ResumeRollout, SetGuard};
use crate::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use crate::digest::Digest;
use crate::document_mode::DocumentMode;
use crate::entity::Entity;
use crate::id::{
    AssessmentId, AttestationId, BundleId, ComponentId, ControlId, DocumentId, JobId, JoinTokenId, LogId, NodeId,
    PrincipalName, ProposalId, ProposalUuid, RolloutId,
};
use crate::invalid::InputError;
use crate::labels::Labels;
use crate::lease::LeaseToken;
use crate::path::DocumentPath;
use crate::report::ReportSummary;
use crate::rollout::RolloutOpened;
use crate::target::Target;

commands! {
    /// Create a document or replace it, for all nodes that it is for, or for the nodes of a rollout.
    PutDocument(put: PutDocument) about &put.id, from "put_document" as PutDocumentForm, by PutDocument::read;
    /// Remove a document from all nodes, or from the nodes of a rollout.
    RemoveDocument(remove: RemoveDocument) about &remove.id, from "remove_document" as RemoveDocument, by whole;
    /// Enrol a node: it gets a desired record from then on.
    EnrolNode(enrol: EnrolNode) about &enrol.id, from "enrol_node" as EnrolNode, by EnrolNode::read;
    /// Replace a node's labels.
    LabelNode(id: NodeId, labels: Labels) about id, from "label_node" as LabelNodeForm, by labelled;
    /// Retire a node: its record becomes empty.
    RetireNode(id: NodeId) about id, from "retire_node" as Only<NodeId>, by only;
    /// Let a node try again what its check or hook rejected.
    RetryNode(id: NodeId) about id, from "retry_node" as Only<NodeId>, by only;
    /// Give a principal access to the HTTP API.
    CreatePrincipal(create: CreatePrincipal) about &create.name, from "create_principal" as CreatePrincipal, by whole;
    /// End a principal's access to the HTTP API.
    RevokePrincipal(name: PrincipalName) about name, from "revoke_principal" as Named, by named;
    /// Give a principal another token in place of the one it has. Only `headwater token reset` asks for this; no JSON is read as it.
    ReplaceToken(create: CreatePrincipal) about &create.name;
    /// Record what a node reports to run. Only the reconciler asks for this; no JSON is read as it.
    NoteReport(node: NodeId, summary: ReportSummary) about Entity::report(node);
    /// Create a control or replace it.
    DefineControl(id: ControlId, control: ControlDefined) about id, from "define_control" as Define<ControlId, ControlDefined>, by define;
    /// Create a component or replace it.
    DefineComponent(id: ComponentId, component: ComponentDefined) about id, from "define_component" as Define<ComponentId, ComponentDefined>, by define;
    /// Create an assessment or replace it.
    DefineAssessment(id: AssessmentId, assessment: AssessmentDefined) about id, from "define_assessment" as Define<AssessmentId, AssessmentDefined>, by define;
    /// Create an attestation or replace it, and with it its job.
    DefineAttestation(id: AttestationId, attestation: AttestationDefined) about id, from "define_attestation" as Define<AttestationId, AttestationDefined>, by define;
    /// Remove a control that nothing refers to.
    RemoveControl(id: ControlId) about id, from "remove_control" as Only<ControlId>, by only;
    /// Remove a component that nothing refers to.
    RemoveComponent(id: ComponentId) about id, from "remove_component" as Only<ComponentId>, by only;
    /// Remove an assessment that nothing refers to.
    RemoveAssessment(id: AssessmentId) about id, from "remove_assessment" as Only<AssessmentId>, by only;
    /// Remove an attestation, and with it its job.
    RemoveAttestation(id: AttestationId) about id, from "remove_attestation" as Only<AttestationId>, by only;
    /// Give a runtime jobs that no runtime holds.
    ClaimJobs(claim: ClaimJobs) about Entity::runtime(&claim.runtime), from "claim_jobs" as ClaimJobs, by ClaimJobs::read;
    /// Say that a runtime still works on its jobs, so that their leases begin again.
    RenewClaims(runtime: NodeId) about Entity::runtime(runtime), from "renew_claims" as Renewal, by renewing;
    /// Give up the claims of a runtime on some or all of its jobs.
    ReleaseJobs(release: ReleaseJobs) about Entity::runtime(&release.runtime), from "release_jobs" as ReleaseJobs, by whole;
    /// Record the outcome of one run of a job.
    CompleteJob(complete: CompleteJob) about &complete.job, from "complete_job" as CompleteJob, by CompleteJob::read;
    /// End a claim whose holder is silent. Only the reconciler asks for this; no JSON is read as it.
    ExpireClaim(job: JobId, token: LeaseToken) about job;
    /// Give a node other keys in place of those it has.
    SetNodeKeys(set: SetNodeKeys) about &set.id, from "set_node_keys" as SetNodeKeys, by SetNodeKeys::read;
    /// Shut a node out of NATS at once; its keys are never let in again. What it runs, it keeps.
    BarNode(id: NodeId) about id, from "bar_node" as Only<NodeId>, by only;
    /// End the access of a retired node. Only the reconciler asks for this; no JSON is read as it.
    DismissNode(id: NodeId) about id;
    /// Make a token with which nodes may join.
    CreateJoinToken(create: CreateJoinToken) about &create.id, from "create_join_token" as CreateJoinToken, by CreateJoinToken::read;
    /// End a join token. Nodes that joined with it stay.
    RevokeJoinToken(id: JoinTokenId) about id, from "revoke_join_token" as Only<JoinTokenId>, by only;
    /// Let a node join. Only the holder of a token asks for this; no JSON is read as it.
    JoinNode(join: JoinNode) about &join.token;
    /// Close NATS for nodes without keys: the shared password opens nothing any more. It can't be opened again.
    CloseBus(log: LogId) about Entity::log(*log), from "close_bus" as OwnLog, by own_log;
    /// Propose a file for a node. Only the node itself asks for this, over NATS; no JSON is read as it.
    Propose(propose: Propose) about &ProposalId::derived(&propose.node, propose.uuid);
    /// Take a proposal back. Only the node that made it asks for this, over NATS; no JSON is read as it.
    WithdrawProposal(node: NodeId, uuid: ProposalUuid) about &ProposalId::derived(node, *uuid);
    /// Accept a proposal: its content becomes a document for the node that made it.
    AcceptProposal(accept: AcceptProposal) about &accept.id, from "accept_proposal" as AcceptProposal, by whole;
    /// Reject a proposal.
    RejectProposal(reject: RejectProposal) about &reject.id, from "reject_proposal" as RejectProposal, by RejectProposal::read;
    /// Enrol a node, or replace its labels if it is enrolled.
    PutNode(id: NodeId, labels: Labels) about id, from "put_node" as LabelNodeForm, by labelled;
    /// Say what belongs to a bundle. What leaves it is removed, if nothing else of the request takes it up.
    AssignBundle(assign: AssignBundle) about &assign.id, from "assign_bundle" as AssignBundle, by AssignBundle::read;
    /// End a bundle. What belongs to it stays, and belongs to none.
    RemoveBundle(id: BundleId) about id, from "remove_bundle" as Only<BundleId>, by only;
    /// Give a position of the log a name.
    Mark(mark: SetMark) about &mark.id, from "mark" as SetMark, by whole;
    /// Set labels of all active nodes that a target selects, or take labels from them; their other labels stay.
    RelabelNodes(relabel: RelabelNodes) about Entity::fleet(), from "relabel_nodes" as RelabelNodes, by RelabelNodes::read;
    /// Open a rollout: say in which stages its changes reach nodes, and what stops it. The changes are put or removed with its id before it is started.
    OpenRollout(id: RolloutId, opened: RolloutOpened) about id, from "open_rollout" as Define<RolloutId, RolloutOpened>, by open_rollout;
    /// Start a rollout: nodes get its changes from then on, stage by stage.
    StartRollout(id: RolloutId) about id, from "start_rollout" as Only<RolloutId>, by only;
    /// Pause a rollout: it releases no more nodes.
    PauseRollout(id: RolloutId) about id, from "pause_rollout" as Only<RolloutId>, by only;
    /// Let a rollout go on that was paused or halted.
    ResumeRollout(resume: ResumeRollout) about &resume.id, from "resume_rollout" as ResumeRollout, by whole;
    /// Approve the open stage of a rollout.
    ApproveStage(approve: ApproveStage) about &approve.id, from "approve_stage" as ApproveStage, by whole;
    /// End a rollout, and take its changes back from every node that got them.
    AbortRollout(id: RolloutId) about id, from "abort_rollout" as Only<RolloutId>, by only;
    /// End the last stage of a rollout, although nodes are silent: its changes are for every node from then on.
    CompleteRollout(id: RolloutId) about id, from "complete_rollout" as Only<RolloutId>, by only;
    /// Say what was seen of the nodes of a rollout, so that it goes on. Only the reconciler asks for this; no JSON is read as it.
    AdvanceRollout(advance: AdvanceRollout) about &advance.id;
    /// Say of how many nodes a request may change files, unless it is a rollout or says `now`.
    SetGuard(guard: SetGuard) about Entity::guard(), from "set_guard" as SetGuard, by whole;
}

/// The fields of `put_document`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutDocument {
    /// The id of the document to create or replace.
    pub id: DocumentId,
    /// The path of the file below `files/` on each node.
    pub path: DocumentPath,
    /// The media type, as the sender gives it.
    pub media_type: MediaType,
    /// The content, at most 4 MiB.
    pub content: PutContent,
    /// Which nodes get the document.
    pub target: Target,
    /// Of the documents that share a path on a node, the one with the highest priority wins.
    pub priority: i32,
    /// How it combines with documents of lower priority at its path.
    pub merge: Merge,
    /// The mode of the file on each node.
    pub mode: DocumentMode,
    /// The rollout whose nodes get the document; without it all nodes do that the document is for.
    pub rollout: Option<RolloutId>,
}

/// The fields of `remove_document`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoveDocument {
    /// The id of the document.
    pub id: DocumentId,
    /// The rollout whose nodes lose the document; without it all nodes do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
}

/// A document as it is written: one of `content`, `content_base64` and `content_digest`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "json-schema",
    schemars(extend(
        "if" = {"required": ["content"]},
        "then" = {"not": {"anyOf": [{"required": ["content_base64"]}, {"required": ["content_digest"]}]}},
        "else" = {"oneOf": [{"required": ["content_base64"]}, {"required": ["content_digest"]}]}
    ))
)]
#[serde(deny_unknown_fields)]
struct PutDocumentForm {
    id: DocumentId,
    /// Where the document lies on a node.
    path: DocumentPath,
    media_type: MediaType,
    /// The document's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// The document's bytes in base64 with padding (RFC 4648, section 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    /// The digest of bytes that the log holds already.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_digest: Option<Digest>,
    target: Target,
    /// Of the documents that share a path on a node, the one with the highest priority wins.
    priority: i32,
    #[serde(default)]
    merge: Merge,
    /// The mode of the file on a node: `755` if it is a program, such as a script.
    #[serde(default, skip_serializing_if = "DocumentMode::is_plain")]
    mode: DocumentMode,
    /// The rollout whose nodes get the document; without it all nodes do that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rollout: Option<RolloutId>,
}

/// The fields of `create_principal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreatePrincipal {
    /// The name of the new principal, which stands as actor in the events it causes.
    pub name: PrincipalName,
    /// What the principal may do over HTTP.
    pub role: Role,
    /// SHA-256 of the token's text. The token itself is never stored.
    pub token_hash: Digest,
}

/// What a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read everything, and send commands.
    Admin,
    /// Read everything, and send no command.
    Auditor,
}

/// The shape of a command as JSON asks for it.
#[cfg(feature = "json-schema")]
pub(crate) struct CommandShape {
    /// The command's `type`.
    pub(crate) name: &'static str,
    /// What it asks for, in a sentence.
    pub(crate) meaning: &'static str,
    /// The schema of the members beside `type` and `expected_version`.
    pub(crate) members: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

/// Reads the fields of one type of command.
type Read = fn(Map<String, Value>) -> Result<Command, InputError>;

/// How a document combines with those of lower priority at its path. The name `json` is kept for merge patches, which
/// are not there yet, and is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// The document with the highest priority is used whole; the others at its path are ignored.
    #[default]
    Replace,
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refused = match String::deserialize(deserializer)?.as_str() {
            "replace" => return Ok(Self::Replace),
            "json" => InputError::new("not_available_yet", "merge `json` is not available yet; `replace` is"),
            other => InputError::new("invalid_value", format!("`{other}` is not a merge; `replace` is")),
        };
        Err(serde::de::Error::custom(refused))
    }
}

/// Commands that only a node gives, over NATS. They get a refusal of their own, so that a sender does not take them for a typing
/// error.
const NODES_ONLY: [&str; 2] = ["propose", "withdraw_proposal"];

impl Command {
    /// Reads a command from the fields that stand beside `type`.
    ///
    /// # Errors
    /// With the code and the field that are at fault.
    pub fn read(kind: &str, fields: Map<String, Value>) -> Result<Self, InputError> {
        match TYPES.iter().find(|(name, _)| *name == kind) {
            Some((_, read)) => read(fields),
            None if NODES_ONLY.contains(&kind) => {
                let detail = format!("only a node can `{kind}`, for itself: see `headwater edge propose`");
                Err(InputError::new("unknown_type", detail).at("type"))
            }
            None => Err(typo::unknown(kind, TYPES.iter().map(|(name, _)| *name)).at("type")),
        }
    }

    /// The content that the command brings, if it brings any.
    #[must_use]
    pub fn content(&self) -> Option<&Content> {
        match self {
            Self::PutDocument(put) => put.content.given(),
            Self::Propose(propose) => Some(&propose.content),
            _ => None,
        }
    }
}

/// Reads a command whose only field is the id of its entity.
fn only<T: DeserializeOwned>(fields: Map<String, Value>, command: fn(T) -> Command) -> Result<Command, InputError> {
    strict::<Only<T>>(fields).map(|only| command(only.id))
}

/// Reads a command whose fields are those of one struct.
fn whole<T: DeserializeOwned>(fields: Map<String, Value>, command: fn(T) -> Command) -> Result<Command, InputError> {
    strict(fields).map(command)
}

/// The name of a principal and nothing else.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Named {
    name: PrincipalName,
}

/// Reads a command whose only field is the name of a principal.
fn named(fields: Map<String, Value>, command: fn(PrincipalName) -> Command) -> Result<Command, InputError> {
    strict::<Named>(fields).map(|named| command(named.name))
}

impl PutDocument {
    fn read(fields: Map<String, Value>, command: fn(Self) -> Command) -> Result<Command, InputError> {
        let form: PutDocumentForm = strict(fields)?;
        form.path.check_visible()?;
        let content = match (form.content, form.content_base64, form.content_digest) {
            (Some(text), None, None) => {
                Content::new(text.into_bytes()).map(PutContent::Given).map_err(|refused| refused.at("content"))
            }
            (None, Some(text), None) => {
                decode(&text).map(PutContent::Given).map_err(|refused| refused.at("content_base64"))
            }
            (None, None, Some(digest)) => Ok(PutContent::Named(digest)),
            (None, None, None) => {
                let detail = "one of `content`, `content_base64` and `content_digest` is needed";
                Err(InputError::new("missing_field", detail).at("content"))
            }
            (text, bytes, _) => {
                let detail = "`content`, `content_base64` and `content_digest` exclude each other";
                let second = if text.is_some() && bytes.is_some() { "content_base64" } else { "content_digest" };
                Err(InputError::new("invalid_value", detail).at(second))
            }
        }?;
        let PutDocumentForm { id, path, media_type, target, priority, merge, mode, rollout, .. } = form;
        Ok(command(Self { id, path, media_type, content, target, priority, merge, mode, rollout }))
    }
}

fn decode(text: &str) -> Result<Content, InputError> {
    let bytes =
        STANDARD.decode(text).map_err(|error| InputError::new("invalid_value", format!("not base64: {error}")))?;
    Content::new(bytes)
}
