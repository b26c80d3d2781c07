//! A whole generation on disk.
//!
//! What always holds: nothing points to a generation before every byte, mode and name of it is synced, and every byte was
//! hashed on its way in; the same record gives the same tree, whatever was there before. Content is copied from the cache and never
//! linked to it, or an edit by hand would reach into the cache.

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
use crate::layout::{Layout, link_to, place};
use crate::regular_file;

/// How much of a file is in memory at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Writes the generation of `want`, whose paths and inline content were checked and whose large content is in the cache.
/// One of the same name gives way, in one step if it is in force.
///
/// # Errors
/// If the disk fails, the cache is damaged, or somebody planted something in the way.
pub fn write(layout: &Layout, want: &Desired) -> Result<(), ApplyError> {
    let growing = layout.growing();
    disk::own_dir(&layout.generations())?;
    disk::own_dir(&layout.blobs())?;
    disk::remove(&growing).map_err(ApplyError::disk("clear", &growing))?;
    let written = grow(layout, &growing, want).and_then(|places| put(layout, &places, mark_of(want)));
    if written.is_err() {
        // A full disk must not be kept full by what is of no use.
        let _ = disk::remove(&growing);
    }
    written
}

/// Writes a copy of the generation of `want` for the operator's check to look at, and says where. It is never put in force, so
/// whatever the check, or a process that it leaves behind, does to it reaches nothing that runs. It need not survive anything.
///
/// # Errors
/// If the disk fails, the cache is damaged, or somebody planted something in the way.
pub fn write_copy(layout: &Layout, want: &Desired) -> Result<PathBuf, ApplyError> {
    disk::own_dir(&layout.blobs())?;
    remove_copies(layout);
    disk::own_dir(&layout.checked())?;
    let copies = (0_u64..).map(|number| layout.copy(mark_of(want), number));
    let mut free = copies.filter(|path| fs::symlink_metadata(path).is_err());
    let copy = free.next().expect("BUG: a folder does not hold 2^64 names");
    match grow(layout, &copy, want) {
        Ok(_) => Ok(copy),
        Err(fault) => {
            // A full disk must not be kept full by what is of no use.
            remove_copies(layout);
            Err(fault)
        }
    }
}

/// Removes such copies. A process that a check left behind may go on writing there, so some of it may stay until another time;
/// that is in nobody's way.
pub fn remove_copies(layout: &Layout) {
    if let Err(error) = disk::remove(&layout.checked()) {
        tracing::debug!(%error, "a copy that the check looked at stays for now");
    }
}

fn mark_of(want: &Desired) -> RecordRef {
    RecordRef { position: want.position, digest: want.digest }
}

/// The tree at `root`, complete and not synced yet; the places of all its files and folders.
fn grow(layout: &Layout, root: &Path, want: &Desired) -> Result<Vec<PathBuf>, ApplyError> {
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
        fill(layout, &root.join(place), entry)?;
    }
    Ok(places.into_iter().map(|(place, _)| place).chain(dirs).collect())
}

/// One file, complete and not synced yet.
fn fill(layout: &Layout, path: &Path, entry: &Entry) -> Result<(), ApplyError> {
    let mut file = disk::create(path).map_err(ApplyError::disk("write", path))?;
    match &entry.inline {
        Some(bytes) => file.write_all(bytes).map_err(ApplyError::disk("write", path)),
        None => copy(layout, path, &mut file, entry),
    }
}

/// From the cache, hashed on the way: what was right when it was fetched may have been touched since.
fn copy(layout: &Layout, path: &Path, file: &mut File, entry: &Entry) -> Result<(), ApplyError> {
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

/// Gives the grown tree its name, and makes all of it survive, with the record that it was made from.
fn put(layout: &Layout, places: &[PathBuf], mark: RecordRef) -> Result<(), ApplyError> {
    let (growing, done, generations) = (layout.growing(), layout.generation(mark), layout.generations());
    let named = |named: io::Result<()>| named.map_err(ApplyError::disk("name", &done));
    let record = [layout.record(mark), layout.records()].into_iter().filter(|path| is_ours(path));
    let tree = |root: &Path| places.iter().map(|place| root.join(place)).chain(record.clone()).collect::<Vec<_>>();
    if is_free(layout, mark)? {
        // Nothing points to the name, so the order does not matter; at once, the disk makes one wait of many.
        named(fs::rename(&growing, &done))?;
        let synced = disk::sync_all(&[tree(&done), vec![generations]].concat());
        if synced.is_err() {
            let _ = disk::remove(&done);
        }
        return synced;
    }
    disk::sync_all(&tree(&growing))?;
    named(if fs::symlink_metadata(&done).is_ok() {
        exchange(&growing, &done).and_then(|()| disk::remove(&growing))
    } else {
        fs::rename(&growing, &done)
    })?;
    disk::sync_dir(&generations).map_err(ApplyError::disk("sync", &generations))
}

/// Whether something that can be synced lies there.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() || meta.is_dir())
}

/// Whether the generation's name is neither taken, by what a kill left or by what drifted, nor pointed to.
fn is_free(layout: &Layout, mark: RecordRef) -> Result<bool, ApplyError> {
    let done = layout.generation(mark);
    match fs::symlink_metadata(&done) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(fs::read_link(layout.current()).ok() != Some(link_to(mark)))
        }
        Err(error) => Err(ApplyError::disk("look at", &done)(error)),
    }
}

/// Two names change places in one step, so that a link to either never dangles.
fn exchange(growing: &Path, done: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, growing, CWD, done, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // A file system that can't: the name is gone for an instant.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            disk::remove(done)?;
            fs::rename(growing, done)?;
            disk::create_dir(growing)
        }
        Err(error) => Err(error.into()),
    }
}

/// The places below `root`, where a generation lies, that are not as `want` says: changed, added, removed, or of another mode; sorted.
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
    differing.extend(strangers(root, Path::new(""), &dirs, &files)?);
    Ok(differing.into_iter().map(|place| place.to_string_lossy().into_owned()).collect())
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() && meta.permissions().mode() & 0o7777 == disk::DIR_MODE)
}

fn is_as_written(path: &Path, entry: &Entry) -> Result<bool, ApplyError> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(false) };
    if !meta.is_file() || meta.len() != entry.size || meta.permissions().mode() & 0o7777 != disk::FILE_MODE {
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

/// What lies in the folders of a generation and does not belong there. A folder that does not belong is named, not entered.
fn strangers(
    root: &Path,
    below: &Path,
    dirs: &BTreeSet<PathBuf>,
    files: &BTreeSet<PathBuf>,
) -> Result<Vec<PathBuf>, ApplyError> {
    let dir = root.join(below);
    // A folder that is gone, or is a link to another, is a difference already.
    if !fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_dir()) {
        return Ok(Vec::new());
    }
    let mut strangers = Vec::new();
    for found in fs::read_dir(&dir).map_err(ApplyError::disk("read", &dir))? {
        let place = below.join(found.map_err(ApplyError::disk("read", &dir))?.file_name());
        if dirs.contains(&place) {
            strangers.extend(self::strangers(root, &place, dirs, files)?);
        } else if !files.contains(&place) {
            strangers.push(place);
        }
    }
    Ok(strangers)
}
