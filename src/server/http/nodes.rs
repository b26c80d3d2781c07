//! Nodes: what is desired of each and why, what each reports, and the state that follows from both.

use api::node::{DesiredView, NodeAccessView, NodeDetail, NodeSummary, NotedView, ReportView};
use program::tasks::run_blocking;
use projections::configuration::{Node, NotedReport};
use projections::convergence::{ExpectedState, NodeEvidence, judge};
use projections::render::{Manifest, render};
use schema::convergence::ConvergenceState;
use schema::id::NodeId;
use schema::position::Position;
use schema::report::RecordRef;

use crate::fleet::report_tracker::HeardReport;
use crate::http::answer::JsonAnswer;
use crate::http::bundles::BundleFilter;
use crate::http::context::AppState;
use crate::http::node_status::short;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::{ReadSnapshot, SnapshotQuery};

/// `GET /v1/nodes`
pub(super) async fn list(
    asked: Asked<(BundleFilter, PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<NodeSummary>>, ProblemResponse> {
    let Asked { app, params: (filter, page, query), .. } = asked;
    let snapshot = app.snapshot_for_nodes(query).await?;
    let position = snapshot.configuration.position();
    let memory = app.reserve_memory(page.memory_bytes()).await?;
    let listed = run_blocking(move || list_page(&app, &snapshot, &page, &filter)).await;
    Ok(JsonAnswer::new(position, listed).with_memory(memory))
}

fn list_page(
    app: &AppState,
    snapshot: &ReadSnapshot,
    page: &PageQuery,
    filter: &BundleFilter,
) -> RenderedPage<NodeSummary> {
    let state = &snapshot.configuration;
    let rows = state.nodes().range(page.keys::<NodeId>()).filter(|(id, _)| filter.fits(state.bundles(), *id));
    page.list(rows, |id, node| NodeSummary {
        id: (*id).clone(),
        labels: node.labels.clone(),
        retired: node.retired,
        access: access(node),
        bundle: state.bundles().owner(&(*id).into()).cloned(),
        version: node.version,
        status: short(app.node_status(snapshot, id, node)),
        desired: RecordRef { position: node.cause.position, digest: app.digests().of(state, id, node) },
    })
}

fn access(node: &Node) -> NodeAccessView {
    match &node.access {
        access if access.is_barred() => NodeAccessView::Barred,
        access if access.keys.is_some() => NodeAccessView::Keys,
        access if node.retired && access.keyed != Position::ZERO => NodeAccessView::Dismissed,
        _ => NodeAccessView::Password,
    }
}

/// `GET /v1/nodes/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<NodeId>, SnapshotQuery)>,
) -> Result<JsonAnswer<NodeDetail>, ProblemResponse> {
    let Asked { app, params: (PathId(id), query), .. } = asked;
    let snapshot = app.snapshot_for_nodes(query).await?;
    let state = &snapshot.configuration;
    let (Some(node), Some(manifest)) = (state.nodes().get(&id), render(state, &id)) else {
        return Err(ProblemResponse::unknown_entity("node", id.as_str()));
    };
    let heard = if snapshot.is_past { None } else { app.reports().heard(&id) };
    let detail = NodeDetail {
        id: id.clone(),
        labels: node.labels.clone(),
        retired: node.retired,
        access: access(node),
        keys: node.access.keys.as_deref().copied(),
        bundle: state.bundles().owner(&(&id).into()).cloned(),
        version: node.version,
        status: app.node_status(&snapshot, &id, node),
        desired: desired(manifest),
        reported: heard.map(reported),
        noted: state.reports().get(&id).map(noted),
    };
    Ok(JsonAnswer::new(state.position(), detail))
}

impl AppState {
    /// The state of a node: from its last report, or of a past state from what the log has of its reports.
    pub(super) fn node_state(&self, snapshot: &ReadSnapshot, id: &NodeId, node: &Node) -> ConvergenceState {
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

impl HeardReport {
    fn evidence(&self) -> NodeEvidence<'_> {
        let evidence = NodeEvidence::from_report(&self.report, self.silence);
        if self.duplicate { evidence.with_duplicate() } else { evidence }
    }
}

fn desired(manifest: Manifest) -> DesiredView {
    DesiredView {
        record_ref: RecordRef { position: manifest.cause.position, digest: manifest.digest },
        retry: manifest.retry,
        cause: manifest.cause,
        entries: manifest.pieces.into_iter().map(|piece| piece.entry).collect(),
    }
}

fn reported(heard: HeardReport) -> ReportView {
    let silence_ms = u64::try_from(heard.silence.as_millis()).unwrap_or(u64::MAX);
    ReportView { report: (*heard.report).clone(), silence_ms }
}

fn noted(noted: &NotedReport) -> NotedView {
    NotedView { position: noted.position, at: noted.at, version: noted.version, summary: (*noted.summary).clone() }
}
