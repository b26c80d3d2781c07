//! Checks that the references of an event lead to existing entities. `decide` ensured it once; every reader of a log checks
//! it again, because folding and rendering rely on it.
//!
//! Absent on purpose: blobs, because each reader keeps them elsewhere.

mod bundles;
mod presence;
mod proposals;

use projections::configuration::Configuration;
use schema::bundle::{Marked, PlanKept};
use schema::change::Change;
use schema::compliance::Coverage;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::{JobId, NodeId};
use schema::lease::LeaseToken;
use schema::position::Position;
use schema::proposal::{ProposalAccepted, ProposalRejected, ProposalSuperseded, ProposalWithdrawn};

use self::presence::all;
use crate::event_error::EventError;

/// Checks the references of the next event against the state before it.
pub(crate) fn check(state: &Configuration, event: &Event, change: &Change) -> Result<(), EventError> {
    match change {
        Change::ComponentDefined(said) => all(state, event, said.controls.iter().map(Entity::from)),
        Change::AssessmentDefined(said) => {
            let components = match &said.cover {
                Coverage::Components(components) => Some(components),
                Coverage::Selector(_) => None,
            };
            let components = components.into_iter().flatten().map(Entity::from);
            all(state, event, [Entity::from(&said.control)].into_iter().chain(components))
        }
        Change::AttestationDefined(said) => all(state, event, [Entity::from(&said.assessment)]),
        Change::ControlRemoved | Change::ComponentRemoved | Change::AssessmentRemoved | Change::AttestationRemoved => {
            removed(state, event)
        }
        Change::DocumentRemoved => all(state, event, [event.entity.clone()]),
        Change::NodeRetired => {
            runtime(state, event, &event.entity.id.clone().into())?;
            proposals::retired(state, event)
        }
        Change::NodeLabelled(_) | Change::NodeRetried | Change::NodeKeysSet(_) => {
            runtime(state, event, &event.entity.id.clone().into())
        }
        Change::DocumentPut(put) => proposals::put(state, event, put),
        Change::Proposed(said) => {
            runtime(state, event, &said.node)?;
            proposals::proposed(state, event, said)
        }
        Change::ProposalAccepted(ProposalAccepted { node, document }) => {
            proposals::ended(state, event, node)?;
            proposals::accepted(state, event, document)
        }
        Change::ProposalSuperseded(ProposalSuperseded { node, by }) => {
            proposals::ended(state, event, node)?;
            proposals::superseded(state, event, by)
        }
        Change::ProposalRejected(ProposalRejected { node, .. })
        | Change::ProposalWithdrawn(ProposalWithdrawn { node }) => proposals::ended(state, event, node),
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
        Change::PlanKept(PlanKept { plan, base }) => {
            earlier(event, base.position)?;
            match event.entity == Entity::plan(plan) {
                true => Ok(()),
                false => Err(EventError::Dangling { entity: event.entity.clone(), to: Entity::plan(plan) }),
            }
        }
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

/// What an event says of a position is about one before its own.
fn earlier(event: &Event, position: Position) -> Result<(), EventError> {
    match position < event.position {
        true => Ok(()),
        false => Err(EventError::NotYet { entity: event.entity.clone(), position }),
    }
}

fn removed(state: &Configuration, event: &Event) -> Result<(), EventError> {
    all(state, event, [event.entity.clone()])?;
    match state.compliance().referring_to(&event.entity).into_iter().next() {
        Some(by) => Err(EventError::InUse { entity: event.entity.clone(), by }),
        None => Ok(()),
    }
}

/// A node that is enrolled and not retired.
fn runtime(state: &Configuration, event: &Event, node: &NodeId) -> Result<(), EventError> {
    match state.nodes().get(node) {
        Some(known) if !known.retired => Ok(()),
        _ => Err(EventError::Dangling { entity: event.entity.clone(), to: node.into() }),
    }
}

fn claim(state: &Configuration, event: &Event, runtime: &NodeId, token: LeaseToken) -> Result<(), EventError> {
    let job = state.jobs().all().get(&JobId::from(event.entity.id.clone()));
    match job.and_then(|job| job.claim.as_ref()) {
        Some(claim) if claim.token == token && claim.runtime == *runtime => Ok(()),
        _ => Err(EventError::NoClaim { job: event.entity.clone() }),
    }
}
