//! Finds out whether a request that was shown was sent already, and whether that still holds.

use api::path::EVENTS;
use api::query::{AFTER, ENTITY, TYPE};
use schema::bundle::PlanBase;
use serde::Deserialize;

use super::outcome::RequestOutcome;
use crate::api_client::ApiClient;
use crate::error::Error;

/// The type of the event that closes a request with a plan.
const PLAN_KEPT: &str = "PlanKept";
/// Digits of a plan in the id of its entity.
const PLAN_DIGITS: usize = 32;
/// Entities that are looked at for what was changed since.
const ENTITIES_MAX: usize = 20;

/// An event, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FoundEvent {
    pub(crate) position: u64,
    pub(crate) event_id: String,
    pub(crate) command_id: String,
    pub(crate) entity: String,
}

/// The event with which the plan was kept, after the event that it was made from.
pub(crate) async fn find(client: &ApiClient, plan: &str, base: &PlanBase) -> Result<Option<FoundEvent>, Error> {
    let entity = format!("plan/{plan:.PLAN_DIGITS$}");
    first_event(client, &[(ENTITY, &entity), (TYPE, PLAN_KEPT), (AFTER, &base.position.to_string())]).await
}

/// Whether the log still has the event that the plan was made from.
pub(crate) async fn has_base(client: &ApiClient, base: &PlanBase) -> Result<bool, Error> {
    let Some(event_id) = base.event_id else { return Ok(base.position.get() == 0) };
    let after = base.position.get().saturating_sub(1).to_string();
    let found = first_event(client, &[(AFTER, &after)]).await?;
    let is_it = |event: FoundEvent| event.position == base.position.get() && event.event_id == event_id.to_string();
    Ok(found.is_some_and(is_it))
}

/// The first change after `position` to an entity that the request would change again.
pub(crate) async fn first_change(
    client: &ApiClient,
    now: &RequestOutcome,
    position: u64,
) -> Result<Option<FoundEvent>, Error> {
    let (after, mut first) = (position.to_string(), None::<FoundEvent>);
    for (entity, _) in now.entities().into_iter().take(ENTITIES_MAX) {
        let found = first_event(client, &[(ENTITY, entity), (AFTER, &after)]).await?;
        first = first.into_iter().chain(found).min_by_key(|event| event.position);
    }
    Ok(first)
}

async fn first_event(client: &ApiClient, query: &[(&str, &str)]) -> Result<Option<FoundEvent>, Error> {
    Ok(client.get_page(EVENTS, query, "", 1).await?.items.into_iter().next())
}
