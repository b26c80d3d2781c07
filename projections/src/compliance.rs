//! The folded definitions of compliance: controls, components, assessments and attestations, and their references.
//!
//! Indexes lead from a change to the attestations whose job specs depend on it; no other attestation is looked at.
//! Every reference leads to an existing definition, because `decide` refuses others.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use imbl::{OrdMap, OrdSet};
use schema::change::Change;
use schema::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined, Coverage};
use schema::desired::Source;
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::{AssessmentId, AttestationId, ComponentId, ControlId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::{Position, Version};

use crate::selector_index::{self, Matcher, SelectorIndex};

/// The definitions of one kind, by id.
pub type ById<K, T> = OrdMap<K, Defined<T>>;

/// All definitions of compliance, with the indexes over their references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compliance {
    controls: ById<ControlId, ControlDefined>,
    components: ById<ComponentId, ComponentDefined>,
    assessments: ById<AssessmentId, AssessmentDefined>,
    attestations: ById<AttestationId, AttestationDefined>,
    components_of: OrdMap<ControlId, OrdSet<ComponentId>>,
    assessments_of: OrdMap<ControlId, OrdSet<AssessmentId>>,
    attestations_of: OrdMap<AssessmentId, OrdSet<AttestationId>>,
    selector_index: SelectorIndex<AssessmentId, ComponentId>,
}

/// A definition that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined<T> {
    /// The data of its last event.
    pub said: Arc<T>,
    /// The version that this event made.
    pub version: Version,
    /// The position of this event.
    pub position: Position,
    /// The time of this event.
    pub at: Instant,
}

impl<T: Clone> Defined<T> {
    fn by(event: &Event, said: &T) -> Self {
        Self { said: Arc::new(said.clone()), version: event.version, position: event.position, at: event.at }
    }
}

impl<T> Defined<T> {
    /// The entity of this id as of its last event.
    pub(crate) fn source(&self, entity: impl Into<Entity>) -> Source {
        Source { entity: entity.into(), version: self.version, position: self.position }
    }
}

impl Compliance {
    /// The controls, by id.
    #[must_use]
    pub fn controls(&self) -> &ById<ControlId, ControlDefined> {
        &self.controls
    }

    /// The components, by id.
    #[must_use]
    pub fn components(&self) -> &ById<ComponentId, ComponentDefined> {
        &self.components
    }

    /// The assessments, by id.
    #[must_use]
    pub fn assessments(&self) -> &ById<AssessmentId, AssessmentDefined> {
        &self.assessments
    }

    /// The attestations, by id.
    #[must_use]
    pub fn attestations(&self) -> &ById<AttestationId, AttestationDefined> {
        &self.attestations
    }

    /// The components that a control holds for.
    pub fn components_of(&self, control: &ControlId) -> impl Iterator<Item = &ComponentId> {
        self.components_of.get(control).into_iter().flatten()
    }

    /// The assessments of a control.
    pub fn assessments_of(&self, control: &ControlId) -> impl Iterator<Item = &AssessmentId> {
        self.assessments_of.get(control).into_iter().flatten()
    }

    /// The attestations of an assessment.
    pub fn attestations_of(&self, assessment: &AssessmentId) -> impl Iterator<Item = &AttestationId> {
        self.attestations_of.get(assessment).into_iter().flatten()
    }

    /// The components that an assessment covers, in the order of their ids.
    #[must_use]
    pub fn covered(&self, cover: &Coverage) -> Vec<(&ComponentId, &Defined<ComponentDefined>)> {
        let there = |id: &ComponentId| self.components.get_key_value(id);
        let selector = match cover {
            Coverage::Components(components) => return components.iter().filter_map(there).collect(),
            Coverage::Selector(selector) => selector,
        };
        let fits =
            |(_, component): &(&ComponentId, &Defined<ComponentDefined>)| selector.matches(&component.said.labels);
        match self.selector_index.bearers(selector) {
            // A component that has several of the labels is found once for each of them.
            Some(bearers) => {
                bearers.into_iter().collect::<BTreeSet<_>>().into_iter().filter_map(there).filter(fits).collect()
            }
            None => self.components.iter().filter(fits).collect(),
        }
    }

    /// Whether an entity of compliance is present.
    #[must_use]
    pub fn has(&self, entity: &Entity) -> bool {
        self.version(entity).is_some()
    }

    /// The version of an entity of compliance; none if it is not present.
    pub(crate) fn version(&self, Entity { kind, id }: &Entity) -> Option<Version> {
        match kind {
            Kind::Control => self.controls.get(id).map(|control| control.version),
            Kind::Component => self.components.get(id).map(|component| component.version),
            Kind::Assessment => self.assessments.get(id).map(|assessment| assessment.version),
            Kind::Attestation => self.attestations.get(id).map(|attestation| attestation.version),
            _ => None,
        }
    }

    /// The entities that refer to this one by its id. A selection by labels is no reference.
    #[must_use]
    pub fn referring_to(&self, entity: &Entity) -> Vec<Entity> {
        match entity.kind {
            Kind::Control => {
                let id = ControlId::from(entity.id.clone());
                let components = self.components_of(&id).map(Entity::from);
                components.chain(self.assessments_of(&id).map(Entity::from)).collect()
            }
            Kind::Component => {
                self.selector_index.selectors_by_name(&entity.id.clone().into()).map(Entity::from).collect()
            }
            Kind::Assessment => self.attestations_of(&entity.id.clone().into()).map(Entity::from).collect(),
            _ => Vec::new(),
        }
    }

    /// The attestations whose job specs depend on the entity's present state.
    #[must_use]
    pub fn attestations_with(&self, entity: &Entity) -> BTreeSet<AttestationId> {
        let of = |assessments: Vec<&AssessmentId>| {
            assessments.into_iter().flat_map(|assessment| self.attestations_of(assessment)).cloned().collect()
        };
        match entity.kind {
            Kind::Control => of(self.assessments_of(&entity.id.clone().into()).collect()),
            Kind::Component => {
                let id = ComponentId::from(entity.id.clone());
                match self.components.get(&id) {
                    Some(component) => of(self.assessments_with(&id, &component.said.labels)),
                    None => BTreeSet::new(),
                }
            }
            Kind::Assessment => of([&AssessmentId::from(entity.id.clone())].into()),
            Kind::Attestation => [AttestationId::from(entity.id.clone())].into(),
            _ => BTreeSet::new(),
        }
    }

    fn assessments_with<'a>(&'a self, id: &ComponentId, labels: &'a Labels) -> Vec<&'a AssessmentId> {
        let covers = |assessment: &&AssessmentId| {
            self.assessments
                .get(*assessment)
                .is_some_and(|defined| Matcher::from(&defined.said.cover).matches(id, labels))
        };
        self.selector_index.candidate_selectors(id, labels).into_iter().filter(covers).collect()
    }

    fn define_component(&mut self, id: ComponentId, event: &Event, said: &ComponentDefined) {
        self.remove_component(&id);
        said.controls.iter().for_each(|control| selector_index::insert(&mut self.components_of, control, &id));
        self.selector_index.insert_labels(&id, &said.labels);
        self.components.insert(id, Defined::by(event, said));
    }

    fn remove_component(&mut self, id: &ComponentId) {
        let Some(component) = self.components.remove(id) else { return };
        component.said.controls.iter().for_each(|control| selector_index::remove(&mut self.components_of, control, id));
        self.selector_index.remove_labels(id, &component.said.labels);
    }

    fn define_assessment(&mut self, id: AssessmentId, event: &Event, said: &AssessmentDefined) {
        self.remove_assessment(&id);
        selector_index::insert(&mut self.assessments_of, &said.control, &id);
        self.selector_index.insert_selector(&id, (&said.cover).into());
        self.assessments.insert(id, Defined::by(event, said));
    }

    fn remove_assessment(&mut self, id: &AssessmentId) {
        let Some(assessment) = self.assessments.remove(id) else { return };
        selector_index::remove(&mut self.assessments_of, &assessment.said.control, id);
        self.selector_index.remove_selector(id);
    }

    fn define_attestation(&mut self, id: AttestationId, event: &Event, said: &AttestationDefined) {
        self.remove_attestation(&id);
        selector_index::insert(&mut self.attestations_of, &said.assessment, &id);
        self.attestations.insert(id, Defined::by(event, said));
    }

    fn remove_attestation(&mut self, id: &AttestationId) {
        let Some(attestation) = self.attestations.remove(id) else { return };
        selector_index::remove(&mut self.attestations_of, &attestation.said.assessment, id);
    }

    /// Applies a change and updates the indexes; a change that is not about compliance is ignored.
    pub(crate) fn apply_change(&mut self, event: &Event, change: &Change) {
        let id = event.entity.id.clone();
        match change {
            Change::ControlDefined(said) => drop(self.controls.insert(id.into(), Defined::by(event, said))),
            Change::ControlRemoved => drop(self.controls.remove(&ControlId::from(id))),
            Change::ComponentDefined(said) => self.define_component(id.into(), event, said),
            Change::ComponentRemoved => self.remove_component(&id.into()),
            Change::AssessmentDefined(said) => self.define_assessment(id.into(), event, said),
            Change::AssessmentRemoved => self.remove_assessment(&id.into()),
            Change::AttestationDefined(said) => self.define_attestation(id.into(), event, said),
            Change::AttestationRemoved => self.remove_attestation(&id.into()),
            _ => {}
        }
    }
}
