//! `GET /v1/diff/…`: what differs between two states of the log, of the fleet, a node, a file or a document.

use std::collections::{BTreeMap, BTreeSet};

use api::diff::{DocumentDiff, FileDiff, FileDifference, FleetDiff, NodeDiff};
use api::error_code::ErrorCode;
use api::impact::NodeChange;
use api::query::AT;
use api::why::EntryView;
use projections::configuration::Configuration;
use projections::outcome::RecordChange;
use projections::render::{Manifest, ManifestEntry, render};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::id::{DocumentId, NodeId};
use schema::position::Position;
use schema::report::RecordRef;

use crate::http::answer::{JsonAnswer, RenderedItem};
use crate::http::auth::AuthenticatedState;
use crate::http::documents;
use crate::http::impact::node_change;
use crate::http::operation::Asked;
use crate::http::paging::PageQuery;
use crate::http::params::{GivenParams, Parameter, RequestParameters};
use crate::http::path_id::{FilePath, PathId};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::{Moment, PresentQuery, SnapshotQuery, moment_schema, parse_moment};
use crate::http::text_diff::{MEMORY_BYTES, TEXT_BYTES_MAX, unified};
use crate::http::why::entry;

const FROM: Parameter =
    Parameter::query("from", "The earlier state: a position, an RFC 3339 time, or `mark:NAME`.", moment_schema)
        .required();
const TO: Parameter = Parameter::query(
    "to",
    "The later state: a position, an RFC 3339 time, or `mark:NAME`; if it is missing, the newest state.",
    moment_schema,
);

/// `from` and `to` of a difference.
pub(super) struct DiffQuery {
    from: Moment,
    to: Option<Moment>,
}

impl RequestParameters for DiffQuery {
    const CAN_BE_FIXED: bool = true;

    fn declared() -> Vec<Parameter> {
        vec![FROM, TO]
    }

    fn codes() -> Vec<ErrorCode> {
        SnapshotQuery::codes()
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let missing = || {
            ProblemResponse::invalid_parameter(
                FROM.name,
                "is a position, an RFC 3339 time, or `mark:` and the id of a mark",
            )
        };
        let from = given.query(&FROM, parse_moment)?.ok_or_else(missing)?;
        Ok(Self { from, to: given.query(&TO, parse_moment)? })
    }

    fn is_fixed(&self) -> bool {
        self.from.is_fixed() && self.to.as_ref().is_some_and(Moment::is_fixed)
    }
}

/// The two states.
struct States {
    before: Configuration,
    after: Configuration,
}

impl States {
    fn positions(&self) -> (Position, Position) {
        (self.before.position(), self.after.position())
    }

    /// The records of a node that was enrolled in one of the states.
    fn records(&self, node: &NodeId) -> Result<[Option<Manifest>; 2], ProblemResponse> {
        let records = [&self.before, &self.after].map(|state| render(state, node));
        match records.iter().all(Option::is_none) {
            true => Err(ProblemResponse::unknown_entity("node", node.as_str())),
            false => Ok(records),
        }
    }
}

/// `GET /v1/diff/fleet`
pub(super) async fn fleet(
    asked: Asked<(DiffQuery, PageQuery, PresentQuery)>,
) -> Result<JsonAnswer<FleetDiff<RenderedItem<NodeChange>>>, ProblemResponse> {
    let Asked { app, params: (query, page, reached), .. } = asked;
    let states = app.states(&query, reached).await?;
    let memory = app.reserve_memory(page.memory_bytes()).await?;
    let (from, to) = states.positions();
    let listed = app.run_expensive(async move {
        let after = states.after.nodes().range(page.keys::<NodeId>()).map(|(id, _)| id);
        let before = states.before.nodes().range(page.keys::<NodeId>()).map(|(id, _)| id);
        let nodes: BTreeSet<&NodeId> = before.chain(after).filter(|id| was_changed(&states, id)).collect();
        let changes = nodes.into_iter().map(|id| (id, RecordChange::of(&states.before, &states.after, id)));
        page.list(changes.filter(|(_, change)| change.is_change()), |_, change| node_change(change))
    });
    Ok(JsonAnswer::new(to, FleetDiff { from, to, page: listed.await? }).with_memory(memory))
}

/// Whether an event between the states concerns the node: only then its record can differ.
fn was_changed(states: &States, id: &NodeId) -> bool {
    let cause = |state: &Configuration| state.nodes().get(id).map(|node| node.cause.position);
    cause(&states.before) != cause(&states.after)
}

/// `GET /v1/diff/nodes/{id}`
pub(super) async fn node(
    asked: Asked<(PathId<NodeId>, DiffQuery, PresentQuery)>,
) -> Result<JsonAnswer<NodeDiff>, ProblemResponse> {
    let Asked { app, params: (PathId(node), query, reached), .. } = asked;
    let states = app.states(&query, reached).await?;
    let (from, to) = states.positions();
    let compared = app.run_expensive(async move {
        let [before, after] = states.records(&node)?;
        let files = differing_files(&before, &after);
        let [before, after] = [before, after].map(|record| record.map(|record| record_ref(&record)));
        Ok::<_, ProblemResponse>(NodeDiff { node, from, to, before, after, files })
    });
    Ok(JsonAnswer::new(to, compared.await??))
}

/// The files that only one of the records has, or that have other contents or modes, sorted by path.
fn differing_files(before: &Option<Manifest>, after: &Option<Manifest>) -> Vec<FileDifference> {
    let mut files = BTreeMap::<&str, [Option<EntryView>; 2]>::new();
    for (side, record) in [before, after].into_iter().enumerate() {
        for piece in record.iter().flat_map(|record| &record.pieces) {
            files.entry(&piece.entry.path).or_default()[side] = Some(entry(piece.entry.clone()));
        }
    }
    let differing = files.into_iter().filter(|(_, [before, after])| what(before) != what(after));
    differing.map(|(path, [before, after])| FileDifference { path: path.to_owned(), before, after }).collect()
}

/// `GET /v1/diff/nodes/{id}/files/{path}`
pub(super) async fn file(
    asked: Asked<(PathId<NodeId>, FilePath, DiffQuery, PresentQuery)>,
) -> Result<JsonAnswer<FileDiff>, ProblemResponse> {
    let Asked { app, params: (PathId(node), FilePath(path), query, reached), .. } = asked;
    let states = app.states(&query, reached).await?;
    let (from, to) = states.positions();
    let id = node.clone();
    let [before, after] = app.run_expensive(async move { states.records(&id) }).await??;
    let file = file_difference(&path, &before, &after);
    if file.before.is_none() && file.after.is_none() {
        let detail = format!("node {node} has no file {path} at either position");
        return Err(ProblemResponse::new(ErrorCode::UnknownFile, detail).in_field("path"));
    }
    let contents = [&before, &after].map(|record| record.as_ref().and_then(|record| piece(record, &path)).map(content));
    let memory = app.reserve_memory(MEMORY_BYTES).await?;
    let unified = app.compare(&path, contents).await?;
    Ok(JsonAnswer::new(to, FileDiff { node, from, to, file, unified }).with_memory(memory))
}

/// `GET /v1/diff/documents/{id}`
pub(super) async fn document(
    asked: Asked<(PathId<DocumentId>, DiffQuery, PresentQuery)>,
) -> Result<JsonAnswer<DocumentDiff>, ProblemResponse> {
    let Asked { app, params: (PathId(id), query, reached), .. } = asked;
    let states = app.states(&query, reached).await?;
    let (from, to) = states.positions();
    let [before, after] = [&states.before, &states.after]
        .map(|state| state.documents().get(&id).map(|found| documents::view(state, &id, found)));
    if before.is_none() && after.is_none() {
        return Err(ProblemResponse::unknown_entity("document", id.as_str()));
    }
    let contents = [&before, &after].map(|view| {
        let put = &view.as_ref()?.put;
        Some(FileBytes { digest: put.digest, size: put.size, bytes: None })
    });
    let memory = app.reserve_memory(MEMORY_BYTES).await?;
    let unified = app.compare(id.as_str(), contents).await?;
    Ok(JsonAnswer::new(to, DocumentDiff { id, from, to, before, after, unified }).with_memory(memory))
}

fn piece<'a>(record: &'a Manifest, path: &str) -> Option<&'a ManifestEntry> {
    record.pieces.iter().find(|piece| piece.entry.path == path)
}

fn file_difference(path: &str, before: &Option<Manifest>, after: &Option<Manifest>) -> FileDifference {
    let [before, after] = [before, after].map(|record| {
        let found = record.as_ref().and_then(|record| piece(record, path));
        found.map(|piece| entry(piece.entry.clone()))
    });
    FileDifference { path: path.to_owned(), before, after }
}

/// What two files must share to be the same.
fn what(file: &Option<EntryView>) -> Option<(Digest, DocumentMode)> {
    file.as_ref().map(|file| (file.digest, file.mode))
}

fn record_ref(record: &Manifest) -> RecordRef {
    RecordRef { position: record.cause.position, digest: record.digest }
}

/// A file whose bytes are at hand, or in the log under their digest.
struct FileBytes {
    digest: Digest,
    size: u64,
    bytes: Option<Vec<u8>>,
}

fn content(piece: &ManifestEntry) -> FileBytes {
    let bytes = piece.content.as_ref().map(|bytes| bytes.to_vec());
    FileBytes { digest: piece.entry.digest, size: piece.entry.size, bytes }
}

impl AuthenticatedState {
    /// The two states. The earlier one must not be after the later one.
    async fn states(&self, query: &DiffQuery, reached: PresentQuery) -> Result<States, ProblemResponse> {
        self.snapshot(reached).await?;
        // In this order, so that an event that comes meanwhile can't make the earlier state the later one.
        let before = self.snapshot(SnapshotQuery::as_of(Some(query.from.clone()))).await;
        let before = before.map_err(|problem| problem.renamed(AT, FROM.name))?.configuration;
        let after = self.snapshot(SnapshotQuery::as_of(query.to.clone())).await;
        let after = after.map_err(|problem| problem.renamed(AT, TO.name))?.configuration;
        if before.position() > after.position() {
            let detail = format!("is at most {}, the later state", after.position());
            return Err(ProblemResponse::invalid_parameter(FROM.name, detail));
        }
        Ok(States { before, after })
    }

    /// The difference of two texts; a missing file is an empty text. None if one of them is too large or no text.
    async fn compare(&self, name: &str, files: [Option<FileBytes>; 2]) -> Result<Option<String>, ProblemResponse> {
        if files.iter().flatten().any(|file| file.size > TEXT_BYTES_MAX) {
            return Ok(None);
        }
        let [before, after] = files;
        let (before, after) = (self.text(before).await?, self.text(after).await?);
        let (Some(before), Some(after)) = (before, after) else { return Ok(None) };
        Ok(Some(self.difference(name, before, after).await?))
    }

    /// The difference of two texts.
    pub(super) async fn difference(
        &self,
        name: &str,
        before: String,
        after: String,
    ) -> Result<String, ProblemResponse> {
        let name = name.to_owned();
        self.run_expensive(async move { unified(&name, &before, &after) }).await
    }

    /// The text of a file. None if it is not UTF-8.
    async fn text(&self, file: Option<FileBytes>) -> Result<Option<String>, ProblemResponse> {
        let Some(FileBytes { digest, bytes, .. }) = file else { return Ok(Some(String::new())) };
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => self.verified_content(digest).await?,
        };
        Ok(String::from_utf8(bytes).ok())
    }
}
