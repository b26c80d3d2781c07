//! What an assessment plan, an activity or a task looks at: the controls and the components that it chooses.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::definition::{Kind, Need};
use super::fault::Fault;
use super::id::mapped;
use super::labels::OSCAL_ID;
use super::place::{Fields, Place};
use super::skipped::Skips;

/// Controls that are chosen, as OSCAL calls them, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection(Vec<(String, String)>);

/// Components that are looked at.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    all: bool,
    included: Vec<(String, String)>,
    excluded: Vec<String>,
}

impl Selection {
    /// Reads `control-selections`.
    pub(super) fn read(fields: &mut Fields<'_>, owner: &str, skips: &mut Skips) -> Result<Self, Fault> {
        let mut chosen: Vec<(String, String)> = Vec::new();
        for place in fields.list("control-selections")? {
            let mut selection = place.fields()?;
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
            skips.rest("control-selection", owner, &selection);
        }
        skips.rest("reviewed-controls", owner, fields);
        Ok(Self(chosen))
    }

    /// Each control that is chosen, and where.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// Whether a control is chosen.
    pub(super) fn names(&self, control: &str) -> bool {
        self.0.iter().any(|(chosen, _)| chosen == control)
    }
}

fn controls(
    fields: &mut Fields<'_>,
    name: &'static str,
    owner: &str,
    skips: &mut Skips,
) -> Result<Vec<(String, String)>, Fault> {
    let mut ids: Vec<(String, String)> = Vec::new();
    for place in fields.list(name)? {
        let mut control = place.fields()?;
        let id = control.need("control-id")?.to_owned();
        skips.rest("control-selection", owner, &control);
        if ids.iter().all(|(known, _)| *known != id) {
            ids.push((id, format!("{}.control-id", place.path)));
        }
    }
    Ok(ids)
}

impl Subjects {
    /// Adds one of the subjects of a plan or task.
    pub(super) fn add(&mut self, place: &Place<'_>, owner: &str, skips: &mut Skips) -> Result<(), Fault> {
        let mut fields = place.fields()?;
        let kind = fields.need("type")?;
        if kind != "component" {
            skips.add("subject", owner, &place.path, format!("components are assessed, not a `{kind}`"));
            return Ok(());
        }
        self.all |= fields.take("include-all").is_some();
        for place in fields.list("include-subjects")? {
            let mut subject = place.fields()?;
            subject.text("type")?;
            self.included.push((subject.need("subject-uuid")?.to_owned(), format!("{}.subject-uuid", place.path)));
            skips.rest("subject", owner, &subject);
        }
        for place in fields.list("exclude-subjects")? {
            let mut subject = place.fields()?;
            subject.text("type")?;
            self.excluded.push(subject.need("subject-uuid")?.to_owned());
            skips.rest("subject", owner, &subject);
        }
        skips.rest("subject", owner, &fields);
        Ok(())
    }

    /// Whether no component is asked for.
    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.included.is_empty()
    }

    /// The field of an assessment that says it. Who is let in by a selector is found anew whenever components change.
    pub(super) fn said(&self, needs: &mut Vec<Need>) -> Result<(&'static str, Value), Fault> {
        if self.all || self.is_empty() {
            let selector = match self.excluded.as_slice() {
                [] => json!({}),
                out => json!({"match_expressions": [{"key": OSCAL_ID, "operator": "NotIn", "values": out}]}),
            };
            return Ok(("component_selector", selector));
        }
        let mut ids = BTreeSet::new();
        for (original, path) in self.included.iter().filter(|(id, _)| !self.excluded.contains(id)) {
            let id = mapped(original, path)?;
            if ids.insert(id.clone()) {
                needs.push(Need::listed(Kind::Component, "components", id, path.clone()));
            }
        }
        Ok(("components", json!(ids)))
    }
}
