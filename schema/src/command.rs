//! What can be asked for.
//!
//! A command states an intention about one entity. It is read from JSON strictly (an unknown field is a mistake, not a
//! wish for later) and is complete: whoever decides it needs no clock, no file and no second look at the sender.

mod compliance;
mod content;
mod form;
mod typo;

use alloc::format;
use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::compliance::{ClaimJobs, CompleteJob, ReleaseJobs};
use self::compliance::{Runtime, define};
pub use self::content::{Content, ContentForm, MediaType};
use self::form::{Only, strict};
use crate::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use crate::digest::Digest;
use crate::entity::Entity;
use crate::id::{AssessmentId, AttestationId, ComponentId, ControlId, DocumentId, JobId, NodeId, PrincipalName};
use crate::invalid::Invalid;
use crate::lease::LeaseToken;
use crate::path::DocumentPath;
use crate::report::Summary;
use crate::target::{Labels, Target};

/// An intention about one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make a document what this says.
    PutDocument(PutDocument),
    /// Take a document away from every node.
    RemoveDocument(DocumentId),
    /// Let a node take part.
    EnrolNode(NodeId, Labels),
    /// Replace a node's labels.
    LabelNode(NodeId, Labels),
    /// End a node's part: its record becomes empty.
    RetireNode(NodeId),
    /// Let a node try again what its check or hook rejected.
    RetryNode(NodeId),
    /// Let somebody speak to the door.
    CreatePrincipal(CreatePrincipal),
    /// End that.
    RevokePrincipal(PrincipalName),
    /// Give a principal another token in place of the one it has. Only `headwater token reset` asks for this; no JSON is read as it.
    ReplaceToken(CreatePrincipal),
    /// Keep what a node says it runs. Only the reconciler asks for this; no JSON is read as it.
    NoteReport(NodeId, Summary),
    /// Make a control what this says.
    DefineControl(ControlId, ControlDefined),
    /// Take it away.
    RemoveControl(ControlId),
    /// Make a component what this says.
    DefineComponent(ComponentId, ComponentDefined),
    /// Take it away.
    RemoveComponent(ComponentId),
    /// Make an assessment what this says.
    DefineAssessment(AssessmentId, AssessmentDefined),
    /// Take it away.
    RemoveAssessment(AssessmentId),
    /// Make an attestation what this says, and with it its job.
    DefineAttestation(AttestationId, AttestationDefined),
    /// Take it away, and its job.
    RemoveAttestation(AttestationId),
    /// Give a runtime jobs that nobody has.
    ClaimJobs(ClaimJobs),
    /// Say that a runtime is still at its jobs.
    RenewClaims(NodeId),
    /// Give jobs back.
    ReleaseJobs(ReleaseJobs),
    /// Keep what a run of a job came to.
    CompleteJob(CompleteJob),
    /// End a claim whose holder is silent. Only the reconciler asks for this; no JSON is read as it.
    ExpireClaim(JobId, LeaseToken),
}

/// The fields of `put_document`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutDocument {
    /// The document.
    pub id: DocumentId,
    /// Where it lands on a node.
    pub path: DocumentPath,
    /// What its bytes are.
    pub media_type: MediaType,
    /// The bytes.
    pub content: Content,
    /// For whom.
    pub target: Target,
    /// Which document wins where several share a path: the highest.
    pub priority: i32,
    /// How it combines with documents of lower priority at its path.
    pub merge: Merge,
}

/// The fields of `create_principal`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatePrincipal {
    /// Who.
    pub name: PrincipalName,
    /// What they may do.
    pub role: Role,
    /// SHA-256 of the token's text. The token itself is never stored.
    pub token_hash: Digest,
}

/// What a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Read everything.
    Auditor,
}

/// How a document combines with those of lower priority at its path. The name `json` is kept for merge patches, which
/// are not there yet, and is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// The highest priority wins whole.
    #[default]
    Replace,
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refused = match String::deserialize(deserializer)?.as_str() {
            "replace" => return Ok(Self::Replace),
            "json" => Invalid::new("not_available_yet", "merge `json` is not available yet; `replace` is"),
            other => Invalid::new("invalid_value", format!("`{other}` is not a merge; `replace` is")),
        };
        Err(serde::de::Error::custom(refused))
    }
}

/// Reads the fields of one type.
type Read = fn(Map<String, Value>) -> Result<Command, Invalid>;

/// Every type that can be asked for. What only Headwater's own parts ask for has none.
const TYPES: [(&str, Read); 20] = [
    ("put_document", |fields| PutDocument::read(fields).map(Command::PutDocument)),
    ("remove_document", |fields| only(fields).map(Command::RemoveDocument)),
    ("enrol_node", |fields| strict::<Labelled>(fields).map(|node| Command::EnrolNode(node.id, node.labels))),
    ("label_node", |fields| strict::<Labelled>(fields).map(|node| Command::LabelNode(node.id, node.labels))),
    ("retire_node", |fields| only(fields).map(Command::RetireNode)),
    ("retry_node", |fields| only(fields).map(Command::RetryNode)),
    ("create_principal", |fields| strict(fields).map(Command::CreatePrincipal)),
    ("revoke_principal", |fields| strict::<Named>(fields).map(|named| Command::RevokePrincipal(named.name))),
    ("define_control", |fields| define(fields).map(|(id, defined)| Command::DefineControl(id, defined))),
    ("define_component", |fields| define(fields).map(|(id, defined)| Command::DefineComponent(id, defined))),
    ("define_assessment", |fields| define(fields).map(|(id, defined)| Command::DefineAssessment(id, defined))),
    ("define_attestation", |fields| define(fields).map(|(id, defined)| Command::DefineAttestation(id, defined))),
    ("remove_control", |fields| only(fields).map(Command::RemoveControl)),
    ("remove_component", |fields| only(fields).map(Command::RemoveComponent)),
    ("remove_assessment", |fields| only(fields).map(Command::RemoveAssessment)),
    ("remove_attestation", |fields| only(fields).map(Command::RemoveAttestation)),
    ("claim_jobs", |fields| ClaimJobs::read(fields).map(Command::ClaimJobs)),
    ("renew_claims", |fields| strict::<Runtime>(fields).map(|only| Command::RenewClaims(only.runtime))),
    ("release_jobs", |fields| strict(fields).map(Command::ReleaseJobs)),
    ("complete_job", |fields| CompleteJob::read(fields).map(Command::CompleteJob)),
];

/// Types that the contract names and that are not there yet: refused by name, so that nobody takes the silence of a
/// typing error for them.
const NOT_YET: [&str; 3] = ["propose", "accept_proposal", "reject_proposal"];

impl Command {
    /// Reads a command from the fields that stand beside `type`.
    ///
    /// # Errors
    /// With the code and the field that are at fault.
    pub fn read(kind: &str, fields: Map<String, Value>) -> Result<Self, Invalid> {
        match TYPES.iter().find(|(name, _)| *name == kind) {
            Some((_, read)) => read(fields),
            None if NOT_YET.contains(&kind) => {
                Err(Invalid::new("not_available_yet", format!("`{kind}` is not available yet")).at("type"))
            }
            None => Err(typo::unknown(kind, TYPES.map(|(name, _)| name)).at("type")),
        }
    }

    /// The entity that the command is about.
    #[must_use]
    pub fn entity(&self) -> Entity {
        match self {
            Self::PutDocument(put) => (&put.id).into(),
            Self::RemoveDocument(id) => id.into(),
            Self::EnrolNode(id, _) | Self::LabelNode(id, _) | Self::RetireNode(id) | Self::RetryNode(id) => id.into(),
            Self::CreatePrincipal(create) | Self::ReplaceToken(create) => (&create.name).into(),
            Self::RevokePrincipal(name) => name.into(),
            Self::NoteReport(node, _) => Entity::report(node),
            Self::DefineControl(id, _) | Self::RemoveControl(id) => id.into(),
            Self::DefineComponent(id, _) | Self::RemoveComponent(id) => id.into(),
            Self::DefineAssessment(id, _) | Self::RemoveAssessment(id) => id.into(),
            Self::DefineAttestation(id, _) | Self::RemoveAttestation(id) => id.into(),
            Self::ClaimJobs(ClaimJobs { runtime, .. })
            | Self::RenewClaims(runtime)
            | Self::ReleaseJobs(ReleaseJobs { runtime, .. }) => Entity::runtime(runtime),
            Self::CompleteJob(CompleteJob { job, .. }) | Self::ExpireClaim(job, _) => job.into(),
        }
    }

    /// The content that the command brings, if it brings any.
    #[must_use]
    pub fn content(&self) -> Option<&Content> {
        match self {
            Self::PutDocument(put) => Some(&put.content),
            _ => None,
        }
    }
}

fn only<T: serde::de::DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Invalid> {
    strict::<Only<T>>(fields).map(|only| only.id)
}

/// A principal's name and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: PrincipalName,
}

/// A node with labels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labelled {
    id: NodeId,
    labels: Labels,
}

impl PutDocument {
    fn read(fields: Map<String, Value>) -> Result<Self, Invalid> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            id: DocumentId,
            path: DocumentPath,
            media_type: MediaType,
            content: Option<String>,
            content_base64: Option<String>,
            target: Target,
            priority: i32,
            #[serde(default)]
            merge: Merge,
        }
        let form: Fields = strict(fields)?;
        if let Some(unseen) = form.path.unseen() {
            let detail = format!(
                "a new path has no invisible and no direction-changing characters (Unicode categories Cf, Zl and Zp): take \
                 U+{:04X} out",
                u32::from(unseen)
            );
            return Err(Invalid::new("invalid_path", detail).at("path"));
        }
        let content = match (form.content, form.content_base64) {
            (Some(text), None) => Content::new(text.into_bytes()).map_err(|refused| refused.at("content")),
            (None, Some(text)) => decode(&text).map_err(|refused| refused.at("content_base64")),
            (None, None) => {
                Err(Invalid::new("missing_field", "one of `content` and `content_base64` is needed").at("content"))
            }
            (Some(_), Some(_)) => {
                Err(Invalid::new("invalid_value", "`content` and `content_base64` exclude each other")
                    .at("content_base64"))
            }
        }?;
        let Fields { id, path, media_type, target, priority, merge, .. } = form;
        Ok(Self { id, path, media_type, content, target, priority, merge })
    }
}

fn decode(text: &str) -> Result<Content, Invalid> {
    let bytes = STANDARD.decode(text).map_err(|error| Invalid::new("invalid_value", format!("not base64: {error}")))?;
    Content::new(bytes)
}
