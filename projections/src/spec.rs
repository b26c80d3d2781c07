//! Rendering of job specs: from the state to the JSON that a runtime runs.
//!
//! A spec is a pure function of what is to be assessed: of the attestation, its assessment, the control and the
//! components that are covered. Its bytes are JSON with sorted members and no spaces, and name no position, event or
//! request, so that whatever is removed and defined again gives the same bytes again.

use alloc::string::String;
use alloc::vec::Vec;

use schema::compliance::{ComponentDefined, ControlDefined, StringMap};
use schema::desired::Source;
use schema::digest::Digest;
use schema::entity::Entity;
use schema::id::{ComponentId, JobId};
use schema::lease::LeasedJob;
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::jobs::{Job, RenderedSpec};

/// The media type of a job's spec.
pub const MEDIA_TYPE: &str = "application/json";

impl Configuration {
    /// A job's spec; nothing if there is no such job.
    #[must_use]
    pub fn spec(&self, id: &JobId) -> Option<&RenderedSpec> {
        let job = self.jobs.all().get(id)?;
        Some(job.spec_or_else(|| self.render_spec(id, job)))
    }

    /// What a job's spec is rendered from: its attestation, assessment and control, and the components that are covered.
    #[must_use]
    pub fn spec_sources(&self, job: &Job) -> Vec<Source> {
        let compliance = self.compliance();
        let Some(attestation) = compliance.attestations().get(&job.attestation) else { return Vec::new() };
        let mut sources: Vec<Source> = [attestation.source(&job.attestation)].into();
        let assessment_id = &attestation.said.assessment;
        let Some(assessment) = compliance.assessments().get(assessment_id) else { return sources };
        sources.push(assessment.source(assessment_id));
        let control_id = &assessment.said.control;
        sources.extend(compliance.controls().get(control_id).map(|control| control.source(control_id)));
        let covered = compliance.covered(&assessment.said.cover).into_iter();
        sources.extend(covered.map(|(id, component)| component.source(Entity::from(id))));
        sources
    }

    /// A claimed job as it is sent to its holder; nothing if the job is not claimed.
    #[must_use]
    pub fn leased(&self, id: &JobId, with_spec: bool) -> Option<LeasedJob> {
        let claim = self.jobs.all().get(id)?.claim.as_ref()?;
        let spec = self.spec(id)?;
        let value = || serde_json::from_slice(&spec.bytes).expect("BUG: a spec is JSON");
        Some(LeasedJob {
            id: id.clone(),
            token: claim.token,
            spec_digest: spec.digest,
            lease_s: claim.lease_s,
            spec: with_spec.then(value),
        })
    }

    fn render_spec(&self, id: &JobId, job: &Job) -> RenderedSpec {
        let missing = "BUG: references lead to what is there";
        let compliance = self.compliance();
        let attestation = &compliance.attestations().get(&job.attestation).expect(missing).said;
        let assessment = &compliance.assessments().get(&attestation.assessment).expect(missing).said;
        let control = &compliance.controls().get(&assessment.control).expect(missing).said;
        let covered = compliance.covered(&assessment.cover);
        let ids: Vec<&ComponentId> = covered.iter().map(|(id, _)| *id).collect();
        let components: Vec<Value> =
            covered.iter().map(|(id, component)| component_view(id, &component.said)).collect();
        let mut parameters: StringMap = control.parameters.clone();
        parameters.extend(attestation.parameters.clone());
        let schedule = attestation.schedule.as_ref().unwrap_or(&assessment.schedule);
        let mut spec = json!({
            "id": id,
            "title": attestation.title,
            "assessment-plan-id": attestation.assessment,
            "control-id": assessment.control,
            "control": control_view(control),
            "component-ids": ids,
            "components": components,
            "tasks": [{
                "id": attestation.assessment,
                "title": assessment.title,
                "schedule": schedule,
                "activities": [{
                    "id": job.attestation,
                    "title": attestation.title,
                    "selector": attestation.selector,
                    "provider": attestation.provider,
                }],
            }],
            "parameters": parameters,
        });
        // Members are sorted as it is, unless somebody in the build asks serde_json to keep their order.
        spec.sort_all_objects();
        let text: String = alloc::format!("{spec}");
        let digest = Digest::of(text.as_bytes());
        RenderedSpec { bytes: text.into_bytes().into(), digest }
    }
}

fn control_view(control: &ControlDefined) -> Value {
    let ControlDefined { title, class, statement, parameters, labels } = control;
    json!({"title": title, "class": class, "statement": statement, "parameters": parameters, "labels": labels})
}

fn component_view(id: &ComponentId, component: &ComponentDefined) -> Value {
    let ComponentDefined { title, kind, controls, properties, labels } = component;
    json!({
        "id": id, "title": title, "kind": kind, "controls": controls, "properties": properties, "labels": labels,
    })
}
