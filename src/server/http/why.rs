//! `GET /v1/why/nodes/{id}/{path}` and `GET /v1/why/jobs/{id}`: the events that a file or a job follows from, or that keep it away.
//! For a file it also shows what the node runs, which may be something else.

use std::collections::BTreeMap;

use api::error_code::ErrorCode;
use axum::extract::Path;
use axum::response::Response;
use projections::convergence::ConvergenceState as NodeState;
use projections::render::render;
use replay::explain::{Derivation, DerivedFile, ExplainError, explain_file, explain_job};
use schema::desired::{Entry, EntryKind, Source};
use schema::digest::Digest;
use schema::id::{JobId, NodeId};
use schema::position::Position;
use schema::report::RecordRef;
use serde::Serialize;

use crate::event_log::{AsOf, DamagedError};
use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::causing_events::CausingEvent;
use crate::http::context::AppState;
use crate::http::documents::parse_id;
use crate::http::node_status::NodeStatus;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::{ReadSnapshot, SnapshotQuery};

/// An explanation; `T` says of what.
#[derive(Serialize)]
struct Explanation<T> {
    #[serde(flatten)]
    subject: T,
    /// The file, or the spec of the job; none if the explanation is why there is none.
    found: Option<EntryView>,
    /// The most important event first.
    because: Vec<ExplainingEvent>,
    /// Number of further obstacles or overridden documents, which are not listed.
    more: usize,
}

#[derive(Serialize)]
struct FileSubject {
    node: NodeId,
    path: String,
    #[serde(flatten)]
    status: NodeStatus,
    desired: RecordRef,
    /// What the node runs at the path.
    runs: RunningFile,
}

/// What a node runs at a path: the file in the record that the node runs.
#[derive(Serialize)]
struct RunningFile {
    /// Whether it is known: the node has reported, and this log has the record.
    known: bool,
    file: Option<EntryView>,
}

#[derive(Serialize)]
struct JobSubject {
    job: JobId,
}

#[derive(Serialize)]
struct EntryView {
    kind: EntryKind,
    digest: Digest,
    size: u64,
    source: Source,
}

/// An event, and its part in the explanation.
#[derive(Serialize)]
struct ExplainingEvent {
    part: &'static str,
    #[serde(flatten)]
    cause: CausingEvent,
}

impl From<Entry> for EntryView {
    fn from(Entry { kind, digest, size, source, .. }: Entry) -> Self {
        Self { kind, digest, size, source }
    }
}

impl From<DerivedFile> for EntryView {
    fn from(DerivedFile { kind, digest, size, source }: DerivedFile) -> Self {
        Self { kind, digest, size, source }
    }
}

/// `GET /v1/why/nodes/{id}/{path}`
pub(super) async fn file(
    app: AuthenticatedState,
    Path((id, path)): Path<(String, String)>,
    mut params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let query = SnapshotQuery::from_params(&mut params)?;
    params.done()?;
    let node: NodeId = parse_id(&id)?;
    let snapshot = app.snapshot_for_nodes(query).await?;
    let inner = app.clone();
    let explained = app.run_expensive(async move {
        let state = &snapshot.configuration;
        let why = explain_file(state, &node, &path).map_err(|unknown| unknown_subject(&unknown, &node, &path))?;
        let subject = inner.file_subject(&snapshot, node, path, &why).await;
        Ok::<_, ProblemResponse>((state.position(), subject, why))
    });
    let (position, subject, why) = explained.await??;
    app.explanation(position, subject, why).await
}

/// `GET /v1/why/jobs/{id}`
pub(super) async fn job(
    app: AuthenticatedState,
    Path(id): Path<String>,
    params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let (job, state) = app.item::<JobId>(&id, params).await?;
    let (position, id) = (state.position(), job.clone());
    let why = app.run_expensive(async move { explain_job(&state, &id) }).await?;
    let why = why.map_err(|_| ProblemResponse::unknown_entity("job", job.as_str()))?;
    app.explanation(position, JobSubject { job }, why).await
}

fn unknown_subject(unknown: &ExplainError, node: &NodeId, path: &str) -> ProblemResponse {
    match unknown {
        ExplainError::Entity(_) => ProblemResponse::unknown_entity("node", node.as_str()),
        ExplainError::Path => {
            let detail = format!("there is no file {path} on any node, and there never was");
            ProblemResponse::new(ErrorCode::UnknownFile, detail).in_field("path")
        }
    }
}

impl AppState {
    async fn file_subject(&self, snapshot: &ReadSnapshot, node: NodeId, path: String, why: &Derivation) -> FileSubject {
        let state = &snapshot.configuration;
        let enrolled = state.nodes().get(&node).expect("BUG: the explained file belongs to a node of the state");
        let status = self.node_status(snapshot, &node, enrolled);
        let desired =
            RecordRef { position: enrolled.cause.position, digest: self.digests().of(state, &node, enrolled) };
        let runs = match status.running {
            Some(running) if running.digest == desired.digest => {
                RunningFile { known: true, file: why.found.clone().map(EntryView::from) }
            }
            Some(running) => self.running_file(&node, &path, running).await,
            None => RunningFile { known: status.state != NodeState::Unknown, file: None },
        };
        FileSubject { node, path, status, desired, runs }
    }

    /// What a node has at a path if it runs an older record.
    async fn running_file(&self, node: &NodeId, path: &str, running: RecordRef) -> RunningFile {
        let past = self.log().past(AsOf::Position(running.position)).await;
        let manifest = past.ok().and_then(|past| render(&past, node));
        // The node may run a record of another log.
        let Some(manifest) = manifest.filter(|manifest| manifest.digest == running.digest) else {
            return RunningFile { known: false, file: None };
        };
        let mut entries = manifest.pieces.into_iter().map(|piece| piece.entry);
        RunningFile { known: true, file: entries.find(|entry| entry.path == path).map(EntryView::from) }
    }

    async fn explanation<T: Serialize>(
        &self,
        position: Position,
        subject: T,
        why: Derivation,
    ) -> Result<Response, ProblemResponse> {
        let causing_events = self.causing_events(why.reasons.iter().map(|reason| reason.position).collect()).await?;
        let mut causing_events: BTreeMap<Position, CausingEvent> =
            causing_events.into_iter().map(|cause| (cause.position, cause)).collect();
        let because = why.reasons.iter().map(|reason| {
            let missing = || DamagedError(format!("event {} is not in the log any more", reason.position));
            let cause = causing_events.remove(&reason.position).ok_or_else(missing)?;
            Ok(ExplainingEvent { part: reason.part.name(), cause })
        });
        let because = because.collect::<Result<_, DamagedError>>()?;
        Ok(answer::json(
            position,
            Explanation { subject, found: why.found.map(EntryView::from), because, more: why.more },
        ))
    }
}
