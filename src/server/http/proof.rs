//! Checkpoints and proofs, with which an outsider can check that the log only grows and holds an event. Both are about published
//! events only. The server does not verify a proof before it answers: the caller has to do so in any case.

use api::error_code::ErrorCode;
use api::proof::{ConsistencyProof, InclusionProof, SignedCheckpoint};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use replay::tree::TreeQuery;
use schema::digest::Digest;
use schema::position::Position;
use serde_json::{Value, json};

use crate::event_log::EventPage;
use crate::http::answer::{BodyType, JsonAnswer, JsonOr, Raw, accepts};
use crate::http::context::AppState;
use crate::http::operation::Asked;
use crate::http::params::{GivenParams, Parameter, RequestParameters, number, position_schema};
use crate::http::position_header::with_position;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::PresentQuery;

/// The media type of a signed note, and of a proof as text.
const NOTE: &str = "text/plain; charset=utf-8";

const POSITION: Parameter = Parameter::path("position", "The position of the event.", event_position_schema);
const SIZE: Parameter = Parameter::query(
    "size",
    "How many events the tree has; if it is missing, that of the newest checkpoint.",
    position_schema,
);
const FROM: Parameter =
    Parameter::query("from", "How many events the smaller tree has.", event_position_schema).required();
const TO: Parameter = Parameter::query(
    "to",
    "How many events the larger tree has; if it is missing, that of the newest checkpoint.",
    position_schema,
);

/// The schema of the position of an event: 0 is before the first one.
fn event_position_schema() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX})
}

/// Text for `Accept: text/plain`.
pub(super) struct PlainText;

impl BodyType for PlainText {
    const NAME: &'static str = "text/plain";
}

/// The event and the tree of an inclusion proof.
pub(super) struct InclusionQuery {
    position: Position,
    size: Option<Position>,
}

/// The two trees of a consistency proof.
pub(super) struct ConsistencyQuery {
    from: Position,
    to: Option<Position>,
}

/// What a proof can end with beside its parameters.
pub(super) const CODES: [ErrorCode; 4] =
    [ErrorCode::Damaged, ErrorCode::NotPublished, ErrorCode::NotReady, ErrorCode::UnknownEntity];

impl RequestParameters for InclusionQuery {
    fn declared() -> Vec<Parameter> {
        vec![POSITION, SIZE]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let position = number(given.path(&POSITION)).ok().filter(|position| *position > 0);
        let none = || ProblemResponse::invalid_parameter(POSITION.name, "is a position from 1");
        Ok(Self { position: position.ok_or_else(none)?.into(), size: given.position(&SIZE)? })
    }
}

impl RequestParameters for ConsistencyQuery {
    fn declared() -> Vec<Parameter> {
        vec![FROM, TO]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let from = given.position(&FROM)?.filter(|from| *from > Position::ZERO);
        let from = from.ok_or_else(|| ProblemResponse::invalid_parameter(FROM.name, "is a position from 1"))?;
        Ok(Self { from, to: given.position(&TO)? })
    }
}

/// `GET /v1/log/checkpoint`
pub(super) async fn checkpoint(
    asked: Asked<PresentQuery>,
) -> Result<JsonOr<SignedCheckpoint, PlainText>, ProblemResponse> {
    let Asked { app, params: query, headers, .. } = asked;
    app.snapshot(query).await?;
    let checkpoint = app.newest_checkpoint().await?;
    if accepts(&headers, PlainText::NAME) {
        return Ok(text(checkpoint.position, checkpoint.note));
    }
    Ok(JsonOr::Json(JsonAnswer::new(checkpoint.position, checkpoint)))
}

/// `GET /v1/log/proof/inclusion/{position}`: without a size, in the tree of the newest checkpoint.
pub(super) async fn inclusion(
    asked: Asked<(InclusionQuery, PresentQuery)>,
) -> Result<JsonOr<InclusionProof, PlainText>, ProblemResponse> {
    let Asked { app, params: (InclusionQuery { position, size }, query), headers, .. } = asked;
    app.snapshot(query).await?;
    if accepts(&headers, PlainText::NAME) {
        return app.inclusion_with_checkpoint(position, size).await;
    }
    let size = match size {
        Some(size) => app.published_position(size, SIZE.name)?,
        None => app.newest_checkpoint().await?.position,
    };
    Ok(JsonOr::Json(JsonAnswer::new(size, app.prove_inclusion(position, size).await?)))
}

/// `GET /v1/log/proof/consistency`: without `to`, to the tree of the newest checkpoint.
pub(super) async fn consistency(
    asked: Asked<(ConsistencyQuery, PresentQuery)>,
) -> Result<JsonAnswer<ConsistencyProof>, ProblemResponse> {
    let Asked { app, params: (ConsistencyQuery { from, to }, query), .. } = asked;
    app.snapshot(query).await?;
    let to = match to {
        Some(to) => app.published_position(to, TO.name)?,
        None => app.newest_checkpoint().await?.position,
    };
    if from > to {
        let detail = format!("is at most {to}, where the larger tree ends");
        return Err(ProblemResponse::invalid_parameter(FROM.name, detail));
    }
    let hashes = app.log().answer(TreeQuery::Consistency { from, to }).await?;
    let (from_root, to_root) = (app.root(from).await?, app.root(to).await?);
    Ok(JsonAnswer::new(to, ConsistencyProof { log_id: app.log().log_id(), from, from_root, to, to_root, hashes }))
}

fn text<T>(position: Position, text: String) -> JsonOr<T, PlainText> {
    JsonOr::Other(Raw::new(with_position(position, ([(CONTENT_TYPE, NOTE)], text).into_response())))
}

/// A C2SP tlog-proof: a proof of inclusion and the checkpoint that signs for its tree, in one text that is verified offline.
fn tlog_proof(proof: &InclusionProof, checkpoint: &SignedCheckpoint) -> String {
    let hashes: String = proof.hashes.iter().map(|hash| format!("{}\n", STANDARD.encode(hash.as_bytes()))).collect();
    let index = proof.position.previous();
    format!("c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{}", checkpoint.note)
}

impl AppState {
    /// The proof that the event is in the tree of this size.
    async fn prove_inclusion(&self, position: Position, size: Position) -> Result<InclusionProof, ProblemResponse> {
        let unknown = || ProblemResponse::unknown_entity("event", &position.to_string()).in_field(POSITION.name);
        if position > size {
            return Err(unknown());
        }
        let page = EventPage { after: position.previous(), up_to: Some(position), limit: 1, ..EventPage::default() };
        let event = self.log().events(page).await?.pop().ok_or_else(unknown)?;
        let hashes = self.log().answer(TreeQuery::Inclusion { position, size }).await?;
        let (log_id, leaf, root) = (event.log_id, event.leaf, self.root(size).await?);
        Ok(InclusionProof { log_id, position, leaf, size, root, hashes })
    }

    /// The same as text, with the newest checkpoint. A tree of another size has no checkpoint that is kept.
    async fn inclusion_with_checkpoint(
        &self,
        position: Position,
        size: Option<Position>,
    ) -> Result<JsonOr<InclusionProof, PlainText>, ProblemResponse> {
        let checkpoint = self.newest_checkpoint().await?;
        if size.is_some_and(|size| size != checkpoint.position) {
            let detail = "as text, a proof is in the tree of the newest checkpoint: leave `size` out";
            return Err(ProblemResponse::invalid_parameter(SIZE.name, detail));
        }
        let proof = self.prove_inclusion(position, checkpoint.position).await?;
        Ok(text(checkpoint.position, tlog_proof(&proof, &checkpoint)))
    }

    /// The newest checkpoint: one for all events that are published by now, if the signer answers in time.
    async fn newest_checkpoint(&self) -> Result<SignedCheckpoint, ProblemResponse> {
        let newest = self.log().newest_checkpoint(self.published().unwrap_or_default()).await?;
        newest.ok_or_else(|| {
            let detail = "nothing was signed yet: the relay has not come that far";
            ProblemResponse::new(ErrorCode::NotReady, detail)
        })
    }

    /// The position, if it is published; `name` is the parameter that it came in.
    fn published_position(&self, position: Position, name: &str) -> Result<Position, ProblemResponse> {
        match self.published() {
            Some(published) if position <= published => Ok(position),
            Some(published) => {
                let detail = format!("the log is published up to position {published}");
                Err(ProblemResponse::new(ErrorCode::NotPublished, detail).in_field(name))
            }
            None => {
                let detail = "how far the log is published is not known at the moment";
                Err(ProblemResponse::new(ErrorCode::NotReady, detail))
            }
        }
    }

    async fn root(&self, size: Position) -> Result<Digest, ProblemResponse> {
        let root = self.log().answer(TreeQuery::Root { size }).await?;
        Ok(root.first().copied().expect("BUG: a root is one hash"))
    }
}
