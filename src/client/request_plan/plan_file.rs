//! A request with what it would do, in a file of mode 600: it holds contents.

use std::path::{Path, PathBuf};

use program::clock;
use program::durable_file::{self, FileMode};
use schema::instant::Instant;
use schema::position::Position;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::outcome::{PlannedOutcome, RequestOutcome};
use crate::api_client::CommandRequest;

/// The format that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// Bytes of a plan file: the largest request and the largest answer are well below it.
const PLAN_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A plan in a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PlanFile {
    /// The format.
    v: u32,
    /// The log that it was made for.
    pub(crate) log_id: String,
    /// The last position that it was decided against.
    pub(crate) position: Position,
    made_at: Instant,
    /// The bundles that the request assigns or ends.
    bundles: Vec<String>,
    request: KeptRequest,
    /// The server's answer to the dry run.
    outcome: Box<RawValue>,
    /// The digest of the plan.
    pub(crate) plan: String,
}

/// The body of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptRequest {
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    now: bool,
    commands: Vec<Value>,
}

/// Why a plan file can't be used or written.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It can't be read.
    #[error("{} can't be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It can't be written.
    #[error("{} can't be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is none.
    #[error("{} is not a plan: give manifests with -f, or write a plan with `headwater plan --out`", path.display())]
    NotAPlan {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It is of a newer program.
    #[error("{} has format {v}, and this program reads formats up to {FORMAT}: upgrade it", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        v: u32,
    },
    /// The server gave no digest for the plan.
    #[error("the request can't be planned: its outcome is not the same each time (not_plannable)")]
    NotPlannable,
}

impl PlanFile {
    /// The plan of a request.
    ///
    /// # Errors
    /// If the server gave no digest for it.
    pub(crate) fn of(request: &CommandRequest, decided: &PlannedOutcome) -> Result<Self, PlanFileError> {
        let PlannedOutcome { outcome, raw } = decided;
        let bundles = request
            .commands
            .iter()
            .filter(|command| command["type"].as_str().is_some_and(|kind| kind.ends_with("_bundle")));
        Ok(Self {
            v: FORMAT,
            log_id: outcome.log_id.clone(),
            position: outcome.base.position,
            made_at: clock::system_time(),
            bundles: bundles.filter_map(|command| Some(command["id"].as_str()?.to_owned())).collect(),
            request: KeptRequest {
                reason: request.reason.clone(),
                now: request.now,
                commands: request.commands.clone(),
            },
            outcome: raw.clone(),
            plan: outcome.plan.clone().ok_or(PlanFileError::NotPlannable)?,
        })
    }

    /// The request.
    pub(crate) fn request(&self) -> CommandRequest {
        let KeptRequest { reason, now, commands } = self.request.clone();
        CommandRequest { reason, now, commands, key: None }
    }

    /// What it was shown to do.
    ///
    /// # Errors
    /// If no server wrote it.
    pub(crate) fn outcome(&self) -> Result<RequestOutcome, serde_json::Error> {
        serde_json::from_str(self.outcome.get())
    }

    /// Writes the file, in place of one that is there.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), PlanFileError> {
        let text = serde_json::to_string(self).expect("BUG: a plan is texts, numbers and JSON");
        let written = durable_file::replace(path, format!("{text}\n").as_bytes(), FileMode::Exact(0o600));
        written.map_err(|source| PlanFileError::Unwritable { path: path.to_owned(), source })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read, or is no plan.
    pub(crate) fn read(path: &Path) -> Result<Self, PlanFileError> {
        let path = || path.to_owned();
        let unreadable = |source| PlanFileError::Unreadable { path: path(), source };
        let not_a_plan = |source| PlanFileError::NotAPlan { path: path(), source };
        /// What every format has.
        #[derive(Deserialize)]
        struct Format {
            v: u32,
        }
        let found = std::fs::metadata(path()).map_err(unreadable)?;
        if !found.is_file() || found.len() > PLAN_BYTES_MAX {
            return Err(not_a_plan(serde::de::Error::custom("it is no file, or too large")));
        }
        let text = std::fs::read(path()).map_err(unreadable)?;
        let Format { v } = serde_json::from_slice(&text).map_err(not_a_plan)?;
        if v > FORMAT {
            return Err(PlanFileError::NewerFormat { path: path(), v });
        }
        let plan: Self = serde_json::from_slice(&text).map_err(not_a_plan)?;
        plan.outcome().map_err(not_a_plan)?;
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::MetadataExt as _;

    fn plan() -> PlanFile {
        let outcome = json!({"log_id": "l", "base": {"position": 7, "event_id": "0198b0a2-0000-7000-8000-000000000007"}, "events": [], "plan": "00ff", "new": 1.50});
        let raw = RawValue::from_string(outcome.to_string()).expect("JSON");
        let commands =
            vec![json!({"type": "put_document", "content": "a\nb"}), json!({"type": "assign_bundle", "id": "b"})];
        let request = CommandRequest { reason: Some("why".into()), now: false, commands, key: None };
        PlanFile::of(&request, &PlannedOutcome::read(raw).expect("an outcome")).expect("a plan")
    }

    #[test]
    fn a_plan_is_read_as_it_was_written_and_is_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("plan");
        std::fs::write(&path, "old").expect("a file");
        let plan = plan();
        plan.write(&path).expect("written");
        assert_eq!(std::fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
        let read = PlanFile::read(&path).expect("a plan");
        assert_eq!(read.request().body(), plan.request().body());
        assert_eq!((read.position.get(), read.plan.as_str(), read.bundles), (7, "00ff", vec!["b".to_owned()]));
        assert_eq!(read.outcome.get(), plan.outcome.get());
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("plan");
        assert!(matches!(PlanFile::read(&path), Err(PlanFileError::Unreadable { .. })));
        assert!(matches!(PlanFile::read(dir.path()), Err(PlanFileError::NotAPlan { .. })));
        for text in ["", "kind: node", "{}", "{\"v\": 1}"] {
            std::fs::write(&path, text).expect("a file");
            assert!(matches!(PlanFile::read(&path), Err(PlanFileError::NotAPlan { .. })), "{text}");
        }
        std::fs::write(&path, "{\"v\": 2, \"more\": []}").expect("a file");
        assert!(matches!(PlanFile::read(&path), Err(PlanFileError::NewerFormat { v: 2, .. })));
    }
}
