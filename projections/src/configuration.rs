//! The configuration: the state that the log folds to, as of one position.
//!
//! Cloning is cheap because the maps share their structure, so each reader keeps its own snapshot. Only [`crate::fold`]
//! changes the state.

use alloc::sync::Arc;

use imbl::{OrdMap, OrdSet};
use schema::bundle::PlanBase;
use schema::change::{Change, PrincipalCreated};
use schema::command::{ClaimJobs, Command, CompleteJob, Propose, ReleaseJobs, Role};
use schema::desired::{Cause, digest_of};
use schema::digest::Digest;
use schema::entity::{Actor, Entity, Kind};
use schema::id::{DocumentId, EventId, MarkId, NodeId, PrincipalName, ProposalId, RolloutId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::path::DocumentPath;
use schema::position::{Position, Version};
use schema::report::ReportSummary;

use crate::bundles::Bundles;
use crate::compliance::Compliance;
pub use crate::document::{Document, FormerDocument, Promotion};
use crate::identities::{Identities, NodeAccess};
use crate::jobs::Jobs;
use crate::proposals::Proposals;
use crate::rollouts::Rollouts;
use crate::selector_index::SelectorIndex;

/// The configuration as of one position of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    pub(crate) position: Position,
    pub(crate) at: Instant,
    pub(crate) event_id: Option<EventId>,
    pub(crate) documents: OrdMap<DocumentId, Document>,
    pub(crate) paths: OrdMap<DocumentPath, OrdSet<DocumentId>>,
    pub(crate) former_documents: OrdMap<DocumentPath, OrdMap<DocumentId, FormerDocument>>,
    pub(crate) nodes: OrdMap<NodeId, Node>,
    pub(crate) principals: OrdMap<PrincipalName, Principal>,
    pub(crate) tokens: OrdMap<Digest, PrincipalName>,
    pub(crate) reports: OrdMap<NodeId, NotedReport>,
    /// Versions of entities that have no record with a version of its own: removed ones, jobs, runtimes and the log.
    pub(crate) versions: OrdMap<Entity, Version>,
    pub(crate) selector_index: SelectorIndex<DocumentId, NodeId>,
    pub(crate) compliance: Compliance,
    pub(crate) jobs: Jobs,
    pub(crate) identities: Identities,
    pub(crate) proposals: Proposals,
    pub(crate) bundles: Bundles,
    pub(crate) marks: OrdMap<MarkId, Mark>,
    pub(crate) rollouts: Rollouts,
}

/// A node that was enrolled once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The labels as of its last `NodeEnrolled` or `NodeLabelled`.
    pub labels: Labels,
    /// How many events the node has had.
    pub version: Version,
    /// Whether the node was retired and not enrolled again.
    pub retired: bool,
    /// The position of the last `retry_node`, or 0.
    pub retry: Position,
    /// The position of its last `NodeEnrolled`.
    pub enrolled: Position,
    /// The position of the event that gave it its labels; never before `enrolled`.
    pub labelled: Position,
    /// The last event that names the node or changes something that selects it.
    pub cause: Cause,
    /// Its keys.
    pub access: NodeAccess,
}

/// A name for a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The position that it names.
    pub names: Position,
    /// How many events the mark has had.
    pub version: Version,
    /// The position of the last one.
    pub position: Position,
    /// The time of the last one.
    pub at: Instant,
}

/// A user of the HTTP API, revoked or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The data of its last `PrincipalCreated`.
    pub created: PrincipalCreated,
    /// How many events the principal has had.
    pub version: Version,
    /// Whether its access was revoked.
    pub revoked: bool,
    /// The position of its last event.
    pub position: Position,
    /// The time of its last event.
    pub at: Instant,
}

/// The last report of a node that was stored in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedReport {
    /// The data of the last `ReportChanged`.
    pub summary: Arc<ReportSummary>,
    /// How many `ReportChanged` events the node has had.
    pub version: Version,
    /// The position of the last one.
    pub position: Position,
    /// The time of the last one.
    pub at: Instant,
}

impl Configuration {
    /// The last event that was folded; 0 for the empty log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// When that event was appended.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }

    /// The state as the base of a plan.
    #[must_use]
    pub fn plan_base(&self) -> PlanBase {
        PlanBase { position: self.position, event_id: self.event_id }
    }

    /// Which entities belong together.
    #[must_use]
    pub fn bundles(&self) -> &Bundles {
        &self.bundles
    }

    /// The names of positions, by id.
    #[must_use]
    pub fn marks(&self) -> &OrdMap<MarkId, Mark> {
        &self.marks
    }

    /// The documents that are present, by id.
    #[must_use]
    pub fn documents(&self) -> &OrdMap<DocumentId, Document> {
        &self.documents
    }

    /// The documents that are at a path, by id.
    pub fn documents_at<'a>(&'a self, path: &DocumentPath) -> impl Iterator<Item = (&'a DocumentId, &'a Document)> {
        self.paths.get(path).into_iter().flatten().filter_map(|id| self.documents.get_key_value(id))
    }

    /// The documents that were at a path and were removed or moved away, by id.
    pub fn former_documents_at(&self, path: &DocumentPath) -> impl Iterator<Item = (&DocumentId, &FormerDocument)> {
        self.former_documents.get(path).into_iter().flatten()
    }

    /// The nodes that were ever enrolled, by id.
    #[must_use]
    pub fn nodes(&self) -> &OrdMap<NodeId, Node> {
        &self.nodes
    }

    /// All principals that were ever created, by name.
    #[must_use]
    pub fn principals(&self) -> &OrdMap<PrincipalName, Principal> {
        &self.principals
    }

    /// The last report of each node that the log holds.
    #[must_use]
    pub fn reports(&self) -> &OrdMap<NodeId, NotedReport> {
        &self.reports
    }

    /// The definitions of compliance.
    #[must_use]
    pub fn compliance(&self) -> &Compliance {
        &self.compliance
    }

    /// The jobs of all attestations, with their claims.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Who may connect to NATS.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The proposals of nodes.
    #[must_use]
    pub fn proposals(&self) -> &Proposals {
        &self.proposals
    }

    /// The rollouts, and what they make of documents.
    #[must_use]
    pub fn rollouts(&self) -> &Rollouts {
        &self.rollouts
    }

    /// Whether a report differs from the last one in the log and is worth an event. An empty first report is not; of a
    /// retired node only the report that it runs nothing is. One with a lower number than the last one is old, unless the node got
    /// other keys since.
    #[must_use]
    pub fn is_new_report(&self, node: &NodeId, summary: &ReportSummary) -> bool {
        let last = self.reports.get(node);
        let keyed = self.nodes.get(node).map(|node| node.access.keyed);
        let number = last.filter(|last| Some(last.position) > keyed).and_then(|last| last.summary.sent);
        let is_old = number.is_some() && summary.sent <= number;
        let noted = last.map(|noted| &*noted.summary);
        let is_other = !summary.says_the_same(noted.unwrap_or(&ReportSummary::default()));
        let takes_part = self.nodes.get(node).is_none_or(|node| !node.retired);
        is_other && !is_old && (takes_part || (is_empty(summary) && !noted.is_some_and(is_empty)))
    }

    /// How many events an entity has had, whether it is present or not.
    #[must_use]
    pub fn version(&self, entity: &Entity) -> Version {
        // A document whose staged revision was taken back has a record with a lower version than its last one.
        self.recorded(entity).max(self.versions.get(entity).copied()).unwrap_or_default()
    }

    /// The version of an entity that has a record of its own.
    pub(crate) fn recorded(&self, entity: &Entity) -> Option<Version> {
        let Entity { kind, id } = entity;
        match kind {
            Kind::Document => {
                let proven = self.documents.get(id).map(|document| document.version);
                proven.max(self.rollouts.staged_version(&DocumentId::from(id.clone())))
            }
            Kind::Node => self.nodes.get(id).map(|node| node.version),
            Kind::Principal => self.principals.get(id).map(|principal| principal.version),
            Kind::Report => self.reports.get(id).map(|noted| noted.version),
            Kind::JoinToken => self.identities.tokens.get(id).map(|token| token.version),
            Kind::Proposal => self.proposals.get(&ProposalId::from(id.clone())).map(|proposal| proposal.version),
            Kind::Bundle => self.bundles.all().get(id).map(|bundle| bundle.version),
            Kind::Mark => self.marks.get(id).map(|mark| mark.version),
            Kind::Rollout => self.rollouts.version(&RolloutId::from(id.clone())),
            Kind::Job | Kind::Runtime | Kind::Log | Kind::Plan | Kind::Guard | Kind::Fleet | Kind::Unknown(_) => None,
            Kind::Control | Kind::Component | Kind::Assessment | Kind::Attestation => self.compliance.version(entity),
        }
    }

    /// The principal of the token with this hash, and its role.
    #[must_use]
    pub fn bearer(&self, token_hash: &Digest) -> Option<(&PrincipalName, Role)> {
        let name = self.tokens.get(token_hash)?;
        Some((name, self.role(name)?))
    }

    /// The role of a principal; `None` if it is unknown or revoked.
    #[must_use]
    pub fn role(&self, name: &PrincipalName) -> Option<Role> {
        self.principals.get(name).filter(|principal| !principal.revoked).map(|principal| principal.created.role)
    }

    /// Whether an actor may send this command. A node may only act for itself, and nobody else may propose in its name.
    #[must_use]
    pub fn may_command(&self, actor: &Actor, command: &Command) -> bool {
        if let Command::Propose(Propose { node, .. }) | Command::WithdrawProposal(node, _) = command {
            return *actor == Actor::Node(node.clone());
        }
        match actor {
            Actor::Install | Actor::Reconciler | Actor::Recovery => true,
            Actor::Principal(name) => self.role(name) == Some(Role::Admin),
            Actor::Node(node) => match command {
                Command::ClaimJobs(ClaimJobs { runtime, .. })
                | Command::RenewClaims(runtime)
                | Command::ReleaseJobs(ReleaseJobs { runtime, .. }) => runtime == node,
                Command::CompleteJob(complete) => !self.is_claimed_by_another(node, complete),
                _ => false,
            },
            Actor::Join(token) => matches!(command, Command::JoinNode(join) if join.token == *token),
            Actor::Unknown(..) => false,
        }
    }

    /// Whether an actor can have caused this change: whether it follows from a command that [`Configuration::may_command`]
    /// allows to the actor in the state before the change.
    #[must_use]
    pub fn may_cause(&self, actor: &Actor, change: &Change) -> bool {
        let proposes = match change {
            Change::Proposed(said) => Some(&said.node),
            Change::ProposalWithdrawn(withdrawn) => Some(&withdrawn.node),
            _ => None,
        };
        if let Some(node) = proposes {
            return *actor == Actor::Node(node.clone());
        }
        match actor {
            Actor::Install | Actor::Reconciler | Actor::Recovery => true,
            Actor::Principal(name) => self.role(name) == Some(Role::Admin),
            Actor::Node(_) => matches!(
                change,
                Change::JobClaimed(_) | Change::JobReleased(_) | Change::JobCompleted(_) | Change::ClaimRenewed
            ),
            Actor::Join(_) => {
                matches!(change, Change::JoinTokenUsed(_) | Change::NodeEnrolled(_) | Change::NodeKeysSet(_))
            }
            Actor::Unknown(..) => false,
        }
    }

    /// Whether the token belongs to another node's current claim. A wrong or old token gets its own refusal in `decide`.
    fn is_claimed_by_another(&self, node: &NodeId, complete: &CompleteJob) -> bool {
        let claim = self.jobs.all().get(&complete.job).and_then(|job| job.claim.as_ref());
        claim.is_some_and(|claim| claim.token == complete.token && claim.runtime != *node)
    }

    /// The version that a sender expects: 0 if the entity is not present, even if it once was.
    #[must_use]
    pub fn version_present(&self, entity: &Entity) -> Version {
        let present = match entity.kind {
            Kind::Principal => self.role(&PrincipalName::from(entity.id.clone())).is_some(),
            Kind::Runtime => self.nodes.contains_key(&entity.id),
            Kind::Job => self.jobs.all().contains_key(&entity.id),
            _ => self.recorded(entity).is_some(),
        };
        if present { self.version(entity) } else { Version::ZERO }
    }
}

/// Whether the report says that the node runs nothing, without failure or drift.
fn is_empty(summary: &ReportSummary) -> bool {
    let runs_nothing = summary.running.is_none_or(|running| running.digest == digest_of([]));
    runs_nothing && summary.failed.is_none() && summary.drift.is_empty()
}
