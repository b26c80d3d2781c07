//! What happened, and how it is read for ever.
//!
//! A change is the part of an event that is not its envelope: a type, a format version and JSON text. The entity that
//! it happened to stands in the envelope only. Formats are never edited: a type whose data changes shape gets an entry
//! in [`UPCASTS`], which lifts stored data step by step to the shape of today, and its version follows from their count.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::{MediaType, Merge, Role};
use crate::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use crate::digest::Digest;
use crate::entity::Kind;
use crate::id::LogId;
use crate::lease::{ClaimExpired, JobClaimed, JobCompleted, JobReleased};
use crate::path::DocumentPath;
use crate::position::Position;
use crate::report::Summary;
use crate::target::{Labels, Target};

/// What happened to an entity. What a state keeps as it was said is shared with it: a log is folded as often as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A document became what this says.
    DocumentPut(Arc<DocumentPut>),
    /// A document was taken away.
    DocumentRemoved,
    /// A node takes part from here on.
    NodeEnrolled(Labelled),
    /// A node's labels were replaced.
    NodeLabelled(Labelled),
    /// A node takes part no more.
    NodeRetired,
    /// A node may try again what it had rejected.
    NodeRetried,
    /// Somebody may speak to the door.
    PrincipalCreated(PrincipalCreated),
    /// And may no more.
    PrincipalRevoked,
    /// What a node runs, failed at or drifted from became this.
    ReportChanged(Arc<Summary>),
    /// A control became what this says.
    ControlDefined(ControlDefined),
    /// A control was taken away.
    ControlRemoved,
    /// A component became what this says.
    ComponentDefined(ComponentDefined),
    /// A component was taken away.
    ComponentRemoved,
    /// An assessment became what this says.
    AssessmentDefined(AssessmentDefined),
    /// An assessment was taken away.
    AssessmentRemoved,
    /// An attestation became what this says, and with it its job.
    AttestationDefined(AttestationDefined),
    /// An attestation was taken away, and its job.
    AttestationRemoved,
    /// A job has a holder from here on.
    JobClaimed(JobClaimed),
    /// Its holder gave it back.
    JobReleased(JobReleased),
    /// Its holder ran it.
    JobCompleted(JobCompleted),
    /// Its holder was silent for too long.
    ClaimExpired(ClaimExpired),
    /// A runtime is still at all that it holds.
    ClaimRenewed,
    /// What stands before this was another log, whose end was lost.
    LogBegun(LogBegun),
}

/// Where a log was begun anew from another one. Its leaves, sealed with that log's id, have that root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBegun {
    /// The other log.
    pub from: LogId,
    /// The last event that is taken over from it.
    pub position: Position,
    /// The root of its tree there.
    pub root: Digest,
    /// The newest checkpoint of it that was found, as it was signed. It may be of a later position: that much is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// A document as of its event. The bytes are the blob of that digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentPut {
    /// Where it lands on a node.
    pub path: DocumentPath,
    /// What its bytes are.
    pub media_type: MediaType,
    /// Names its bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// For whom.
    pub target: Target,
    /// Which document wins where several share a path: the highest.
    pub priority: i32,
    /// How it combines with documents of lower priority.
    pub merge: Merge,
}

/// A node's labels as of its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// All of them.
    #[serde(with = "crate::target::shared")]
    pub labels: Arc<Labels>,
}

/// A principal as of its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalCreated {
    /// What they may do.
    pub role: Role,
    /// SHA-256 of the token's text.
    pub token_hash: Digest,
}

/// One step of upcasting: data of `event_type` in format `from` becomes data in format `from + 1`.
#[derive(Clone, Copy, Debug)]
pub struct Upcast {
    /// The type whose format changed.
    pub event_type: &'static str,
    /// The older format.
    pub from: u16,
    /// Rewrites the data; none where the newer format has more members that may be absent, and the data is read as it stands.
    pub lift: Option<Lift>,
}

/// Rewrites data of one format to that of the next.
pub type Lift = fn(Value) -> Value;

/// Every change of a format there has been. `ReportChanged` has `good` in its second.
pub const UPCASTS: &[Upcast] = &[Upcast { event_type: "ReportChanged", from: 1, lift: None }];

/// Why a stored change can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer Headwater.
    #[error("{event_type} in format {v} is newer than this program, which reads up to {newest}: upgrade it")]
    Newer {
        /// The event's type.
        event_type: String,
        /// Its format.
        v: u16,
        /// The newest format that is understood.
        newest: u16,
    },
    /// A type that this program has never heard of.
    #[error("{event_type} is no event type that this program knows: upgrade it")]
    UnknownType {
        /// The event's type.
        event_type: String,
    },
    /// The data does not have the shape of its format.
    #[error("the data of {event_type} in format {v} is damaged: {why}")]
    Damaged {
        /// The event's type.
        event_type: String,
        /// Its format.
        v: u16,
        /// What the reader stumbled over.
        why: String,
    },
}

impl Change {
    /// Every event type there is.
    pub const TYPES: [&'static str; 23] = [
        "DocumentPut",
        "DocumentRemoved",
        "NodeEnrolled",
        "NodeLabelled",
        "NodeRetired",
        "NodeRetried",
        "PrincipalCreated",
        "PrincipalRevoked",
        "ReportChanged",
        "ControlDefined",
        "ControlRemoved",
        "ComponentDefined",
        "ComponentRemoved",
        "AssessmentDefined",
        "AssessmentRemoved",
        "AttestationDefined",
        "AttestationRemoved",
        "JobClaimed",
        "JobReleased",
        "JobCompleted",
        "ClaimExpired",
        "ClaimRenewed",
        "LogBegun",
    ];

    /// The type's name on every wire.
    #[must_use]
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::DocumentPut(_) => "DocumentPut",
            Self::DocumentRemoved => "DocumentRemoved",
            Self::NodeEnrolled(_) => "NodeEnrolled",
            Self::NodeLabelled(_) => "NodeLabelled",
            Self::NodeRetired => "NodeRetired",
            Self::NodeRetried => "NodeRetried",
            Self::PrincipalCreated(_) => "PrincipalCreated",
            Self::PrincipalRevoked => "PrincipalRevoked",
            Self::ReportChanged(_) => "ReportChanged",
            Self::ControlDefined(_) => "ControlDefined",
            Self::ControlRemoved => "ControlRemoved",
            Self::ComponentDefined(_) => "ComponentDefined",
            Self::ComponentRemoved => "ComponentRemoved",
            Self::AssessmentDefined(_) => "AssessmentDefined",
            Self::AssessmentRemoved => "AssessmentRemoved",
            Self::AttestationDefined(_) => "AttestationDefined",
            Self::AttestationRemoved => "AttestationRemoved",
            Self::JobClaimed(_) => "JobClaimed",
            Self::JobReleased(_) => "JobReleased",
            Self::JobCompleted(_) => "JobCompleted",
            Self::ClaimExpired(_) => "ClaimExpired",
            Self::ClaimRenewed => "ClaimRenewed",
            Self::LogBegun(_) => "LogBegun",
        }
    }

    /// The kind of entity that it happens to.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::DocumentPut(_) | Self::DocumentRemoved => Kind::Document,
            Self::NodeEnrolled(_) | Self::NodeLabelled(_) | Self::NodeRetired | Self::NodeRetried => Kind::Node,
            Self::PrincipalCreated(_) | Self::PrincipalRevoked => Kind::Principal,
            Self::ReportChanged(_) => Kind::Report,
            Self::ControlDefined(_) | Self::ControlRemoved => Kind::Control,
            Self::ComponentDefined(_) | Self::ComponentRemoved => Kind::Component,
            Self::AssessmentDefined(_) | Self::AssessmentRemoved => Kind::Assessment,
            Self::AttestationDefined(_) | Self::AttestationRemoved => Kind::Attestation,
            Self::JobClaimed(_) | Self::JobReleased(_) | Self::JobCompleted(_) | Self::ClaimExpired(_) => Kind::Job,
            Self::ClaimRenewed => Kind::Runtime,
            Self::LogBegun(_) => Kind::Log,
        }
    }

    /// The format that [`Change::data`] writes: the oldest that can say it, so that older programs read what they can.
    #[must_use]
    pub fn format(&self) -> u16 {
        match self {
            Self::ReportChanged(summary) if summary.good.is_none() => 1,
            _ => newest(UPCASTS, self.event_type()),
        }
    }

    /// The data as JSON text.
    #[must_use]
    pub fn data(&self) -> String {
        let written = match self {
            Self::DocumentPut(put) => serde_json::to_string(&**put),
            Self::NodeEnrolled(node) | Self::NodeLabelled(node) => serde_json::to_string(node),
            Self::PrincipalCreated(principal) => serde_json::to_string(principal),
            Self::ReportChanged(summary) => serde_json::to_string(&**summary),
            Self::ControlDefined(control) => serde_json::to_string(control),
            Self::ComponentDefined(component) => serde_json::to_string(component),
            Self::AssessmentDefined(assessment) => serde_json::to_string(assessment),
            Self::AttestationDefined(attestation) => serde_json::to_string(attestation),
            Self::JobClaimed(claimed) => serde_json::to_string(claimed),
            Self::JobReleased(released) => serde_json::to_string(released),
            Self::JobCompleted(completed) => serde_json::to_string(completed),
            Self::ClaimExpired(expired) => serde_json::to_string(expired),
            Self::LogBegun(begun) => serde_json::to_string(begun),
            Self::DocumentRemoved | Self::NodeRetired | Self::NodeRetried | Self::PrincipalRevoked => Ok("{}".into()),
            Self::ControlRemoved | Self::ComponentRemoved | Self::AssessmentRemoved => Ok("{}".into()),
            Self::AttestationRemoved | Self::ClaimRenewed => Ok("{}".into()),
        };
        written.expect("BUG: a change has text keys and no failing serializer")
    }

    /// Reads a change in whatever format it was stored.
    ///
    /// # Errors
    /// If the type is unknown, the format newer than this program, or the data not of that format.
    pub fn read(event_type: &str, v: u16, data: &str) -> Result<Self, Unreadable> {
        Self::read_through(UPCASTS, event_type, v, data)
    }

    fn read_through(upcasts: &[Upcast], event_type: &str, v: u16, data: &str) -> Result<Self, Unreadable> {
        if !Self::TYPES.contains(&event_type) {
            return Err(Unreadable::UnknownType { event_type: event_type.to_string() });
        }
        let newest = newest(upcasts, event_type);
        if v > newest {
            return Err(Unreadable::Newer { event_type: event_type.to_string(), v, newest });
        }
        let damaged = |why: String| Unreadable::Damaged { event_type: event_type.to_string(), v, why };
        if v == 0 {
            return Err(damaged("formats count from 1".into()));
        }
        // Data that is read as it stands goes straight into its shape; only what is rewritten pays for the detour.
        let lifts = lifts(upcasts, event_type, v);
        if lifts.is_empty() {
            return shape(event_type, data).map_err(|error| damaged(error.to_string()));
        }
        let stored: Value = serde_json::from_str(data).map_err(|error| damaged(error.to_string()))?;
        let lifted = lifts.into_iter().fold(stored, |value, (_, lift)| lift(value));
        shape(event_type, &lifted.to_string()).map_err(|error| damaged(error.to_string()))
    }
}

/// Reads data of today's format.
fn shape(event_type: &str, text: &str) -> Result<Change, serde_json::Error> {
    Ok(match event_type {
        "DocumentPut" => Change::DocumentPut(Arc::new(parse(text)?)),
        "NodeEnrolled" => Change::NodeEnrolled(parse(text)?),
        "NodeLabelled" => Change::NodeLabelled(parse(text)?),
        "PrincipalCreated" => Change::PrincipalCreated(parse(text)?),
        "ReportChanged" => Change::ReportChanged(Arc::new(parse(text)?)),
        "ControlDefined" => Change::ControlDefined(parse(text)?),
        "ComponentDefined" => Change::ComponentDefined(parse(text)?),
        "AssessmentDefined" => Change::AssessmentDefined(parse(text)?),
        "AttestationDefined" => Change::AttestationDefined(parse(text)?),
        "JobClaimed" => Change::JobClaimed(parse(text)?),
        "JobReleased" => Change::JobReleased(parse(text)?),
        "JobCompleted" => Change::JobCompleted(parse(text)?),
        "ClaimExpired" => Change::ClaimExpired(parse(text)?),
        "LogBegun" => Change::LogBegun(parse(text)?),
        "ControlRemoved" => empty(text, Change::ControlRemoved)?,
        "ComponentRemoved" => empty(text, Change::ComponentRemoved)?,
        "AssessmentRemoved" => empty(text, Change::AssessmentRemoved)?,
        "AttestationRemoved" => empty(text, Change::AttestationRemoved)?,
        "ClaimRenewed" => empty(text, Change::ClaimRenewed)?,
        "DocumentRemoved" => empty(text, Change::DocumentRemoved)?,
        "NodeRetired" => empty(text, Change::NodeRetired)?,
        "NodeRetried" => empty(text, Change::NodeRetried)?,
        "PrincipalRevoked" => empty(text, Change::PrincipalRevoked)?,
        other => unreachable!("BUG: {other} was checked against TYPES"),
    })
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

/// Data that says no more than that it happened; still an object, so that members can be added.
fn empty(text: &str, change: Change) -> Result<Change, serde_json::Error> {
    parse::<serde_json::Map<String, Value>>(text).map(|_| change)
}

/// What rewrites data of format `v`, by the format that it lifts from.
fn lifts(upcasts: &[Upcast], event_type: &str, v: u16) -> Vec<(u16, Lift)> {
    let steps = upcasts.iter().filter(|step| step.event_type == event_type && step.from >= v);
    let mut lifts: Vec<_> = steps.filter_map(|step| Some((step.from, step.lift?))).collect();
    lifts.sort_by_key(|(from, _)| *from);
    lifts
}

fn newest(upcasts: &[Upcast], event_type: &str) -> u16 {
    upcasts.iter().filter(|step| step.event_type == event_type).fold(1, |newest, step| newest.max(step.from + 1))
}

#[cfg(test)]
mod tests;
