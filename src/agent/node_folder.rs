//! The folder of a node, locked by one agent, with its state.
//!
//! Invariants: a change of the state is on disk before the agent acts on it; a folder belongs to one node, trusts one key for
//! ever, and follows one log until the operator names another (`accept-log`).

use std::fs;
use std::path::{Path, PathBuf};

use projections::plan::{ActualState, RejectedAttempt};
use schema::desired::Desired;
use schema::id::{LogId, NodeId};
use schema::report::{Attempt, RecordRef};
use schema::seal::SignedRecord;

use crate::apply_error::ApplyError;
use crate::disk;
use crate::folder_lock::FolderLock;
use crate::folder_reader::{self, DamagedStateError};
use crate::layout::Layout;
use crate::node_state::{NodeState, PinnedKey};

/// An open and locked folder.
#[derive(Debug)]
pub struct NodeFolder {
    layout: Layout,
    state: NodeState,
    /// The content of `state.json`.
    written: Option<NodeState>,
    boot_no: u64,
    lock: FolderLock,
}

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another agent has the lock.
    #[error("another agent works in {}", .0.display())]
    Locked(PathBuf),
    /// It belongs to another node.
    #[error("{} belongs to node {found}, not {asked}: use another --dir, or the id that it was made for", .dir.display())]
    OtherNode {
        /// The folder.
        dir: PathBuf,
        /// The node in `state.json`.
        found: NodeId,
        /// The node of this agent.
        asked: NodeId,
    },
    /// It has pinned another key.
    #[error(
        "{} trusts key {pinned}, and --trust says {asked}. If the server really has a new key, stop the agent and start \
         it with a new --dir; a pinned key is never replaced by itself", .dir.display()
    )]
    OtherKey {
        /// The folder.
        dir: PathBuf,
        /// In `state.json`.
        pinned: String,
        /// From `--trust`.
        asked: String,
    },
    /// No agent ever worked in it.
    #[error("{} is no node's folder", .0.display())]
    NoNode(PathBuf),
    /// The node followed this log before.
    #[error("the node has followed log {0} before, and left it for the one it follows now: it does not go back")]
    LeftBefore(LogId),
    /// It follows another log.
    #[error(
        "{} follows log {followed}, and the token is of log {asked}: join with a new --dir, or let the node change logs first \
         (`headwater edge accept-log`)", .dir.display()
    )]
    OtherLog {
        /// The folder.
        dir: PathBuf,
        /// In `state.json`.
        followed: LogId,
        /// Of the token.
        asked: LogId,
    },
    /// `state.json` can't be read.
    #[error(transparent)]
    Damaged(#[from] DamagedStateError),
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] ApplyError),
}

impl NodeFolder {
    /// Locks the folder `dir` for `node`, and counts this start; creates it if it does not exist.
    ///
    /// # Errors
    /// If another agent has the lock, it belongs to another node, or it can't be read.
    pub fn open(dir: &Path, node: &NodeId) -> Result<Self, OpenError> {
        let mut folder = Self::lock_for(dir, node)?;
        folder.bind()?;
        Ok(folder)
    }

    /// As [`NodeFolder::open`], but a new folder does not belong to the node before [`NodeFolder::join`].
    ///
    /// # Errors
    /// As [`NodeFolder::open`].
    pub fn lock_for(dir: &Path, node: &NodeId) -> Result<Self, OpenError> {
        fs::create_dir_all(dir).map_err(ApplyError::disk("make folder", dir))?;
        let dir = dir.canonicalize().map_err(ApplyError::disk("find", dir))?;
        let lock = lock_folder(&dir)?;
        let layout = Layout::of(dir);
        let written = folder_reader::read_state(&layout)?;
        let state = written.clone().unwrap_or_else(|| NodeState::blank(node.clone()));
        if state.node != *node {
            let (found, asked) = (state.node, node.clone());
            return Err(OpenError::OtherNode { dir: layout.root().to_owned(), found, asked });
        }
        let boot_no = state.boot_no.saturating_add(1);
        Ok(Self { layout, state, written, boot_no, lock })
    }

    /// Counts this start. From then on the folder belongs to its node for ever.
    ///
    /// # Errors
    /// If the folder is new, and the disk fails.
    fn bind(&mut self) -> Result<(), OpenError> {
        let (is_new, boot_no) = (self.written.is_none(), self.boot_no);
        // A new folder must name its node at once. Later a full disk must not keep the agent from starting: only the agent
        // can remove old generations.
        match self.update_state(|state| state.boot_no = boot_no) {
            Ok(()) => Ok(()),
            Err(error) if is_new => Err(error.into()),
            Err(error) => {
                tracing::warn!(error = error.with_sources(), "start of the agent can't be counted");
                Ok(())
            }
        }
    }

    /// How often an agent was started here, this one included, as far as it could be counted: a full disk may keep it from being stored.
    #[must_use]
    pub fn boot_no(&self) -> u64 {
        self.boot_no
    }

    /// Counts this boot as `least` at least, because a report of an earlier one is in NATS that was counted higher.
    pub fn raise_boot_no(&mut self, least: u64) {
        if self.boot_no >= least {
            return;
        }
        self.boot_no = least;
        if let Err(error) = self.update_state(|state| state.boot_no = least) {
            tracing::warn!(error = error.with_sources(), "start of the agent can't be counted");
        }
    }

    /// Lets the node of a folder follow another log, if no agent works in it.
    ///
    /// # Errors
    /// If an agent does, it is no node's folder, the node followed that log before, or the disk fails.
    pub fn accept_log(dir: &Path, log_id: LogId) -> Result<NodeState, OpenError> {
        let dir = dir.canonicalize().map_err(|_| OpenError::NoNode(dir.to_owned()))?;
        let layout = Layout::of(dir.clone());
        if folder_reader::read_state(&layout)?.is_none() {
            return Err(OpenError::NoNode(dir));
        }
        let lock = lock_folder(&dir)?;
        // Read again under the lock: an agent may have ended, and written, in between.
        let Some(state) = folder_reader::read_state(&layout)? else { return Err(OpenError::NoNode(dir)) };
        let boot_no = state.boot_no;
        let mut store = Self { layout, written: Some(state.clone()), state, boot_no, lock };
        let mut switched = false;
        store.update_state(|state| switched = state.switch_log(log_id))?;
        if switched { Ok(store.state) } else { Err(OpenError::LeftBefore(log_id)) }
    }

    /// The paths in this folder.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The stored state.
    #[must_use]
    pub fn state(&self) -> &NodeState {
        &self.state
    }

    /// Changes the state, first on disk.
    ///
    /// # Errors
    /// If the disk fails; then nothing is changed.
    pub fn update_state(&mut self, change: impl FnOnce(&mut NodeState)) -> Result<(), ApplyError> {
        let mut state = self.state.clone();
        change(&mut state);
        if self.written.as_ref() != Some(&state) {
            self.lock.reacquire_if_replaced()?;
            let mut text = serde_json::to_vec_pretty(&state).expect("BUG: a state has a JSON form");
            text.push(b'\n');
            disk::replace(&self.layout.state(), &text)?;
            self.written = Some(state.clone());
        }
        self.state = state;
        Ok(())
    }

    /// Takes the lock again if its file was removed or replaced.
    ///
    /// # Errors
    /// If another agent has it meanwhile, or the disk fails.
    pub fn keep_lock(&mut self) -> Result<(), ApplyError> {
        self.lock.reacquire_if_replaced()
    }

    /// Stores the outcome of an attempt for `edge status`: in the lock's file as long as `state.json` can't be written.
    pub fn record_attempt(&mut self, ended: &Attempt) {
        let attempt = Some(ended.clone());
        let noted = self.update_state(|state| state.attempt = attempt);
        if let Err(error) = &noted {
            tracing::debug!(error = error.with_sources(), "outcome of the attempt can't be stored");
        }
        self.lock.set_note(noted.is_err().then_some(ended));
    }

    /// The outcome of the last attempt. One in the lock's file could not be written into `state.json`, so it is newer.
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt> {
        self.lock.note().or(self.state.attempt.as_ref())
    }

    /// Sets the running generation in memory: the symlink has it on disk, so the next change of the state writes it.
    pub fn note_running(&mut self, record_ref: RecordRef) {
        self.state.running = Some(record_ref);
    }

    /// Whether the node can trust this key and follow this log: it does, or has not chosen yet.
    ///
    /// # Errors
    /// If it trusts another key, or follows another log.
    pub fn may_follow(&self, key: &PinnedKey, log_id: LogId) -> Result<(), OpenError> {
        let dir = self.layout.root().to_owned();
        match (&self.state.key, self.state.log_id) {
            (Some(pinned), _) if pinned != key => {
                Err(OpenError::OtherKey { dir, pinned: pinned.hex(), asked: key.hex() })
            }
            (_, Some(followed)) if followed != log_id => Err(OpenError::OtherLog { dir, followed, asked: log_id }),
            _ => Ok(()),
        }
    }

    /// Binds the folder to its node, the key and the log, as the log has let the node in: all of it at once, so that no start finds the
    /// node without the key that its token named.
    ///
    /// # Errors
    /// If the node trusts another key, follows another log, or the disk fails.
    pub fn join(&mut self, key: &PinnedKey, log_id: LogId) -> Result<(), OpenError> {
        self.may_follow(key, log_id)?;
        let boot_no = self.boot_no;
        Ok(self.update_state(|state| {
            (state.boot_no, state.key, state.log_id) = (boot_no, Some(key.clone()), Some(log_id));
        })?)
    }

    /// Pins the key that the operator gives, unless it is pinned already.
    ///
    /// # Errors
    /// If another key is pinned, or the disk fails.
    pub fn trust(&mut self, key: &PinnedKey) -> Result<(), OpenError> {
        match &self.state.key {
            Some(pinned) if pinned != key => {
                let (pinned, asked) = (pinned.hex(), key.hex());
                Err(OpenError::OtherKey { dir: self.layout.root().to_owned(), pinned, asked })
            }
            _ => Ok(self.update_state(|state| state.key = Some(key.clone()))?),
        }
    }

    /// The generation that `current` points to, if the agent put it there.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn running(&self) -> Result<Option<RecordRef>, ApplyError> {
        folder_reader::read_running(&self.layout, &self.state)
    }

    /// What the plan depends on; `checks` and `hooks` say whether the operator gave such commands.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn have(&self, checks: bool, hooks: bool) -> Result<ActualState, ApplyError> {
        let NodeState { node, log_id, floor, last_good, rejected, .. } = self.state.clone();
        let rejected = rejected
            .iter()
            .map(|rejected| RejectedAttempt { digest: rejected.digest, retry: rejected.retry })
            .collect();
        Ok(ActualState { node, log_id, floor, running: self.running()?, last_good, rejected, checks, hooks })
    }

    /// The accepted record of `record_ref`.
    ///
    /// # Errors
    /// If it is gone or damaged, or the disk fails.
    pub fn record(&self, record_ref: RecordRef) -> Result<Desired, ApplyError> {
        folder_reader::read_record(&self.layout, &self.state, record_ref)
    }

    /// The accepted record of `record_ref` with its signature; none if it is gone or damaged.
    #[must_use]
    pub fn signed(&self, record_ref: RecordRef) -> Option<SignedRecord> {
        folder_reader::read_signed_record(&self.layout, &self.state, record_ref)
    }

    /// Stores the signed record of `record_ref`, so that it can be applied and repaired without NATS. It is synced with its tree, not
    /// here: until then NATS has it, and a partial file fails its signature.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn store_record(&self, record_ref: RecordRef, bytes: &[u8]) -> Result<(), ApplyError> {
        disk::ensure_dir(&self.layout.records())?;
        disk::replace_unsynced(&self.layout.record(record_ref), bytes)
    }
}

fn lock_folder(dir: &Path) -> Result<FolderLock, OpenError> {
    FolderLock::acquire(dir).map_err(|error| match error {
        ApplyError::OtherAgent { dir } => OpenError::Locked(dir),
        error => error.into(),
    })
}
