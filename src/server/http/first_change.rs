//! The first event after a position by which people changed an entity, or moved it from one bundle to another.

use projections::configuration::Configuration;
use projections::taking_back::can_be_taken_back;
use schema::change::Change;
use schema::entity::Entity;
use schema::event::Event;
use schema::position::Position;

use crate::event_log::EventPage;
use crate::http::auth::AuthenticatedState;
use crate::http::problem::ProblemResponse;

/// Events that are looked at for each entity. What stands behind many reports and claims is not named.
const EVENTS_MAX: usize = 100;

impl AuthenticatedState {
    /// The event; none if it is not among the first of the entity and of the bundles that it belonged to in one of the states.
    pub(super) async fn first_change(
        &self,
        since: Position,
        entity: &Entity,
        states: [&Configuration; 2],
    ) -> Result<Option<Event>, ProblemResponse> {
        let owners = states.into_iter().filter_map(|state| state.bundles().owner(entity)).map(Entity::from);
        let mut first: Option<Event> = None;
        for subject in owners.chain([entity.clone()]) {
            let page = EventPage {
                after: since,
                limit: EVENTS_MAX,
                entity: Some(subject.to_string()),
                ..EventPage::default()
            };
            let found = self.log().events(page).await?.into_iter().find(|event| is_about(states[0], event, entity));
            first = [first, found].into_iter().flatten().min_by_key(|event| event.position);
        }
        Ok(first)
    }
}

/// Whether an event changes how an entity is configured, or what it belongs to.
fn is_about(before: &Configuration, event: &Event, entity: &Entity) -> bool {
    match event.change() {
        Ok(Change::BundleAssigned(assigned)) if event.entity != *entity => {
            assigned.joined.iter().chain(&assigned.left).any(|moved| moved == entity)
        }
        Ok(Change::BundleRemoved) => true,
        Ok(change) => event.entity == *entity && can_be_taken_back(before, entity, &change),
        Err(_) => false,
    }
}
