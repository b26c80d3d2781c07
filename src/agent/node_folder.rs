//! The folder of a node, held by one agent, with its memory.
//!
//! What always holds: what was saved is on disk before anybody acts on it; a folder belongs to one node, and follows one key
//! for ever, and one log until its operator says that another one took its place.

use std::fs;
use std::path::{Path, PathBuf};

use projections::plan::{ActualState, DigestRejection};
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

/// A node's folder.
#[derive(Debug)]
pub struct NodeFolder {
    layout: Layout,
    state: NodeState,
    /// What `state.json` says.
    written: Option<NodeState>,
    boot_no: Option<u64>,
    lock: FolderLock,
}

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another agent works in it.
    #[error("another agent works in {}", .0.display())]
    Locked(PathBuf),
    /// It belongs to another node.
    #[error("{} belongs to node {found}, not {asked}: use another --dir, or the id that it was made for", .dir.display())]
    OtherNode {
        /// The folder.
        dir: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Who asks.
        asked: NodeId,
    },
    /// It trusts another key.
    #[error(
        "{} trusts key {pinned}, and --trust says {asked}. If the centre really has a new key, stop the agent and start \
         it with a new --dir; a pinned key is never replaced by itself", .dir.display()
    )]
    OtherKey {
        /// The folder.
        dir: PathBuf,
        /// The pinned key.
        pinned: String,
        /// The flag's.
        asked: String,
    },
    /// Nobody has worked in it yet.
    #[error("{} is no node's folder", .0.display())]
    NoNode(PathBuf),
    /// The node would go back.
    #[error("the node has followed log {0} before, and left it for the one it follows now: it does not go back")]
    LeftBefore(LogId),
    /// Its memory can't be read.
    #[error(transparent)]
    Damaged(#[from] DamagedStateError),
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] ApplyError),
}

impl NodeFolder {
    /// Takes the folder `dir` for `node`, making it if it is not there.
    ///
    /// # Errors
    /// If another agent has it, it is another node's, or it can't be read.
    pub fn open(dir: &Path, node: &NodeId) -> Result<Self, OpenError> {
        fs::create_dir_all(dir).map_err(ApplyError::disk("make folder", dir))?;
        let dir = dir.canonicalize().map_err(ApplyError::disk("find", dir))?;
        let lock = take(&dir)?;
        let layout = Layout::of(dir);
        let written = folder_reader::state(&layout)?;
        let state = written.clone().unwrap_or_else(|| NodeState::blank(node.clone()));
        if state.node != *node {
            let (found, asked) = (state.node, node.clone());
            return Err(OpenError::OtherNode { dir: layout.root().to_owned(), found, asked });
        }
        let is_new = written.is_none();
        let mut store = Self { layout, state, written, boot_no: None, lock };
        // From its first day the folder says whose it is. Later a full disk keeps no agent from starting: it has files to
        // remove.
        match store.remember(|state| state.boot_no += 1) {
            Ok(()) => store.boot_no = Some(store.state.boot_no),
            Err(fault) if is_new => return Err(fault.into()),
            Err(fault) => tracing::warn!(fault = fault.with_sources(), "can't count this start of the agent"),
        }
        Ok(store)
    }

    /// How often an agent was started here, with this time; none if this time could not be counted.
    #[must_use]
    pub fn boot_no(&self) -> Option<u64> {
        self.boot_no
    }

    /// Has the node of a folder follow another log, if no agent works in it.
    ///
    /// # Errors
    /// If an agent does, it is no node's folder, the node has left that log before, or the disk fails.
    pub fn accept_log(dir: &Path, log_id: LogId) -> Result<NodeState, OpenError> {
        let dir = dir.canonicalize().map_err(|_| OpenError::NoNode(dir.to_owned()))?;
        let layout = Layout::of(dir.clone());
        if folder_reader::state(&layout)?.is_none() {
            return Err(OpenError::NoNode(dir));
        }
        let lock = take(&dir)?;
        // Read again behind the lock: an agent may just have ended.
        let Some(state) = folder_reader::state(&layout)? else { return Err(OpenError::NoNode(dir)) };
        let mut store = Self { layout, written: Some(state.clone()), state, boot_no: None, lock };
        let mut turned = false;
        store.remember(|state| turned = state.turn_to(log_id))?;
        if turned { Ok(store.state) } else { Err(OpenError::LeftBefore(log_id)) }
    }

    /// Where things lie.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What is remembered.
    #[must_use]
    pub fn state(&self) -> &NodeState {
        &self.state
    }

    /// Changes what is remembered, first on disk.
    ///
    /// # Errors
    /// If the disk fails; then nothing is changed.
    pub fn remember(&mut self, change: impl FnOnce(&mut NodeState)) -> Result<(), ApplyError> {
        let mut state = self.state.clone();
        change(&mut state);
        if self.written.as_ref() != Some(&state) {
            self.lock.keep()?;
            let mut text = serde_json::to_vec_pretty(&state).expect("BUG: a state has a JSON form");
            text.push(b'\n');
            disk::replace(&self.layout.state(), &text)?;
            self.written = Some(state.clone());
        }
        self.state = state;
        Ok(())
    }

    /// Makes sure that no other agent works in the folder.
    ///
    /// # Errors
    /// If one does, or the disk fails.
    pub fn keep_lock(&mut self) -> Result<(), ApplyError> {
        self.lock.keep()
    }

    /// Remembers what became of an attempt, for somebody who looks while no agent runs; where `state.json` can't be written, the
    /// lock's file says it until it can.
    pub fn note(&mut self, ended: &Attempt) {
        let attempt = Some(ended.clone());
        let noted = self.remember(|state| state.attempt = attempt);
        if let Err(fault) = &noted {
            tracing::debug!(fault = fault.with_sources(), "can't write down what became of the attempt");
        }
        self.lock.note(noted.is_err().then_some(ended));
    }

    /// What became of the last attempt, as far as it is remembered. What the lock notes could not be written into `state.json`,
    /// so it is newer.
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt> {
        self.lock.noted().or(self.state.attempt.as_ref())
    }

    /// Notes what was put in force. The link says it to a later agent, so it is written down only with what comes next.
    pub fn note_running(&mut self, mark: RecordRef) {
        self.state.running = Some(mark);
    }

    /// Pins the key that the operator gives, or finds that it is pinned already.
    ///
    /// # Errors
    /// If another key is pinned, or the disk fails.
    pub fn trust(&mut self, key: &PinnedKey) -> Result<(), OpenError> {
        match &self.state.key {
            Some(pinned) if pinned != key => {
                let (pinned, asked) = (pinned.hex(), key.hex());
                Err(OpenError::OtherKey { dir: self.layout.root().to_owned(), pinned, asked })
            }
            _ => Ok(self.remember(|state| state.key = Some(key.clone()))?),
        }
    }

    /// What `current` points to, if the agent put it there.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn running(&self) -> Result<Option<RecordRef>, ApplyError> {
        folder_reader::running(&self.layout, &self.state)
    }

    /// What the plan must know.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn have(&self, checks: bool, hooks: bool) -> Result<ActualState, ApplyError> {
        let NodeState { node, log_id, floor, last_good, rejected, .. } = self.state.clone();
        let rejected = rejected
            .iter()
            .map(|rejected| DigestRejection { digest: rejected.digest, retry: rejected.retry })
            .collect();
        Ok(ActualState { node, log_id, floor, running: self.running()?, last_good, rejected, checks, hooks })
    }

    /// The signed record of `mark`, which was accepted.
    ///
    /// # Errors
    /// If it is not there as it came, or the disk fails.
    pub fn record(&self, mark: RecordRef) -> Result<Desired, ApplyError> {
        folder_reader::record(&self.layout, &self.state, mark)
    }

    /// The same with its signature, for somebody who trusts only that; nothing if it is not as it came.
    #[must_use]
    pub fn signed(&self, mark: RecordRef) -> Option<SignedRecord> {
        folder_reader::signed(&self.layout, &self.state, mark)
    }

    /// Keeps the signed record of `mark`, so that it can be applied and repaired without NATS. It survives a power failure
    /// from when its tree does; until then NATS has it, and half of it would be seen by its signature.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep_record(&self, mark: RecordRef, bytes: &[u8]) -> Result<(), ApplyError> {
        disk::own_dir(&self.layout.records())?;
        disk::place(&self.layout.record(mark), bytes)
    }
}

fn take(dir: &Path) -> Result<FolderLock, OpenError> {
    FolderLock::take(dir).map_err(|fault| match fault {
        ApplyError::OtherAgent { dir } => OpenError::Locked(dir),
        fault => fault.into(),
    })
}
