//! Activities and tasks of an assessment plan: what is done, and when.

use std::collections::BTreeMap;

use super::error::OscalError;
use super::json_node::{Fields, JsonNode};
use super::labels::{self, TextMap};
use super::schedule;
use super::selection::{ControlSelection, SubjectSelection};
use super::skip_list::SkipList;

/// The properties of an activity that name its provider.
const PROVIDER: [&str; 3] = ["provider-name", "provider-image", "provider-tag"];
/// The property name of settings of the provider; the class is the setting's name.
const CONFIGURATION: &str = "provider-configuration.";

#[derive(Debug)]
pub(super) struct Activity {
    pub(super) uuid: String,
    pub(super) path: String,
    pub(super) title: String,
    /// Its description, its steps and its properties.
    pub(super) parameters: TextMap,
    pub(super) provider: Option<ActivityProvider>,
    /// The controls that it is about; all of them if there are none.
    pub(super) controls: Option<ControlSelection>,
    pub(super) step_count: usize,
}

/// The program that carries an activity out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ActivityProvider {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) tag: String,
    pub(super) configuration: TextMap,
}

/// The schedules and subjects of all tasks of a plan.
#[derive(Debug, Default)]
pub(super) struct TaskSchedules {
    /// By activity, the schedule of the first task that has one for it.
    pub(super) schedules: BTreeMap<String, String>,
    /// The schedule of the first task that has one.
    pub(super) first: Option<String>,
    /// The subjects of all tasks.
    pub(super) subjects: SubjectSelection,
}

impl Activity {
    /// Reads one.
    pub(super) fn read(node: &JsonNode<'_>, skips: &mut SkipList) -> Result<Self, OscalError> {
        let mut fields = node.fields()?;
        let uuid = fields.need("uuid")?.to_owned();
        let title = fields.text("title")?.unwrap_or("activity").to_owned();
        let mut parameters = labels::read_props(&mut fields, &uuid, skips)?;
        let provider = ActivityProvider::take(&mut parameters);
        for name in ["description", "remarks"] {
            parameters.extend(fields.text(name)?.map(|text| (name.to_owned(), text.to_owned())));
        }
        let steps = fields.list("steps")?;
        for (number, node) in (1..).zip(&steps) {
            parameters.insert(format!("step-{number:02}"), step(node, &uuid, skips)?);
        }
        let controls = fields.object("related-controls")?;
        let controls = controls.map(|mut fields| ControlSelection::read(&mut fields, &uuid, skips)).transpose()?;
        skips.add_rest("activity", &uuid, &fields);
        Ok(Self { uuid, path: node.path.clone(), title, parameters, provider, controls, step_count: steps.len() })
    }

    /// Whether it is about a control.
    pub(super) fn is_about(&self, control: &str) -> bool {
        self.controls.as_ref().is_none_or(|controls| controls.contains(control))
    }
}

fn step(node: &JsonNode<'_>, owner: &str, skips: &mut SkipList) -> Result<String, OscalError> {
    let mut fields = node.fields()?;
    fields.text("uuid")?;
    let texts = [fields.text("title")?, fields.text("description")?, fields.text("remarks")?];
    skips.add_rest("step", owner, &fields);
    Ok(texts.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

impl ActivityProvider {
    /// Takes the provider out of an activity's properties, if it is complete.
    fn take(texts: &mut TextMap) -> Option<Self> {
        if !PROVIDER.iter().all(|name| texts.contains_key(*name)) {
            return None;
        }
        let [name, image, tag] = PROVIDER.map(|name| texts.remove(name).unwrap_or_default());
        let mut configuration = TextMap::new();
        texts.retain(|key, value| match key.strip_prefix(CONFIGURATION) {
            Some(setting) => {
                configuration.insert(setting.to_owned(), std::mem::take(value));
                false
            }
            None => true,
        });
        Some(Self { name, image, tag, configuration })
    }
}

impl TaskSchedules {
    /// Adds a task and those below it.
    pub(super) fn add(
        &mut self,
        node: &JsonNode<'_>,
        known: &[Activity],
        skips: &mut SkipList,
    ) -> Result<(), OscalError> {
        let mut fields = node.fields()?;
        let uuid = fields.need("uuid")?;
        fields.text("type")?;
        let schedule = fields.object("timing")?.map(|timing| read_schedule(timing, uuid, skips)).transpose()?.flatten();
        if self.first.is_none() {
            self.first.clone_from(&schedule);
        }
        for node in fields.list("associated-activities")? {
            let mut associated = node.fields()?;
            let activity = associated.need("activity-uuid")?;
            if !known.iter().any(|known| known.uuid == activity) {
                let reason = "the task names an activity that this plan does not define".to_owned();
                skips.add("task", uuid, &format!("{}.activity-uuid", node.path), reason);
            } else if let Some(schedule) = &schedule {
                self.schedules.entry(activity.to_owned()).or_insert_with(|| schedule.clone());
            }
            for node in associated.list("subjects")? {
                self.subjects.add(&node, uuid, skips)?;
            }
            skips.add_rest("task", uuid, &associated);
        }
        for node in fields.list("tasks")? {
            self.add(&node, known, skips)?;
        }
        skips.add_rest("task", uuid, &fields);
        Ok(())
    }
}

fn read_schedule(mut timing: Fields<'_>, task: &str, skips: &mut SkipList) -> Result<Option<String>, OscalError> {
    match schedule::read(&mut timing)? {
        Ok(schedule) => {
            skips.add_rest("task", task, &timing);
            Ok(Some(schedule))
        }
        Err(reason) => {
            skips.add("task", task, &timing.path, reason);
            Ok(None)
        }
    }
}
