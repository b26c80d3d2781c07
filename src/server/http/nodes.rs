//! Nodes: what each must hold and why, what it says of itself, and what follows from the two.

use axum::extract::Path;
use axum::response::Response;
use projections::configuration::{Node, Noted};
use projections::convergence::{Evidence, Expected, State as NodeState, judge};
use projections::render::{Manifest, render};
use schema::desired::{Cause, Entry};
use schema::id::NodeId;
use schema::instant::Instant;
use schema::position::{Position, Version};
use schema::report::{Mark, Reported, Summary};
use schema::target::Labels;
use serde::Serialize;

use crate::fleet::report_tracker::Heard;
use crate::http::answer;
use crate::http::auth::Admitted;
use crate::http::blocking::apart;
use crate::http::context::Door;
use crate::http::documents::read;
use crate::http::node_status::Standing;
use crate::http::paging::{Listing, Page};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::snapshot::{Snapshot, When};

/// A node as a list shows it. `D` is how much of its desired record is shown.
#[derive(Serialize)]
struct View<D> {
    id: NodeId,
    labels: Labels,
    retired: bool,
    version: Version,
    #[serde(flatten)]
    standing: Standing,
    desired: D,
}

/// A desired record without the content that travels inside it.
#[derive(Serialize)]
struct Desired {
    #[serde(flatten)]
    mark: Mark,
    retry: Position,
    cause: Cause,
    entries: Vec<Entry>,
}

/// A node with all that is known of it.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    view: View<Desired>,
    /// What was last heard; nothing of it is known of the past.
    reported: Option<ReportView>,
    /// What of that was last kept in the log.
    noted: Option<NotedView>,
}

/// A report, and how long ago it was heard.
#[derive(Serialize)]
struct ReportView {
    #[serde(flatten)]
    report: Reported,
    silence_ms: u64,
}

/// What was kept of a report.
#[derive(Serialize)]
struct NotedView {
    position: Position,
    at: Instant,
    version: Version,
    #[serde(flatten)]
    summary: Summary,
}

/// `GET /v1/nodes`
pub(super) async fn list(door: Admitted, mut params: Params) -> Result<Response, Problem> {
    let page = Page::take(&mut params)?;
    let when = When::take(&mut params)?;
    params.done()?;
    let snapshot = door.snapshot_for_nodes(when).await?;
    let position = snapshot.configuration.position();
    let room = door.room(page.bytes()).await?;
    let listing = apart(move || listing(&door, &snapshot, &page)).await;
    Ok(room.holding(answer::json(position, listing)))
}

fn listing(door: &Door, snapshot: &Snapshot, page: &Page) -> Listing {
    let state = &snapshot.configuration;
    page.list(state.nodes().range(page.keys::<NodeId>()), |id, node| {
        let digest = door.digests().of(state, id, node);
        let standing = door.standing(snapshot, id, node).short();
        View::of(id, node, standing, Mark { position: node.cause.position, digest })
    })
}

/// `GET /v1/nodes/{id}`
pub(super) async fn one(door: Admitted, Path(id): Path<String>, mut params: Params) -> Result<Response, Problem> {
    let when = When::take(&mut params)?;
    params.done()?;
    let id: NodeId = read(&id)?;
    let snapshot = door.snapshot_for_nodes(when).await?;
    let state = &snapshot.configuration;
    let (Some(node), Some(manifest)) = (state.nodes().get(&id), render(state, &id)) else {
        return Err(Problem::unknown("node", id.as_str()));
    };
    let heard = if snapshot.past { None } else { door.ears().heard(&id) };
    let whole = Whole {
        view: View::of(&id, node, door.standing(&snapshot, &id, node), Desired::from(manifest)),
        reported: heard.map(ReportView::from),
        noted: state.reports().get(&id).map(NotedView::from),
    };
    Ok(answer::json(state.position(), whole))
}

impl<D> View<D> {
    fn of(id: &NodeId, node: &Node, standing: Standing, desired: D) -> Self {
        let (id, labels) = (id.clone(), (*node.labels).clone());
        Self { id, labels, retired: node.retired, version: node.version, standing, desired }
    }
}

impl Door {
    /// A node's state: by what it says now, or of the past by what the log has kept of that.
    pub(super) fn state(&self, snapshot: &Snapshot, id: &NodeId, node: &Node) -> NodeState {
        let state = &snapshot.configuration;
        let expected = Expected {
            log_id: self.source().log_id(),
            head: if snapshot.past { state.position() } else { state.position().max(*self.source().heads().borrow()) },
            digest: self.digests().of(state, id, node),
            retry: node.retry,
        };
        if snapshot.past {
            let noted = state.reports().get(id);
            return judge(&expected, noted.map(|noted| Evidence::noted(&noted.summary)).as_ref());
        }
        let heard = self.ears().heard(id);
        judge(&expected, heard.as_ref().map(Heard::evidence).as_ref())
    }
}

impl From<Manifest> for Desired {
    fn from(manifest: Manifest) -> Self {
        Self {
            mark: Mark { position: manifest.cause.position, digest: manifest.digest },
            retry: manifest.retry,
            cause: manifest.cause,
            entries: manifest.pieces.into_iter().map(|piece| piece.entry).collect(),
        }
    }
}

impl Heard {
    fn evidence(&self) -> Evidence<'_> {
        let evidence = Evidence::heard(&self.report, self.silence);
        if self.duplicate { evidence.of_two() } else { evidence }
    }
}

impl From<Heard> for ReportView {
    fn from(heard: Heard) -> Self {
        let silence_ms = u64::try_from(heard.silence.as_millis()).unwrap_or(u64::MAX);
        Self { report: (*heard.report).clone(), silence_ms }
    }
}

impl From<&Noted> for NotedView {
    fn from(noted: &Noted) -> Self {
        Self { position: noted.position, at: noted.at, version: noted.version, summary: (*noted.summary).clone() }
    }
}
