//! Decisions of people about rollouts. What follows by itself is decided in [`super::advance`].

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec::Vec;

use schema::change::{Change, DocumentPut, DocumentStaged, RemovalStaged};
use schema::command::{ApproveStage, ResumeRollout, SetGuard};
use schema::entity::{Entity, Kind};
use schema::id::{DocumentId, RolloutId};
use schema::instant::Instant;
use schema::limit::{ROLLOUT_CHANGES_MAX, ROLLOUTS_OPEN_MAX};
use schema::position::Version;
use schema::rollout::{GuardSet, RolloutAborted, RolloutOpened, RolloutResumed, StageApproved, StageGate, StageOpened};

use super::checks::no_file_is_a_folder;
use crate::configuration::Configuration;
use crate::refusal::Refusal;
use crate::rollout_refusal::{RolloutRefusal, WithdrawnBy};
use crate::rollouts::{Rollout, RolloutStatus, WithdrawnRevision};

pub(super) fn open(state: &Configuration, id: &RolloutId, opened: &RolloutOpened) -> Result<Option<Change>, Refusal> {
    let is_same = |rollout: &Rollout| rollout.status == RolloutStatus::Draft && *rollout.opened == *opened;
    match state.rollouts.open().get(id) {
        Some(rollout) if is_same(rollout) => return Ok(None),
        _ if state.version(&id.into()) > Version::ZERO => return Err(RolloutRefusal::Exists(id.clone()).into()),
        _ if state.rollouts.open().len() >= ROLLOUTS_OPEN_MAX => return Err(RolloutRefusal::TooManyOpen.into()),
        _ => {}
    }
    Ok(Some(Change::RolloutOpened(Arc::new(opened.clone()))))
}

/// A document in a rollout. What is in force stays so, whatever its path.
pub(super) fn stage(
    state: &Configuration,
    id: &DocumentId,
    put: DocumentPut,
    rollout: &RolloutId,
) -> Result<Option<Change>, Refusal> {
    may_stage(state, id, rollout)?;
    let others =
        state.rollouts.staged_at(&put.path).map(|(document, _)| (document, &state.rollouts.staged()[document]));
    if let Some((document, other)) = others.into_iter().find(|(_, staged)| staged.rollout != *rollout) {
        let (path, document, rollout) = (put.path.clone(), document.clone(), other.rollout.clone());
        return Err(RolloutRefusal::PathTaken { path, document, rollout }.into());
    }
    let staged = state.rollouts.staged().get(id);
    let base = state.documents.get(id);
    let is_same = staged.is_some_and(|staged| {
        staged.put.as_ref().is_some_and(|document| *document.put == put)
            && staged.base == base.map(|base| base.position)
    });
    let changes_nothing = staged.is_none() && base.is_some_and(|base| *base.put == put);
    if is_same || changes_nothing {
        return Ok(None);
    }
    no_file_is_a_folder(state, id, &put.path, Some(rollout))?;
    Ok(Some(Change::DocumentStaged(Arc::new(DocumentStaged { rollout: rollout.clone(), put }))))
}

/// The removal of a document in a rollout.
pub(super) fn stage_removal(
    state: &Configuration,
    id: &DocumentId,
    rollout: &RolloutId,
) -> Result<Option<Change>, Refusal> {
    let Some(base) = state.documents.get(id) else { return Err(Refusal::Unknown(id.into())) };
    may_stage(state, id, rollout)?;
    let staged = state.rollouts.staged().get(id);
    if staged.is_some_and(|staged| staged.put.is_none() && staged.base == Some(base.position)) {
        return Ok(None);
    }
    Ok(Some(Change::RemovalStaged(RemovalStaged { rollout: rollout.clone() })))
}

fn may_stage(state: &Configuration, id: &DocumentId, rollout: &RolloutId) -> Result<(), Refusal> {
    let draft = with_status(state, rollout, &[RolloutStatus::Draft], "a draft").map_err(|refusal| match refusal {
        Refusal::Unknown(entity) => Refusal::UnknownReference { field: "rollout", entity },
        Refusal::Rollout(wrong) => RolloutRefusal::NotADraft(Box::new(wrong)).into(),
        other => other,
    })?;
    match state.rollouts.staged().get(id) {
        Some(staged) if staged.rollout != *rollout => {
            Err(RolloutRefusal::Underway { document: id.clone(), rollout: staged.rollout.clone() }.into())
        }
        None if draft.changes.len() >= ROLLOUT_CHANGES_MAX => {
            Err(RolloutRefusal::TooManyChanges(rollout.clone()).into())
        }
        _ => Ok(()),
    }
}

/// A document that a rollout changes is not changed beside it, unless it already is what would be put.
pub(super) fn is_free(state: &Configuration, id: &DocumentId) -> Result<(), Refusal> {
    match state.rollouts.underway(id) {
        Some(staged) => Err(RolloutRefusal::Underway { document: id.clone(), rollout: staged.rollout.clone() }.into()),
        None => Ok(()),
    }
}

/// What an aborted rollout took back does not come again by itself, as by the next `apply` of a folder that still has it. `becomes` is what
/// the document would be, or none if it would be removed.
pub(super) fn is_not_withdrawn(
    state: &Configuration,
    id: &DocumentId,
    becomes: Option<&DocumentPut>,
) -> Result<(), Refusal> {
    let now = state.documents.get(id).map(|document| document.put.digest);
    let is_it = |withdrawn: &&WithdrawnRevision| match (withdrawn.put.as_deref(), becomes) {
        (Some(withdrawn), Some(put)) => {
            *withdrawn == *put || (withdrawn.digest == put.digest && now != Some(put.digest))
        }
        (None, None) => true,
        _ => false,
    };
    let Some(withdrawn) = state.rollouts.withdrawn(id).find(is_it) else { return Ok(()) };
    let ended = state.rollouts.ended().get(&withdrawn.rollout);
    let by = ended.map(|ended| ended.by.clone());
    let reason = ended.and_then(|ended| ended.reason.as_deref()).map(|reason| reason.to_string());
    let (document, rollout, is_removal) = (id.clone(), withdrawn.rollout.clone(), becomes.is_none());
    Err(RolloutRefusal::Withdrawn(Box::new(WithdrawnBy { document, is_removal, rollout, by, reason })).into())
}

pub(super) fn start(state: &Configuration, id: &RolloutId) -> Result<Vec<(Entity, Change)>, Refusal> {
    let rollout = with_status(state, id, &[RolloutStatus::Draft], "a draft")?;
    if rollout.changes.is_empty() {
        return Err(RolloutRefusal::Empty(id.clone()).into());
    }
    let is_stale = |document: &&DocumentId| {
        let base = state.documents.get(*document).map(|document| document.position);
        state.rollouts.staged().get(*document).is_none_or(|staged| staged.base != base)
    };
    if let Some(document) = rollout.changes.iter().find(is_stale) {
        return Err(RolloutRefusal::Stale { rollout: id.clone(), document: document.clone() }.into());
    }
    Ok(Vec::from([(id.into(), Change::RolloutStarted), (id.into(), opening(state, rollout, 0))]))
}

/// The opening of a stage, with the nodes that it has now.
pub(super) fn opening(state: &Configuration, rollout: &Rollout, index: usize) -> Change {
    let stage = &rollout.opened.stages[index];
    let left = state.members(rollout).into_iter().filter(|id| !rollout.released.contains(*id));
    let members = left.filter(|id| state.is_in_stage(rollout, index, id)).count();
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    Change::StageOpened(StageOpened { stage: stage.name.clone(), members, quota: stage.up_to.of(members) })
}

pub(super) fn pause(state: &Configuration, id: &RolloutId) -> Result<Option<Change>, Refusal> {
    let open = [RolloutStatus::Running, RolloutStatus::Paused, RolloutStatus::Halted];
    let rollout = with_status(state, id, &open, "running")?;
    Ok((rollout.status == RolloutStatus::Running).then_some(Change::RolloutPaused))
}

pub(super) fn resume(state: &Configuration, resume: &ResumeRollout) -> Result<Option<Change>, Refusal> {
    let ResumeRollout { id, max_failures } = resume;
    let open = [RolloutStatus::Running, RolloutStatus::Paused, RolloutStatus::Halted];
    let rollout = with_status(state, id, &open, "paused or halted")?;
    let limit = max_failures.map_or(rollout.max_failures, |limit| limit.count);
    let failures = rollout.failures.total();
    if failures > limit {
        return Err(RolloutRefusal::StillFailing { rollout: id.clone(), failures }.into());
    }
    let goes_on = rollout.status == RolloutStatus::Running && limit == rollout.max_failures;
    Ok((!goes_on).then_some(Change::RolloutResumed(RolloutResumed { max_failures: *max_failures })))
}

pub(super) fn approve(state: &Configuration, approve: &ApproveStage) -> Result<Option<Change>, Refusal> {
    let ApproveStage { id, stage } = approve;
    let open = [RolloutStatus::Running, RolloutStatus::Paused, RolloutStatus::Halted];
    let rollout = with_status(state, id, &open, "running")?;
    let Some(policy) = rollout.stage_policy() else { return Ok(None) };
    if policy.name != *stage {
        let (rollout, given, open) = (id.clone(), stage.clone(), policy.name.clone());
        return Err(RolloutRefusal::StageNotOpen { rollout, given, open }.into());
    }
    Ok((!rollout.open_tally().approved).then(|| Change::StageApproved(StageApproved { stage: stage.clone() })))
}

pub(super) fn abort(state: &Configuration, id: &RolloutId) -> Result<Change, Refusal> {
    let any = [RolloutStatus::Draft, RolloutStatus::Running, RolloutStatus::Paused, RolloutStatus::Halted];
    with_status(state, id, &any, "open")?;
    Ok(Change::RolloutAborted(RolloutAborted { failures: None }))
}

/// A person answers for the nodes that the last stage has not released: everything else must be as the stage demands.
pub(super) fn complete(state: &Configuration, id: &RolloutId, at: Instant) -> Result<Change, Refusal> {
    // While it is running, whoever can be released is: who is left when the last stage has baked is silent, or kept from it.
    let rollout = with_status(state, id, &[RolloutStatus::Running], "running")?;
    let Some(policy) = rollout.stage_policy() else {
        return Err(RolloutRefusal::NotProven { rollout: id.clone(), why: "no stage is open" }.into());
    };
    let is_approved = policy.gate == StageGate::Auto || rollout.open_tally().approved;
    let missing = [
        (!rollout.is_in_rest(), "a stage before the last one is open"),
        (!rollout.in_flight.is_empty(), "nodes have not settled"),
        (rollout.has_too_many_failures(), "it has too many failures"),
        (rollout.confirmed_in_stage() < policy.at_least, "too few nodes have confirmed its changes"),
        (at < rollout.settled_at.plus_seconds(policy.bake_s), "its last stage has not baked long enough"),
        (!is_approved, "its last stage is not approved"),
    ];
    match missing.into_iter().find(|(is_missing, _)| *is_missing) {
        Some((_, why)) => Err(RolloutRefusal::NotProven { rollout: id.clone(), why }.into()),
        None => Ok(Change::RolloutCompleted),
    }
}

pub(super) fn set_guard(state: &Configuration, guard: &SetGuard) -> Option<Change> {
    let SetGuard { nodes_max } = *guard;
    (state.rollouts.guard() != nodes_max).then_some(Change::GuardSet(GuardSet { nodes_max }))
}

/// A rollout that is open, in one of these statuses.
fn with_status<'a>(
    state: &'a Configuration,
    id: &RolloutId,
    wanted: &[RolloutStatus],
    needed: &'static str,
) -> Result<&'a Rollout, Refusal> {
    let wrong = |status| RolloutRefusal::WrongStatus { rollout: id.clone(), status, needed }.into();
    match (state.rollouts.open().get(id), state.rollouts.ended().get(id)) {
        (Some(rollout), _) if wanted.contains(&rollout.status) => Ok(rollout),
        (Some(rollout), _) if rollout.status == RolloutStatus::Draft => Err(wrong("a draft")),
        (Some(rollout), _) => Err(wrong(rollout.status.name())),
        (None, Some(ended)) => Err(wrong(ended.end.name())),
        (None, None) => Err(Refusal::Unknown(Entity { kind: Kind::Rollout, id: id.id().clone() })),
    }
}
