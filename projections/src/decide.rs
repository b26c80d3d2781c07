//! Deciding: from a command and the state to changes, or a refusal.
//!
//! A command is decided against the exact state at the head of the log. A command without effect gives no change. Whatever
//! could not be rendered or published later is refused here.

mod advance;
mod assignments;
mod bundles;
mod checks;
mod claims;
mod compliance;
mod context;
mod identities;
mod nodes;
mod proposals;
mod rollouts;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use schema::change::{Change, DocumentPut, Labelled, NodeEnrolled, PrincipalCreated};
use schema::command::{Command, CreatePrincipal, PutDocument, RemoveDocument, Role};
use schema::entity::Entity;
use schema::id::{DocumentId, NodeId, PrincipalName};
use schema::labels::Labels;
use schema::limit::EVENT_DATA_BYTES_MAX;
use schema::position::Version;
use schema::report::ReportSummary;
use schema::request::RequestItem;

use self::checks::is_json;
pub(crate) use self::checks::no_file_is_a_folder;
use crate::configuration::Configuration;
use crate::refusal::Refusal;

pub use self::advance::{advance, in_order};
pub use self::assignments::Assignments;
pub use self::claims::TokenSeed;
pub use self::context::DecisionContext;
use self::nodes::{active, node};

/// One change that follows from a command, and its entity.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityChange {
    /// The entity that the change is about.
    pub entity: Entity,
    /// The change.
    pub change: Change,
    /// The change as the JSON text that the log stores.
    pub data: String,
}

/// Decides one command. Commands about several jobs or nodes or about proposals, a join, and the retirement of a node change more than
/// one entity.
///
/// # Errors
/// With the reason why it is refused.
pub fn decide(
    state: &Configuration,
    ask: &RequestItem,
    context: &DecisionContext<'_>,
) -> Result<Vec<EntityChange>, Refusal> {
    expect_version(state, ask)?;
    let changes = changes(state, &ask.command, context)?;
    changes.into_iter().map(|(entity, change)| EntityChange::new(entity, change)).collect()
}

impl EntityChange {
    fn new(entity: Entity, change: Change) -> Result<Self, Refusal> {
        let data = change.data();
        match data.len() {
            bytes if bytes > EVENT_DATA_BYTES_MAX => Err(Refusal::EventTooLarge { bytes }),
            _ => Ok(Self { entity, change, data }),
        }
    }
}

/// The changes of a command, each with its entity.
fn changes(
    state: &Configuration,
    command: &Command,
    context: &DecisionContext<'_>,
) -> Result<Vec<(Entity, Change)>, Refusal> {
    Ok(match command {
        Command::PutDocument(put) => one(command, put_document(state, put, context.now)?),
        Command::RemoveDocument(remove) => one(command, remove_document(state, remove, context.now)?),
        Command::EnrolNode(enrol) => one(command, identities::enrol_node(state, enrol)?),
        Command::LabelNode(id, labels) => one(command, label_node(state, id, labels)?),
        Command::RetireNode(id) => retire_node(state, id)?,
        Command::RetryNode(id) => one(command, retry_node(state, id)?),
        Command::CreatePrincipal(create) => one(command, create_principal(state, create)?),
        Command::RevokePrincipal(name) => one(command, revoke_principal(state, name)?),
        Command::ReplaceToken(create) => replace_token(state, create)?,
        Command::NoteReport(id, summary) => one(command, note_report(state, id, summary)?),
        Command::DefineControl(id, said) => one(command, compliance::define_control(state, id, said)),
        Command::DefineComponent(id, said) => one(command, compliance::define_component(state, id, said)?),
        Command::DefineAssessment(id, said) => one(command, compliance::define_assessment(state, id, said)?),
        Command::DefineAttestation(id, said) => one(command, compliance::define_attestation(state, id, said)?),
        Command::RemoveControl(id) => one(command, compliance::remove(state, id, Change::ControlRemoved)?),
        Command::RemoveComponent(id) => one(command, compliance::remove(state, id, Change::ComponentRemoved)?),
        Command::RemoveAssessment(id) => one(command, compliance::remove(state, id, Change::AssessmentRemoved)?),
        Command::RemoveAttestation(id) => one(command, compliance::remove(state, id, Change::AttestationRemoved)?),
        Command::ClaimJobs(claim) => claims::claim(state, claim, &context.seed)?,
        Command::RenewClaims(runtime) => one(command, claims::renew(state, runtime)?),
        Command::ReleaseJobs(release) => claims::release(state, release)?,
        Command::CompleteJob(complete) => one(command, claims::complete(state, complete)?),
        Command::ExpireClaim(job, token) => one(command, claims::expire(state, job, *token)?),
        Command::SetNodeKeys(set) => one(command, identities::set_keys(state, set)?),
        Command::BarNode(id) => one(command, identities::bar(state, id)?),
        Command::DismissNode(id) => one(command, identities::dismiss(state, id)?),
        Command::CreateJoinToken(create) => one(command, identities::create_token(state, create)?),
        Command::RevokeJoinToken(id) => one(command, identities::revoke_token(state, id)?),
        Command::JoinNode(join) => identities::join(state, join, context)?,
        Command::CloseBus(log) => one(command, identities::close_bus(state, *log, context)?),
        Command::Propose(propose) => proposals::propose(state, propose)?,
        Command::WithdrawProposal(node, uuid) => one(command, proposals::withdraw(state, node, *uuid)?),
        Command::AcceptProposal(accept) => proposals::accept(state, accept)?,
        Command::RejectProposal(reject) => one(command, proposals::reject(state, reject)?),
        Command::PutNode(id, labels) => one(command, put_node(state, id, labels)?),
        Command::AssignBundle(assign) => bundles::assign(state, assign, context)?,
        Command::RemoveBundle(id) => one(command, bundles::remove(state, id)?),
        Command::Mark(mark) => one(command, bundles::mark(state, mark)?),
        Command::RelabelNodes(relabel) => nodes::relabel(state, relabel)?,
        Command::OpenRollout(id, opened) => one(command, rollouts::open(state, id, opened)?),
        Command::StartRollout(id) => rollouts::start(state, id)?,
        Command::PauseRollout(id) => one(command, rollouts::pause(state, id)?),
        Command::ResumeRollout(resume) => one(command, rollouts::resume(state, resume)?),
        Command::ApproveStage(approve) => one(command, rollouts::approve(state, approve)?),
        Command::AbortRollout(id) => one(command, rollouts::abort(state, id)?),
        Command::CompleteRollout(id) => one(command, rollouts::complete(state, id, context.at)?),
        Command::AdvanceRollout(seen) => advance(state, seen, context.at),
        Command::SetGuard(guard) => one(command, rollouts::set_guard(state, guard)),
    })
}

/// At most one change, of the entity that the command is about.
fn one(command: &Command, change: impl Into<Option<Change>>) -> Vec<(Entity, Change)> {
    change.into().into_iter().map(|change| (command.entity(), change)).collect()
}

fn expect_version(state: &Configuration, ask: &RequestItem) -> Result<(), Refusal> {
    let Some(expected) = ask.expected_version else { return Ok(()) };
    let entity = ask.command.entity();
    let is_staging = match &ask.command {
        Command::PutDocument(put) => put.rollout.is_some(),
        Command::RemoveDocument(remove) => remove.rollout.is_some(),
        _ => true,
    };
    // To a command that has nothing to do with rollouts, a document that only a rollout has is not there.
    let is_hidden = !is_staging && !state.documents.contains_key(&DocumentId::from(entity.id.clone()));
    let actual = if is_hidden { Version::ZERO } else { state.version_present(&entity) };
    if actual == expected { Ok(()) } else { Err(Refusal::VersionConflict { entity, expected, actual }) }
}

fn put_document(state: &Configuration, put: &PutDocument, now: bool) -> Result<Option<Change>, Refusal> {
    let Some(content) = put.content.known() else {
        return Err(Refusal::UnknownContent(put.content.digest()));
    };
    let becomes = DocumentPut {
        path: put.path.clone(),
        media_type: put.media_type.clone(),
        digest: content.digest,
        size: content.size,
        target: put.target.clone(),
        priority: put.priority,
        merge: put.merge,
        proposal: None,
        mode: put.mode,
    };
    let before = state.documents.get(&put.id).map(|document| &*document.put);
    if let Some(rollout) = &put.rollout {
        is_json_if_new(before, put)?;
        return rollouts::stage(state, &put.id, becomes, rollout);
    }
    // What is proven, and what is being rolled out, may be said again: a folder of manifests has one or the other.
    let staged = state.rollouts.underway(&put.id).and_then(|staged| staged.put.as_ref());
    if before.is_some_and(|before| *before == becomes) || staged.is_some_and(|staged| *staged.put == becomes) {
        return Ok(None);
    }
    rollouts::is_free(state, &put.id)?;
    is_json_if_new(before, put)?;
    if !now {
        rollouts::is_not_withdrawn(state, &put.id, Some(&becomes))?;
    }
    Ok(Some(Change::DocumentPut(Arc::new(becomes))))
}

/// New content under `application/json` must be JSON. Content from before this rule is accepted as long as its bytes stay the
/// same: a sender who puts all documents repeatedly must still be able to change the document's target or priority.
fn is_json_if_new(before: Option<&DocumentPut>, put: &PutDocument) -> Result<(), Refusal> {
    let is_known = before.is_some_and(|before| before.media_type.is_json() && before.digest == put.content.digest());
    if is_known { Ok(()) } else { is_json(&put.media_type, &put.content) }
}

fn remove_document(state: &Configuration, remove: &RemoveDocument, now: bool) -> Result<Option<Change>, Refusal> {
    let RemoveDocument { id, rollout } = remove;
    if let Some(rollout) = rollout {
        return rollouts::stage_removal(state, id, rollout);
    }
    if state.rollouts.underway(id).is_some_and(|staged| staged.put.is_none()) {
        return Ok(None);
    }
    rollouts::is_free(state, id)?;
    if !state.documents.contains_key(id) {
        return Err(Refusal::Unknown(id.into()));
    }
    if !now {
        rollouts::is_not_withdrawn(state, id, None)?;
    }
    Ok(Some(Change::DocumentRemoved))
}

/// A node that was retired must be enrolled by its own command: what it ran was taken from it on purpose.
fn put_node(state: &Configuration, id: &NodeId, labels: &Labels) -> Result<Option<Change>, Refusal> {
    match state.nodes.contains_key(id) {
        true => label_node(state, id, labels),
        false => Ok(Some(Change::NodeEnrolled(NodeEnrolled { labels: labels.clone(), keys: None }))),
    }
}

fn label_node(state: &Configuration, id: &NodeId, labels: &Labels) -> Result<Option<Change>, Refusal> {
    let changes = active(state, id)?.labels != *labels;
    Ok(changes.then(|| Change::NodeLabelled(Labelled { labels: labels.clone() })))
}

/// The retirement is the last of the changes: it is what a person looks for as the cause of the empty record.
fn retire_node(state: &Configuration, id: &NodeId) -> Result<Vec<(Entity, Change)>, Refusal> {
    if node(state, id)?.retired {
        return Ok(Vec::new());
    }
    Ok(proposals::retired(state, id).into_iter().chain([(id.into(), Change::NodeRetired)]).collect())
}

fn retry_node(state: &Configuration, id: &NodeId) -> Result<Change, Refusal> {
    active(state, id).map(|_| Change::NodeRetried)
}

fn note_report(state: &Configuration, id: &NodeId, summary: &ReportSummary) -> Result<Option<Change>, Refusal> {
    node(state, id)?;
    Ok(state.is_new_report(id, summary).then(|| Change::ReportChanged(Arc::new(summary.clone()))))
}

fn create_principal(state: &Configuration, create: &CreatePrincipal) -> Result<Option<Change>, Refusal> {
    let becomes = PrincipalCreated { role: create.role, token_hash: create.token_hash };
    match state.principals.get(&create.name).filter(|principal| !principal.revoked) {
        Some(principal) if principal.created == becomes => return Ok(None),
        Some(_) => return Err(Refusal::PrincipalExists(create.name.clone())),
        None => {}
    }
    if state.tokens.contains_key(&create.token_hash) {
        return Err(Refusal::TokenInUse);
    }
    Ok(Some(Change::PrincipalCreated(becomes)))
}

/// Revokes the present token and creates the new one in one step, so that the last administrator can replace a token.
fn replace_token(state: &Configuration, create: &CreatePrincipal) -> Result<Vec<(Entity, Change)>, Refusal> {
    let entity = Entity::from(&create.name);
    if state.tokens.contains_key(&create.token_hash) {
        return Err(Refusal::TokenInUse);
    }
    let present = state.role(&create.name);
    if present.is_some_and(|role| role != create.role) {
        return Err(Refusal::PrincipalExists(create.name.clone()));
    }
    let ended = present.map(|_| (entity.clone(), Change::PrincipalRevoked));
    let begun = PrincipalCreated { role: create.role, token_hash: create.token_hash };
    Ok(ended.into_iter().chain([(entity, Change::PrincipalCreated(begun))]).collect())
}

fn revoke_principal(state: &Configuration, name: &PrincipalName) -> Result<Option<Change>, Refusal> {
    let Some(principal) = state.principals.get(name) else {
        return Err(Refusal::Unknown(name.into()));
    };
    if principal.revoked {
        return Ok(None);
    }
    let mut others = state.principals.keys().filter(|other| *other != name);
    let is_admin = |name: &PrincipalName| state.role(name) == Some(Role::Admin);
    if is_admin(name) && !others.any(is_admin) {
        return Err(Refusal::LastAdmin(name.clone()));
    }
    Ok(Some(Change::PrincipalRevoked))
}
