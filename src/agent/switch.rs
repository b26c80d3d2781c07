//! The symlink `current`, which names the generation in force.
//!
//! Invariant: at every instant `current` points to the old generation or to the new one.

use std::fs;
use std::io;
use std::path::PathBuf;

use schema::report::RecordRef;

use crate::apply_error::ApplyError;
use crate::disk;
use crate::layout::{Layout, link_target};

/// Puts the generation of `record_ref` in force; it must be complete on disk.
///
/// # Errors
/// If the disk fails; then the old generation is still in force.
pub fn switch(layout: &Layout, record_ref: RecordRef) -> Result<(), ApplyError> {
    let (current, beside) = (layout.current(), layout.root().join(".current.new"));
    set_aside(layout)?;
    let swap = || {
        disk::remove(&beside)?;
        std::os::unix::fs::symlink(link_target(record_ref), &beside)?;
        fs::rename(&beside, &current)?;
        disk::sync(layout.root())
    };
    swap().map_err(ApplyError::disk("switch", &current))
}

/// Removes `current`, so that no generation is in force.
///
/// # Errors
/// If the disk fails.
pub fn clear(layout: &Layout) -> Result<(), ApplyError> {
    let current = layout.current();
    set_aside(layout)?;
    let clear = || {
        disk::remove(&current)?;
        disk::sync(layout.root())
    };
    clear().map_err(ApplyError::disk("clear", &current))
}

/// Renames a file or folder that somebody put at `current`: it is not the agent's, so it must not be deleted.
fn set_aside(layout: &Layout) -> Result<(), ApplyError> {
    let current = layout.current();
    match fs::symlink_metadata(&current) {
        Ok(meta) if !meta.is_symlink() => {
            let aside = free_name(layout);
            tracing::warn!(aside = %aside.display(), "`current` was not a symlink; it was renamed");
            fs::rename(&current, &aside).map_err(ApplyError::disk("set aside", &current))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ApplyError::disk("look at", &current)(error)),
        _ => Ok(()),
    }
}

fn free_name(layout: &Layout) -> PathBuf {
    let names = (1_u64..).map(|n| layout.root().join(format!("current.aside-{n}")));
    let mut free = names.filter(|path| fs::symlink_metadata(path).is_err());
    free.next().expect("BUG: a folder does not hold 2^64 names")
}
