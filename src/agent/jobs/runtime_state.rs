//! `runtime/state.json`: how far each job was served, and outcomes that the server has not acknowledged.
//!
//! Invariant: the file is replaced durably as a whole. It does not hold the claims: the server lists them at each start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use program::durable_file::{self, FileMode};
use schema::id::JobId;
use schema::instant::Instant;
use serde::{Deserialize, Serialize};

use crate::jobs::claim_service::JobCompletion;
use crate::regular_file;

/// The only format that is written and read.
const FORMAT: u16 = 1;

/// The content of the file, and changes that are not saved yet.
#[derive(Debug)]
pub struct RuntimeState {
    path: PathBuf,
    content: StateFile,
    is_saved: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StateFile {
    v: u16,
    jobs: BTreeMap<JobId, JobProgress>,
}

/// The progress of one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The last due time that was served, or when the job was claimed.
    pub until: Instant,
    /// The outcome of a run that the server has not acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<UnreportedRun>,
}

/// An outcome that is sent until the server acknowledges it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreportedRun {
    /// The due time that the run served.
    pub due: Instant,
    /// The request to send.
    pub completion: JobCompletion,
}

/// The file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeStateError {
    /// Reading or creating failed.
    #[error("can't use the runtime's folder {}", .0.display())]
    Disk(PathBuf, #[source] io::Error),
    /// Its content is not valid.
    #[error("{} is damaged: {why}. If you remove it, jobs count as served until now", .path.display())]
    Damaged {
        /// Of the file.
        path: PathBuf,
        /// Of the parser.
        why: String,
    },
}

impl RuntimeState {
    /// Reads the file in `dir`; creates the folder if it does not exist.
    ///
    /// # Errors
    /// If the disk fails, or the file is damaged or newer than this program.
    pub fn open(dir: &Path) -> Result<Self, RuntimeStateError> {
        let path = dir.join("state.json");
        let found = fs::create_dir_all(dir).and_then(|()| match regular_file::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        });
        let found = found.map_err(|error| RuntimeStateError::Disk(dir.to_owned(), error))?;
        let damaged = |why: String| RuntimeStateError::Damaged { path: path.clone(), why };
        let content = match found {
            None => StateFile { v: FORMAT, jobs: BTreeMap::new() },
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?,
        };
        if content.v != FORMAT {
            return Err(damaged(format!("format {} is not one that this program reads", content.v)));
        }
        Ok(Self { path, content, is_saved: true })
    }

    /// The progress of a job, if it is known.
    #[must_use]
    pub fn progress(&self, job: &JobId) -> Option<&JobProgress> {
        self.content.jobs.get(job)
    }

    /// All outcomes that are not acknowledged.
    pub fn unreported(&self) -> impl Iterator<Item = (&JobId, &UnreportedRun)> {
        self.content.jobs.iter().filter_map(|(job, served)| Some((job, served.untold.as_ref()?)))
    }

    /// Sets the progress of a job, in memory.
    pub fn set_progress(&mut self, job: &JobId, served: JobProgress) {
        if self.content.jobs.get(job) != Some(&served) {
            self.content.jobs.insert(job.clone(), served);
            self.is_saved = false;
        }
    }

    /// Removes all jobs but those that are held, in memory.
    pub fn retain(&mut self, is_held: impl Fn(&JobId) -> bool) {
        let before = self.content.jobs.len();
        self.content.jobs.retain(|job, _| is_held(job));
        self.is_saved &= self.content.jobs.len() == before;
    }

    /// Writes the file if anything changed.
    ///
    /// # Errors
    /// If the disk fails; the next call tries again.
    pub fn save(&mut self) -> io::Result<()> {
        if self.is_saved {
            return Ok(());
        }
        durable_file::replace(&self.path, &serde_json::to_vec(&self.content)?, FileMode::ByUmask)?;
        self.is_saved = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::Mode;

    use super::*;

    /// The file holds the lease tokens of outcomes that are not acknowledged.
    #[test]
    fn the_file_is_as_private_as_the_umask_says() {
        rustix::process::umask(Mode::from(0o077));
        let dir = tempfile::tempdir().expect("a folder");
        let mut state = RuntimeState::open(dir.path()).expect("nothing is fine");
        let served = JobProgress { until: Instant::from_unix_micros(5), untold: None };
        state.set_progress(&"j-1".parse().expect("an id"), served);
        state.save().expect("saved");
        let mode = fs::metadata(dir.path().join("state.json")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_was_saved_is_found_and_what_is_damaged_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let own = dir.path().join("runtime");
        let job: JobId = "j-1".parse().expect("an id");
        let served = JobProgress { until: Instant::from_unix_micros(5), untold: None };
        let mut state = RuntimeState::open(&own).expect("nothing is fine");
        state.set_progress(&job, served.clone());
        state.save().expect("saved");
        let mut state = RuntimeState::open(&own).expect("it is found");
        assert_eq!(state.progress(&job), Some(&served));
        state.retain(|_| false);
        state.save().expect("saved");
        assert_eq!(RuntimeState::open(&own).expect("it is found").progress(&job), None);
        for damaged in ["", "{", "{\"v\":2,\"jobs\":{}}"] {
            fs::write(own.join("state.json"), damaged).expect("written");
            let why = RuntimeState::open(&own).expect_err("damaged").to_string();
            assert!(why.contains("state.json"), "{why}");
        }
    }
}
