//! Events as causes: who made it so, when and why.

use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{CommandId, EventId};
use schema::instant::Instant;
use schema::position::{Position, Version};
use serde::Serialize;

use crate::http::context::Door;
use crate::http::problem::Problem;

/// An event as a cause.
#[derive(Serialize)]
pub(super) struct Cause {
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

impl From<Event> for Cause {
    fn from(event: Event) -> Self {
        let Event { position, event_id, command_id, entity, version, event_type, actor, at, reason, .. } = event;
        Self { position, event_id, command_id, entity, version, event_type, actor, at, reason }
    }
}

impl Door {
    /// The events at these positions, in order.
    pub(super) async fn causes(&self, positions: Vec<Position>) -> Result<Vec<Cause>, Problem> {
        Ok(self.source().events_at(positions).await?.into_iter().map(Cause::from).collect())
    }
}
