//! The example fleet: documents, and the files that a node must have.
//!
//! A node's files are computed here a second time, from the example files, so that the demo does not verify the server with the
//! server's own answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use schema::id::NodeId;
use schema::target::{Labels, Target};
use serde::Deserialize;
use serde_json::{Value, json};

/// The file that lists the others.
const LIST: &str = "fleet.json";

/// The examples folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("could not read {} (--examples names the folder; the checkout has it in schema/examples)", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// `fleet.json` is not valid.
    #[error("{} is not a list of documents", .0.display())]
    List(PathBuf, #[source] serde_json::Error),
    /// The text that the demo changes is missing.
    #[error("the demo wants to change {find} in document {document}, and it is not there")]
    NothingToEdit {
        /// Id of the document.
        document: String,
        /// The text.
        find: String,
    },
}

/// The content of `fleet.json`, and its documents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleFleet {
    /// The reason of the request.
    pub(super) reason: String,
    /// The documents.
    pub(super) documents: Vec<ExampleDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExampleDocument {
    id: String,
    path: String,
    media_type: String,
    file: PathBuf,
    target: Target,
    priority: i32,
    #[serde(skip)]
    content: String,
}

/// A replacement of text in one document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    /// Id of the document.
    pub(super) document: &'static str,
    /// The old text.
    pub(super) find: &'static str,
    /// The new text.
    pub(super) put: &'static str,
    /// The reason of the request.
    pub(super) reason: &'static str,
}

/// Content by path.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

impl ExampleFleet {
    /// Reads `fleet.json` in `folder` and the files that it names.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let read = |path: &Path| fs::read_to_string(path).map_err(|error| Error::File(path.to_owned(), error));
        let list = folder.join(LIST);
        let mut fleet: Self = serde_json::from_str(&read(&list)?).map_err(|error| Error::List(list, error))?;
        for document in &mut fleet.documents {
            document.content = read(&folder.join(&document.file))?;
        }
        Ok(fleet)
    }

    /// Size of all documents in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.documents.iter().map(|document| document.content.len()).sum()
    }

    /// The commands that put all documents into an empty log.
    pub(super) fn commands(&self) -> Vec<Value> {
        self.documents.iter().map(|document| document.command(0)).collect()
    }

    /// Applies an edit, and gives the command for it; `version` is the document's version before.
    pub(super) fn edit(&mut self, edit: &Edit, version: u64) -> Result<Value, Error> {
        let found = self.documents.iter_mut().find(|document| document.id == edit.document);
        match found {
            Some(document) if document.content.contains(edit.find) => {
                document.content = document.content.replacen(edit.find, edit.put, 1);
                Ok(document.command(version))
            }
            _ => Err(Error::NothingToEdit { document: edit.document.into(), find: edit.find.into() }),
        }
    }

    /// Whether a document's target matches a node.
    pub(super) fn concerns(&self, document: &str, node: &NodeId, labels: &Labels) -> bool {
        self.documents.iter().any(|each| each.id == document && each.target.matches(node, labels))
    }

    /// The files that a node must have: at each path the matching document of the highest priority, then id.
    pub(super) fn files_of(&self, node: &NodeId, labels: &Labels) -> Files {
        let mut layers: Vec<&ExampleDocument> =
            self.documents.iter().filter(|document| document.target.matches(node, labels)).collect();
        layers.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
        layers.into_iter().map(|document| (document.path.clone(), document.content.clone().into_bytes())).collect()
    }
}

impl ExampleDocument {
    fn command(&self, expected_version: u64) -> Value {
        let Self { id, path, media_type, target, priority, content, .. } = self;
        json!({
            "type": "put_document", "id": id, "path": path, "media_type": media_type, "content": content,
            "target": target, "priority": priority, "expected_version": expected_version,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    fn examples() -> ExampleFleet {
        ExampleFleet::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/examples")).unwrap()
    }

    #[test]
    fn the_examples_are_json_and_each_is_a_command_that_the_door_can_read() {
        let fleet = examples();
        for document in &fleet.documents {
            serde_json::from_str::<Value>(&document.content).unwrap();
        }
        let body = json!({"reason": fleet.reason, "commands": fleet.commands()}).to_string();
        schema::request::Request::read(body.as_bytes()).unwrap();
    }

    #[test]
    fn a_higher_layer_wins_and_nodes_of_other_labels_have_other_files() {
        let fleet = examples();
        let files = |node: &str, instrument: &str, site: &str| {
            let labels = [("instrument", instrument), ("site", site)].map(|(key, value)| (key.into(), value.into()));
            fleet.files_of(&node.parse().unwrap(), &labels.into())
        };
        let (one, six) = (files("node-1", "loki", "lund"), files("node-6", "loki", "copenhagen"));
        let two = files("node-2", "dream", "copenhagen");
        let pipeline = |files: &Files| String::from_utf8(files["daq/pipeline.json"].clone()).unwrap();
        assert!(pipeline(&one).contains(r#""workers": 6"#), "the node's own");
        assert!(pipeline(&six).contains(r#""workers": 8"#), "the instrument's");
        assert!(pipeline(&two).contains(r#""workers": 2"#), "everybody's");
        assert_ne!(one["site/network.json"], two["site/network.json"]);
        assert_ne!(one["detector/thresholds.json"], two["detector/thresholds.json"]);
    }

    #[test]
    fn an_edit_changes_one_place_and_must_find_it() {
        let mut fleet = examples();
        let mut edit = Edit { document: "site-facility", find: "14", put: "15", reason: "" };
        let command = fleet.edit(&edit, 3).unwrap();
        assert!(command["content"].as_str().unwrap().contains(r#""pulse_hz": 15"#));
        assert_eq!(command["expected_version"], 3);
        edit.document = "nowhere";
        assert!(matches!(fleet.edit(&edit, 4), Err(Error::NothingToEdit { .. })));
    }
}
