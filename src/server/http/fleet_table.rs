//! `GET /v1/fleet/table`: the whole fleet as columns, once, or live if the caller accepts `text/event-stream`.
//!
//! There are no pages: a caller filters and counts what it has. A fleet whose table does not fit into the memory that one principal's
//! answers may take is refused.

use api::fleet_table::{FleetChange, FleetTable, TABLE_DETAIL_BYTES_MAX};
use api::media_type::EVENT_STREAM;
use api::query::AT;
use program::tasks::run_blocking;
use schema::labels::Labels;
use schema::limit::ID_CHARS_MAX;
use schemars::{Schema, SchemaGenerator};
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::http::answer::{BodyType, JsonAnswer, JsonOr, Raw, RenderedItem, accepts};
use crate::http::context::AppState;
use crate::http::fleet_stream;
use crate::http::operation::Asked;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// Bytes of a row in an answer, its labels not counted: its id, a code and a detail in which each byte may be escaped, and at most eight
/// numbers of 20 digits with names.
const ROW_BYTES_MAX: usize = ID_CHARS_MAX + 4 * TABLE_DETAIL_BYTES_MAX + 8 * 24;

/// A live stream of the table.
pub(super) struct TableStream;

impl BodyType for TableStream {
    const NAME: &'static str = EVENT_STREAM;

    /// An item of the stream; it stands behind `data:`.
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (table, change) = (generator.subschema_for::<FleetTable>(), generator.subschema_for::<FleetChange>());
        Schema::try_from(json!({"anyOf": [table, change]})).expect("BUG: this is a schema")
    }
}

/// `GET /v1/fleet/table`
pub(super) async fn show(
    asked: Asked<SnapshotQuery>,
) -> Result<JsonOr<RenderedItem<FleetTable>, TableStream>, ProblemResponse> {
    let Asked { app, params: query, headers, .. } = asked;
    if accepts(&headers, EVENT_STREAM) {
        if query.is_past() {
            return Err(ProblemResponse::invalid_parameter(AT, "a live stream has no past"));
        }
        app.snapshot(query).await?;
        return Ok(JsonOr::Other(Raw::new(fleet_stream::open(app).await?)));
    }
    let snapshot = app.snapshot_for_nodes(query).await?;
    let position = snapshot.configuration.position();
    let rows = snapshot.configuration.nodes().len();
    let mut memory = app.reserve_memory(rows.saturating_mul(ROW_BYTES_MAX)).await?;
    let shared = AppState::clone(&app);
    let table = run_blocking(move || shared.scan_fleet(&snapshot).table()).await;
    // How many sets of labels there are is known only now.
    memory.merge(app.reserve_memory(labels_bytes(&table.label_sets)).await?);
    let rendered = run_blocking(move || to_raw_value(&table).expect("BUG: a table is text and numbers"));
    Ok(JsonOr::Json(JsonAnswer::new(position, RenderedItem::new(rendered.await)).with_memory(memory)))
}

/// Bytes of sets of labels in an answer, where each byte of a text may be escaped.
fn labels_bytes(sets: &[Labels]) -> usize {
    sets.iter().flat_map(Labels::iter).map(|(key, value)| 2 * (key.len() + value.len()) + 6).sum()
}
