//! The commands of compliance: definitions of what is assessed, and claims on the jobs that follow from them.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::form::{Only, strict};
use crate::compliance::{AssessmentDefined, AttestationDefined, ComponentDefined, ControlDefined};
use crate::digest::Digest;
use crate::id::{JobId, NodeId};
use crate::invalid::InputError;
use crate::lease::LeaseToken;
use crate::limit::{CLAIM_JOBS_MAX, EVIDENCE_BYTES_MAX, LEASE_S_DEFAULT, LEASE_S_MAX, LEASE_S_MIN, OUTCOME_BYTES_MAX};
use crate::schedule::Schedule;

/// The fields of `claim_jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClaimJobs {
    /// The node that will run the jobs.
    pub runtime: NodeId,
    /// How many jobs to claim at most: 1 to 1,000.
    #[cfg_attr(feature = "json-schema", schemars(range(min = 1, max = CLAIM_JOBS_MAX)))]
    pub limit: u32,
    /// Seconds of silence after which the claims end.
    #[serde(default = "lease_s_default")]
    #[cfg_attr(feature = "json-schema", schemars(range(min = LEASE_S_MIN, max = LEASE_S_MAX)))]
    pub lease_s: u32,
}

/// The fields of `release_jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseJobs {
    /// The node that holds the jobs.
    pub runtime: NodeId,
    /// The jobs to give up; without the field, all that the node holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<BTreeSet<JobId>>,
}

/// The fields of `complete_job`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteJob {
    /// The id of the job that was run.
    pub job: JobId,
    /// The lease token of the current claim; another one is refused.
    pub token: LeaseToken,
    /// SHA-256 of the spec that was run.
    pub spec_digest: Digest,
    /// The outcome in a word, such as `passed`: at most 255 bytes.
    #[cfg_attr(feature = "json-schema", schemars(length(min = 1, max = OUTCOME_BYTES_MAX)))]
    pub outcome: String,
    /// What the run printed or found: at most 64 KiB.
    #[cfg_attr(feature = "json-schema", schemars(length(max = EVIDENCE_BYTES_MAX)))]
    pub evidence: String,
}

/// A runtime and nothing else.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Renewal {
    pub(super) runtime: NodeId,
}

/// Reads a command whose only field is a runtime.
pub(super) fn renewing<C>(fields: Map<String, Value>, command: fn(NodeId) -> C) -> Result<C, InputError> {
    strict::<Renewal>(fields).map(|renewal| command(renewal.runtime))
}

const fn lease_s_default() -> u32 {
    LEASE_S_DEFAULT
}

/// The fields of a `define_` command beside `id`. The shape is the event's, which passes over what a later writer adds;
/// a command that brings such a member is mistaken.
pub(crate) trait Definition: DeserializeOwned {
    const FIELDS: &[&str];
    /// Of two fields exactly one is there.
    const EITHER: Option<[&str; 2]> = None;

    /// What only a command is checked for.
    fn check(&self) -> Result<(), InputError> {
        Ok(())
    }
}

impl Definition for ControlDefined {
    const FIELDS: &[&str] = &["title", "class", "statement", "parameters", "labels"];
}

impl Definition for ComponentDefined {
    const FIELDS: &[&str] = &["title", "kind", "controls", "properties", "labels"];
}

impl Definition for AssessmentDefined {
    const FIELDS: &[&str] = &["title", "control", "components", "component_selector", "schedule"];
    const EITHER: Option<[&str; 2]> = Some(["components", "component_selector"]);

    fn check(&self) -> Result<(), InputError> {
        check_schedule(Some(&self.schedule))
    }
}

impl Definition for AttestationDefined {
    const FIELDS: &[&str] =
        &["assessment", "title", "provider", "selector", "schedule", "parameters", "runtime_selector"];

    fn check(&self) -> Result<(), InputError> {
        check_schedule(self.schedule.as_ref())
    }
}

fn check_schedule(schedule: Option<&Schedule>) -> Result<(), InputError> {
    schedule.map_or(Ok(()), Schedule::check).map_err(|refused| refused.at("schedule"))
}

/// The members of a `define_` command: the id and the definition. Only its schema is asked for.
#[cfg(feature = "json-schema")]
pub(crate) struct Define<I, T>(core::marker::PhantomData<(I, T)>);

/// Reads a `define_` command: the id and the definition.
pub(super) fn define<I: DeserializeOwned, T: Definition, C>(
    mut fields: Map<String, Value>,
    command: fn(I, T) -> C,
) -> Result<C, InputError> {
    let id = fields.remove("id").map(|id| ("id".to_string(), id));
    let id = strict::<Only<I>>(id.into_iter().collect())?.id;
    if let Some(unknown) = fields.keys().find(|field| !T::FIELDS.contains(&field.as_str())) {
        let known = T::FIELDS.join("`, `");
        return Err(InputError::new("unknown_field", format!("the fields here are `id`, `{known}`")).at(unknown));
    }
    if let Some([one, other]) = T::EITHER {
        let there = |field: &str| fields.get(field).is_some_and(|value| !value.is_null());
        match (there(one), there(other)) {
            (false, false) => {
                return Err(InputError::new("missing_field", format!("one of `{one}` and `{other}` is needed")).at(one));
            }
            (true, true) => {
                return Err(
                    InputError::new("invalid_value", format!("`{one}` and `{other}` exclude each other")).at(other)
                );
            }
            _ => {}
        }
    }
    let defined: T = strict(fields)?;
    defined.check().map(|()| command(id, defined))
}

impl ClaimJobs {
    pub(super) fn read<C>(fields: Map<String, Value>, command: fn(Self) -> C) -> Result<C, InputError> {
        let claim: Self = strict(fields)?;
        if !(1..=CLAIM_JOBS_MAX).contains(&claim.limit) {
            let detail = format!("from 1 to {CLAIM_JOBS_MAX} jobs are claimed at once");
            return Err(InputError::new("invalid_value", detail).at("limit"));
        }
        if !(LEASE_S_MIN..=LEASE_S_MAX).contains(&claim.lease_s) {
            let detail = format!("a lease is {LEASE_S_MIN} to {LEASE_S_MAX} seconds long");
            return Err(InputError::new("invalid_value", detail).at("lease_s"));
        }
        Ok(command(claim))
    }
}

impl CompleteJob {
    pub(super) fn read<C>(fields: Map<String, Value>, command: fn(Self) -> C) -> Result<C, InputError> {
        let complete: Self = strict(fields)?;
        if complete.outcome.is_empty() {
            return Err(InputError::new("invalid_value", "an outcome says something").at("outcome"));
        }
        for (field, text, max) in
            [("outcome", &complete.outcome, OUTCOME_BYTES_MAX), ("evidence", &complete.evidence, EVIDENCE_BYTES_MAX)]
        {
            if text.len() > max {
                let detail = format!("{field} has at most {max} bytes, this one {}", text.len());
                return Err(InputError::new("too_large", detail).at(field));
            }
        }
        Ok(command(complete))
    }
}
