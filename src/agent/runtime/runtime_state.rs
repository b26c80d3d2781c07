//! What a runtime must remember over a restart: how far each job was served, and what is still to be told.
//!
//! What always holds: the file is replaced as a whole, synced, and found whole. Absent on purpose: who holds what; that is
//! asked anew at each start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use program::durable_file;
use schema::id::JobId;
use schema::instant::Instant;
use serde::{Deserialize, Serialize};

use crate::disk::FILE_MODE;
use crate::regular_file;
use crate::runtime::claim_service::Completion;

/// The newest format, and the one that is written.
const FORMAT: u16 = 1;

/// A runtime's memory, and its file.
#[derive(Debug)]
pub struct RuntimeState {
    path: PathBuf,
    known: StateFile,
    is_written: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StateFile {
    v: u16,
    jobs: BTreeMap<JobId, JobProgress>,
}

/// What is remembered of one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The last due time that was served, or when the job came.
    pub until: Instant,
    /// What a run came to that the centre has not answered for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<UnreportedRun>,
}

/// A run that is still to be told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreportedRun {
    /// What it was due.
    pub due: Instant,
    /// What it came to.
    pub completion: Completion,
}

/// The memory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeStateError {
    /// The disk fails.
    #[error("can't use the runtime's folder {}", .0.display())]
    Disk(PathBuf, #[source] io::Error),
    /// It is not what was written.
    #[error("{} is damaged: {why}. If you remove it, jobs count as served until now", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl RuntimeState {
    /// What is remembered below `dir`, which is made if it is not there.
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
        let known = match found {
            None => StateFile { v: FORMAT, jobs: BTreeMap::new() },
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?,
        };
        if known.v != FORMAT {
            return Err(damaged(format!("format {} is not one that this program reads", known.v)));
        }
        Ok(Self { path, known, is_written: true })
    }

    /// What is known of a job.
    #[must_use]
    pub fn of(&self, job: &JobId) -> Option<&JobProgress> {
        self.known.jobs.get(job)
    }

    /// Everything that is still to be told.
    pub fn untold(&self) -> impl Iterator<Item = (&JobId, &UnreportedRun)> {
        self.known.jobs.iter().filter_map(|(job, served)| Some((job, served.untold.as_ref()?)))
    }

    /// Remembers `served` of a job.
    pub fn note(&mut self, job: &JobId, served: JobProgress) {
        if self.known.jobs.get(job) != Some(&served) {
            self.known.jobs.insert(job.clone(), served);
            self.is_written = false;
        }
    }

    /// Forgets all jobs but those that `is_held`.
    pub fn keep(&mut self, is_held: impl Fn(&JobId) -> bool) {
        let before = self.known.jobs.len();
        self.known.jobs.retain(|job, _| is_held(job));
        self.is_written &= self.known.jobs.len() == before;
    }

    /// Puts it on disk. A disk that fails is tried again the next time.
    ///
    /// # Errors
    /// If the disk fails; the file is as it was, or as it should be.
    pub fn save(&mut self) -> io::Result<()> {
        if self.is_written {
            return Ok(());
        }
        durable_file::replace(&self.path, &serde_json::to_vec(&self.known)?, FILE_MODE)?;
        self.is_written = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_found_and_what_is_damaged_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let own = dir.path().join("runtime");
        let job: JobId = "j-1".parse().expect("an id");
        let served = JobProgress { until: Instant::from_unix_micros(5), untold: None };
        let mut memory = RuntimeState::open(&own).expect("nothing is fine");
        memory.note(&job, served.clone());
        memory.save().expect("saved");
        let mut memory = RuntimeState::open(&own).expect("it is found");
        assert_eq!(memory.of(&job), Some(&served));
        memory.keep(|_| false);
        memory.save().expect("saved");
        assert_eq!(RuntimeState::open(&own).expect("it is found").of(&job), None);
        for damaged in ["", "{", "{\"v\":2,\"jobs\":{}}"] {
            fs::write(own.join("state.json"), damaged).expect("written");
            let why = RuntimeState::open(&own).expect_err("damaged").to_string();
            assert!(why.contains("state.json"), "{why}");
        }
    }
}
