//! Inspects a node's folder for `edge status`, whether an agent works in it or not.
//!
//! Invariants: it only reads; what can't be determined is marked as unknown, and never counts as healthy.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::{fs, io};

use rustix::fs::StatVfsMountFlags;
use schema::desired::Desired;
use schema::id::{LogId, NodeId};
use schema::instant::Instant;
use schema::report::{Attempt, AttemptState, RecordRef, ReportWarning};
use serde::Serialize;

use crate::access_note::AccessNote;
use crate::apply_error::ApplyError;
use crate::folder_reader::{self, DamagedStateError};
use crate::layout::Layout;
use crate::node_state::{NodeState, PinnedKey, RejectedDigest};
use crate::outbox::Outbox;
use crate::{folder_lock, tree};

/// How often the folder is read if a running agent changes its state meanwhile.
const READS_MAX: usize = 5;

/// The state of a node's folder. Its JSON form is what `edge status --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct FolderInspection {
    /// The node that the folder belongs to.
    pub node: NodeId,
    /// Absolute.
    pub dir: PathBuf,
    /// Whether an agent holds the lock; none if the lock can't be read.
    pub agent_is_running: Option<bool>,
    /// The key that every record must be signed with.
    pub key: Option<PinnedKey>,
    /// The log that every record must follow from.
    pub log_id: Option<LogId>,
    /// The newest accepted record: the floor.
    pub seen: Option<RecordRef>,
    /// The generation in force.
    pub running: Option<RunningTree>,
    /// The last attempt that ended.
    pub attempt: Option<Attempt>,
    /// The last generation whose apply hook succeeded.
    pub last_good: Option<RecordRef>,
    /// Rejections by the operator's check or hook, oldest first.
    pub rejected: Vec<RejectedDigest>,
    /// The paths below `current` that differ from the signed record; none if they can't be compared.
    pub drift: Option<Vec<String>>,
    /// Why they can't be compared.
    pub drift_unknown: Option<String>,
    /// Why the agent can't write into the folder.
    pub unwritable: Option<WriteBlocker>,
    /// Warnings about the last good generation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ReportWarning>,
    /// That NATS refuses the node, if it does.
    pub nats_refused: Option<AccessNote>,
    /// How many proposals have no final verdict yet.
    pub proposals_waiting: usize,
    /// What lies on disk.
    pub kept: DiskUsage,
}

/// The generation in force.
#[derive(Clone, Debug, Serialize)]
pub struct RunningTree {
    /// The record that it was made from.
    #[serde(flatten)]
    pub record_ref: RecordRef,
    /// When `current` was switched to it, by the node's clock.
    pub since: Instant,
    /// Number of files.
    pub files: u64,
    /// The path of its folder.
    pub tree: PathBuf,
}

/// Why nothing can be written into a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteBlocker {
    /// The file system has no free block or inode.
    Full,
    /// It is mounted read-only.
    ReadOnly,
}

/// What generations and cache take on disk.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DiskUsage {
    /// Number of complete generations.
    pub generations: u64,
    /// Bytes of all files below `generations`.
    pub generation_bytes: u64,
    /// Number of cached contents.
    pub blobs: u64,
    /// Bytes of all files below `blobs`.
    pub blob_bytes: u64,
}

/// Why a folder can't be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// No agent ever worked in it.
    #[error("{} is no node's folder: it has no state.json. Say which with --dir", .0.display())]
    NoNode(PathBuf),
    /// `state.json` is damaged, or of a newer format.
    #[error(transparent)]
    Damaged(#[from] DamagedStateError),
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] ApplyError),
}

impl FolderInspection {
    /// Inspects the folder `dir`.
    ///
    /// # Errors
    /// If it is no node's folder, or can't be read.
    pub fn of(dir: &Path) -> Result<Self, InspectError> {
        let dir = dir.canonicalize().map_err(ApplyError::disk("find", dir))?;
        let layout = Layout::of(dir);
        let read_state =
            || folder_reader::read_state(&layout)?.ok_or_else(|| InspectError::NoNode(layout.root().to_owned()));
        let mut state = read_state()?;
        for _ in 1..READS_MAX {
            let inspection = Self::with_state(&layout, &state);
            let after = read_state()?;
            if after == state {
                return inspection;
            }
            state = after;
        }
        Self::with_state(&layout, &state)
    }

    fn with_state(layout: &Layout, state: &NodeState) -> Result<Self, InspectError> {
        let running = folder_reader::read_running(layout, state)?;
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
            running: running.map(|record_ref| running_tree(layout, record_ref)).transpose()?,
            // A note could not be written into `state.json`, so it is newer.
            attempt: folder_lock::read_note(layout).or(attempt),
            last_good,
            rejected,
            drift,
            drift_unknown,
            unwritable: write_blocker(layout)?,
            warnings,
            nats_refused: AccessNote::read(layout),
            // What can't be read is told of by `edge proposals`.
            proposals_waiting: Outbox::of(layout).list().map_or(0, |listing| listing.proposals.len()),
            kept: disk_usage(layout)?,
        })
    }

    /// Whether the newest accepted record is in force and good, no newer one failed, there is no drift, and NATS does not refuse the node.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.runs_what_was_seen()
            && self.is_settled()
            && !self.is_stuck()
            && self.drift == Some(Vec::new())
            && self.nats_refused.is_none()
    }

    /// Whether the digest in force is the one that was accepted last; the positions may differ.
    #[must_use]
    pub fn runs_what_was_seen(&self) -> bool {
        self.running.as_ref().zip(self.seen).is_some_and(|(running, seen)| running.record_ref.digest == seen.digest)
    }

    /// Whether the generation in force is the last good one.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.running.as_ref().map(|running| running.record_ref.digest) == self.last_good.map(|good| good.digest)
    }

    /// Whether the last attempt was refused.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.state == AttemptState::Refused)
    }

    /// Whether the last attempt did not succeed, or the next one can't.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.unwritable.is_some()
            || self
                .attempt
                .as_ref()
                .is_some_and(|attempt| matches!(attempt.state, AttemptState::Refused | AttemptState::Failed))
    }

    /// The rejection of the newest accepted record, which is why it is not tried again.
    #[must_use]
    pub fn rejection_of_seen(&self) -> Option<&RejectedDigest> {
        let seen = self.seen?;
        self.rejected.iter().find(|rejected| rejected.digest == seen.digest)
    }
}

fn drift(layout: &Layout, state: &NodeState, running: Option<RecordRef>) -> Result<Vec<String>, ApplyError> {
    if state.is_relinked(running) {
        return Ok(vec!["current".to_owned()]);
    }
    match running {
        Some(record_ref) => tree::differences(&layout.generation(record_ref), &record_of(layout, state, record_ref)?),
        None => Ok(Vec::new()),
    }
}

/// Equal digests are equal trees, so the record of the floor can replace a lost one.
fn record_of(layout: &Layout, state: &NodeState, record_ref: RecordRef) -> Result<Desired, ApplyError> {
    let equal = state.floor.filter(|floor| floor.digest == record_ref.digest);
    match (folder_reader::read_record(layout, state, record_ref), equal) {
        (Err(ApplyError::DamagedRecord(_)), Some(equal)) => folder_reader::read_record(layout, state, equal),
        (record, _) => record,
    }
}

// The symlink is created by the switch, so its modification time is the time of the switch.
fn running_tree(layout: &Layout, record_ref: RecordRef) -> Result<RunningTree, ApplyError> {
    let (current, tree) = (layout.current(), layout.generation(record_ref));
    let made = fs::symlink_metadata(&current)
        .and_then(|meta| meta.modified())
        .map_err(ApplyError::disk("look at", &current))?;
    let micros = made.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let since = Instant::from_unix_micros(i64::try_from(micros).unwrap_or(i64::MAX));
    let files = size(&tree).map_err(ApplyError::disk("read", &tree))?.files;
    Ok(RunningTree { record_ref, since, files, tree })
}

/// Found without writing.
fn write_blocker(layout: &Layout) -> Result<Option<WriteBlocker>, ApplyError> {
    let root = layout.root();
    let found = rustix::fs::statvfs(root).map_err(|error| ApplyError::disk("look at", root)(error.into()))?;
    let is_full = found.f_bavail == 0 || (found.f_files > 0 && found.f_favail == 0);
    Ok(if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        Some(WriteBlocker::ReadOnly)
    } else {
        is_full.then_some(WriteBlocker::Full)
    })
}

fn disk_usage(layout: &Layout) -> Result<DiskUsage, ApplyError> {
    let of = |dir: PathBuf| -> Result<(u64, u64), ApplyError> {
        let size = size(&dir).map_err(ApplyError::disk("read", &dir))?;
        Ok((count_complete(&dir), size.bytes))
    };
    let ((generations, generation_bytes), (blobs, blob_bytes)) = (of(layout.generations())?, of(layout.blobs())?);
    Ok(DiskUsage { generations, generation_bytes, blobs, blob_bytes })
}

/// Entries of a folder without those that are still being written.
fn count_complete(dir: &Path) -> u64 {
    let Ok(found) = fs::read_dir(dir) else { return 0 };
    let is_whole = |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    found.flatten().filter(is_whole).count() as u64
}

#[derive(Clone, Copy, Debug, Default)]
struct Size {
    files: u64,
    bytes: u64,
}

/// All files below a folder; links are not followed. A file that the agent removes meanwhile does not count.
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
