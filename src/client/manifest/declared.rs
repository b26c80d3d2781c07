//! What manifests declare: entities as commands, and the bundles that own them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schema::command::Content;
use schema::digest::Digest;
use serde_json::{Map, Value};

use super::fault::{ManifestFault, ManifestPlace};
use super::kind::ManifestKind;

/// An entity as a manifest says it.
#[derive(Clone, Debug)]
pub struct DeclaredEntity {
    /// Its kind: one that a bundle can own.
    pub kind: ManifestKind,
    /// Its id.
    pub id: String,
    /// The fields of its command, without the content.
    pub fields: Map<String, Value>,
    /// The content of a document.
    pub content: Option<Content>,
    /// Where it is declared.
    pub at: ManifestPlace,
}

impl DeclaredEntity {
    /// The entity, written `kind/id`.
    #[must_use]
    pub fn entity(&self) -> String {
        format!("{}/{}", self.kind.name(), self.id)
    }

    /// The command that makes it so. Content that is in `known` is named by its digest.
    #[must_use]
    pub fn command(&self, known: &BTreeSet<Digest>) -> Value {
        let mut command = self.fields.clone();
        command.insert("type".to_owned(), self.kind.command().into());
        if let Some(content) = &self.content {
            let (name, value) = match std::str::from_utf8(content.bytes()) {
                _ if known.contains(&content.digest()) => ("content_digest", content.digest().to_string()),
                // No text of a request may hold U+0000.
                Ok(text) if !text.contains('\0') => ("content", text.to_owned()),
                _ => ("content_base64", STANDARD.encode(content.bytes())),
            };
            command.insert(name.to_owned(), value.into());
        }
        Value::Object(command)
    }
}

/// A bundle, and what it owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredBundle {
    /// The bundle's id.
    pub id: String,
    /// Its members, each written `kind/id`.
    pub members: BTreeSet<String>,
}

/// What one `-f` declares.
#[derive(Debug)]
pub(super) struct DeclaredSource {
    pub(super) entities: Vec<DeclaredEntity>,
    /// The bundle that owns all of them.
    pub(super) bundle: Option<SourceBundle>,
}

/// The bundle of one `-f`.
#[derive(Debug)]
pub(super) struct SourceBundle {
    pub(super) id: String,
    pub(super) at: ManifestPlace,
    /// Fields of its documents and trees that do not say them.
    pub(super) defaults: Map<String, Value>,
    /// The policy of the rollouts by which its documents change.
    pub(super) rollout: Option<Value>,
}

/// What all manifests declare together.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// The entities: what refers to something comes after it.
    pub entities: Vec<DeclaredEntity>,
    /// The bundles, each once.
    pub bundles: Vec<DeclaredBundle>,
    /// The policies of rollouts that bundles name, each once.
    pub rollouts: Vec<Value>,
}

impl Declaration {
    /// Joins what several `-f` declare.
    ///
    /// # Errors
    /// If something is declared twice.
    pub(super) fn join(sources: Vec<DeclaredSource>) -> Result<Self, Vec<ManifestFault>> {
        let (mut first_places, mut faults) = (BTreeMap::new(), Vec::new());
        let mut entities = Vec::new();
        let mut bundles = BTreeMap::<String, BTreeSet<String>>::new();
        let mut rollouts = Vec::new();
        for source in sources {
            if let Some(SourceBundle { id, at, rollout, .. }) = source.bundle {
                rollouts.extend(rollout.filter(|policy| !rollouts.contains(policy)));
                note(&mut first_places, &mut faults, format!("bundle/{id}"), at);
                bundles.entry(id).or_default().extend(source.entities.iter().map(DeclaredEntity::entity));
            }
            for entity in source.entities {
                note(&mut first_places, &mut faults, entity.entity(), entity.at.clone());
                entities.push(entity);
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        entities.sort_by_key(|entity| entity.kind);
        let bundles = bundles.into_iter().map(|(id, members)| DeclaredBundle { id, members }).collect();
        Ok(Self { entities, bundles, rollouts })
    }
}

/// Notes where something is declared; a fault if it was before, unless the same bundle comes from the command line again.
fn note(
    places: &mut BTreeMap<String, ManifestPlace>,
    faults: &mut Vec<ManifestFault>,
    entity: String,
    at: ManifestPlace,
) {
    match places.get(&entity) {
        None => {
            places.insert(entity, at);
        }
        Some(first) if *first == at && entity.starts_with("bundle/") => {}
        Some(first) => {
            let detail = format!("{entity} is declared twice, first at {first}");
            faults.push(ManifestFault { at, code: "id_twice", detail });
        }
    }
}
