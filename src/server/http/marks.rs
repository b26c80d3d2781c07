//! Marks: names of positions.

use api::bundle::MarkView;
use projections::configuration::Mark;
use schema::id::MarkId;

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

fn view(id: &MarkId, mark: &Mark) -> MarkView {
    let Mark { names, version, position, at } = *mark;
    MarkView { id: id.clone(), at_position: names, version, position, at }
}

/// `GET /v1/marks`
pub(super) async fn list(
    asked: Asked<(PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<MarkView>>, ProblemResponse> {
    let Asked { app, params: (page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let listed = page.list(state.marks().range(page.keys::<MarkId>()), |id, mark| view(id, mark));
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/marks/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<MarkId>, SnapshotQuery)>,
) -> Result<JsonAnswer<MarkView>, ProblemResponse> {
    let Asked { app, params: (PathId(id), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    match state.marks().get(&id) {
        Some(mark) => Ok(JsonAnswer::new(state.position(), view(&id, mark))),
        None => Err(ProblemResponse::unknown_entity("mark", id.as_str())),
    }
}
