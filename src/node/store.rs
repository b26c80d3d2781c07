//! The folder of a node, held by one agent, with its memory.
//!
//! What always holds: what was saved is on disk before anybody acts on it; a folder belongs to one node, and follows one key
//! and one log, for ever.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use projections::plan::{Have, Rejection};
use schema::id::NodeId;
use schema::report::Mark;

use crate::node::disk;
use crate::node::fault::Fault;
use crate::node::layout::{Layout, link_to};
use crate::node::state::{FORMAT, PinnedKey, State};

/// A node's folder.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    state: State,
    /// What `state.json` says.
    written: Option<State>,
    // Held while the store lives; the lock goes with the file.
    _lock: File,
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
    /// Its memory can't be read.
    #[error(
        "{} can't be read: {why}. Without it the node can't tell an old record from a new one; restore it, or start with a \
         new --dir", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] Fault),
}

impl Store {
    /// Takes the folder `dir` for `node`, making it if it is not there.
    ///
    /// # Errors
    /// If another agent has it, it is another node's, or it can't be read.
    pub fn open(dir: &Path, node: &NodeId) -> Result<Self, OpenError> {
        fs::create_dir_all(dir).map_err(Fault::disk("make folder", dir))?;
        let dir = dir.canonicalize().map_err(Fault::disk("find", dir))?;
        let lock = lock(&dir)?;
        let layout = Layout::of(dir);
        let written = recall(&layout)?;
        let state = written.clone().unwrap_or_else(|| State::blank(node.clone()));
        if state.node != *node {
            let (found, asked) = (state.node, node.clone());
            return Err(OpenError::OtherNode { dir: layout.root().to_owned(), found, asked });
        }
        Ok(Self { layout, state, written, _lock: lock })
    }

    /// Where things lie.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What is remembered.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Changes what is remembered, first on disk.
    ///
    /// # Errors
    /// If the disk fails; then nothing is changed.
    pub fn remember(&mut self, change: impl FnOnce(&mut State)) -> Result<(), Fault> {
        let mut state = self.state.clone();
        change(&mut state);
        if self.written.as_ref() != Some(&state) {
            let mut text = serde_json::to_vec_pretty(&state).expect("BUG: a state has a JSON form");
            text.push(b'\n');
            disk::replace(&self.layout.state(), &text)?;
            self.written = Some(state.clone());
        }
        self.state = state;
        Ok(())
    }

    /// Notes what was put in force. The link says it to a later agent, so it is written down only with what comes next.
    pub fn note_running(&mut self, mark: Mark) {
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

    /// What `current` points to, if the agent put it there. The link is the truth: a kill may have come between it and the
    /// memory of it, so it is compared with all that the agent could have put in force.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn running(&self) -> Result<Option<Mark>, Fault> {
        let current = self.layout.current();
        let link = match fs::read_link(&current) {
            Ok(link) => link,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
                return Ok(None);
            }
            Err(error) => return Err(Fault::disk("read", &current)(error)),
        };
        let State { running, floor, last_good, .. } = self.state;
        let known = [running, floor, last_good].into_iter().flatten();
        let there = |mark: &Mark| link_to(*mark) == link && self.layout.generation(*mark).is_dir();
        Ok(known.into_iter().find(there))
    }

    /// What the plan must know.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn have(&self, checks: bool, hooks: bool) -> Result<Have, Fault> {
        let State { node, log_id, floor, last_good, rejected, .. } = self.state.clone();
        let rejected =
            rejected.iter().map(|rejected| Rejection { digest: rejected.digest, retry: rejected.retry }).collect();
        Ok(Have { node, log_id, floor, running: self.running()?, last_good, rejected, checks, hooks })
    }

    /// The signed record of `mark` as it came, if it is still there.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn record(&self, mark: Mark) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.layout.record(mark);
        let mut bytes = Vec::new();
        match disk::open(&path).and_then(|mut file| io::Read::read_to_end(&mut file, &mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::disk("read", &path)(error)),
        }
    }

    /// Keeps the signed record of `mark`, so that it can be applied and repaired without NATS. It survives a power failure
    /// from when its tree does; until then NATS has it, and half of it would be seen by its signature.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep_record(&self, mark: Mark, bytes: &[u8]) -> Result<(), Fault> {
        disk::own_dir(&self.layout.records())?;
        disk::place(&self.layout.record(mark), bytes)
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(Fault::disk("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(Fault::disk("lock", &path)(error).into()),
    }
}

/// What `state.json` says, if it is there.
fn recall(layout: &Layout) -> Result<Option<State>, OpenError> {
    let path = layout.state();
    let damaged = |why: String| OpenError::Damaged { path: path.clone(), why };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(damaged(error.to_string())),
    };
    let state: State = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if state.v > FORMAT {
        return Err(damaged(format!("it is of format {}, written by a newer Headwater", state.v)));
    }
    Ok(Some(state))
}
