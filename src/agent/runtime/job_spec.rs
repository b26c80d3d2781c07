//! The spec of a job, as it lies in the tree in force.
//!
//! What always holds: the bytes that a command is given are those of the claim's digest. They are copied, since the tree may
//! be replaced and collected while the command runs.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use program::durable_file;
use schema::digest::Digest;
use schema::id::JobId;
use schema::limit::SPEC_BYTES_MAX;
use serde::Deserialize;

use crate::disk::FILE_MODE;
use crate::regular_file;
use crate::runtime::schedule::CronSchedule;

/// A spec that is the claim's.
#[derive(Debug)]
pub struct JobSpec {
    bytes: Vec<u8>,
}

/// Why there is nothing to run yet.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The tree does not have it, or has another: the record is on its way.
    #[error("the tree does not have the spec that was claimed")]
    Coming,
    /// It does not say when.
    #[error("the spec does not say when it is due: {0}")]
    NoSchedule(String),
}

#[derive(Deserialize)]
struct Plan {
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    schedule: String,
}

impl JobSpec {
    /// The spec of `job` in the tree in force of the node's folder `dir`, if its digest is `digest`.
    ///
    /// # Errors
    /// [`SpecError::Coming`] if it is not there.
    pub fn read(dir: &Path, job: &JobId, digest: Digest) -> Result<Self, SpecError> {
        let bytes = bytes_of(&dir.join("current/jobs").join(format!("{job}.json")));
        let bytes = bytes.ok().filter(|bytes| Digest::of(bytes) == digest);
        bytes.map(|bytes| Self { bytes }).ok_or(SpecError::Coming)
    }

    /// When it is due.
    ///
    /// # Errors
    /// [`SpecError::NoSchedule`].
    pub fn times(&self) -> Result<CronSchedule, SpecError> {
        let none = |why: String| SpecError::NoSchedule(why);
        let plan: Plan = serde_json::from_slice(&self.bytes).map_err(|error| none(error.to_string()))?;
        let task = plan.tasks.first().ok_or_else(|| none("it has no task".to_owned()))?;
        CronSchedule::read(&task.schedule).map_err(none)
    }

    /// Copies it to where the command finds it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn put(&self, own: &Path, job: &JobId) -> io::Result<PathBuf> {
        let path = copy_of(own, job);
        fs::create_dir_all(own.join("jobs"))?;
        durable_file::create_empty(&path, FILE_MODE)?.write_all(&self.bytes)?;
        Ok(path)
    }
}

/// Removes the copy of a job's spec, if there is one.
pub fn forget(own: &Path, job: &JobId) {
    if let Err(error) = fs::remove_file(copy_of(own, job))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, %job, "the copy of a spec stays");
    }
}

fn copy_of(own: &Path, job: &JobId) -> PathBuf {
    own.join("jobs").join(format!("{job}.json"))
}

/// A file's bytes, if it is a file and no larger than a spec may be.
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular_file::open(path)?.take(SPEC_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
