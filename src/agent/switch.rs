//! The one link that says what is in force.
//!
//! What always holds: `current` points to the old generation or to the new one, at every instant.

use std::fs;
use std::io;
use std::path::PathBuf;

use schema::report::RecordRef;

use crate::apply_error::ApplyError;
use crate::disk;
use crate::layout::{Layout, link_to};

/// Puts the generation of `mark`, which is written, in force.
///
/// # Errors
/// If the disk fails; then what was in force is.
pub fn switch(layout: &Layout, mark: RecordRef) -> Result<(), ApplyError> {
    let (current, beside) = (layout.current(), layout.root().join(".current.new"));
    set_aside(layout)?;
    let swap = || {
        disk::remove(&beside)?;
        std::os::unix::fs::symlink(link_to(mark), &beside)?;
        fs::rename(&beside, &current)?;
        disk::sync_dir(layout.root())
    };
    swap().map_err(ApplyError::disk("switch", &current))
}

/// Puts nothing in force.
///
/// # Errors
/// If the disk fails.
pub fn clear(layout: &Layout) -> Result<(), ApplyError> {
    let current = layout.current();
    set_aside(layout)?;
    let clear = || {
        disk::remove(&current)?;
        disk::sync_dir(layout.root())
    };
    clear().map_err(ApplyError::disk("clear", &current))
}

/// Somebody may have put a folder or a file where the link belongs. It is not the agent's, so it is kept beside.
fn set_aside(layout: &Layout) -> Result<(), ApplyError> {
    let current = layout.current();
    match fs::symlink_metadata(&current) {
        Ok(meta) if !meta.is_symlink() => {
            let aside = free_name(layout);
            tracing::warn!(aside = %aside.display(), "something else was in the place of `current`; it is kept beside");
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
