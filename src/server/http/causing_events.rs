//! Events as causes in an answer: who caused a value, when and why.

use api::event::CausingEvent;
use schema::event::Event;
use schema::position::Position;

use crate::http::context::AppState;
use crate::http::problem::ProblemResponse;

fn cause(event: Event) -> CausingEvent {
    let Event { position, event_id, command_id, entity, version, event_type, actor, at, reason, .. } = event;
    CausingEvent { position, event_id, command_id, entity, version, event_type, actor, at, reason }
}

impl AppState {
    /// The events at these positions, in order.
    pub(super) async fn causing_events(&self, positions: Vec<Position>) -> Result<Vec<CausingEvent>, ProblemResponse> {
        Ok(self.log().events_at(positions).await?.into_iter().map(cause).collect())
    }
}
