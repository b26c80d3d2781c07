//! Activities and tasks of an assessment plan: what is done, and when.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::labels::{self, Texts};
use super::place::{Fields, Place};
use super::schedule;
use super::scope::{Selection, Subjects};
use super::skipped::Skips;

/// The properties of an activity that say what carries it out.
const PROVIDER: [&str; 3] = ["provider-name", "provider-image", "provider-tag"];
/// Before the class of a property that is a setting of the provider.
const CONFIGURATION: &str = "provider-configuration.";

/// What is done.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) uuid: String,
    pub(super) path: String,
    pub(super) title: String,
    /// Its description, its steps and its properties.
    pub(super) parameters: Texts,
    pub(super) provider: Option<Provider>,
    /// The controls that it is about, if it says so.
    pub(super) controls: Option<Selection>,
    pub(super) step_count: usize,
}

/// What carries an activity out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) tag: String,
    pub(super) configuration: Texts,
}

/// All tasks of a plan together.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// By activity, when the first task that names it and says when is due.
    pub(super) schedules: BTreeMap<String, String>,
    /// When the first task of all that says so is due.
    pub(super) first: Option<String>,
    /// What the tasks say that they look at.
    pub(super) subjects: Subjects,
}

impl Activity {
    /// Reads one.
    pub(super) fn read(place: &Place<'_>, skips: &mut Skips) -> Result<Self, Fault> {
        let mut fields = place.fields()?;
        let uuid = fields.need("uuid")?.to_owned();
        let title = fields.text("title")?.unwrap_or("activity").to_owned();
        let mut parameters = labels::of_props(&mut fields, &uuid, skips)?;
        let provider = Provider::take(&mut parameters);
        for name in ["description", "remarks"] {
            parameters.extend(fields.text(name)?.map(|text| (name.to_owned(), text.to_owned())));
        }
        let steps = fields.list("steps")?;
        for (number, place) in (1..).zip(&steps) {
            parameters.insert(format!("step-{number:02}"), step(place, &uuid, skips)?);
        }
        let controls = fields.object("related-controls")?;
        let controls = controls.map(|mut fields| Selection::read(&mut fields, &uuid, skips)).transpose()?;
        skips.rest("activity", &uuid, &fields);
        Ok(Self { uuid, path: place.path.clone(), title, parameters, provider, controls, step_count: steps.len() })
    }

    /// Whether it is about a control: about all of them if it names none.
    pub(super) fn is_about(&self, control: &str) -> bool {
        self.controls.as_ref().is_none_or(|controls| controls.names(control))
    }
}

fn step(place: &Place<'_>, owner: &str, skips: &mut Skips) -> Result<String, Fault> {
    let mut fields = place.fields()?;
    fields.text("uuid")?;
    let said = [fields.text("title")?, fields.text("description")?, fields.text("remarks")?];
    skips.rest("step", owner, &fields);
    Ok(said.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

impl Provider {
    /// Takes it out of an activity's properties, if all of it is there.
    fn take(texts: &mut Texts) -> Option<Self> {
        if !PROVIDER.iter().all(|name| texts.contains_key(*name)) {
            return None;
        }
        let [name, image, tag] = PROVIDER.map(|name| texts.remove(name).unwrap_or_default());
        let mut configuration = Texts::new();
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

impl Tasks {
    /// Adds a task and those below it.
    pub(super) fn add(&mut self, place: &Place<'_>, known: &[Activity], skips: &mut Skips) -> Result<(), Fault> {
        let mut fields = place.fields()?;
        let uuid = fields.need("uuid")?;
        fields.text("type")?;
        let schedule = fields.object("timing")?.map(|timing| due(timing, uuid, skips)).transpose()?.flatten();
        if self.first.is_none() {
            self.first.clone_from(&schedule);
        }
        for place in fields.list("associated-activities")? {
            let mut associated = place.fields()?;
            let activity = associated.need("activity-uuid")?;
            if !known.iter().any(|known| known.uuid == activity) {
                let reason = "the task names an activity that this plan does not define".to_owned();
                skips.add("task", uuid, &format!("{}.activity-uuid", place.path), reason);
            } else if let Some(schedule) = &schedule {
                self.schedules.entry(activity.to_owned()).or_insert_with(|| schedule.clone());
            }
            for place in associated.list("subjects")? {
                self.subjects.add(&place, uuid, skips)?;
            }
            skips.rest("task", uuid, &associated);
        }
        for place in fields.list("tasks")? {
            self.add(&place, known, skips)?;
        }
        skips.rest("task", uuid, &fields);
        Ok(())
    }
}

fn due(mut timing: Fields<'_>, task: &str, skips: &mut Skips) -> Result<Option<String>, Fault> {
    match schedule::of(&mut timing)? {
        Ok(schedule) => {
            skips.rest("task", task, &timing);
            Ok(Some(schedule))
        }
        Err(reason) => {
            skips.add("task", task, &timing.path, reason);
            Ok(None)
        }
    }
}
