//! `GET /v1/why/nodes/{id}/{path}` and `GET /v1/why/jobs/{id}`: the events that a value follows from, or that keep it away;
//! of a file also what the node runs, which may be something else.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use projections::convergence::State as NodeState;
use projections::render::render;
use replay::explain::{Found, Unknown, Why, why_file, why_job};
use schema::desired::{Entry, EntryKind, Source};
use schema::digest::Digest;
use schema::id::{JobId, NodeId};
use schema::position::Position;
use schema::report::Mark;
use serde::Serialize;

use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::causes::Cause;
use crate::http::context::Door;
use crate::http::documents::read;
use crate::http::node_status::Standing;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::snapshot::{Snapshot, When};
use crate::source::{At, DamagedError};

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
    #[serde(flatten)]
    standing: Standing,
    desired: Mark,
    /// What the node runs at the path.
    runs: Runs,
}

/// What a node runs at a path, which is what it had to hold when the record that it runs was made.
#[derive(Serialize)]
struct Runs {
    /// Whether that can be told: the node was heard, and this log has the record.
    known: bool,
    file: Option<FoundView>,
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

impl From<Entry> for FoundView {
    fn from(Entry { kind, digest, size, source, .. }: Entry) -> Self {
        Self { kind, digest, size, source }
    }
}

impl From<Found> for FoundView {
    fn from(Found { kind, digest, size, source }: Found) -> Self {
        Self { kind, digest, size, source }
    }
}

/// Explains a file of a node.
pub(super) async fn file(
    door: Admitted,
    Path((id, path)): Path<(String, String)>,
    mut params: Params,
) -> Result<Response, Problem> {
    let when = When::take(&mut params)?;
    params.done()?;
    let node: NodeId = read(&id)?;
    let snapshot = door.snapshot_for_nodes(when).await?;
    let asked = door.clone();
    let answered = door.costly(async move {
        let state = &snapshot.configuration;
        let why = why_file(state, &node, &path).map_err(|unknown| refused(&unknown, &node, &path))?;
        let of = asked.of_file(&snapshot, node, path, &why).await;
        Ok::<_, Problem>((state.position(), of, why))
    });
    let (position, of, why) = answered.await??;
    door.told(position, of, why).await
}

/// Explains a job.
pub(super) async fn job(door: Admitted, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    let (job, state) = door.item::<JobId>(&id, params).await?;
    let (position, asked) = (state.position(), job.clone());
    let why = door.costly(async move { why_job(&state, &asked) }).await?;
    let why = why.map_err(|_| Problem::unknown("job", job.as_str()))?;
    door.told(position, OfJob { job }, why).await
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
    async fn of_file(&self, snapshot: &Snapshot, node: NodeId, path: String, why: &Why) -> OfFile {
        let state = &snapshot.configuration;
        let enrolled = state.nodes().get(&node).expect("BUG: what is explained is a node's");
        let standing = self.standing(snapshot, &node, enrolled);
        let desired = Mark { position: enrolled.cause.position, digest: self.digests().of(state, &node, enrolled) };
        let runs = match standing.running {
            Some(running) if running.digest == desired.digest => {
                Runs { known: true, file: why.found.clone().map(FoundView::from) }
            }
            Some(running) => self.ran(&node, &path, running).await,
            None => Runs { known: standing.state != NodeState::Unknown, file: None },
        };
        OfFile { node, path, standing, desired, runs }
    }

    /// What a node has at a path that runs an older record.
    async fn ran(&self, node: &NodeId, path: &str, running: Mark) -> Runs {
        let past = self.source().past(At::Position(running.position)).await;
        let manifest = past.ok().and_then(|past| render(&past, node));
        // It may run a record of another log.
        let Some(manifest) = manifest.filter(|manifest| manifest.digest == running.digest) else {
            return Runs { known: false, file: None };
        };
        let mut entries = manifest.pieces.into_iter().map(|piece| piece.entry);
        Runs { known: true, file: entries.find(|entry| entry.path == path).map(FoundView::from) }
    }

    async fn told<T: Serialize>(&self, position: Position, of: T, why: Why) -> Result<Response, Problem> {
        let causes = self.causes(why.reasons.iter().map(|reason| reason.position).collect()).await?;
        let mut causes: BTreeMap<Position, Cause> = causes.into_iter().map(|cause| (cause.position, cause)).collect();
        let because = why.reasons.iter().map(|reason| {
            let lost = || DamagedError(format!("event {} is not in the log any more", reason.position));
            let cause = causes.remove(&reason.position).ok_or_else(lost)?;
            Ok(ReasonView { part: reason.part.name(), cause })
        });
        let because = because.collect::<Result<_, DamagedError>>()?;
        Ok(answer::json(position, View { of, found: why.found.map(FoundView::from), because, more: why.more }))
    }
}
