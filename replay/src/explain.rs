//! Explanations: the events that a node's file or a job follows from, or the reasons why it is absent.
//!
//! A pure function of a configuration. It names positions, each with the part that its event plays; the caller looks the
//! events up. The events named for a present file are sufficient: folded alone, they give the same bytes. An absent file is
//! explained by documents at the path that don't select the node, documents that were at the path before, the node's
//! retirement, or another holder of the job.
//!
//! Absent on purpose: the report of the node, which does not follow from the log.

use alloc::vec::Vec;
use core::cmp::Reverse;

use projections::configuration::{Configuration, Document, Node};
use projections::jobs::Job;
use schema::desired::{EntryKind, Source};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::entity::{Entity, Kind};
use schema::id::{DocumentId, JobId, NodeId};
use schema::path::DocumentPath;
use schema::position::Position;
use schema::target::Target;

/// Documents that are named at most as obstacles, the latest first, or as overridden, the next in line first: thousands of
/// nodes may each have one of their own at a path.
pub const OBSTACLES_MAX: usize = 100;

/// The events from which a file or a job, or its absence, follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The present file; none if there is none, and then the reasons say why.
    pub found: Option<DerivedFile>,
    /// The events, the most telling one first.
    pub reasons: Vec<DerivingEvent>,
    /// Obstacles or overridden documents beyond [`OBSTACLES_MAX`], which are not named.
    pub more: usize,
}

/// The present file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedFile {
    /// The sort of file.
    pub kind: EntryKind,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// The entity that a record names as the source of the entry.
    pub source: Source,
    /// The mode of the file.
    pub mode: DocumentMode,
}

/// An event, and the part it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DerivingEvent {
    /// The position of the event.
    pub position: Position,
    /// The part that the event plays.
    pub part: EventPart,
}

/// The part that an event plays in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventPart {
    /// The event put the document that is in force.
    Put,
    /// The event accepted the proposal that the document in force was made of.
    Accepted,
    /// The event proposed it.
    Proposed,
    /// The event enrolled the node.
    Enrolled,
    /// The event gave the node its labels, which a selector fits or does not fit.
    Labelled,
    /// The event put another document for this node and path, which the one in force overrides.
    Overrode,
    /// The event put a document at the path that does not select the node.
    Unfit,
    /// The event removed a document from the path.
    Left,
    /// The event staged the document that is in force, or its removal, in a rollout.
    Staged,
    /// The event opened that rollout.
    Opened,
    /// The event released the node, so that it gets what the rollout changes.
    Released,
    /// The event made what the rollout staged the document of every node.
    Promoted,
    /// The event ended a rollout that had a document at the path, and took it back.
    Withdrawn,
    /// The event retired the node.
    Retired,
    /// The event defined the attestation of the job.
    Attestation,
    /// The event defined the assessment of the attestation.
    Assessment,
    /// The event defined the control of the assessment.
    Control,
    /// The event defined a component that the assessment covers.
    Component,
    /// The event last changed the spec, by removing something from it.
    Respecified,
    /// The event made the job.
    Made,
    /// The event gave the job to its holder.
    Claimed,
    /// The event is the last sign in the log that the holder works on its jobs.
    Renewed,
    /// The event ended the claim on the job, or made the job: it waits since then.
    Waits,
    /// The event tells the outcome of the last run of the job.
    Completed,
    /// The event removed the job.
    Removed,
}

/// The node, job or path of the question never existed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// No such node or job is or was in the log.
    #[error("there is no {0}")]
    Entity(Entity),
    /// No document is or was at this path, for any node.
    #[error("no document and no job was ever at this path")]
    Path,
}

impl EventPart {
    /// The part's name on every wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Accepted => "accepted",
            Self::Proposed => "proposed",
            Self::Enrolled => "enrolled",
            Self::Labelled => "labelled",
            Self::Overrode => "overrode",
            Self::Unfit => "unfit",
            Self::Left => "left",
            Self::Staged => "staged",
            Self::Opened => "opened",
            Self::Released => "released",
            Self::Promoted => "promoted",
            Self::Withdrawn => "withdrawn",
            Self::Retired => "retired",
            Self::Attestation => "attestation",
            Self::Assessment => "assessment",
            Self::Control => "control",
            Self::Component => "component",
            Self::Respecified => "respecified",
            Self::Made => "made",
            Self::Claimed => "claimed",
            Self::Renewed => "renewed",
            Self::Waits => "waits",
            Self::Completed => "completed",
            Self::Removed => "removed",
        }
    }
}

impl Derivation {
    fn there(found: DerivedFile) -> Self {
        Self { found: Some(found), reasons: Vec::new(), more: 0 }
    }

    fn absent() -> Self {
        Self { found: None, reasons: Vec::new(), more: 0 }
    }

    /// Adds an event, unless it was added before: the first part that it plays tells most.
    fn because(&mut self, part: EventPart, position: Position) {
        if position > Position::ZERO && self.reasons.iter().all(|reason| reason.position != position) {
            self.reasons.push(DerivingEvent { position, part });
        }
    }
}

/// Why a node has what it has at a path of its tree, or has nothing there. The path is a document's, or `jobs/<id>.json`.
///
/// # Errors
/// If the node was never enrolled, or the path never meant anything.
pub fn explain_file(state: &Configuration, id: &NodeId, path: &str) -> Result<Derivation, ExplainError> {
    let node = state.nodes().get(id).ok_or_else(|| ExplainError::Entity(id.into()))?;
    match path.strip_prefix("jobs/") {
        Some(name) => {
            let job = name.strip_suffix(".json").and_then(|id| id.parse().ok()).ok_or(ExplainError::Path)?;
            why_held(state, id, node, &job)
        }
        None => why_document(state, id, node, &path.parse().map_err(|_| ExplainError::Path)?),
    }
}

/// Why a job is what it is and is with whom it is, or is not there any more.
///
/// # Errors
/// If there never was such a job.
pub fn explain_job(state: &Configuration, id: &JobId) -> Result<Derivation, ExplainError> {
    let Some(job) = state.jobs().all().get(id) else {
        let gone = state.jobs().removed_job(id).ok_or_else(|| ExplainError::Entity(id.into()))?;
        let mut why = Derivation::absent();
        why.because(EventPart::Removed, gone.position);
        return Ok(why);
    };
    let mut why = Derivation::there(spec_of(state, id, job));
    for source in state.spec_sources(job) {
        let part = match source.entity.kind {
            Kind::Attestation => EventPart::Attestation,
            Kind::Assessment => EventPart::Assessment,
            Kind::Control => EventPart::Control,
            _ => EventPart::Component,
        };
        why.because(part, source.position);
    }
    why.because(EventPart::Respecified, job.cause.position);
    why.because(EventPart::Made, job.made);
    match &job.claim {
        Some(claim) => {
            why.because(EventPart::Claimed, claim.position);
            why.because(EventPart::Labelled, claim.labelled);
        }
        None => why.because(EventPart::Waits, job.since),
    }
    if let Some(completed) = &job.completed {
        why.because(EventPart::Completed, completed.position);
    }
    if let Some(claim) = &job.claim {
        why.because(EventPart::Renewed, state.jobs().last_active_at(&claim.runtime));
    }
    Ok(why)
}

fn spec_of(state: &Configuration, id: &JobId, job: &Job) -> DerivedFile {
    let spec = state.spec(id).expect("BUG: a job of the state has a spec");
    let (digest, size, source) = (spec.digest, spec.bytes.len() as u64, job.source.clone());
    DerivedFile { kind: EntryKind::Job, digest, size, source, mode: DocumentMode::Plain }
}

fn why_held(state: &Configuration, id: &NodeId, node: &Node, job_id: &JobId) -> Result<Derivation, ExplainError> {
    let why = explain_job(state, job_id).map_err(|_| ExplainError::Path)?;
    let Some(job) = state.jobs().all().get(job_id) else { return Ok(why) };
    let claim = job.claim.as_ref();
    if claim.is_some_and(|claim| claim.runtime == *id) {
        return Ok(why);
    }
    let mut why = if node.retired { retired(node) } else { Derivation::absent() };
    match claim {
        Some(claim) => why.because(EventPart::Claimed, claim.position),
        None => why.because(EventPart::Waits, job.since),
    }
    Ok(why)
}

fn why_document(
    state: &Configuration,
    id: &NodeId,
    node: &Node,
    path: &DocumentPath,
) -> Result<Derivation, ExplainError> {
    let selects = |target: &Target| target.matches(id, &node.labels);
    let was_there =
        state.former_documents_at(path).next().is_some() || state.rollouts().withdrawn_at(path).next().is_some();
    if !was_there && state.documents_at(path).next().is_none() && state.rollouts().staged_at(path).next().is_none() {
        return Err(ExplainError::Path);
    }
    let released = |document: &DocumentId| RolloutPart::of(state, id, document);
    let proven = state.documents_at(path).filter(|(document, _)| released(document).is_none());
    let staged = state.rollouts().staged_at(path).filter(|(document, _)| released(document).is_some());
    let (mut fitting, unfit): (Vec<_>, Vec<_>) =
        proven.chain(staged).partition(|(_, document)| selects(&document.put.target));
    // As in `layers`: the highest priority, of equals the greatest id.
    fitting.sort_by_key(|(id, document)| Reverse((document.put.priority, *id)));
    Ok(match fitting.split_first() {
        Some((winner, others)) if !node.retired => in_force(state, node, *winner, others, released(winner.0)),
        Some(_) => retired(node),
        None => {
            let mut why = nothing_there(state, node, path, &unfit, selects);
            rolled_out(state, id, path, &mut why);
            why
        }
    })
}

/// The part of a rollout that has released a node, in one of its documents.
#[derive(Clone, Copy)]
struct RolloutPart {
    opened: Position,
    staged: Position,
    released: Position,
}

impl RolloutPart {
    fn of(state: &Configuration, node: &NodeId, document: &DocumentId) -> Option<Self> {
        let staged = state.rollouts().staged().get(document)?;
        let release = state.rollouts().release(&staged.rollout, node)?;
        let opened = state.rollouts().open().get(&staged.rollout)?.opened_at;
        Some(Self { opened, staged: staged.position, released: release.released })
    }

    fn tell(self, why: &mut Derivation) {
        why.because(EventPart::Staged, self.staged);
        why.because(EventPart::Released, self.released);
        why.because(EventPart::Opened, self.opened);
    }
}

/// What rollouts have to do with nothing being at a path: one removed the document, moved it away, or was aborted.
fn rolled_out(state: &Configuration, node: &NodeId, path: &DocumentPath, why: &mut Derivation) {
    for (document, _) in state.documents_at(path) {
        if let Some(part) = RolloutPart::of(state, node, document) {
            part.tell(why);
        }
    }
    for (_, withdrawn) in state.rollouts().withdrawn_at(path) {
        if let Some(ended) = state.rollouts().ended().get(&withdrawn.rollout) {
            why.because(EventPart::Withdrawn, ended.position);
        }
    }
}

fn in_force(
    state: &Configuration,
    node: &Node,
    winner: (&DocumentId, &Document),
    others: &[(&DocumentId, &Document)],
    released: Option<RolloutPart>,
) -> Derivation {
    let (id, Document { put, version, position, promoted, .. }) = winner;
    let source = Source { entity: id.into(), version: *version, position: *position };
    let found = DerivedFile { kind: EntryKind::Document, digest: put.digest, size: put.size, source, mode: put.mode };
    let mut why = Derivation::there(found);
    match (released, promoted) {
        (Some(part), _) => part.tell(&mut why),
        (None, Some(promotion)) => {
            why.because(EventPart::Staged, *position);
            why.because(EventPart::Promoted, promotion.position);
            why.because(EventPart::Opened, promotion.opened);
        }
        (None, None) => why.because(EventPart::Put, *position),
    }
    if let Some(proposal) = put.proposal.as_ref().and_then(|id| state.proposals().get(id)) {
        why.because(EventPart::Accepted, proposal.end.map_or(Position::ZERO, |end| end.position));
        why.because(EventPart::Proposed, proposal.position);
    }
    why.because(EventPart::Enrolled, node.enrolled);
    if matches!(put.target, Target::Selector(_)) {
        why.because(EventPart::Labelled, node.labelled);
    }
    others.iter().take(OBSTACLES_MAX).for_each(|(_, other)| why.because(EventPart::Overrode, other.position));
    why.more = others.len().saturating_sub(OBSTACLES_MAX);
    why
}

/// Nothing concerns a node after it was retired, so that is its cause.
fn retired(node: &Node) -> Derivation {
    let mut why = Derivation::absent();
    why.because(EventPart::Retired, node.cause.position);
    why
}

fn nothing_there(
    state: &Configuration,
    node: &Node,
    path: &DocumentPath,
    unfit: &[(&DocumentId, &Document)],
    selects: impl Fn(&Target) -> bool,
) -> Derivation {
    let mut why = if node.retired { retired(node) } else { Derivation::absent() };
    let stands =
        unfit.iter().map(|(_, document)| DerivingEvent { position: document.position, part: EventPart::Unfit });
    let gone = || state.former_documents_at(path).map(|(_, left)| (left, selects(&left.put.target)));
    // What has left and would not select the node anyway tells something only where nothing else does.
    let alone = unfit.is_empty() && !node.retired && gone().all(|(_, fits)| !fits);
    let went = gone().filter(|(_, fits)| alone || *fits);
    let went = went.map(|(left, _)| DerivingEvent { position: left.position, part: EventPart::Left });
    let mut obstacles: Vec<DerivingEvent> = stands.chain(went).collect();
    obstacles.sort_by_key(|obstacle| Reverse(*obstacle));
    why.more = obstacles.len().saturating_sub(OBSTACLES_MAX);
    obstacles.iter().take(OBSTACLES_MAX).for_each(|obstacle| why.because(obstacle.part, obstacle.position));
    let by_labels = unfit.iter().any(|(_, document)| matches!(document.put.target, Target::Selector(_)));
    if by_labels || alone {
        why.because(EventPart::Labelled, node.labelled);
    }
    why
}
