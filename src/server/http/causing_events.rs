//! Events as causes in an answer: who caused a value, when and why.

use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{CommandId, EventId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;

use crate::http::context::AppState;
use crate::http::problem::ProblemResponse;

/// An event without its data, as the cause of a value.
#[derive(Serialize)]
pub(super) struct CausingEvent {
    pub(super) position: Position,
    event_id: EventId,
    command_id: CommandId,
    entity: Entity,
    version: Version,
    #[serde(rename = "type")]
    event_type: String,
    actor: Actor,
    at: Instant,
    reason: Option<String>,
}

impl From<Event> for CausingEvent {
    fn from(event: Event) -> Self {
        let Event { position, event_id, command_id, entity, version, event_type, actor, at, reason, .. } = event;
        Self { position, event_id, command_id, entity, version, event_type, actor, at, reason }
    }
}

impl AppState {
    /// The events at these positions, in order.
    pub(super) async fn causing_events(&self, positions: Vec<Position>) -> Result<Vec<CausingEvent>, ProblemResponse> {
        Ok(self.log().events_at(positions).await?.into_iter().map(CausingEvent::from).collect())
    }
}
