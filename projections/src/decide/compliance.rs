//! What is to be assessed: each reference leads to what is there, and what is referred to stays.

use schema::change::Change;
use schema::command::Command;
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, Cover};
use schema::entity::Entity;

use crate::configuration::Configuration;
use crate::refusal::Refusal;

/// Decides a command about controls, components, assessments or attestations.
pub(super) fn decide(state: &Configuration, command: &Command) -> Result<Option<Change>, Refusal> {
    let there = state.compliance();
    Ok(match command {
        Command::DefineControl(id, said) => {
            let same = there.controls().get(id).is_some_and(|control| *control.said == *said);
            (!same).then(|| Change::ControlDefined(said.clone()))
        }
        Command::DefineComponent(id, said) => {
            component_fits(state, said)?;
            let same = there.components().get(id).is_some_and(|component| *component.said == *said);
            (!same).then(|| Change::ComponentDefined(said.clone()))
        }
        Command::DefineAssessment(id, said) => {
            assessment_fits(state, said)?;
            let same = there.assessments().get(id).is_some_and(|assessment| *assessment.said == *said);
            (!same).then(|| Change::AssessmentDefined(said.clone()))
        }
        Command::DefineAttestation(id, said) => {
            attestation_fits(state, said)?;
            let same = there.attestations().get(id).is_some_and(|attestation| *attestation.said == *said);
            (!same).then(|| Change::AttestationDefined(said.clone()))
        }
        Command::RemoveControl(_) => Some(removed(state, command, Change::ControlRemoved)?),
        Command::RemoveComponent(_) => Some(removed(state, command, Change::ComponentRemoved)?),
        Command::RemoveAssessment(_) => Some(removed(state, command, Change::AssessmentRemoved)?),
        Command::RemoveAttestation(_) => Some(removed(state, command, Change::AttestationRemoved)?),
        _ => unreachable!("BUG: {command:?} is not about what is to be assessed"),
    })
}

fn component_fits(state: &Configuration, said: &ComponentDefined) -> Result<(), Refusal> {
    said.controls.iter().try_for_each(|control| refers(state, "controls", control.into()))
}

fn assessment_fits(state: &Configuration, said: &AssessmentDefined) -> Result<(), Refusal> {
    refers(state, "control", (&said.control).into())?;
    match &said.cover {
        Cover::Components(components) => {
            components.iter().try_for_each(|component| refers(state, "components", component.into()))
        }
        Cover::Selector(_) => Ok(()),
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

fn removed(state: &Configuration, command: &Command, change: Change) -> Result<Change, Refusal> {
    let entity = command.entity();
    if !state.compliance().has(&entity) {
        return Err(Refusal::Unknown(entity));
    }
    match state.compliance().referring_to(&entity) {
        users if users.is_empty() => Ok(change),
        users => Err(Refusal::InUse { entity, by: users.into() }),
    }
}
