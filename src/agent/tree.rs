//! Writes a generation to disk, and compares one with its record.
//!
//! Invariants: nothing points to a generation before all its bytes, modes and names are synced, and each byte was hashed while it
//! was written; the same record gives the same tree, whatever was there before. Content is copied from the cache, not linked: an
//! edit by hand must not reach the cache.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use schema::desired::{Desired, Entry};
use schema::digest::Hasher;
use schema::report::RecordRef;

use crate::apply_error::ApplyError;
use crate::disk;
use crate::layout::{Layout, link_target, place};
use crate::regular_file;

/// Size of the copy buffer.
const CHUNK_BYTES: usize = 64 * 1024;

/// Writes the generation of `want`; the plan has checked its paths and inline content, and its large contents are in the cache.
/// A generation of the same name is replaced, in one step if it is in force.
///
/// # Errors
/// If the disk fails, the cache is damaged, or something else lies at a path of the agent.
pub fn write(layout: &Layout, want: &Desired) -> Result<(), ApplyError> {
    let staging = layout.staging();
    disk::ensure_dir(&layout.generations())?;
    disk::ensure_dir(&layout.blobs())?;
    disk::remove(&staging).map_err(ApplyError::disk("clear", &staging))?;
    let written = write_tree(layout, &staging, want).and_then(|places| install_tree(layout, &places, mark_of(want)));
    if written.is_err() {
        // A full disk must not stay full because of a partial tree.
        let _ = disk::remove(&staging);
    }
    written
}

/// Writes a copy of the generation of `want` for the operator's check, and gives its path. The copy never comes into force, so
/// nothing that the check or its processes write there can run. It is not synced.
///
/// # Errors
/// If the disk fails, the cache is damaged, or something else lies at a path of the agent.
pub fn write_copy(layout: &Layout, want: &Desired) -> Result<PathBuf, ApplyError> {
    disk::ensure_dir(&layout.blobs())?;
    remove_copies(layout);
    disk::ensure_dir(&layout.check_copies())?;
    let copies = (0_u64..).map(|number| layout.check_copy(mark_of(want), number));
    let mut free = copies.filter(|path| fs::symlink_metadata(path).is_err());
    let copy = free.next().expect("BUG: a folder does not hold 2^64 names");
    match write_tree(layout, &copy, want) {
        Ok(_) => Ok(copy),
        Err(fault) => {
            // A full disk must not stay full because of a partial tree.
            remove_copies(layout);
            Err(fault)
        }
    }
}

/// Removes these copies. A process that the check left behind may still write there; what can't be removed now is removed later.
pub fn remove_copies(layout: &Layout) {
    if let Err(error) = disk::remove(&layout.check_copies()) {
        tracing::debug!(%error, "copy for the check can't be removed yet");
    }
}

fn mark_of(want: &Desired) -> RecordRef {
    RecordRef { position: want.position, digest: want.digest }
}

/// Writes the complete tree at `root`, not synced; gives the paths of its files and folders, relative to `root`.
fn write_tree(layout: &Layout, root: &Path, want: &Desired) -> Result<Vec<PathBuf>, ApplyError> {
    let mut dirs: BTreeSet<PathBuf> = ["", "files", "jobs"].map(PathBuf::from).into();
    let places: Vec<(PathBuf, &Entry)> = want.entries.iter().map(|entry| (place(entry), entry)).collect();
    for (place, _) in &places {
        dirs.extend(place.ancestors().skip(1).map(Path::to_owned));
    }
    for dir in &dirs {
        let dir = root.join(dir);
        disk::create_dir(&dir).map_err(ApplyError::disk("make folder", &dir))?;
    }
    for (place, entry) in &places {
        write_entry(layout, &root.join(place), entry)?;
    }
    Ok(places.into_iter().map(|(place, _)| place).chain(dirs).collect())
}

/// Writes one file, not synced.
fn write_entry(layout: &Layout, path: &Path, entry: &Entry) -> Result<(), ApplyError> {
    let mut file = disk::create(path, entry.mode.bits()).map_err(ApplyError::disk("write", path))?;
    match &entry.inline {
        Some(bytes) => file.write_all(bytes).map_err(ApplyError::disk("write", path)),
        None => copy_cached(layout, path, &mut file, entry),
    }
}

/// Copies from the cache and hashes again: the cached file may have been changed since it was fetched.
fn copy_cached(layout: &Layout, path: &Path, file: &mut File, entry: &Entry) -> Result<(), ApplyError> {
    let cached = layout.blob(entry.digest);
    let damaged = || {
        let _ = disk::remove(&cached);
        ApplyError::DamagedCache(entry.digest)
    };
    let mut source = regular_file::open(&cached).map_err(|_| damaged())?;
    let (mut hasher, mut chunk, mut copied) = (Hasher::default(), vec![0; CHUNK_BYTES], 0);
    loop {
        let count = source.read(&mut chunk).map_err(ApplyError::disk("read", &cached))?;
        if count == 0 {
            break;
        }
        copied += count as u64;
        hasher.update(&chunk[..count]);
        file.write_all(&chunk[..count]).map_err(ApplyError::disk("write", path))?;
    }
    if copied == entry.size && hasher.finish() == entry.digest { Ok(()) } else { Err(damaged()) }
}

/// Renames the staged tree to its name, and syncs all of it and its record.
fn install_tree(layout: &Layout, places: &[PathBuf], record_ref: RecordRef) -> Result<(), ApplyError> {
    let (staging, done, generations) = (layout.staging(), layout.generation(record_ref), layout.generations());
    let named = |named: io::Result<()>| named.map_err(ApplyError::disk("name", &done));
    let record = [layout.record(record_ref), layout.records()].into_iter().filter(|path| can_sync(path));
    let tree = |root: &Path| places.iter().map(|place| root.join(place)).chain(record.clone()).collect::<Vec<_>>();
    if is_unused(layout, record_ref)? {
        // Nothing points to this name yet, so rename and fsync may come in any order: all in parallel is one wait for the disk.
        named(fs::rename(&staging, &done))?;
        let synced = disk::sync_all(&[tree(&done), vec![generations]].concat());
        if synced.is_err() {
            let _ = disk::remove(&done);
        }
        return synced;
    }
    disk::sync_all(&tree(&staging))?;
    named(if fs::symlink_metadata(&done).is_ok() {
        exchange(&staging, &done).and_then(|()| disk::remove(&staging))
    } else {
        fs::rename(&staging, &done)
    })?;
    disk::sync(&generations).map_err(ApplyError::disk("sync", &generations))
}

/// Opening anything else, such as a pipe, for fsync could block.
fn can_sync(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() || meta.is_dir())
}

/// Whether no generation has this name, from a crash or before drift, and `current` does not point to it.
fn is_unused(layout: &Layout, record_ref: RecordRef) -> Result<bool, ApplyError> {
    let done = layout.generation(record_ref);
    match fs::symlink_metadata(&done) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(fs::read_link(layout.current()).ok() != Some(link_target(record_ref)))
        }
        Err(error) => Err(ApplyError::disk("look at", &done)(error)),
    }
}

/// Swaps two names in one step, so that a symlink to either never dangles.
fn exchange(staging: &Path, done: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, staging, CWD, done, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // The file system can't exchange names: here the name is missing for an instant.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            disk::remove(done)?;
            fs::rename(staging, done)?;
            disk::create_dir(staging)
        }
        Err(error) => Err(error.into()),
    }
}

/// The paths below `root` that are not as `want` says: changed, added, removed, or of another mode; relative and sorted.
///
/// # Errors
/// If the disk fails.
pub fn differences(root: &Path, want: &Desired) -> Result<Vec<String>, ApplyError> {
    let mut dirs: BTreeSet<PathBuf> = ["files", "jobs"].map(PathBuf::from).into();
    let mut differing = BTreeSet::new();
    if !is_folder(root) {
        differing.insert(PathBuf::from("."));
    }
    let mut files = BTreeSet::new();
    for entry in &want.entries {
        let place = place(entry);
        dirs.extend(place.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).map(Path::to_owned));
        if !is_as_written(&root.join(&place), entry)? {
            differing.insert(place.clone());
        }
        files.insert(place);
    }
    differing.extend(dirs.iter().filter(|dir| !is_folder(&root.join(dir))).cloned());
    differing.extend(unexpected_entries(root, Path::new(""), &dirs, &files)?);
    Ok(differing.into_iter().map(|place| place.to_string_lossy().into_owned()).collect())
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() && meta.permissions().mode() & 0o7777 == disk::DIR_MODE)
}

fn is_as_written(path: &Path, entry: &Entry) -> Result<bool, ApplyError> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(false) };
    if !meta.is_file() || meta.len() != entry.size || meta.permissions().mode() & 0o7777 != entry.mode.bits() {
        return Ok(false);
    }
    let Ok(mut file) = regular_file::open(path) else { return Ok(false) };
    let (mut hasher, mut chunk) = (Hasher::default(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk).map_err(ApplyError::disk("read", path))? {
            0 => return Ok(hasher.finish() == entry.digest),
            count => hasher.update(&chunk[..count]),
        }
    }
}

/// Files and folders that the record does not name. Such a folder is listed, not entered.
fn unexpected_entries(
    root: &Path,
    below: &Path,
    dirs: &BTreeSet<PathBuf>,
    files: &BTreeSet<PathBuf>,
) -> Result<Vec<PathBuf>, ApplyError> {
    let dir = root.join(below);
    // The caller has listed a folder that is gone or is a symlink.
    if !fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_dir()) {
        return Ok(Vec::new());
    }
    let mut unexpected = Vec::new();
    for found in fs::read_dir(&dir).map_err(ApplyError::disk("read", &dir))? {
        let place = below.join(found.map_err(ApplyError::disk("read", &dir))?.file_name());
        if dirs.contains(&place) {
            unexpected.extend(unexpected_entries(root, &place, dirs, files)?);
        } else if !files.contains(&place) {
            unexpected.push(place);
        }
    }
    Ok(unexpected)
}
