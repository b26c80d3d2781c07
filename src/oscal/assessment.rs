//! Assessment plans: an assessment for each control that is reviewed, and an attestation for each activity that says what
//! carries it out.
//!
//! An assessment's id is `<plan>_<control>` and an attestation's `<activity>_<control>`, so that both stay what they are
//! when a plan grows. OSCAL has no words for what carries an activity out; its properties `provider-name`,
//! `provider-image` and `provider-tag` say it, and `provider-configuration` with the setting's name as its class.

use serde_json::{Value, json};

use super::activity::{Activity, Provider, Tasks};
use super::catalog::object;
use super::fault::Fault;
use super::id::mapped;
use super::labels::OSCAL_ID;
use super::place::{Fields, Place};
use super::plan::{Draft, Item, Kind, Need, Skips};

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
        for (control, path) in &self.controls.0 {
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
        for (control, path) in &about.0 {
            if !self.controls.0.iter().any(|(reviewed, _)| reviewed == control) {
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

impl Activity {
    fn is_about(&self, control: &str) -> bool {
        self.controls.as_ref().is_none_or(|controls| controls.0.iter().any(|(about, _)| about == control))
    }
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

    fn is_empty(&self) -> bool {
        !self.all && self.included.is_empty()
    }

    /// The field of an assessment that says it. Who is let in by a selector is found anew whenever components change.
    fn said(&self, needs: &mut Vec<Need>) -> Result<(&'static str, Value), Fault> {
        if self.all || self.is_empty() {
            let selector = match self.excluded.as_slice() {
                [] => json!({}),
                out => json!({"match_expressions": [{"key": OSCAL_ID, "operator": "NotIn", "values": out}]}),
            };
            return Ok(("component_selector", selector));
        }
        let mut ids = std::collections::BTreeSet::new();
        for (original, path) in self.included.iter().filter(|(id, _)| !self.excluded.contains(id)) {
            let id = mapped(original, path)?;
            if ids.insert(id.clone()) {
                needs.push(Need::listed(Kind::Component, "components", id, path.clone()));
            }
        }
        Ok(("components", json!(ids)))
    }
}
