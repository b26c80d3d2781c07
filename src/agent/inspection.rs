//! One look at a node's folder by somebody who is not its agent, whether an agent works in it or not.
//!
//! What always holds: it only reads. What can't be told is said to be so, and nothing is taken for well because of it.
//!
//! Absent on purpose: words for people (`src/agent/status_text.rs`) and what they should do (`src/agent/advice.rs`).

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::{fs, io};

use rustix::fs::StatVfsMountFlags;
use schema::desired::Desired;
use schema::id::{LogId, NodeId};
use schema::instant::Instant;
use schema::report::{Attempt, AttemptState, RecordRef, ReportWarning};
use serde::Serialize;

use crate::apply_error::ApplyError;
use crate::folder_reader::{self, DamagedStateError};
use crate::layout::Layout;
use crate::node_state::{NodeState, PinnedKey, RejectedDigest};
use crate::{folder_lock, tree};

/// An agent at work changes what is looked at, so one that was caught in between is looked at again.
const LOOKS_MAX: usize = 5;

/// What a node's folder says.
#[derive(Clone, Debug, Serialize)]
pub struct FolderInspection {
    /// Whose folder it is.
    pub node: NodeId,
    /// The folder.
    pub dir: PathBuf,
    /// Whether an agent works in it; none if that can't be told.
    pub agent_is_running: Option<bool>,
    /// The key that every record must be signed with.
    pub key: Option<PinnedKey>,
    /// The log that every record must follow from.
    pub log_id: Option<LogId>,
    /// The newest record that was accepted.
    pub seen: Option<RecordRef>,
    /// What is in force.
    pub running: Option<RunningTree>,
    /// What became of the last attempt that came to an end.
    pub attempt: Option<Attempt>,
    /// What was last in force and good.
    pub last_good: Option<RecordRef>,
    /// What the operator's check or hook said no to, oldest first.
    pub rejected: Vec<RejectedDigest>,
    /// The places below `current` that differ from the signed record; none if that can't be told.
    pub drift: Option<Vec<String>>,
    /// Why the drift can't be told.
    pub drift_unknown: Option<String>,
    /// What keeps anything from being written there.
    pub unwritable: Option<WriteBlocker>,
    /// What is to be known of what was last good.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ReportWarning>,
    /// What is kept.
    pub kept: DiskUsage,
}

/// What is in force.
#[derive(Clone, Debug, Serialize)]
pub struct RunningTree {
    /// Which record it was made from.
    #[serde(flatten)]
    pub mark: RecordRef,
    /// When it was put in force, by the node's clock.
    pub since: Instant,
    /// How many files it has.
    pub files: u64,
    /// Its folder.
    pub tree: PathBuf,
}

/// Why nothing can be written into a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteBlocker {
    /// The file system has no block, or no name, left.
    Full,
    /// It is mounted to be read only.
    ReadOnly,
}

/// What the folder holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DiskUsage {
    /// Whole trees.
    pub generations: u64,
    /// Their bytes.
    pub generation_bytes: u64,
    /// Contents in the cache.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
}

/// Why there is nothing to say of a folder.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// No agent ever worked in it.
    #[error("{} is no node's folder: it has no state.json. Say which with --dir", .0.display())]
    NoNode(PathBuf),
    /// Its memory is damaged, or somebody else's.
    #[error(transparent)]
    Damaged(#[from] DamagedStateError),
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] ApplyError),
}

impl FolderInspection {
    /// Looks at the folder `dir`.
    ///
    /// # Errors
    /// If it is no node's folder, or can't be read.
    pub fn of(dir: &Path) -> Result<Self, InspectError> {
        let dir = dir.canonicalize().map_err(ApplyError::disk("find", dir))?;
        let layout = Layout::of(dir);
        let remembered =
            || folder_reader::state(&layout)?.ok_or_else(|| InspectError::NoNode(layout.root().to_owned()));
        let mut state = remembered()?;
        for _ in 1..LOOKS_MAX {
            let survey = Self::by(&layout, &state);
            let after = remembered()?;
            if after == state {
                return survey;
            }
            state = after;
        }
        Self::by(&layout, &state)
    }

    /// By what is remembered, and what is there.
    fn by(layout: &Layout, state: &NodeState) -> Result<Self, InspectError> {
        let running = folder_reader::running(layout, state)?;
        let (drift, drift_unknown) = match drift(layout, state, running) {
            Ok(places) => (Some(places), None),
            Err(fault) => (None, Some(fault.with_sources())),
        };
        let NodeState { node, key, log_id, floor, last_good, rejected, attempt, warnings, .. } = state.clone();
        Ok(Self {
            node,
            dir: layout.root().to_owned(),
            agent_is_running: folder_lock::is_held(layout).ok(),
            key,
            log_id,
            seen: floor,
            running: running.map(|mark| in_force(layout, mark)).transpose()?,
            // What is noted there could not be written into `state.json`, so it is newer.
            attempt: folder_lock::noted(layout).or(attempt),
            last_good,
            rejected,
            drift,
            drift_unknown,
            unwritable: unwritable(layout)?,
            warnings,
            kept: kept(layout)?,
        })
    }

    /// Whether what runs is what was last seen, nothing newer was refused or could not be accepted, and nothing was changed by
    /// hand.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.runs_what_was_seen() && self.is_settled() && !self.is_stuck() && self.drift == Some(Vec::new())
    }

    /// Converged means equal digests; the position may have gone on.
    #[must_use]
    pub fn runs_what_was_seen(&self) -> bool {
        self.running.as_ref().zip(self.seen).is_some_and(|(running, seen)| running.mark.digest == seen.digest)
    }

    /// Whether what runs has come to be good.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.running.as_ref().map(|running| running.mark.digest) == self.last_good.map(|good| good.digest)
    }

    /// Whether the last thing that came from the centre was refused.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.state == AttemptState::Refused)
    }

    /// Whether the last attempt came to nothing, or the next one will.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.unwritable.is_some()
            || self
                .attempt
                .as_ref()
                .is_some_and(|attempt| matches!(attempt.state, AttemptState::Refused | AttemptState::Failed))
    }

    /// Why what was last seen is not tried again, if it is not.
    #[must_use]
    pub fn rejection_of_seen(&self) -> Option<&RejectedDigest> {
        let seen = self.seen?;
        self.rejected.iter().find(|rejected| rejected.digest == seen.digest)
    }
}

/// The places below `current` that are not as the signed record of what runs says.
fn drift(layout: &Layout, state: &NodeState, running: Option<RecordRef>) -> Result<Vec<String>, ApplyError> {
    if state.is_relinked(running) {
        return Ok(vec!["current".to_owned()]);
    }
    match running {
        Some(mark) => tree::differences(&layout.generation(mark), &record_of(layout, state, mark)?),
        None => Ok(Vec::new()),
    }
}

/// The record of what runs. Equal digests are equal trees, so that of the floor can stand in for one that is lost.
fn record_of(layout: &Layout, state: &NodeState, mark: RecordRef) -> Result<Desired, ApplyError> {
    let equal = state.floor.filter(|floor| floor.digest == mark.digest);
    match (folder_reader::record(layout, state, mark), equal) {
        (Err(ApplyError::DamagedRecord(_)), Some(equal)) => folder_reader::record(layout, state, equal),
        (record, _) => record,
    }
}

/// The link is made when a tree is put in force, so its time says when that was.
fn in_force(layout: &Layout, mark: RecordRef) -> Result<RunningTree, ApplyError> {
    let (current, tree) = (layout.current(), layout.generation(mark));
    let made = fs::symlink_metadata(&current)
        .and_then(|meta| meta.modified())
        .map_err(ApplyError::disk("look at", &current))?;
    let micros = made.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let since = Instant::from_unix_micros(i64::try_from(micros).unwrap_or(i64::MAX));
    let files = size(&tree).map_err(ApplyError::disk("read", &tree))?.files;
    Ok(RunningTree { mark, since, files, tree })
}

/// Nothing is written to find out.
fn unwritable(layout: &Layout) -> Result<Option<WriteBlocker>, ApplyError> {
    let root = layout.root();
    let found = rustix::fs::statvfs(root).map_err(|error| ApplyError::disk("look at", root)(error.into()))?;
    let is_full = found.f_bavail == 0 || (found.f_files > 0 && found.f_favail == 0);
    Ok(if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        Some(WriteBlocker::ReadOnly)
    } else {
        is_full.then_some(WriteBlocker::Full)
    })
}

fn kept(layout: &Layout) -> Result<DiskUsage, ApplyError> {
    let of = |dir: PathBuf| -> Result<(u64, u64), ApplyError> {
        let size = size(&dir).map_err(ApplyError::disk("read", &dir))?;
        Ok((whole_names(&dir), size.bytes))
    };
    let ((generations, generation_bytes), (blobs, blob_bytes)) = (of(layout.generations())?, of(layout.blobs())?);
    Ok(DiskUsage { generations, generation_bytes, blobs, blob_bytes })
}

/// What has a name of its own, and is not in the making.
fn whole_names(dir: &Path) -> u64 {
    let Ok(found) = fs::read_dir(dir) else { return 0 };
    let is_whole = |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    found.flatten().filter(is_whole).count() as u64
}

#[derive(Clone, Copy, Debug, Default)]
struct Size {
    files: u64,
    bytes: u64,
}

/// All files below a folder; links are not followed. What an agent takes away meanwhile does not count.
fn size(dir: &Path) -> io::Result<Size> {
    let mut size = Size::default();
    let found = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(size),
        found => found?,
    };
    for entry in found {
        let entry = entry?;
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => {
                let below = self::size(&entry.path())?;
                (size.files, size.bytes) = (size.files + below.files, size.bytes + below.bytes);
            }
            Ok(meta) => (size.files, size.bytes) = (size.files + 1, size.bytes + meta.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(size)
}
