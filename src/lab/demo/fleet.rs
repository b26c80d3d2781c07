//! The example fleet: documents from manifests, and the files that a node must have.
//!
//! A node's files are computed here a second time, from the example files, so that the demo does not verify the server with the
//! server's own answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use client::manifest::declared::{Declaration, DeclaredBundle, DeclaredEntity};
use client::manifest::fault::ManifestFault;
use client::manifest::kind::ManifestKind;
use client::manifest::reader;
use schema::id::NodeId;
use schema::labels::Labels;
use schema::target::Target;
use serde::Deserialize;
use serde_json::{Value, json};

/// The folder of the manifests, in that of the examples.
pub(super) const FOLDER: &str = "fleet";
/// The reason of the first request.
pub(super) const REASON: &str = "detectors as commissioned";

/// The examples folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A manifest is at fault, or not there.
    #[error("{} (--examples names the folder; the checkout has it in schema/examples)", faults(.0))]
    Manifests(Vec<ManifestFault>),
    /// A document is not what the demo can work with.
    #[error("document {0} in {path} has no text, or no target", path = .1.display())]
    Document(String, PathBuf),
    /// The text that the demo changes is missing.
    #[error("the demo wants to change {find} in document {document}, and it is not there")]
    NothingToEdit {
        /// Id of the document.
        document: String,
        /// The text.
        find: String,
    },
}

fn faults(all: &[ManifestFault]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What the manifests declare.
#[derive(Clone, Debug)]
pub(super) struct ExampleFleet {
    /// The documents.
    pub(super) documents: Vec<ExampleDocument>,
    /// The commands that give them to their bundle.
    assignments: Vec<Value>,
}

#[derive(Clone, Debug)]
pub(super) struct ExampleDocument {
    /// The command that puts it.
    fields: Value,
    said: DocumentFields,
    content: String,
}

/// What decides where a document goes.
#[derive(Clone, Debug, Deserialize)]
struct DocumentFields {
    id: String,
    path: String,
    target: Target,
    priority: i32,
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
    /// Reads the manifests below `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let folder = folder.join(FOLDER);
        let Declaration { entities, bundles, .. } =
            reader::read(std::slice::from_ref(&folder), None).map_err(Error::Manifests)?;
        let documents = entities.iter().filter(|entity| entity.kind == ManifestKind::Document);
        let document = |entity: &DeclaredEntity| {
            ExampleDocument::of(entity).ok_or_else(|| Error::Document(entity.id.clone(), folder.clone()))
        };
        let documents = documents.map(document).collect::<Result<_, _>>()?;
        let assign =
            |bundle: &DeclaredBundle| json!({"type": "assign_bundle", "id": bundle.id, "members": bundle.members});
        Ok(Self { documents, assignments: bundles.iter().map(assign).collect() })
    }

    /// Size of all documents in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.documents.iter().map(|document| document.content.len()).sum()
    }

    /// The commands that put all documents into an empty log.
    pub(super) fn commands(&self) -> Vec<Value> {
        let puts = self.documents.iter().map(|document| document.command(0));
        puts.chain(self.assignments.iter().cloned()).collect()
    }

    /// Applies an edit, and gives the command for it; `version` is the document's version before.
    pub(super) fn edit(&mut self, edit: &Edit, version: u64) -> Result<Value, Error> {
        let found = self.documents.iter_mut().find(|document| document.said.id == edit.document);
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
        self.documents.iter().any(|each| each.said.id == document && each.said.target.matches(node, labels))
    }

    /// The files that a node must have: at each path the matching document of the highest priority, then id.
    pub(super) fn files_of(&self, node: &NodeId, labels: &Labels) -> Files {
        let mut layers: Vec<&ExampleDocument> =
            self.documents.iter().filter(|document| document.said.target.matches(node, labels)).collect();
        layers.sort_by(|a, b| (a.said.priority, &a.said.id).cmp(&(b.said.priority, &b.said.id)));
        layers.into_iter().map(|document| (document.said.path.clone(), document.content.clone().into_bytes())).collect()
    }
}

impl ExampleDocument {
    /// None if its content is no text.
    fn of(entity: &DeclaredEntity) -> Option<Self> {
        let fields = entity.command(&BTreeSet::new());
        let content = fields["content"].as_str()?.to_owned();
        let said = serde_json::from_value(fields.clone()).ok()?;
        Some(Self { fields, said, content })
    }

    fn command(&self, expected_version: u64) -> Value {
        let mut command = self.fields.clone();
        command["content"] = self.content.clone().into();
        command["expected_version"] = expected_version.into();
        command
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
    fn the_examples_are_json_and_each_is_a_command_that_a_server_can_read() {
        let fleet = examples();
        for document in &fleet.documents {
            serde_json::from_str::<Value>(&document.content).unwrap();
        }
        let body = json!({"reason": REASON, "commands": fleet.commands()}).to_string();
        schema::request::Request::read(body.as_bytes()).unwrap();
    }

    #[test]
    fn a_higher_layer_wins_and_nodes_of_other_labels_have_other_files() {
        let fleet = examples();
        let files = |node: &str, instrument: &str, site: &str| {
            let labels = [("instrument", instrument), ("site", site)];
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
