//! Garbage collection: removes old generations, their records, and cached content that no remaining record names.
//!
//! Invariant: the generations in force, last good and wanted stay.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::{fs, io};

use schema::desired::Desired;
use schema::report::RecordRef;
use schema::seal::SignedRecord;
use schema::wire::WireRecord as _;

use crate::apply_error::ApplyError;
use crate::disk;
use crate::layout::{Layout, name};
use crate::regular_file;
use crate::tree;

/// Removes all generations but the newest `keep` and those of `needed`, then records and contents that nothing uses.
///
/// # Errors
/// If the disk fails.
pub fn collect(layout: &Layout, needed: &[RecordRef], keep: usize) -> Result<(), ApplyError> {
    let mut kept: BTreeSet<OsString> = needed.iter().map(|record_ref| name(*record_ref).into()).collect();
    let generations = names(&layout.generations())?;
    kept.extend(generations.iter().rev().filter(|name| !is_temporary(name)).take(keep).cloned());
    // An agent that was killed during a check left the check's copy.
    tree::remove_copies(layout);
    // A record vouches for its generation, so it must outlive a removal that is interrupted half-way.
    sweep(&layout.generations(), &generations, &kept)?;
    let records = names(&layout.records())?;
    sweep(&layout.records(), &records, &kept)?;
    let blobs = names(&layout.blobs())?;
    // An unreadable record may name any content, so then all content stays.
    if let Some(named) = content_named_by(layout, &records, &kept)? {
        sweep(&layout.blobs(), &blobs, &named)?;
    }
    Ok(())
}

fn is_temporary(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Sorted; empty if there is no such folder.
fn names(dir: &Path) -> Result<BTreeSet<OsString>, ApplyError> {
    let found = match fs::read_dir(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(ApplyError::disk("read", dir)(error)),
    };
    found
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()
        .map_err(ApplyError::disk("read", dir))
}

fn sweep(dir: &Path, names: &BTreeSet<OsString>, kept: &BTreeSet<OsString>) -> Result<(), ApplyError> {
    for name in names.difference(kept) {
        let path = dir.join(name);
        disk::remove(&path).map_err(ApplyError::disk("remove", &path))?;
    }
    Ok(())
}

/// None if a kept record can't be read.
fn content_named_by(
    layout: &Layout,
    records: &BTreeSet<OsString>,
    kept: &BTreeSet<OsString>,
) -> Result<Option<BTreeSet<OsString>>, ApplyError> {
    let mut named = BTreeSet::new();
    for name in records.intersection(kept) {
        let path = layout.records().join(name);
        let bytes = regular_file::read(&path).unwrap_or_default();
        let Some(record) = SignedRecord::read(&bytes).ok().and_then(|signed| Desired::read(&signed.body).ok()) else {
            return Ok(None);
        };
        named.extend(record.entries.iter().map(|entry| OsString::from(entry.digest.to_string())));
    }
    Ok(Some(named))
}
