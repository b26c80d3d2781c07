//! What a request changes on a node, as an answer shows it.

use api::impact::{NodeChange, PlannedFileView, PlannedNodeView};
use projections::configuration::Configuration;
use schema::plan::{PlannedFile, PlannedNode};

/// Nodes that an answer shows with their files.
pub(super) const NODES_SHOWN_MAX: usize = 1_000;

/// What changes on a node, whose record is then as in the state `after`.
pub(super) fn planned_node(after: &Configuration, record: NodeChange, planned: PlannedNode) -> PlannedNodeView {
    let PlannedNode { node, files, retired, may_retry } = planned;
    let file = |PlannedFile { path, before, after: file }: PlannedFile| {
        let document = after.document_in_force(&node, &path).map(|(id, _)| id.clone());
        PlannedFileView { path, before, after: file, document }
    };
    PlannedNodeView { record, files: files.into_iter().map(file).collect(), retired, may_retry }
}
