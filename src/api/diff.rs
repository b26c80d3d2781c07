//! Differences between two states of the log.

use alloc::string::String;
use alloc::vec::Vec;

use schema::id::{DocumentId, NodeId};
use schema::position::Position;
use schema::report::RecordRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::DocumentView;
use crate::page::ListPage;
use crate::why::EntryView;

/// The nodes whose desired records have other files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FleetDiff")]
pub struct FleetDiff<T> {
    /// The position of the earlier state.
    pub from: Position,
    /// The position of the later state.
    pub to: Position,
    /// The nodes of the page.
    #[serde(flatten)]
    pub page: ListPage<T>,
}

/// What differs in the desired record of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeDiff {
    /// The node.
    pub node: NodeId,
    /// The position of the earlier state.
    pub from: Position,
    /// The position of the later state.
    pub to: Position,
    /// The record in the earlier state; null if the node was not enrolled yet.
    pub before: Option<RecordRef>,
    /// The record in the later state.
    pub after: Option<RecordRef>,
    /// The files that differ, sorted by path.
    pub files: Vec<FileDifference>,
}

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDifference {
    /// Its path on the node.
    pub path: String,
    /// The file in the earlier state; null if there was none.
    pub before: Option<EntryView>,
    /// The file in the later state; null if there is none.
    pub after: Option<EntryView>,
}

/// What differs in one file of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDiff {
    /// The node.
    pub node: NodeId,
    /// The position of the earlier state.
    pub from: Position,
    /// The position of the later state.
    pub to: Position,
    /// The file before and after.
    #[serde(flatten)]
    pub file: FileDifference,
    /// The difference of the texts, line by line, as `diff -u` writes it; empty if they are the same, null if one of them is not
    /// UTF-8 or has more than 256 KiB.
    pub unified: Option<String>,
}

/// What differs in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentDiff {
    /// The document.
    pub id: DocumentId,
    /// The position of the earlier state.
    pub from: Position,
    /// The position of the later state.
    pub to: Position,
    /// The document in the earlier state; null if there was none.
    pub before: Option<DocumentView>,
    /// The document in the later state; null if there is none.
    pub after: Option<DocumentView>,
    /// The difference of the contents, as in the difference of a file.
    pub unified: Option<String>,
}
