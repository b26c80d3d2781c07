//! Refusals of valid requests: each reason with the values that explain it.

mod code_and_field;

use core::fmt;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::id::{AttestationId, BundleId, DocumentId, JobId, JoinTokenId, MarkId, NodeId, PrincipalName, ProposalId};
use schema::limit::{
    BUNDLE_MEMBERS_MAX, ENTRIES_MAX, EVENT_DATA_BYTES_MAX, EVENTS_MAX, PROPOSALS_OPEN_MAX, RECORD_BYTES_MAX,
    SPEC_BYTES_MAX,
};
use schema::node_keys::KeyBytes;
use schema::path::DocumentPath;
use schema::position::{Position, Version};
use schema::proposal::ProposalState;

use crate::identities::JoinTokenState;
use crate::rollout_refusal::RolloutRefusal;

/// A refused request: which command, which of its fields, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct RequestRefusal {
    /// The command's place in the request; none where the request as a whole is refused.
    pub command: Option<usize>,
    /// The reason.
    pub refusal: Refusal,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The entity is not present.
    #[error("there is no {0}")]
    Unknown(Entity),
    /// The entity has another version than the sender expects.
    #[error("{entity} has version {actual}, not {expected}: read it again and decide anew")]
    VersionConflict {
        /// The entity.
        entity: Entity,
        /// The version that the sender expects.
        expected: Version,
        /// The present version; 0 if the entity is not present.
        actual: Version,
    },
    /// One path would have to be a file and a folder.
    #[error("{path} can't be beside {other} of document {document}: one would be a file and a folder at once")]
    PathConflict {
        /// The name of the field.
        field: &'static str,
        /// The path of the request.
        path: DocumentPath,
        /// The path of a present document.
        other: DocumentPath,
        /// The id of that document.
        document: DocumentId,
    },
    /// The node is enrolled with other labels.
    #[error("node {0} is enrolled already: use label_node to change its labels")]
    AlreadyEnrolled(NodeId),
    /// The node is retired.
    #[error("node {0} is retired: enrol it again first")]
    Retired(NodeId),
    /// The principal exists with another role or token.
    #[error("principal {0} exists already: revoke it first, or take another name")]
    PrincipalExists(PrincipalName),
    /// The node is shut out.
    #[error("node {0} is barred: retire it, then enrol it again with other keys")]
    Barred(NodeId),
    /// A token without a node lets in only ids that never were.
    #[error("node {0} was enrolled before: a token that names it lets it in (headwater node token create --node {0})")]
    NodeExists(NodeId),
    /// The key is another node's, a token's, or a barred node's.
    #[error("key {key} is in use, or was that of a barred node: make new keys on the node")]
    KeyInUse {
        /// The name of the field.
        field: &'static str,
        /// The key.
        key: KeyBytes,
    },
    /// The id of a token is never used again.
    #[error("there was a join token {0} before: take another id")]
    JoinTokenExists(JoinTokenId),
    /// The token lets nobody in any more.
    #[error("join token {token} is {}: ask an administrator for another one", .state.name())]
    JoinTokenEnded {
        /// The token.
        token: JoinTokenId,
        /// Why it ended.
        state: JoinTokenState,
    },
    /// The token is for another node.
    #[error("join token {token} lets in node {node} and no other")]
    JoinOtherNode {
        /// The token.
        token: JoinTokenId,
        /// The node that may join with it.
        node: NodeId,
    },
    /// Two principals can't share a token.
    #[error("this token belongs to another principal: make a new one")]
    TokenInUse,
    /// Without this administrator nobody could send commands any more.
    #[error("{0} is the last administrator: create another one first")]
    LastAdmin(PrincipalName),
    /// The actor has no right to send commands, or lost it.
    #[error("{0} may not change the configuration")]
    NotPermitted(Actor),
    /// A field refers to an entity that is not present.
    #[error("there is no {entity}")]
    UnknownReference {
        /// The name of the field.
        field: &'static str,
        /// The entity that it refers to.
        entity: Entity,
    },
    /// Other entities refer to the entity that is to be removed.
    #[error("{entity} is in use by {by}")]
    InUse {
        /// The entity that is to be removed.
        entity: Entity,
        /// The entities that refer to it.
        by: Referrers,
    },
    /// The node of the runtime is retired.
    #[error("node {0} is retired: enrol it again first")]
    RetiredRuntime(NodeId),
    /// A node that a target names is retired.
    #[error("node {0} is retired: leave it out, or enrol it again first")]
    RetiredTarget(NodeId),
    /// The token is not that of the current claim on the job, or there is no claim.
    #[error("job {0} is not claimed under this token: it was given back, ran out or went to another runtime")]
    ClaimLost(JobId),
    /// The spec of the job has changed since it was taken.
    #[error("job {job} has the spec {}, not {}: take the new one", .current.short(), .given.short())]
    SpecChanged {
        /// The id of the job.
        job: JobId,
        /// The digest of the spec that was run.
        given: Digest,
        /// The digest of the spec as it is now.
        current: Digest,
    },
    /// A job's spec would be too large.
    #[error(
        "the job spec of attestation {attestation} would have {bytes} bytes, at most {SPEC_BYTES_MAX} are possible"
    )]
    SpecTooLarge {
        /// The attestation that the spec is rendered from.
        attestation: AttestationId,
        /// The size that the spec would have, in bytes.
        bytes: usize,
    },
    /// The request would have too many events.
    #[error("the request would have more than {EVENTS_MAX} events")]
    TooManyEvents,
    /// New content of a document that says it is JSON, and is not.
    #[error("the content is called application/json and is no JSON: {why}")]
    NotJson {
        /// The error of the JSON reader, with line and column.
        why: String,
    },
    /// The proposal has ended, so nothing can be decided about it any more.
    #[error("proposal {id} is {} since position {position}", .state.name())]
    ProposalEnded {
        /// The id of the proposal.
        id: ProposalId,
        /// What became of it.
        state: ProposalState,
        /// The position of the event that ended it.
        position: Position,
    },
    /// The node had another file when it proposed than is desired now.
    #[error("{0}")]
    ProposalStale(Box<StaleProposal>),
    /// A document of the id that acceptance would use was put by somebody.
    #[error("document {0} was not made by accepting a proposal: remove it first, or change it instead")]
    DocumentTaken(DocumentId),
    /// The node made another proposal under the same id.
    #[error("proposal {0} was made before with other content: propose under a new id")]
    ProposalReused(ProposalId),
    /// Too many proposals of the node wait for a decision.
    #[error("node {0} has {PROPOSALS_OPEN_MAX} open proposals: accept or reject one first")]
    TooManyProposals(NodeId),
    /// The log holds no content of this digest.
    #[error("the log has no content {0}: send the content itself")]
    UnknownContent(Digest),
    /// A bundle would own too much.
    #[error(
        "bundle {bundle} would have {members} members, at most {BUNDLE_MEMBERS_MAX} are possible: make it two bundles"
    )]
    BundleTooLarge {
        /// The bundle.
        bundle: BundleId,
        /// The members that it would have.
        members: usize,
    },
    /// A bundle would own nothing.
    #[error("bundle {0} would own nothing: say `empty` if that is meant")]
    EmptyBundle(BundleId),
    /// A member of a bundle is not there.
    #[error("there is no {0}: a bundle owns what is there")]
    UnknownMember(Entity),
    /// A member belongs to another bundle.
    #[error("{entity} belongs to bundle {owner}: say `take` to move it, or let bundle {owner} go of it first")]
    OwnedElsewhere {
        /// The member.
        entity: Entity,
        /// The bundle that it belongs to.
        owner: BundleId,
    },
    /// What leaves a bundle would be removed, and the sender has not shown that this was seen.
    #[error(
        "{removed} would be removed, because it leaves bundle {bundle}: make a dry run, and send its plan as `If-Match`"
    )]
    PlanNeeded {
        /// The bundle.
        bundle: BundleId,
        /// What would be removed.
        removed: Referrers,
    },
    /// The mark names another position.
    #[error("mark {id} names position {position}: say `move` to let it name another one")]
    MarkExists {
        /// The mark.
        id: MarkId,
        /// The position that it names.
        position: Position,
    },
    /// The position is after the end of the log.
    #[error("there is no position {position}: the log ends at {head}")]
    MarkAhead {
        /// The position.
        position: Position,
        /// The last position.
        head: Position,
    },
    /// A rollout is in the way, or is not as it must be.
    #[error(transparent)]
    Rollout(#[from] RolloutRefusal),
    /// The event would be too large.
    #[error("the event would have {bytes} bytes of data, at most {EVENT_DATA_BYTES_MAX} are possible")]
    EventTooLarge {
        /// The size that the data would have, in bytes.
        bytes: usize,
    },
    /// A node would get too many files.
    #[error("node {node} would get {entries} files, at most {ENTRIES_MAX} are possible")]
    TooManyEntries {
        /// The node.
        node: NodeId,
        /// The number of files that it would get.
        entries: usize,
    },
    /// A node's record would be too large to publish.
    #[error("the record of node {node} would have {bytes} bytes, at most {RECORD_BYTES_MAX} are possible")]
    RecordTooLarge {
        /// The node.
        node: NodeId,
        /// The size that the record would have, in bytes.
        bytes: usize,
    },
}

/// A proposal that rests on another file than is desired now. In a box, because refusals without it are much smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleProposal {
    /// The id of the proposal.
    pub id: ProposalId,
    /// The file that the node had; none if it had none.
    pub base: Option<Digest>,
    /// The file that is desired now; none if none is.
    pub now: Option<Digest>,
    /// The file that the node proposes.
    pub proposed: Digest,
}

impl fmt::Display for StaleProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: Option<Digest>| digest.map_or_else(|| "no file".into(), |digest| digest.short());
        write!(
            f,
            "proposal {} rests on another file than is desired now: the node had {}, now there is {}, it proposes {}; review it, \
             and accept it with `anyway`, or reject it",
            self.id,
            short(self.base),
            short(self.now),
            self.proposed.short()
        )
    }
}

/// The entities that refer to another one: the first few by name, and the number of the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrers {
    /// The first few, at most five.
    pub named: Vec<Entity>,
    /// How many more there are.
    pub more: usize,
}

impl Referrers {
    /// How many referrers an error message names.
    const NAMED_MAX: usize = 5;
}

impl From<Vec<Entity>> for Referrers {
    fn from(mut named: Vec<Entity>) -> Self {
        let more = named.len().saturating_sub(Self::NAMED_MAX);
        named.truncate(Self::NAMED_MAX);
        Self { named, more }
    }
}

impl fmt::Display for Referrers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entity) in self.named.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{entity}")?;
        }
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}
