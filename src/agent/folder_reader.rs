//! Reads a node's folder, for its agent and for `edge status`.
//!
//! Invariants: nothing here writes; a record counts only if the pinned key signed it.

use std::path::PathBuf;
use std::{fs, io};

use schema::desired::Desired;
use schema::report::RecordRef;
use schema::seal::SignedRecord;
use schema::wire::WireRecord as _;

use crate::apply_error::ApplyError;
use crate::layout::{Layout, link_target};
use crate::node_state::{FORMAT, NodeState};
use crate::regular_file;
use crate::verify;

/// `state.json` is there and can't be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} can't be read: {why}. Without it the node can't tell an old record from a new one; restore it, or start with a new \
     --dir", .path.display()
)]
pub struct DamagedStateError {
    /// Of `state.json`.
    pub path: PathBuf,
    /// Of the parser or the disk.
    pub why: String,
}

/// The content of `state.json`; none if there is no such file.
///
/// # Errors
/// If it can't be read, is damaged, or has a newer format.
pub fn read_state(layout: &Layout) -> Result<Option<NodeState>, DamagedStateError> {
    let path = layout.state();
    let damaged = |why: String| DamagedStateError { path: path.clone(), why };
    let text = match regular_file::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(damaged(error.to_string())),
    };
    let state: NodeState = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if state.v > FORMAT {
        return Err(damaged(format!("it is of format {}, written by a newer Headwater", state.v)));
    }
    Ok(Some(state))
}

/// The generation that `current` points to, if the agent put it there. A crash may have come between the switch and writing
/// `state.json`, so the symlink is compared with every generation that the agent could have put in force.
///
/// # Errors
/// If the disk fails.
pub fn read_running(layout: &Layout, state: &NodeState) -> Result<Option<RecordRef>, ApplyError> {
    let current = layout.current();
    let link = match fs::read_link(&current) {
        Ok(link) => link,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
            return Ok(None);
        }
        Err(error) => return Err(ApplyError::disk("read", &current)(error)),
    };
    let known = [state.running, state.floor, state.last_good].into_iter().flatten();
    let is_in_force =
        |record_ref: &RecordRef| link_target(*record_ref) == link && layout.generation(*record_ref).is_dir();
    Ok(known.into_iter().find(is_in_force))
}

/// The record that the generation of `record_ref` was made from. Its signature is verified as if it came from NATS.
///
/// # Errors
/// If it is gone, is another one, was not signed by the pinned key, or the disk fails.
pub fn read_record(layout: &Layout, state: &NodeState, record_ref: RecordRef) -> Result<Desired, ApplyError> {
    let bytes = record_bytes(layout, record_ref)?;
    let key = state.key.as_ref().ok_or_else(|| ApplyError::NoTrustedKey("none is pinned".to_owned()))?;
    let record =
        verify::open(&bytes, &key.0).map_err(|unverified| ApplyError::DamagedRecord(unverified.to_string()))?;
    let found = RecordRef { position: record.position, digest: record.digest };
    if found == record_ref { Ok(record) } else { Err(ApplyError::DamagedRecord("it is another".to_owned())) }
}

/// The same record with its signature; none if [`read_record`] fails.
#[must_use]
pub fn read_signed_record(layout: &Layout, state: &NodeState, record_ref: RecordRef) -> Option<SignedRecord> {
    read_record(layout, state, record_ref).ok()?;
    SignedRecord::read(&record_bytes(layout, record_ref).ok()?).ok()
}

fn record_bytes(layout: &Layout, record_ref: RecordRef) -> Result<Vec<u8>, ApplyError> {
    let path = layout.record(record_ref);
    match fs::symlink_metadata(&path) {
        Ok(meta) if !meta.is_file() => {
            return Err(ApplyError::DamagedRecord(format!("{} is not a file; remove it", path.display())));
        }
        _ => {}
    }
    regular_file::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ApplyError::DamagedRecord("it is gone".to_owned()),
        _ => ApplyError::disk("read", &path)(error),
    })
}
