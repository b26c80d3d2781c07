//! `GET /v1/why/nodes/{id}/{path}` and `GET /v1/why/jobs/{id}`: the events that a value follows from, or that keep it away.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use replay::explain::{Found, Unknown, Why, why_file, why_job};
use schema::desired::{EntryKind, Source};
use schema::digest::Digest;
use schema::id::{JobId, NodeId};
use schema::position::Position;
use serde::Serialize;

use super::answer;
use super::causes::Cause;
use super::fittings::Door;
use super::params::Params;
use super::problem::Problem;
use super::source::Unavailable;

/// An explanation of `T`.
#[derive(Serialize)]
struct View<T> {
    #[serde(flatten)]
    of: T,
    /// What is there; none if it is explained why it is not.
    found: Option<FoundView>,
    /// The most telling first.
    because: Vec<ReasonView>,
    /// Further obstacles, or overridden documents, which are not named.
    more: usize,
}

#[derive(Serialize)]
struct OfFile {
    node: NodeId,
    path: String,
}

#[derive(Serialize)]
struct OfJob {
    job: JobId,
}

#[derive(Serialize)]
struct FoundView {
    kind: EntryKind,
    digest: Digest,
    size: u64,
    source: Source,
}

/// An event and the part it plays.
#[derive(Serialize)]
struct ReasonView {
    part: &'static str,
    #[serde(flatten)]
    cause: Cause,
}

impl From<Found> for FoundView {
    fn from(Found { kind, digest, size, source }: Found) -> Self {
        Self { kind, digest, size, source }
    }
}

/// Explains a file of a node.
pub(super) async fn file(
    State(door): State<Door>,
    Path((id, path)): Path<(String, String)>,
    params: Params,
) -> Result<Response, Problem> {
    let (node, state) = door.item::<NodeId>(&id, params).await?;
    let why = why_file(&state, &node, &path).map_err(|unknown| refused(&unknown, &node, &path))?;
    door.told(state.position(), OfFile { node, path }, why).await
}

/// Explains a job.
pub(super) async fn job(State(door): State<Door>, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    let (job, state) = door.item::<JobId>(&id, params).await?;
    let why = why_job(&state, &job).map_err(|_| Problem::unknown("job", job.as_str()))?;
    door.told(state.position(), OfJob { job }, why).await
}

fn refused(unknown: &Unknown, node: &NodeId, path: &str) -> Problem {
    match unknown {
        Unknown::Entity(_) => Problem::unknown("node", node.as_str()),
        Unknown::Path => {
            let detail = format!("there is no file {path} on any node, and there never was");
            Problem::new(StatusCode::NOT_FOUND, "unknown_file", detail).at("path")
        }
    }
}

impl Door {
    async fn told<T: Serialize>(&self, position: Position, of: T, why: Why) -> Result<Response, Problem> {
        let causes = self.causes(why.reasons.iter().map(|reason| reason.position).collect()).await?;
        let mut causes: BTreeMap<Position, Cause> = causes.into_iter().map(|cause| (cause.position, cause)).collect();
        let because = why.reasons.iter().map(|reason| {
            let lost = || Unavailable(format!("event {} is not in the log any more", reason.position));
            let cause = causes.remove(&reason.position).ok_or_else(lost)?;
            Ok(ReasonView { part: reason.part.name(), cause })
        });
        let because = because.collect::<Result<_, Unavailable>>()?;
        Ok(answer::json(position, View { of, found: why.found.map(FoundView::from), because, more: why.more }))
    }
}
