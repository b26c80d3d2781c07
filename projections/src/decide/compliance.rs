//! Decisions about definitions of compliance: a reference must lead to an existing definition, and a definition that is
//! referred to can't be removed.

use schema::change::Change;
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined, Coverage};
use schema::entity::Entity;
use schema::id::{AssessmentId, AttestationId, ComponentId, ControlId};

use crate::configuration::Configuration;
use crate::refusal::Refusal;

pub(super) fn define_control(state: &Configuration, id: &ControlId, said: &ControlDefined) -> Option<Change> {
    let same = state.compliance().controls().get(id).is_some_and(|control| *control.said == *said);
    (!same).then(|| Change::ControlDefined(said.clone()))
}

pub(super) fn define_component(
    state: &Configuration,
    id: &ComponentId,
    said: &ComponentDefined,
) -> Result<Option<Change>, Refusal> {
    component_fits(state, said)?;
    let same = state.compliance().components().get(id).is_some_and(|component| *component.said == *said);
    Ok((!same).then(|| Change::ComponentDefined(said.clone())))
}

pub(super) fn define_assessment(
    state: &Configuration,
    id: &AssessmentId,
    said: &AssessmentDefined,
) -> Result<Option<Change>, Refusal> {
    assessment_fits(state, said)?;
    let same = state.compliance().assessments().get(id).is_some_and(|assessment| *assessment.said == *said);
    Ok((!same).then(|| Change::AssessmentDefined(said.clone())))
}

pub(super) fn define_attestation(
    state: &Configuration,
    id: &AttestationId,
    said: &AttestationDefined,
) -> Result<Option<Change>, Refusal> {
    attestation_fits(state, said)?;
    let same = state.compliance().attestations().get(id).is_some_and(|attestation| *attestation.said == *said);
    Ok((!same).then(|| Change::AttestationDefined(said.clone())))
}

fn component_fits(state: &Configuration, said: &ComponentDefined) -> Result<(), Refusal> {
    said.controls.iter().try_for_each(|control| refers(state, "controls", control.into()))
}

fn assessment_fits(state: &Configuration, said: &AssessmentDefined) -> Result<(), Refusal> {
    refers(state, "control", (&said.control).into())?;
    match &said.cover {
        Coverage::Components(components) => {
            components.iter().try_for_each(|component| refers(state, "components", component.into()))
        }
        Coverage::Selector(_) => Ok(()),
    }
}

fn attestation_fits(state: &Configuration, said: &AttestationDefined) -> Result<(), Refusal> {
    refers(state, "assessment", (&said.assessment).into())
}

fn refers(state: &Configuration, field: &'static str, entity: Entity) -> Result<(), Refusal> {
    match state.compliance().has(&entity) {
        true => Ok(()),
        false => Err(Refusal::UnknownReference { field, entity }),
    }
}

/// The change that removes a definition, unless another one refers to it.
pub(super) fn remove(state: &Configuration, id: impl Into<Entity>, removed: Change) -> Result<Change, Refusal> {
    let entity = id.into();
    if !state.compliance().has(&entity) {
        return Err(Refusal::Unknown(entity));
    }
    match state.compliance().referring_to(&entity) {
        users if users.is_empty() => Ok(removed),
        users => Err(Refusal::InUse { entity, by: users.into() }),
    }
}
