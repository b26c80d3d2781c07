//! Successful answers: JSON, a file or a text, with the position that they hold for.

use std::borrow::Cow;
use std::marker::PhantomData;

use api::error_code::ErrorCode;
use api::media_type::JSON;
use axum::Json;
use axum::body::Bytes;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use schema::digest::Digest;
use schema::position::Position;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::http::answer_memory::MemoryReservation;
use crate::http::entity_tag::{ASK_AGAIN, has_tag, not_modified, tag_of};
use crate::http::operation::{AnswerBody, AnswerType};
use crate::http::position_header::with_position;

/// JSON of the state at a position.
pub(super) struct JsonAnswer<T> {
    position: Position,
    body: T,
    memory: Option<MemoryReservation>,
}

impl<T> JsonAnswer<T> {
    pub(super) fn new(position: Position, body: T) -> Self {
        Self { position, body, memory: None }
    }

    /// The same answer, for which memory was reserved.
    pub(super) fn with_memory(self, memory: MemoryReservation) -> Self {
        Self { memory: Some(memory), ..self }
    }
}

impl<T: Serialize> IntoResponse for JsonAnswer<T> {
    fn into_response(self) -> Response {
        let response = with_position(self.position, Json(self.body));
        match self.memory {
            Some(memory) => memory.attach_to(response),
            None => response,
        }
    }
}

impl<T: Serialize + JsonSchema> AnswerType for JsonAnswer<T> {
    fn bodies(generator: &mut SchemaGenerator) -> Vec<AnswerBody> {
        vec![AnswerBody { media_type: JSON, schema: generator.subschema_for::<T>().into() }]
    }
}

/// An item of a list that was written already, so that its size is known. It has the schema of `T`.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct RenderedItem<T> {
    json: Box<RawValue>,
    #[serde(skip)]
    shape: PhantomData<fn() -> T>,
}

impl<T> RenderedItem<T> {
    pub(super) fn new(json: Box<RawValue>) -> Self {
        Self { json, shape: PhantomData }
    }

    /// The item as JSON.
    #[cfg(test)]
    pub(super) fn json(&self) -> &str {
        self.json.get()
    }
}

impl<T: JsonSchema> JsonSchema for RenderedItem<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A media type that an operation answers with, other than JSON.
pub(super) trait BodyType {
    const NAME: &'static str;
    /// Whether the answer always has an entity tag.
    const HAS_TAG: bool = false;

    /// The schema of a body of it.
    fn schema(_: &mut SchemaGenerator) -> Schema {
        Schema::try_from(json!({"type": "string"})).expect("BUG: this is a schema")
    }
}

/// An answer of another media type than JSON.
pub(super) struct Raw<M> {
    response: Response,
    media_type: PhantomData<fn() -> M>,
}

impl<M> Raw<M> {
    pub(super) fn new(response: Response) -> Self {
        Self { response, media_type: PhantomData }
    }
}

impl<M> IntoResponse for Raw<M> {
    fn into_response(self) -> Response {
        self.response
    }
}

impl<M: BodyType> AnswerType for Raw<M> {
    const HAS_TAG: bool = M::HAS_TAG;

    fn bodies(generator: &mut SchemaGenerator) -> Vec<AnswerBody> {
        vec![AnswerBody { media_type: M::NAME, schema: M::schema(generator).into() }]
    }
}

/// JSON, or another media type for a caller that asks for it.
pub(super) enum JsonOr<T, M> {
    Json(JsonAnswer<T>),
    Other(Raw<M>),
}

impl<T: Serialize, M> IntoResponse for JsonOr<T, M> {
    fn into_response(self) -> Response {
        match self {
            Self::Json(answer) => answer.into_response(),
            Self::Other(raw) => raw.into_response(),
        }
    }
}

impl<T: Serialize + JsonSchema, M: BodyType> AnswerType for JsonOr<T, M> {
    fn bodies(generator: &mut SchemaGenerator) -> Vec<AnswerBody> {
        [JsonAnswer::<T>::bodies(generator), Raw::<M>::bodies(generator)].into_iter().flatten().collect()
    }
}

/// Content of a document or a file, in whatever media type it has.
pub(super) struct FileContent(pub(super) Response);

impl IntoResponse for FileContent {
    fn into_response(self) -> Response {
        self.0
    }
}

impl AnswerType for FileContent {
    const HAS_TAG: bool = true;

    fn bodies(_: &mut SchemaGenerator) -> Vec<AnswerBody> {
        vec![AnswerBody { media_type: "*/*", schema: json!({}) }]
    }

    fn codes() -> Vec<ErrorCode> {
        vec![ErrorCode::ContentGone, ErrorCode::Damaged]
    }
}

/// A file, of which only the digest is known yet.
pub(super) struct File<'a> {
    pub(super) media_type: &'a str,
    pub(super) digest: Digest,
    /// In bytes.
    pub(super) size: u64,
}

impl File<'_> {
    /// Bytes of memory that serving the file takes: once as PostgreSQL sends it, and once as it is answered.
    pub(super) fn memory_bytes(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX).saturating_mul(2)
    }

    /// Whether `If-None-Match` says that the caller has the file already.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        has_tag(headers, &tag_of(self.digest))
    }

    /// The answer to a caller that has the file.
    pub(super) fn not_modified(&self, position: Position) -> Response {
        not_modified(self.with_content(position, Bytes::new()))
    }

    /// The answer to a caller that does not.
    pub(super) fn with_content(&self, position: Position, bytes: impl Into<Bytes>) -> Response {
        let media_type = HeaderValue::from_str(self.media_type);
        let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let mut response = with_position(position, ([(ETAG, tag_of(self.digest))], bytes.into()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, media_type);
        // Configuration is no web page: a browser must not guess its type, nor show it under this server's name, where its scripts could
        // do what the console does.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        headers.insert(CACHE_CONTROL, ASK_AGAIN);
        response
    }
}

/// Whether the caller names a media type in `Accept`. Wildcards do not count: JSON is the default.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = accepted.flat_map(|list| list.split(',')).filter_map(|range| range.split(';').next());
    ranges.any(|range| range.trim().eq_ignore_ascii_case(media_type))
}
