//! The controls and components that an assessment plan, an activity or a task selects.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::definition::{DefinitionKind, DefinitionReference};
use super::error::OscalError;
use super::id::map_id;
use super::json_node::{Fields, JsonNode};
use super::labels::OSCAL_ID;
use super::skip_list::SkipList;

/// OSCAL ids of the selected controls, with their paths.
#[derive(Clone, Debug, Default)]
pub(super) struct ControlSelection(Vec<(String, String)>);

/// The selected components.
#[derive(Debug, Default)]
pub(super) struct SubjectSelection {
    all: bool,
    included: Vec<(String, String)>,
    excluded: Vec<String>,
}

impl ControlSelection {
    /// Reads `control-selections`.
    pub(super) fn read(fields: &mut Fields<'_>, owner: &str, skips: &mut SkipList) -> Result<Self, OscalError> {
        let mut chosen: Vec<(String, String)> = Vec::new();
        for node in fields.list("control-selections")? {
            let mut selection = node.fields()?;
            if let Some(all) = selection.take("include-all") {
                let reason = "only the system's security plan knows which controls are all: name them".to_owned();
                skips.add("control-selection", owner, &all.path, reason);
            }
            let included = controls(&mut selection, "include-controls", owner, skips)?;
            let excluded = controls(&mut selection, "exclude-controls", owner, skips)?;
            let is_new = |id: &String| chosen.iter().all(|(known, _)| known != id);
            let is_left = |id: &String| excluded.iter().all(|(out, _)| out != id);
            let added: Vec<_> = included.into_iter().filter(|(id, _)| is_new(id) && is_left(id)).collect();
            chosen.extend(added);
            skips.add_rest("control-selection", owner, &selection);
        }
        skips.add_rest("reviewed-controls", owner, fields);
        Ok(Self(chosen))
    }

    /// Each selected control with its path.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// Whether a control is selected.
    pub(super) fn contains(&self, control: &str) -> bool {
        self.0.iter().any(|(chosen, _)| chosen == control)
    }
}

fn controls(
    fields: &mut Fields<'_>,
    name: &'static str,
    owner: &str,
    skips: &mut SkipList,
) -> Result<Vec<(String, String)>, OscalError> {
    let mut ids: Vec<(String, String)> = Vec::new();
    for node in fields.list(name)? {
        let mut control = node.fields()?;
        let id = control.need("control-id")?.to_owned();
        skips.add_rest("control-selection", owner, &control);
        if ids.iter().all(|(known, _)| *known != id) {
            ids.push((id, format!("{}.control-id", node.path)));
        }
    }
    Ok(ids)
}

impl SubjectSelection {
    /// Adds one of the subjects of a plan or task.
    pub(super) fn add(&mut self, node: &JsonNode<'_>, owner: &str, skips: &mut SkipList) -> Result<(), OscalError> {
        let mut fields = node.fields()?;
        let kind = fields.need("type")?;
        if kind != "component" {
            skips.add("subject", owner, &node.path, format!("components are assessed, not a `{kind}`"));
            return Ok(());
        }
        self.all |= fields.take("include-all").is_some();
        for node in fields.list("include-subjects")? {
            let mut subject = node.fields()?;
            subject.text("type")?;
            self.included.push((subject.need("subject-uuid")?.to_owned(), format!("{}.subject-uuid", node.path)));
            skips.add_rest("subject", owner, &subject);
        }
        for node in fields.list("exclude-subjects")? {
            let mut subject = node.fields()?;
            subject.text("type")?;
            self.excluded.push(subject.need("subject-uuid")?.to_owned());
            skips.add_rest("subject", owner, &subject);
        }
        skips.add_rest("subject", owner, &fields);
        Ok(())
    }

    /// Whether no component is selected.
    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.included.is_empty()
    }

    /// The field of an assessment for the selection. A selector is evaluated again whenever components change, a list is not.
    pub(super) fn to_field(
        &self,
        references: &mut Vec<DefinitionReference>,
    ) -> Result<(&'static str, Value), OscalError> {
        if self.all || self.is_empty() {
            let selector = match self.excluded.as_slice() {
                [] => json!({}),
                out => json!({"match_expressions": [{"key": OSCAL_ID, "operator": "NotIn", "values": out}]}),
            };
            return Ok(("component_selector", selector));
        }
        let mut ids = BTreeSet::new();
        for (original, path) in self.included.iter().filter(|(id, _)| !self.excluded.contains(id)) {
            let id = map_id(original, path)?;
            if ids.insert(id.clone()) {
                references.push(DefinitionReference::listed(DefinitionKind::Component, "components", id, path.clone()));
            }
        }
        Ok(("components", json!(ids)))
    }
}
