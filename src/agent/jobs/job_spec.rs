//! The spec of a job, read from the tree in force.
//!
//! Invariant: a command gets the bytes that have the claim's digest. It gets a copy, since the tree may be replaced and removed
//! while the command runs.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use program::durable_file::{self, FileMode};
use schema::digest::Digest;
use schema::id::JobId;
use schema::limit::SPEC_BYTES_MAX;
use serde::Deserialize;

use crate::jobs::schedule::CronSchedule;
use crate::regular_file;

/// A spec whose digest is that of the claim.
#[derive(Debug)]
pub struct JobSpec {
    bytes: Vec<u8>,
}

/// Why a job can't run yet.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The tree has no spec of this job, or another version: the record has not been applied yet.
    #[error("the tree does not have the spec that was claimed")]
    NotInTree,
    /// The spec has no valid schedule.
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
    /// Reads the spec of `job` from the tree in force in the node's folder `dir`.
    ///
    /// # Errors
    /// [`SpecError::NotInTree`] if it is not there, or its digest is not `digest`.
    pub fn read(dir: &Path, job: &JobId, digest: Digest) -> Result<Self, SpecError> {
        let bytes = bytes_of(&dir.join("current/jobs").join(format!("{job}.json")));
        let bytes = bytes.ok().filter(|bytes| Digest::of(bytes) == digest);
        bytes.map(|bytes| Self { bytes }).ok_or(SpecError::NotInTree)
    }

    /// The schedule of its first task.
    ///
    /// # Errors
    /// [`SpecError::NoSchedule`].
    pub fn schedule(&self) -> Result<CronSchedule, SpecError> {
        let none = |why: String| SpecError::NoSchedule(why);
        let plan: Plan = serde_json::from_slice(&self.bytes).map_err(|error| none(error.to_string()))?;
        let task = plan.tasks.first().ok_or_else(|| none("it has no task".to_owned()))?;
        CronSchedule::parse(&task.schedule).map_err(none)
    }

    /// Writes the copy for the command, and gives its path.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write_copy(&self, runtime_dir: &Path, job: &JobId) -> io::Result<PathBuf> {
        let path = copy_path(runtime_dir, job);
        fs::create_dir_all(runtime_dir.join("jobs"))?;
        durable_file::create_empty(&path, FileMode::ByUmask)?.write_all(&self.bytes)?;
        Ok(path)
    }
}

/// Removes the copy of a job's spec, if there is one.
pub fn remove_copy(runtime_dir: &Path, job: &JobId) {
    if let Err(error) = fs::remove_file(copy_path(runtime_dir, job))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, %job, "copy of the spec can't be removed");
    }
}

fn copy_path(runtime_dir: &Path, job: &JobId) -> PathBuf {
    runtime_dir.join("jobs").join(format!("{job}.json"))
}

/// One byte more than the limit is read, so that a larger file has another digest.
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular_file::open(path)?.take(SPEC_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::Mode;

    use super::*;

    #[test]
    fn the_copy_for_a_command_is_as_private_as_the_umask_says() {
        rustix::process::umask(Mode::from(0o077));
        let dir = tempfile::tempdir().expect("a folder");
        let spec = JobSpec { bytes: b"{}".to_vec() };
        let path = spec.write_copy(dir.path(), &"j-1".parse().expect("an id")).expect("written");
        let mode = fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
