//! Checks that the references of an event lead to existing entities. `decide` ensured it once; every reader of a log checks
//! it again, because folding and rendering rely on it.
//!
//! Absent on purpose: blobs, because each reader keeps them elsewhere.

mod bundles;
mod compliance;
mod presence;
mod proposals;
mod rollouts;
mod rule;

use projections::configuration::Configuration;
use schema::bundle::{Marked, PlanKept};
use schema::change::Change;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::{JobId, NodeId};
use schema::lease::LeaseToken;
use schema::position::Position;

use self::presence::{all, runtime};
use self::rule::holds;
use crate::event_error::EventError;

/// Checks the references of the next event against the state before it.
pub(crate) fn check(state: &Configuration, event: &Event, change: &Change) -> Result<(), EventError> {
    match change {
        Change::ComponentDefined(_)
        | Change::AssessmentDefined(_)
        | Change::AttestationDefined(_)
        | Change::ControlRemoved
        | Change::ComponentRemoved
        | Change::AssessmentRemoved
        | Change::AttestationRemoved => compliance::check(state, event, change),
        Change::DocumentRemoved => rollouts::removed(state, event),
        Change::NodeRetired => {
            runtime(state, event, &event.entity.id.clone().into())?;
            proposals::retired(state, event)
        }
        Change::NodeLabelled(_) | Change::NodeRetried | Change::NodeKeysSet(_) => {
            runtime(state, event, &event.entity.id.clone().into())
        }
        Change::DocumentPut(put) => {
            rollouts::put(state, event)?;
            proposals::put(state, event, put)
        }
        Change::Proposed(_)
        | Change::ProposalAccepted(_)
        | Change::ProposalSuperseded(_)
        | Change::ProposalRejected(_)
        | Change::ProposalWithdrawn(_) => proposals::check(state, event, change),
        Change::JobClaimed(claimed) => {
            all(state, event, [event.entity.clone()])?;
            runtime(state, event, &claimed.runtime)
        }
        Change::JobReleased(released) => claim(state, event, &released.runtime, released.token),
        Change::JobCompleted(completed) => claim(state, event, &completed.runtime, completed.token),
        Change::ClaimExpired(expired) => claim(state, event, &expired.runtime, expired.token),
        Change::ClaimRenewed => runtime(state, event, &event.entity.id.clone().into()),
        // Also a retired node may be barred, and only a retired one is dismissed.
        Change::NodeBarred | Change::NodeDismissed | Change::JoinTokenUsed(_) | Change::JoinTokenRevoked => {
            all(state, event, [event.entity.clone()])
        }
        Change::BundleAssigned(assigned) => bundles::assigned(state, event, assigned),
        Change::BundleRemoved => all(state, event, [event.entity.clone()]),
        Change::Marked(Marked { position }) => earlier(event, *position),
        Change::PlanKept(kept) => plan_kept(event, kept),
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
        | Change::RolloutCompleted => rollouts::check(state, event, change),
        Change::GuardSet(_) => holds(event, event.entity == Entity::guard(), "the guard of the log, guard/fleet"),
        Change::BusClosed
        | Change::JoinTokenCreated(_)
        | Change::ControlDefined(_)
        | Change::NodeEnrolled(_)
        | Change::PrincipalCreated(_)
        | Change::PrincipalRevoked
        | Change::LogBegun(_)
        | Change::ReportChanged(_) => Ok(()),
    }
}

/// A plan is known by its digest, and was compared with a state of before.
fn plan_kept(event: &Event, PlanKept { plan, base }: &PlanKept) -> Result<(), EventError> {
    earlier(event, base.position)?;
    match event.entity == Entity::plan(plan) {
        true => Ok(()),
        false => Err(EventError::Dangling { entity: event.entity.clone(), to: Entity::plan(plan) }),
    }
}

/// What an event says of a position is about one before its own.
fn earlier(event: &Event, position: Position) -> Result<(), EventError> {
    match position < event.position {
        true => Ok(()),
        false => Err(EventError::NotYet { entity: event.entity.clone(), position }),
    }
}

fn claim(state: &Configuration, event: &Event, runtime: &NodeId, token: LeaseToken) -> Result<(), EventError> {
    let job = state.jobs().all().get(&JobId::from(event.entity.id.clone()));
    match job.and_then(|job| job.claim.as_ref()) {
        Some(claim) if claim.token == token && claim.runtime == *runtime => Ok(()),
        _ => Err(EventError::NoClaim { job: event.entity.clone() }),
    }
}
