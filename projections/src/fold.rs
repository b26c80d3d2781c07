//! Folding: from an event and the state to the next state, and the nodes whose desired records may change.
//!
//! Folding never fails: an event was checked when it was read, and the caller checks that no event is missing. The affected
//! nodes are found by index, and none of them is rendered here.

mod affected_nodes;
mod bundles;
mod claims;
mod compliance;
mod identities;
mod proposals;
mod release_verdict;
mod rollouts;

use alloc::sync::Arc;

use schema::change::{Change, DocumentPut, NodeEnrolled, PrincipalCreated};
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::{DocumentId, NodeId, PrincipalName};
use schema::labels::Labels;
use schema::path::DocumentPath;
use schema::position::Position;
use schema::report::ReportSummary;

use crate::configuration::{Configuration, Document, FormerDocument, Node, NotedReport, Principal};
use crate::identities::NodeAccess;
use crate::selector_index;

pub use self::affected_nodes::AffectedNodes;
pub use self::release_verdict::is_unwell;
pub(crate) use self::release_verdict::rejected;
pub(crate) use self::rollouts::RolloutMoment;

impl Configuration {
    /// Applies the next event of the log and returns the nodes that it affects.
    ///
    /// # Panics
    /// If it is not the next event.
    pub fn fold(&mut self, event: &Event, change: &Change) -> AffectedNodes {
        assert_eq!(event.position, self.position.next(), "BUG: events are folded in order and without a gap");
        self.position = event.position;
        self.at = event.at;
        self.event_id = Some(event.event_id);
        let affected = self.apply_change(event, change);
        if change.removes() {
            self.bundles.end_membership(&event.entity);
        }
        if self.recorded(&event.entity) != Some(event.version) {
            self.versions.insert(event.entity.clone(), event.version);
        }
        // What labels a node writes all of it, its cause as well.
        if !matches!(change, Change::NodeEnrolled(_) | Change::NodeLabelled(_)) {
            let cause = event.cause();
            for node in &affected {
                self.nodes.get_mut(node).expect("BUG: only known nodes are affected").cause = cause;
            }
        }
        affected
    }

    fn apply_change(&mut self, event: &Event, change: &Change) -> AffectedNodes {
        let id = event.entity.id.clone();
        match change {
            Change::DocumentPut(put) => self.put_document(id.into(), event, put),
            Change::DocumentRemoved => self.remove_document(&id.into(), event.position),
            Change::NodeEnrolled(enrolled) => self.enrol_node(&id.into(), event, enrolled),
            Change::NodeLabelled(node) => self.label_node(&id.into(), event, &node.labels, false),
            Change::NodeRetired => self.retire_node(id.into(), event),
            Change::NodeRetried => self.retry_node(id.into(), event),
            Change::PrincipalCreated(created) => self.create_principal(id.into(), event, created),
            Change::PrincipalRevoked => self.revoke_principal(&id.into(), event),
            Change::ReportChanged(summary) => self.note_report(id.into(), event, summary),
            Change::ControlDefined(_)
            | Change::ControlRemoved
            | Change::ComponentDefined(_)
            | Change::ComponentRemoved
            | Change::AssessmentDefined(_)
            | Change::AssessmentRemoved
            | Change::AttestationDefined(_)
            | Change::AttestationRemoved => self.apply_compliance_change(event, change),
            Change::JobClaimed(_)
            | Change::JobReleased(_)
            | Change::JobCompleted(_)
            | Change::ClaimExpired(_)
            | Change::ClaimRenewed => self.apply_claim_change(event, change),
            Change::NodeKeysSet(_)
            | Change::NodeBarred
            | Change::NodeDismissed
            | Change::JoinTokenCreated(_)
            | Change::JoinTokenUsed(_)
            | Change::JoinTokenRevoked
            | Change::BusClosed => self.apply_identity_change(event, change),
            Change::Proposed(_)
            | Change::ProposalAccepted(_)
            | Change::ProposalRejected(_)
            | Change::ProposalSuperseded(_)
            | Change::ProposalWithdrawn(_) => self.apply_proposal_change(event, change),
            Change::BundleAssigned(_) | Change::BundleRemoved | Change::Marked(_) | Change::PlanKept(_) => {
                self.apply_bundle_change(event, change)
            }
            Change::RolloutOpened(_)
            | Change::DocumentStaged(_)
            | Change::RemovalStaged(_)
            | Change::RolloutStarted
            | Change::StageOpened(_)
            | Change::NodesReleased(_)
            | Change::NodesExpected(_)
            | Change::NodesOverdue(_)
            | Change::StageApproved(_)
            | Change::StagePassed(_)
            | Change::RolloutPaused
            | Change::RolloutResumed(_)
            | Change::RolloutHalted(_)
            | Change::RolloutAborted(_)
            | Change::RolloutPromoted
            | Change::RolloutCompleted
            | Change::GuardSet(_) => self.apply_rollout_change(event.into(), change),
            // It names the log that the events before it come from.
            Change::LogBegun(_) => {
                self.pause_rollouts();
                AffectedNodes::new()
            }
        }
    }

    fn put_document(&mut self, id: DocumentId, event: &Event, put: &Arc<DocumentPut>) -> AffectedNodes {
        let (version, position, at) = (event.version, event.position, event.at);
        let document = Document { put: Arc::clone(put), version, position, at, promoted: None };
        self.replace_document(&id, document, event.position)
    }

    /// Puts a proven revision of a document, at the position of an event.
    fn replace_document(&mut self, id: &DocumentId, document: Document, position: Position) -> AffectedNodes {
        // Another revision than the one that an aborted rollout took back, or the same one by a person who said so.
        self.rollouts.withdrawn.remove(id);
        let put = Arc::clone(&document.put);
        let before = self.documents.insert(id.clone(), document);
        // New content alone leaves the indexes as they are.
        let moved = before.as_ref().is_none_or(|before| before.put.path != put.path);
        let aimed = before.as_ref().is_none_or(|before| before.put.target != put.target);
        let mut affected = self.nodes_of(&put.target);
        if let Some(before) = before.filter(|_| moved || aimed) {
            affected.extend(self.nodes_of(&before.put.target));
            if moved {
                selector_index::remove(&mut self.paths, &before.put.path, id);
                self.remember_former(id, before, position);
            }
        }
        if moved {
            self.forget_former(id, &put.path);
            selector_index::insert(&mut self.paths, &put.path, id);
        }
        if aimed {
            self.selector_index.insert_selector(id, (&put.target).into());
        }
        affected
    }

    /// Removes the proven revision of a document, at the position of an event.
    fn remove_document(&mut self, id: &DocumentId, position: Position) -> AffectedNodes {
        let Some(document) = self.documents.remove(id) else { return AffectedNodes::new() };
        self.selector_index.remove_selector(id);
        selector_index::remove(&mut self.paths, &document.put.path, id);
        let affected = self.nodes_of(&document.put.target);
        self.remember_former(id, document, position);
        affected
    }

    /// Remembers where a document was, to explain later why the path is empty.
    fn remember_former(&mut self, id: &DocumentId, Document { put, .. }: Document, position: Position) {
        self.former_documents.entry(put.path.clone()).or_default().insert(id.clone(), FormerDocument { put, position });
    }

    /// Forgets a former document that is put at the same path again.
    fn forget_former(&mut self, id: &DocumentId, path: &DocumentPath) {
        if !self.former_documents.contains_key(path) {
            return;
        }
        let Some(left) = self.former_documents.get_mut(path) else { return };
        left.remove(id);
        if left.is_empty() {
            self.former_documents.remove(path);
        }
    }

    /// Without keys the node keeps those that it has.
    fn enrol_node(
        &mut self,
        id: &NodeId,
        event: &Event,
        NodeEnrolled { labels, keys }: &NodeEnrolled,
    ) -> AffectedNodes {
        let affected = self.label_node(id, event, labels, true);
        if let Some(keys) = keys {
            self.give_keys(id, event.position, keys);
        }
        affected
    }

    fn label_node(&mut self, id: &NodeId, event: &Event, labels: &Labels, enrols: bool) -> AffectedNodes {
        let (labels, version, labelled) = (labels.clone(), event.version, event.position);
        let cause = event.cause();
        if let Some(before) = self.nodes.get(id).filter(|node| !node.retired).map(|node| node.labels.clone()) {
            self.relabel_releases(id, &before, &labels, event.position, event.at);
        }
        let Some(node) = self.nodes.get_mut(id) else {
            self.selector_index.insert_labels(id, &labels);
            let (retry, enrolled, access) = (Position::ZERO, event.position, NodeAccess::default());
            let node = Node { labels, version, retired: false, retry, enrolled, labelled, cause, access };
            self.nodes.insert(id.clone(), node);
            return [id.clone()].into();
        };
        // A retired node's labels were forgotten when it was.
        match node.retired {
            true => self.selector_index.insert_labels(id, &labels),
            false => self.selector_index.replace_labels(id, &node.labels, &labels),
        }
        let enrolled = if enrols { event.position } else { node.enrolled };
        let (retry, access) = (node.retry, core::mem::take(&mut node.access));
        *node = Node { labels, version, retired: false, retry, enrolled, labelled, cause, access };
        [id.clone()].into()
    }

    fn retire_node(&mut self, id: NodeId, event: &Event) -> AffectedNodes {
        let Some(node) = self.nodes.get_mut(&id) else { return AffectedNodes::new() };
        node.version = event.version;
        node.retired = true;
        node.access.retired_at = event.at;
        let labels = node.labels.clone();
        self.selector_index.remove_labels(&id, &labels);
        self.jobs.free_all(&id, event.position);
        self.leave_rollouts(&id, event.at);
        [id].into()
    }

    fn retry_node(&mut self, id: NodeId, event: &Event) -> AffectedNodes {
        let Some(node) = self.nodes.get_mut(&id) else { return AffectedNodes::new() };
        node.version = event.version;
        node.retry = event.position;
        [id].into()
    }

    fn create_principal(&mut self, name: PrincipalName, event: &Event, created: &PrincipalCreated) -> AffectedNodes {
        self.tokens.insert(created.token_hash, name.clone());
        let principal = Principal {
            created: created.clone(),
            version: event.version,
            revoked: false,
            position: event.position,
            at: event.at,
        };
        self.principals.insert(name, principal);
        AffectedNodes::new()
    }

    fn revoke_principal(&mut self, name: &PrincipalName, event: &Event) -> AffectedNodes {
        if let Some(principal) = self.principals.get_mut(name) {
            principal.version = event.version;
            principal.revoked = true;
            principal.position = event.position;
            principal.at = event.at;
            self.tokens.remove(&principal.created.token_hash);
        }
        AffectedNodes::new()
    }

    /// A report is about what a node runs, not about what it should run: it touches no record.
    fn note_report(&mut self, node: NodeId, event: &Event, summary: &Arc<ReportSummary>) -> AffectedNodes {
        debug_assert_eq!(event.entity, Entity { kind: Kind::Report, id: node.id().clone() });
        let summary = Arc::clone(summary);
        let (version, position, at) = (event.version, event.position, event.at);
        self.judge_releases(&node, &summary, at);
        self.reports.insert(node, NotedReport { summary, version, position, at });
        AffectedNodes::new()
    }
}
