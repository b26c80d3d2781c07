//! The header with the position that an answer holds for.

use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use schema::position::Position;

pub(super) const POSITION: HeaderName = HeaderName::from_static(api::header::POSITION);

/// An answer with the position that it holds for.
pub(super) fn with_position(position: Position, body: impl IntoResponse) -> Response {
    ([(POSITION, HeaderValue::from(position.get()))], body).into_response()
}
