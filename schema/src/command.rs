//! What can be asked for.
//!
//! A command states an intention about one entity. It is read from JSON strictly (an unknown field is a mistake, not a
//! wish for later) and is complete: whoever decides it needs no clock, no file and no second look at the sender.

mod compliance;
mod form;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::compliance::{ClaimJobs, CompleteJob, ReleaseJobs};
use self::compliance::{Runtime, define};
use self::form::{Only, strict};
use crate::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use crate::digest::Digest;
use crate::entity::Entity;
use crate::id::{AssessmentId, AttestationId, ComponentId, ControlId, DocumentId, JobId, NodeId, PrincipalName};
use crate::invalid::Invalid;
use crate::lease::LeaseToken;
use crate::limit::{CONTENT_BYTES_MAX, MEDIA_TYPE_BYTES_MAX};
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

/// A media type: printable ASCII, `type/subtype` with optional parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(Arc<str>);

impl MediaType {
    /// The media type's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::str::FromStr for MediaType {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let halves = text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
        if !printable || !halves || text.len() > MEDIA_TYPE_BYTES_MAX {
            let detail =
                format!("a media type is type/subtype in at most {MEDIA_TYPE_BYTES_MAX} printable ASCII bytes");
            return Err(Invalid::new("invalid_value", detail));
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for MediaType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A document's bytes with the digest that names them. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Arc<[u8]>,
    digest: Digest,
}

impl Content {
    /// Content of at most 4 MiB.
    ///
    /// # Errors
    /// `too_large`.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Result<Self, Invalid> {
        let bytes = bytes.into();
        if bytes.len() > CONTENT_BYTES_MAX {
            let detail = format!("content has at most {CONTENT_BYTES_MAX} bytes, this one {}", bytes.len());
            return Err(Invalid::new("too_large", detail));
        }
        Ok(Self { digest: Digest::of(&bytes), bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Their name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes, {})", self.bytes.len(), self.digest.short())
    }
}

/// Commands that the contract names and that are not there yet: refused by name, so that nobody takes the silence of a
/// typing error for them.
const NOT_YET: &[&str] = &["propose", "accept_proposal", "reject_proposal"];

impl Command {
    /// Reads a command from the fields that stand beside `type`.
    ///
    /// # Errors
    /// With the code and the field that are at fault.
    pub fn read(kind: &str, fields: Map<String, Value>) -> Result<Self, Invalid> {
        match kind {
            "put_document" => PutDocument::read(fields).map(Self::PutDocument),
            "remove_document" => strict::<Only<DocumentId>>(fields).map(|only| Self::RemoveDocument(only.id)),
            "enrol_node" => strict::<Labelled>(fields).map(|node| Self::EnrolNode(node.id, node.labels)),
            "label_node" => strict::<Labelled>(fields).map(|node| Self::LabelNode(node.id, node.labels)),
            "retire_node" => strict::<Only<NodeId>>(fields).map(|only| Self::RetireNode(only.id)),
            "retry_node" => strict::<Only<NodeId>>(fields).map(|only| Self::RetryNode(only.id)),
            "create_principal" => strict(fields).map(Self::CreatePrincipal),
            "revoke_principal" => strict::<Named>(fields).map(|named| Self::RevokePrincipal(named.name)),
            "define_control" => define(fields).map(|(id, defined)| Self::DefineControl(id, defined)),
            "define_component" => define(fields).map(|(id, defined)| Self::DefineComponent(id, defined)),
            "define_assessment" => define(fields).map(|(id, defined)| Self::DefineAssessment(id, defined)),
            "define_attestation" => define(fields).map(|(id, defined)| Self::DefineAttestation(id, defined)),
            "remove_control" => strict::<Only<ControlId>>(fields).map(|only| Self::RemoveControl(only.id)),
            "remove_component" => strict::<Only<ComponentId>>(fields).map(|only| Self::RemoveComponent(only.id)),
            "remove_assessment" => strict::<Only<AssessmentId>>(fields).map(|only| Self::RemoveAssessment(only.id)),
            "remove_attestation" => strict::<Only<AttestationId>>(fields).map(|only| Self::RemoveAttestation(only.id)),
            "claim_jobs" => ClaimJobs::read(fields).map(Self::ClaimJobs),
            "renew_claims" => strict::<Runtime>(fields).map(|only| Self::RenewClaims(only.runtime)),
            "release_jobs" => strict(fields).map(Self::ReleaseJobs),
            "complete_job" => CompleteJob::read(fields).map(Self::CompleteJob),
            _ if NOT_YET.contains(&kind) => {
                Err(Invalid::new("not_available_yet", format!("`{kind}` is not available yet")).at("type"))
            }
            _ => Err(Invalid::new("unknown_type", format!("`{kind}` is not a command")).at("type")),
        }
    }

    /// The entity that the command is about.
    #[must_use]
    pub fn entity(&self) -> Entity {
        match self {
            Self::PutDocument(put) => (&put.id).into(),
            Self::RemoveDocument(id) => id.into(),
            Self::EnrolNode(id, _) | Self::LabelNode(id, _) | Self::RetireNode(id) | Self::RetryNode(id) => id.into(),
            Self::CreatePrincipal(create) => (&create.name).into(),
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
        struct Form {
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
        let form: Form = strict(fields)?;
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
        let Form { id, path, media_type, target, priority, merge, .. } = form;
        Ok(Self { id, path, media_type, content, target, priority, merge })
    }
}

fn decode(text: &str) -> Result<Content, Invalid> {
    let bytes = STANDARD.decode(text).map_err(|error| Invalid::new("invalid_value", format!("not base64: {error}")))?;
    Content::new(bytes)
}
