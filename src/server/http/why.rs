//! `GET /v1/why/nodes/{id}/{path}` and `GET /v1/why/jobs/{id}`: the events that a file or a job follows from, or that keep it away.
//! For a file it also shows what the node runs, which may be something else.

use std::collections::BTreeMap;

use api::error_code::ErrorCode;
use api::event::CausingEvent;
use api::node::NodeStatus;
use api::why::{DerivationView, EntryView, ExplainingEvent, FileExplanation, JobExplanation, RunningFile};
use projections::render::render;
use replay::explain::{Derivation, DerivedFile, ExplainError, explain_file, explain_job};
use schema::convergence::ConvergenceState;
use schema::desired::Entry;
use schema::id::{JobId, NodeId, RolloutId};
use schema::position::Position;
use schema::report::RecordRef;

use crate::event_log::{AsOf, DamagedError, PastStateError};
use crate::http::answer::JsonAnswer;
use crate::http::context::AppState;
use crate::http::operation::Asked;
use crate::http::path_id::{FilePath, PathId};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;

/// The file as it is shown.
pub(super) fn entry(Entry { kind, digest, size, source, mode, .. }: Entry) -> EntryView {
    EntryView { kind, digest, size, source, mode }
}

fn derived(DerivedFile { kind, digest, size, source, mode }: DerivedFile) -> EntryView {
    EntryView { kind, digest, size, source, mode }
}

/// What an explanation of a file is about.
struct FileSubject {
    node: NodeId,
    path: String,
    status: NodeStatus,
    desired: RecordRef,
    runs: RunningFile,
    awaits: Option<RolloutId>,
}

/// `GET /v1/why/nodes/{id}/{path}`
pub(super) async fn file(
    asked: Asked<(PathId<NodeId>, FilePath, SnapshotQuery)>,
) -> Result<JsonAnswer<FileExplanation>, ProblemResponse> {
    let Asked { app, params: (PathId(node), FilePath(path), query), .. } = asked;
    let snapshot = app.snapshot_for_nodes(query).await?;
    let inner = app.clone();
    let explained = app.run_expensive(async move {
        let state = &snapshot.configuration;
        let why = explain_file(state, &node, &path).map_err(|unknown| unknown_subject(&unknown, &node, &path))?;
        let enrolled = state.nodes().get(&node).expect("BUG: the explained file belongs to a node of the state");
        let status = inner.node_status(&snapshot, &node, enrolled);
        let desired =
            RecordRef { position: enrolled.cause.position, digest: inner.digests().of(state, &node, enrolled) };
        let runs = match status.running {
            Some(running) if running.digest == desired.digest => {
                RunningFile { known: true, file: why.found.clone().map(derived) }
            }
            Some(running) => inner.running_file(&node, &path, running).await?,
            None => RunningFile { known: status.state != ConvergenceState::Unknown, file: None },
        };
        let awaits = path.parse().ok().and_then(|path| state.rollout_awaited(&node, &path).cloned());
        Ok::<_, ProblemResponse>((state.position(), FileSubject { node, path, status, desired, runs, awaits }, why))
    });
    let (position, subject, why) = explained.await??;
    let FileSubject { node, path, status, desired, runs, awaits } = subject;
    let derivation = app.derivation(why).await?;
    Ok(JsonAnswer::new(position, FileExplanation { node, path, status, desired, runs, awaits, derivation }))
}

/// `GET /v1/why/jobs/{id}`
pub(super) async fn job(
    asked: Asked<(PathId<JobId>, SnapshotQuery)>,
) -> Result<JsonAnswer<JobExplanation>, ProblemResponse> {
    let Asked { app, params: (PathId(job), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    let (position, id) = (state.position(), job.clone());
    let why = app.run_expensive(async move { explain_job(&state, &id) }).await?;
    let why = why.map_err(|_| ProblemResponse::unknown_entity("job", job.as_str()))?;
    let derivation = app.derivation(why).await?;
    Ok(JsonAnswer::new(position, JobExplanation { job, derivation }))
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
    /// What a node has at a path if it runs an older record.
    async fn running_file(
        &self,
        node: &NodeId,
        path: &str,
        running: RecordRef,
    ) -> Result<RunningFile, ProblemResponse> {
        let unknown = RunningFile { known: false, file: None };
        let past = match self.log().past(AsOf::Position(running.position)).await {
            Ok(past) => past,
            // The node may run a record of another log, or of a part of this one that was lost.
            Err(PastStateError::Future { .. }) => return Ok(unknown),
            Err(error) => return Err(error.into()),
        };
        let Some(manifest) = render(&past, node).filter(|manifest| manifest.digest == running.digest) else {
            return Ok(unknown);
        };
        let mut entries = manifest.pieces.into_iter().map(|piece| piece.entry);
        Ok(RunningFile { known: true, file: entries.find(|entry| entry.path == path).map(entry) })
    }

    /// The derivation with the events that it names.
    async fn derivation(&self, why: Derivation) -> Result<DerivationView, ProblemResponse> {
        let causing_events = self.causing_events(why.reasons.iter().map(|reason| reason.position).collect()).await?;
        let mut causing_events: BTreeMap<Position, CausingEvent> =
            causing_events.into_iter().map(|cause| (cause.position, cause)).collect();
        let because = why.reasons.iter().map(|reason| {
            let missing = || DamagedError(format!("event {} is not in the log any more", reason.position));
            let cause = causing_events.remove(&reason.position).ok_or_else(missing)?;
            Ok(ExplainingEvent { part: reason.part.name().to_owned(), cause })
        });
        let because = because.collect::<Result<_, DamagedError>>()?;
        Ok(DerivationView { found: why.found.map(derived), because, more: why.more })
    }
}
