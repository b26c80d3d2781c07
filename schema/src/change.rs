//! The change of an event: its type, its data, and every format in which the data was ever stored.
//!
//! A change is an event without its envelope: a type, a format version and JSON text. The entity is in the envelope only.
//! Each type is one row of `events!` below. A format is never edited: a type whose data changes shape gets another
//! [`EventFormat`] in its row.

use alloc::string::{String, ToString};
use alloc::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bundle::{BundleAssigned, Marked, PlanKept};
use crate::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use crate::entity::Kind;
pub use crate::event_data::{
    DocumentPut, DocumentStaged, JoinTokenCreated, JoinTokenUsed, Labelled, LogBegun, NamedContent, NodeEnrolled,
    NodeKeysSet, PrincipalCreated, RemovalStaged,
};
use crate::lease::{ClaimExpired, JobClaimed, JobCompleted, JobReleased};
use crate::proposal::{ProposalAccepted, ProposalRejected, ProposalSuperseded, ProposalWithdrawn, Proposed};
use crate::report::ReportSummary;
use crate::rollout::{
    GuardSet, NodesExpected, NodesOverdue, NodesReleased, RolloutAborted, RolloutHalted, RolloutOpened, RolloutResumed,
    StageApproved, StageOpened, StagePassed,
};

events! {
    /// An administrator wrote a document, for the first time or anew.
    DocumentPut(Arc<DocumentPut>) = "DocumentPut" on Document, formats [DOCUMENT_OF_A_PROPOSAL, DOCUMENT_WITH_MODE];
    /// An administrator removed a document from all nodes.
    DocumentRemoved = "DocumentRemoved" on Document;
    /// A node was enrolled, by an administrator or with a join token; it gets a desired record from now on.
    NodeEnrolled(NodeEnrolled) = "NodeEnrolled" on Node, formats [NODE_WITH_KEYS];
    /// An administrator replaced all labels of a node.
    NodeLabelled(Labelled) = "NodeLabelled" on Node;
    /// An administrator retired a node; its record is empty from now on.
    NodeRetired = "NodeRetired" on Node;
    /// An administrator let a node try again what its check or hook had rejected.
    NodeRetried = "NodeRetried" on Node;
    /// A person or a program may use the HTTP API.
    PrincipalCreated(PrincipalCreated) = "PrincipalCreated" on Principal;
    /// An administrator revoked the access of a person or a program.
    PrincipalRevoked = "PrincipalRevoked" on Principal;
    /// A node reported another running record, failure or drift than before.
    ReportChanged(Arc<ReportSummary>) = "ReportChanged" on Report, formats [REPORT_WITH_GOOD, REPORT_WITH_NUMBER];
    /// An administrator defined a control, for the first time or anew.
    ControlDefined(ControlDefined) = "ControlDefined" on Control;
    /// An administrator removed a control.
    ControlRemoved = "ControlRemoved" on Control;
    /// An administrator defined a component, for the first time or anew.
    ComponentDefined(ComponentDefined) = "ComponentDefined" on Component;
    /// An administrator removed a component.
    ComponentRemoved = "ComponentRemoved" on Component;
    /// An administrator defined an assessment, for the first time or anew.
    AssessmentDefined(AssessmentDefined) = "AssessmentDefined" on Assessment;
    /// An administrator removed an assessment.
    AssessmentRemoved = "AssessmentRemoved" on Assessment;
    /// An administrator defined an attestation, for the first time or anew, and with it its job.
    AttestationDefined(AttestationDefined) = "AttestationDefined" on Attestation;
    /// An administrator removed an attestation, and with it its job.
    AttestationRemoved = "AttestationRemoved" on Attestation;
    /// A runtime claimed a job.
    JobClaimed(JobClaimed) = "JobClaimed" on Job;
    /// The runtime that held a job gave it back.
    JobReleased(JobReleased) = "JobReleased" on Job;
    /// The runtime that holds a job ran it, and told the outcome.
    JobCompleted(JobCompleted) = "JobCompleted" on Job;
    /// The runtime that held a job was silent for longer than its lease.
    ClaimExpired(ClaimExpired) = "ClaimExpired" on Job;
    /// A runtime said that it still works on all jobs that it holds.
    ClaimRenewed = "ClaimRenewed" on Runtime;
    /// An operator began a new log with the events of another one, whose last events were lost.
    LogBegun(LogBegun) = "LogBegun" on Log;
    /// A node that was enrolled already got other keys, by an administrator or with a join token.
    NodeKeysSet(NodeKeysSet) = "NodeKeysSet" on Node;
    /// An administrator shut a node out of NATS; its keys are never let in again.
    NodeBarred = "NodeBarred" on Node;
    /// A retired node was dismissed: it had dropped what it ran, or was not heard for long, and its keys are no longer let in.
    NodeDismissed = "NodeDismissed" on Node;
    /// An administrator made a token with which nodes may join.
    JoinTokenCreated(Arc<JoinTokenCreated>) = "JoinTokenCreated" on JoinToken;
    /// A node joined with a token.
    JoinTokenUsed(JoinTokenUsed) = "JoinTokenUsed" on JoinToken;
    /// An administrator ended a token before its time.
    JoinTokenRevoked = "JoinTokenRevoked" on JoinToken;
    /// An administrator closed NATS for nodes without keys: the shared password opens nothing any more.
    BusClosed = "BusClosed" on Log;
    /// A node proposed a file for itself.
    Proposed(Arc<Proposed>) = "Proposed" on Proposal;
    /// An administrator accepted a proposal; the document that was made of it is put in the same request.
    ProposalAccepted(ProposalAccepted) = "ProposalAccepted" on Proposal;
    /// An administrator rejected a proposal, or a rule of the log did.
    ProposalRejected(ProposalRejected) = "ProposalRejected" on Proposal;
    /// A newer proposal of the same node for the same path took the place of a proposal.
    ProposalSuperseded(ProposalSuperseded) = "ProposalSuperseded" on Proposal;
    /// The node took its proposal back.
    ProposalWithdrawn(ProposalWithdrawn) = "ProposalWithdrawn" on Proposal;
    /// An administrator said what belongs to a bundle.
    BundleAssigned(Arc<BundleAssigned>) = "BundleAssigned" on Bundle;
    /// An administrator ended a bundle; what belonged to it stays and belongs to none.
    BundleRemoved = "BundleRemoved" on Bundle;
    /// An administrator gave a position a name.
    Marked(Marked) = "Marked" on Mark;
    /// A request came out exactly as its plan had shown it.
    PlanKept(PlanKept) = "PlanKept" on Plan;
    /// An administrator said how a rollout is to go; nothing changes on any node.
    RolloutOpened(Arc<RolloutOpened>) = "RolloutOpened" on Rollout;
    /// An administrator wrote a document in a rollout: only nodes of the rollout get it, until it is promoted.
    DocumentStaged(Arc<DocumentStaged>) = "DocumentStaged" on Document;
    /// An administrator removed a document in a rollout: only nodes of the rollout lose it, until it is promoted.
    RemovalStaged(RemovalStaged) = "RemovalStaged" on Document;
    /// An administrator started a rollout.
    RolloutStarted = "RolloutStarted" on Rollout;
    /// A stage of a rollout began.
    StageOpened(StageOpened) = "StageOpened" on Rollout;
    /// Nodes joined a rollout, and get its changes from now on.
    NodesReleased(Arc<NodesReleased>) = "NodesReleased" on Rollout;
    /// Something else changed on nodes that had not confirmed the changes of a rollout yet.
    NodesExpected(Arc<NodesExpected>) = "NodesExpected" on Rollout;
    /// Nodes did not confirm the changes of a rollout in time.
    NodesOverdue(Arc<NodesOverdue>) = "NodesOverdue" on Rollout;
    /// An administrator approved a stage of a rollout.
    StageApproved(StageApproved) = "StageApproved" on Rollout;
    /// The nodes of a stage confirmed the changes of a rollout long enough.
    StagePassed(StagePassed) = "StagePassed" on Rollout;
    /// An administrator paused a rollout: it releases no more nodes.
    RolloutPaused = "RolloutPaused" on Rollout;
    /// An administrator let a rollout go on.
    RolloutResumed(RolloutResumed) = "RolloutResumed" on Rollout;
    /// Too many nodes failed, so that a rollout releases no more nodes.
    RolloutHalted(RolloutHalted) = "RolloutHalted" on Rollout;
    /// An administrator ended a rollout, or too many nodes failed: its changes are taken back from every node that got them.
    RolloutAborted(RolloutAborted) = "RolloutAborted" on Rollout;
    /// All stages of a rollout passed: its changes are for every node from now on.
    RolloutPromoted = "RolloutPromoted" on Rollout;
    /// An administrator ended the last stage of a rollout: its changes are for every node from now on.
    RolloutCompleted = "RolloutCompleted" on Rollout;
    /// An administrator said of how many nodes a request may change files.
    GuardSet(GuardSet) = "GuardSet" on Guard;
}

/// An event type: its names, its kind of entity and its formats.
#[derive(Clone, Copy, Debug)]
pub struct EventType {
    /// Its name in PostgreSQL, NATS, HTTP and exports.
    pub name: &'static str,
    /// The kind of entity that events of this type are about.
    pub kind: Kind,
    /// What happened, in a sentence for people.
    pub meaning: &'static str,
    /// Every format of the data after the first, in order: the one at index 0 is format 2.
    pub formats: &'static [EventFormat],
    /// Reads data of the newest format.
    read: fn(&str) -> Result<Change, serde_json::Error>,
}

/// A format of a type's data after the first. No format is ever edited or taken away: events of each are in some log.
#[derive(Clone, Copy, Debug)]
pub struct EventFormat {
    /// Whether a change needs this format because the ones before it can't say all of it. An event is written in the oldest
    /// format that can say it, so that a newer program beside an older one stops nothing until its new feature is used.
    pub is_needed: fn(&Change) -> bool,
    /// How data of the format before becomes data of this one, and back. None where this format only has more members, which
    /// are absent where they are not needed: then the data is read and written as it stands.
    pub reshape: Option<Reshape>,
}

/// Rewrites data between two formats.
#[derive(Clone, Copy, Debug)]
pub struct Reshape {
    /// From the older format to the newer one: always possible.
    pub up: fn(Value) -> Value,
    /// From the newer format to the older one: only asked for where the newer one is not needed.
    pub down: fn(Value) -> Value,
}

/// Format 2 of `ReportChanged` has `good`; without it what runs is what was last good.
const REPORT_WITH_GOOD: EventFormat = EventFormat {
    is_needed: |change| matches!(change, Change::ReportChanged(summary) if summary.good.is_some()),
    reshape: None,
};

/// Format 2 of `DocumentPut` has `proposal`.
const DOCUMENT_OF_A_PROPOSAL: EventFormat = EventFormat {
    is_needed: |change| matches!(change, Change::DocumentPut(put) if put.proposal.is_some()),
    reshape: None,
};

/// Format 3 of `DocumentPut` has `mode`; without it the file is only read.
const DOCUMENT_WITH_MODE: EventFormat = EventFormat {
    is_needed: |change| matches!(change, Change::DocumentPut(put) if !put.mode.is_plain()),
    reshape: None,
};

/// Format 3 of `ReportChanged` has `sent`, where the report was signed by the node.
const REPORT_WITH_NUMBER: EventFormat = EventFormat {
    is_needed: |change| matches!(change, Change::ReportChanged(summary) if summary.sent.is_some()),
    reshape: None,
};

/// Format 2 of `NodeEnrolled` has `keys`; without them the node has the keys that it had.
const NODE_WITH_KEYS: EventFormat = EventFormat {
    is_needed: |change| matches!(change, Change::NodeEnrolled(enrolled) if enrolled.keys.is_some()),
    reshape: None,
};

/// A stored change that this program can't read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A newer program wrote the event in a format that this program does not read.
    #[error("{event_type} in format {v} is newer than this program, which reads up to {newest}: upgrade it")]
    Newer {
        /// The type of the event, by name.
        event_type: String,
        /// The format of its data.
        v: u16,
        /// The newest format that this program reads.
        newest: u16,
    },
    /// A type that only newer programs know.
    #[error("{event_type} is no event type that this program knows: upgrade it")]
    UnknownType {
        /// The type of the event, by name.
        event_type: String,
    },
    /// The data does not have the shape of its format.
    #[error("the data of {event_type} in format {v} is damaged: {why}")]
    Damaged {
        /// The type of the event, by name.
        event_type: String,
        /// The format of its data.
        v: u16,
        /// The error of the JSON reader.
        why: String,
    },
}

impl EventType {
    /// The type of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        EVENT_TYPES.iter().find(|event_type| event_type.name == name)
    }

    /// The newest format that this program reads and writes.
    #[must_use]
    pub const fn newest(&self) -> u16 {
        self.formats.len() as u16 + 1
    }

    fn read(&self, v: u16, data: &str) -> Result<Change, ChangeError> {
        let damaged = |why: String| ChangeError::Damaged { event_type: self.name.to_string(), v, why };
        let later = match v.checked_sub(1) {
            None => return Err(damaged("formats count from 1".into())),
            Some(index) => self.formats.get(usize::from(index)..),
        };
        let Some(later) = later else {
            return Err(ChangeError::Newer { event_type: self.name.to_string(), v, newest: self.newest() });
        };
        // Parse directly when no format in between rewrites the data: going through `Value` costs a second parse.
        let read = match later.iter().any(|format| format.reshape.is_some()) {
            false => (self.read)(data),
            true => reshaped(data, later.iter(), |reshape| reshape.up).and_then(|text| (self.read)(&text)),
        };
        read.map_err(|error| damaged(error.to_string()))
    }
}

impl Change {
    /// Whether the entity is not there any more after the change.
    #[must_use]
    pub const fn removes(&self) -> bool {
        matches!(
            self,
            Self::DocumentRemoved
                | Self::ControlRemoved
                | Self::ComponentRemoved
                | Self::AssessmentRemoved
                | Self::AttestationRemoved
                | Self::BundleRemoved
        )
    }

    /// The types whose data names content, by the members `digest` and `size`.
    pub const CONTENT_TYPES: [&'static str; 3] = ["DocumentPut", "DocumentStaged", "Proposed"];

    /// The content that the change names, if it names any.
    #[must_use]
    pub fn content(&self) -> Option<NamedContent> {
        match self {
            Self::DocumentPut(put) => Some(NamedContent { digest: put.digest, size: put.size }),
            Self::DocumentStaged(staged) => Some(NamedContent { digest: staged.put.digest, size: staged.put.size }),
            Self::Proposed(said) => Some(NamedContent { digest: said.digest, size: said.size }),
            _ => None,
        }
    }

    /// The format that [`Change::data`] writes: the oldest that can say the change.
    #[must_use]
    pub fn format(&self) -> u16 {
        oldest(self.formats(), self)
    }

    /// The data as JSON text.
    #[must_use]
    pub fn data(&self) -> String {
        let written = self.newest_data().and_then(|newest| lowered(self.formats(), self, newest));
        written.expect("BUG: a change has text keys and no failing serializer")
    }

    /// Reads a change in whatever format it was stored.
    ///
    /// # Errors
    /// If the type is unknown, the format newer than this program, or the data not of that format.
    pub fn read(event_type: &str, v: u16, data: &str) -> Result<Self, ChangeError> {
        match EventType::named(event_type) {
            Some(known) => known.read(v, data),
            None => Err(ChangeError::UnknownType { event_type: event_type.to_string() }),
        }
    }
}

/// The oldest format that can say the change, if `formats` are those of its type after the first.
fn oldest(formats: &[EventFormat], change: &Change) -> u16 {
    match formats.iter().rposition(|format| (format.is_needed)(change)) {
        Some(index) => index as u16 + 2,
        None => 1,
    }
}

/// Data of the newest format in the oldest one that can say the change.
fn lowered(formats: &[EventFormat], change: &Change, newest: String) -> Result<String, serde_json::Error> {
    let unneeded = &formats[usize::from(oldest(formats, change)) - 1..];
    match unneeded.iter().any(|format| format.reshape.is_some()) {
        false => Ok(newest),
        true => reshaped(&newest, unneeded.iter().rev(), |reshape| reshape.down),
    }
}

/// The data after it was rewritten from format to format.
fn reshaped<'a>(
    data: &str,
    formats: impl Iterator<Item = &'a EventFormat>,
    way: fn(Reshape) -> fn(Value) -> Value,
) -> Result<String, serde_json::Error> {
    let ways = formats.filter_map(|format| format.reshape).map(way);
    Ok(ways.fold(parse(data)?, |value: Value, rewrite| rewrite(value)).to_string())
}

/// The data of a type that says no more than that it happened; still an object, so that members can be added.
type NoData = serde_json::Map<String, Value>;

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests;
