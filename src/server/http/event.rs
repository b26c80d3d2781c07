//! Events as pages and live streams show them.

use api::event::EventView;
use schema::event::Event;
use serde_json::value::{RawValue, to_raw_value};

/// Bytes that an event with `data_bytes` of data may have as it is shown: as text, each quotation mark of JSON is two.
pub(super) const fn shown_bytes(data_bytes: usize, with_text: bool) -> usize {
    if with_text { 3 * data_bytes } else { data_bytes }
}

/// The event as it is shown; `with_text` says whether its data is shown as text, too.
pub(super) fn view(event: Event, with_text: bool) -> EventView {
    // PostgreSQL refuses to store text that is no JSON. If there is such text all the same, it is shown as a string.
    let data = RawValue::from_string(event.data.clone()).or_else(|_| to_raw_value(&event.data));
    EventView {
        v: event.v,
        log_id: event.log_id,
        position: event.position,
        event_id: event.event_id,
        command_id: event.command_id,
        ordinal: event.ordinal,
        count: event.count,
        entity: event.entity,
        version: event.version,
        event_type: event.event_type,
        actor: event.actor,
        reason: event.reason,
        at: event.at,
        data: data.expect("BUG: text can be written as JSON"),
        data_text: with_text.then_some(event.data),
        leaf: event.leaf,
    }
}
