//! Checks of the events of compliance: what they refer to is there, and nothing is removed that others refer to.

use projections::configuration::Configuration;
use schema::change::Change;
use schema::compliance::Coverage;
use schema::entity::Entity;
use schema::event::Event;

use super::presence::all;
use crate::event_error::EventError;

/// Checks an event of compliance that refers to something, or removes it.
pub(super) fn check(state: &Configuration, event: &Event, change: &Change) -> Result<(), EventError> {
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
        _ => removed(state, event),
    }
}

fn removed(state: &Configuration, event: &Event) -> Result<(), EventError> {
    all(state, event, [event.entity.clone()])?;
    match state.compliance().referring_to(&event.entity).into_iter().next() {
        Some(by) => Err(EventError::InUse { entity: event.entity.clone(), by }),
        None => Ok(()),
    }
}
