//! Assessment plans: an assessment for each control that is reviewed, and an attestation for each activity that says what
//! carries it out.
//!
//! An assessment's id is `<plan>_<control>` and an attestation's `<activity>_<control>`, so that both stay what they are
//! when a plan grows. OSCAL has no words for what carries an activity out; its properties `provider-name`,
//! `provider-image` and `provider-tag` say it, and `provider-configuration` with the setting's name as its class.

use serde_json::json;

use super::activity::{Activity, Provider, Tasks};
use super::definition::{Item, Kind, Need, object};
use super::draft::Draft;
use super::fault::Fault;
use super::id::mapped;
use super::place::Place;
use super::scope::{Selection, Subjects};

/// A plan while its definitions are made.
struct Reviewing<'a> {
    uuid: &'a str,
    title: &'a str,
    controls: Selection,
    activities: Vec<Activity>,
    tasks: Tasks,
    subjects: Subjects,
}

/// Reads an assessment plan.
pub(super) fn read(top: &Place<'_>, draft: &mut Draft) -> Result<(), Fault> {
    let metadata = top.fields()?.object("metadata")?;
    let title = metadata.map(|mut metadata| metadata.need("title")).transpose()?.unwrap_or("Assessment plan");
    let mut fields = top.fields()?;
    let uuid = fields.need("uuid")?;
    let skips = &mut draft.skips;
    let mut activities = Vec::new();
    if let Some(mut local) = fields.object("local-definitions")? {
        for place in local.list("activities")? {
            activities.push(Activity::read(&place, skips)?);
        }
        skips.rest("local-definition", uuid, &local);
    }
    let mut tasks = Tasks::default();
    for place in fields.list("tasks")? {
        tasks.add(&place, &activities, skips)?;
    }
    let path = top.path.clone();
    let mut reviewed = fields.object("reviewed-controls")?.ok_or(Fault::Missing { path, name: "reviewed-controls" })?;
    let controls = Selection::read(&mut reviewed, uuid, skips)?;
    let mut subjects = Subjects::default();
    for place in fields.list("assessment-subjects")? {
        subjects.add(&place, uuid, skips)?;
    }
    skips.rest("assessment-plan", uuid, &fields);
    if subjects.is_empty() {
        subjects = std::mem::take(&mut tasks.subjects);
    }
    if subjects.is_empty() {
        skips.add("assessment-plan", uuid, &top.path, "no component is named as a subject: all are taken".to_owned());
    }
    Reviewing { uuid, title, controls, activities, tasks, subjects }.define(draft)
}

impl Reviewing<'_> {
    fn define(&self, draft: &mut Draft) -> Result<(), Fault> {
        for (control, path) in self.controls.iter() {
            self.assessment(control, path, draft)?;
        }
        for activity in &self.activities {
            match &activity.provider {
                Some(provider) => self.attestations(activity, provider, draft)?,
                None => draft.skips.add("activity", &activity.uuid, &activity.path, unprovided(activity.step_count)),
            }
        }
        Ok(())
    }

    fn assessment_id(&self, control: &str, path: &str) -> Result<String, Fault> {
        mapped(&format!("{}_{control}", self.uuid), path)
    }

    fn assessment(&self, original: &str, path: &str, draft: &mut Draft) -> Result<(), Fault> {
        let id = self.assessment_id(original, path)?;
        let control = mapped(original, path)?;
        let mut schedules = self.activities.iter().filter(|activity| activity.is_about(original));
        let schedule = schedules.find_map(|activity| self.tasks.schedules.get(&activity.uuid));
        let schedule = schedule.or(self.tasks.first.as_ref()).unwrap_or(&draft.schedule);
        let mut command = object(json!({"id": id, "title": format!("{} ({original})", self.title), "control": control,
                                        "schedule": schedule}));
        let mut needs = vec![Need::must(Kind::Control, control, path.to_owned())];
        let (field, value) = self.subjects.said(&mut needs)?;
        if value.as_array().is_some_and(Vec::is_empty) {
            let reason = "all of its components are excluded".to_owned();
            draft.skips.add("assessment", &id, path, reason);
            return Ok(());
        }
        command.insert(field.to_owned(), value);
        draft.push(Item { needs, ..Item::new(Kind::Assessment, id, original, path, command) })
    }

    /// One for each of the reviewed controls that the activity is about.
    fn attestations(&self, activity: &Activity, provider: &Provider, draft: &mut Draft) -> Result<(), Fault> {
        let about = activity.controls.as_ref().unwrap_or(&self.controls);
        for (control, path) in about.iter() {
            if !self.controls.names(control) {
                let reason = "the activity is about a control that the plan does not review".to_owned();
                draft.skips.add("activity", &activity.uuid, path, reason);
                continue;
            }
            let id = mapped(&format!("{}_{control}", activity.uuid), path)?;
            let assessment = self.assessment_id(control, path)?;
            let mut parameters = activity.parameters.clone();
            parameters.insert("oscal-activity".to_owned(), activity.uuid.clone());
            let Provider { name, image, tag, configuration } = provider;
            let mut command = object(json!({
                "id": id, "assessment": assessment, "title": activity.title,
                "provider": {"name": name, "image": image, "tag": tag, "configuration": configuration},
                "selector": {"query": "", "labels": {}, "expressions": [], "ids": []},
                "parameters": parameters,
            }));
            if let Some(schedule) = self.tasks.schedules.get(&activity.uuid) {
                command.insert("schedule".to_owned(), schedule.as_str().into());
            }
            let needs = vec![Need::must(Kind::Assessment, assessment, path.clone())];
            draft.push(Item { needs, ..Item::new(Kind::Attestation, id, &activity.uuid, &activity.path, command) })?;
        }
        Ok(())
    }
}

fn unprovided(steps: usize) -> String {
    format!(
        "no attestation is made of it and its {steps} steps: no properties provider-name, provider-image and \
         provider-tag say what carries it out"
    )
}
