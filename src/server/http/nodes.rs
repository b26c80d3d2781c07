//! Nodes: what is desired of each and why, what each reports, and the state that follows from both.

use api::page::ListPage;
use axum::extract::Path;
use axum::response::Response;
use program::tasks::run_blocking;
use projections::configuration::{Node, NotedReport};
use projections::convergence::{ConvergenceState as NodeState, ExpectedState, NodeEvidence, judge};
use projections::render::{Manifest, render};
use schema::desired::{Cause, Entry};
use schema::id::NodeId;
use schema::instant::Instant;
use schema::position::{Position, Version};
use schema::report::{RecordRef, ReportSummary, Reported};
use schema::target::Labels;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::fleet::report_tracker::HeardReport;
use crate::http::answer;
use crate::http::auth::AuthenticatedState;
use crate::http::context::AppState;
use crate::http::documents::parse_id;
use crate::http::node_status::NodeStatus;
use crate::http::paging::PageQuery;
use crate::http::params::QueryParams;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::{ReadSnapshot, SnapshotQuery};

/// A node as a list shows it. `D` is what is shown of its desired record.
#[derive(Serialize)]
struct NodeView<D> {
    id: NodeId,
    labels: Labels,
    retired: bool,
    version: Version,
    #[serde(flatten)]
    status: NodeStatus,
    desired: D,
}

/// A desired record without the contents of its files.
#[derive(Serialize)]
struct DesiredView {
    #[serde(flatten)]
    mark: RecordRef,
    retry: Position,
    cause: Cause,
    entries: Vec<Entry>,
}

/// A node with all that is known of it.
#[derive(Serialize)]
struct NodeDetail {
    #[serde(flatten)]
    view: NodeView<DesiredView>,
    /// The last report; none of a past state.
    reported: Option<ReportView>,
    /// What the log has of its reports.
    noted: Option<NotedView>,
}

/// A report, and how long ago it was heard.
#[derive(Serialize)]
struct ReportView {
    #[serde(flatten)]
    report: Reported,
    silence_ms: u64,
}

/// What the log has of a node's reports, and since which event.
#[derive(Serialize)]
struct NotedView {
    position: Position,
    at: Instant,
    version: Version,
    #[serde(flatten)]
    summary: ReportSummary,
}

/// `GET /v1/nodes`
pub(super) async fn list(app: AuthenticatedState, mut params: QueryParams) -> Result<Response, ProblemResponse> {
    let page = PageQuery::from_params(&mut params)?;
    let query = SnapshotQuery::from_params(&mut params)?;
    params.done()?;
    let snapshot = app.snapshot_for_nodes(query).await?;
    let position = snapshot.configuration.position();
    let memory = app.reserve_memory(page.memory_bytes()).await?;
    let listed = run_blocking(move || list_page(&app, &snapshot, &page)).await;
    Ok(memory.attach_to(answer::json(position, listed)))
}

fn list_page(app: &AppState, snapshot: &ReadSnapshot, page: &PageQuery) -> ListPage<Box<RawValue>> {
    let state = &snapshot.configuration;
    page.list(state.nodes().range(page.keys::<NodeId>()), |id, node| {
        let digest = app.digests().of(state, id, node);
        let status = app.node_status(snapshot, id, node).short();
        NodeView::of(id, node, status, RecordRef { position: node.cause.position, digest })
    })
}

/// `GET /v1/nodes/{id}`
pub(super) async fn one(
    app: AuthenticatedState,
    Path(id): Path<String>,
    mut params: QueryParams,
) -> Result<Response, ProblemResponse> {
    let query = SnapshotQuery::from_params(&mut params)?;
    params.done()?;
    let id: NodeId = parse_id(&id)?;
    let snapshot = app.snapshot_for_nodes(query).await?;
    let state = &snapshot.configuration;
    let (Some(node), Some(manifest)) = (state.nodes().get(&id), render(state, &id)) else {
        return Err(ProblemResponse::unknown_entity("node", id.as_str()));
    };
    let heard = if snapshot.is_past { None } else { app.reports().heard(&id) };
    let detail = NodeDetail {
        view: NodeView::of(&id, node, app.node_status(&snapshot, &id, node), DesiredView::from(manifest)),
        reported: heard.map(ReportView::from),
        noted: state.reports().get(&id).map(NotedView::from),
    };
    Ok(answer::json(state.position(), detail))
}

impl<D> NodeView<D> {
    fn of(id: &NodeId, node: &Node, status: NodeStatus, desired: D) -> Self {
        let (id, labels) = (id.clone(), (*node.labels).clone());
        Self { id, labels, retired: node.retired, version: node.version, status, desired }
    }
}

impl AppState {
    /// The state of a node: from its last report, or of a past state from what the log has of its reports.
    pub(super) fn node_state(&self, snapshot: &ReadSnapshot, id: &NodeId, node: &Node) -> NodeState {
        let state = &snapshot.configuration;
        let expected = ExpectedState {
            log_id: self.log().log_id(),
            head: if snapshot.is_past { state.position() } else { state.position().max(*self.log().heads().borrow()) },
            digest: self.digests().of(state, id, node),
            retry: node.retry,
        };
        if snapshot.is_past {
            let noted = state.reports().get(id);
            return judge(&expected, noted.map(|noted| NodeEvidence::from_summary(&noted.summary)).as_ref());
        }
        let heard = self.reports().heard(id);
        judge(&expected, heard.as_ref().map(HeardReport::evidence).as_ref())
    }
}

impl From<Manifest> for DesiredView {
    fn from(manifest: Manifest) -> Self {
        Self {
            mark: RecordRef { position: manifest.cause.position, digest: manifest.digest },
            retry: manifest.retry,
            cause: manifest.cause,
            entries: manifest.pieces.into_iter().map(|piece| piece.entry).collect(),
        }
    }
}

impl HeardReport {
    fn evidence(&self) -> NodeEvidence<'_> {
        let evidence = NodeEvidence::from_report(&self.report, self.silence);
        if self.duplicate { evidence.with_duplicate() } else { evidence }
    }
}

impl From<HeardReport> for ReportView {
    fn from(heard: HeardReport) -> Self {
        let silence_ms = u64::try_from(heard.silence.as_millis()).unwrap_or(u64::MAX);
        Self { report: (*heard.report).clone(), silence_ms }
    }
}

impl From<&NotedReport> for NotedView {
    fn from(noted: &NotedReport) -> Self {
        Self { position: noted.position, at: noted.at, version: noted.version, summary: (*noted.summary).clone() }
    }
}
