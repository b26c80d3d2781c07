//! Assessment plans: an assessment for each reviewed control, and an attestation for each activity that names a provider.
//!
//! The id of an assessment is `<plan>_<control>` and that of an attestation `<activity>_<control>`, so that ids stay the same
//! when a plan grows. OSCAL has no field for the provider of an activity: its properties `provider-name`, `provider-image` and
//! `provider-tag` name it, and `provider-configuration` with a setting's name as its class configures it.

use serde_json::json;

use super::activity::{Activity, ActivityProvider, TaskSchedules};
use super::definition::{DefinitionKind, DefinitionReference, OscalDefinition, object};
use super::draft::ImportDraft;
use super::error::OscalError;
use super::id::map_id;
use super::json_node::JsonNode;
use super::selection::{ControlSelection, SubjectSelection};

/// A plan, as far as definitions are made from it.
struct AssessmentPlan<'a> {
    uuid: &'a str,
    title: &'a str,
    controls: ControlSelection,
    activities: Vec<Activity>,
    tasks: TaskSchedules,
    subjects: SubjectSelection,
}

/// Reads an assessment plan.
pub(super) fn read(top: &JsonNode<'_>, draft: &mut ImportDraft) -> Result<(), OscalError> {
    let metadata = top.fields()?.object("metadata")?;
    let title = metadata.map(|mut metadata| metadata.need("title")).transpose()?.unwrap_or("Assessment plan");
    let mut fields = top.fields()?;
    let uuid = fields.need("uuid")?;
    let skips = &mut draft.skips;
    let mut activities = Vec::new();
    if let Some(mut local) = fields.object("local-definitions")? {
        for node in local.list("activities")? {
            activities.push(Activity::read(&node, skips)?);
        }
        skips.add_rest("local-definition", uuid, &local);
    }
    let mut tasks = TaskSchedules::default();
    for node in fields.list("tasks")? {
        tasks.add(&node, &activities, skips)?;
    }
    let path = top.path.clone();
    let mut reviewed =
        fields.object("reviewed-controls")?.ok_or(OscalError::Missing { path, name: "reviewed-controls" })?;
    let controls = ControlSelection::read(&mut reviewed, uuid, skips)?;
    let mut subjects = SubjectSelection::default();
    for node in fields.list("assessment-subjects")? {
        subjects.add(&node, uuid, skips)?;
    }
    skips.add_rest("assessment-plan", uuid, &fields);
    if subjects.is_empty() {
        subjects = std::mem::take(&mut tasks.subjects);
    }
    if subjects.is_empty() {
        skips.add("assessment-plan", uuid, &top.path, "no component is named as a subject: all are taken".to_owned());
    }
    AssessmentPlan { uuid, title, controls, activities, tasks, subjects }.define(draft)
}

impl AssessmentPlan<'_> {
    fn define(&self, draft: &mut ImportDraft) -> Result<(), OscalError> {
        for (control, path) in self.controls.iter() {
            self.assessment(control, path, draft)?;
        }
        for activity in &self.activities {
            match &activity.provider {
                Some(provider) => self.attestations(activity, provider, draft)?,
                None => {
                    draft.skips.add("activity", &activity.uuid, &activity.path, no_provider_reason(activity.step_count))
                }
            }
        }
        Ok(())
    }

    fn assessment_id(&self, control: &str, path: &str) -> Result<String, OscalError> {
        map_id(&format!("{}_{control}", self.uuid), path)
    }

    fn assessment(&self, original: &str, path: &str, draft: &mut ImportDraft) -> Result<(), OscalError> {
        let id = self.assessment_id(original, path)?;
        let control = map_id(original, path)?;
        let mut schedules = self.activities.iter().filter(|activity| activity.is_about(original));
        let schedule = schedules.find_map(|activity| self.tasks.schedules.get(&activity.uuid));
        let schedule = schedule.or(self.tasks.first.as_ref()).unwrap_or(&draft.schedule);
        let mut command = object(json!({"id": id, "title": format!("{} ({original})", self.title), "control": control,
                                        "schedule": schedule}));
        let mut references = vec![DefinitionReference::required(DefinitionKind::Control, control, path.to_owned())];
        let (field, value) = self.subjects.to_field(&mut references)?;
        if value.as_array().is_some_and(Vec::is_empty) {
            let reason = "all of its components are excluded".to_owned();
            draft.skips.add("assessment", &id, path, reason);
            return Ok(());
        }
        command.insert(field.to_owned(), value);
        draft.push(OscalDefinition {
            references,
            ..OscalDefinition::new(DefinitionKind::Assessment, id, original, path, command)
        })
    }

    /// Adds one for each of the reviewed controls that the activity is about.
    fn attestations(
        &self,
        activity: &Activity,
        provider: &ActivityProvider,
        draft: &mut ImportDraft,
    ) -> Result<(), OscalError> {
        let about = activity.controls.as_ref().unwrap_or(&self.controls);
        for (control, path) in about.iter() {
            if !self.controls.contains(control) {
                let reason = "the activity is about a control that the plan does not review".to_owned();
                draft.skips.add("activity", &activity.uuid, path, reason);
                continue;
            }
            let id = map_id(&format!("{}_{control}", activity.uuid), path)?;
            let assessment = self.assessment_id(control, path)?;
            let mut parameters = activity.parameters.clone();
            parameters.insert("oscal-activity".to_owned(), activity.uuid.clone());
            let ActivityProvider { name, image, tag, configuration } = provider;
            let mut command = object(json!({
                "id": id, "assessment": assessment, "title": activity.title,
                "provider": {"name": name, "image": image, "tag": tag, "configuration": configuration},
                "selector": {"query": "", "labels": {}, "expressions": [], "ids": []},
                "parameters": parameters,
            }));
            if let Some(schedule) = self.tasks.schedules.get(&activity.uuid) {
                command.insert("schedule".to_owned(), schedule.as_str().into());
            }
            let references = vec![DefinitionReference::required(DefinitionKind::Assessment, assessment, path.clone())];
            draft.push(OscalDefinition {
                references,
                ..OscalDefinition::new(DefinitionKind::Attestation, id, &activity.uuid, &activity.path, command)
            })?;
        }
        Ok(())
    }
}

fn no_provider_reason(steps: usize) -> String {
    format!(
        "no attestation is made of it and its {steps} steps: no properties provider-name, provider-image and \
         provider-tag say what carries it out"
    )
}
