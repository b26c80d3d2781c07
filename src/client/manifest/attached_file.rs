//! Files that a manifest names: below its own folder, and nowhere else.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use schema::limit::CONTENT_BYTES_MAX;

/// Why a file can't be used: a stable code, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileFault {
    /// The code.
    pub(super) code: &'static str,
    /// The sentence.
    pub(super) detail: String,
}

impl FileFault {
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::new("unreadable", format!("{} can't be read: {error}", path.display()))
    }
}

/// The folder of a manifest; none for standard input.
#[derive(Clone, Debug)]
pub(super) struct ManifestFolder(pub(super) Option<PathBuf>);

/// A file's bytes, and whether it may be run.
#[derive(Debug)]
pub(super) struct AttachedFile {
    pub(super) bytes: Vec<u8>,
    pub(super) is_executable: bool,
}

impl ManifestFolder {
    /// Whether a true path is that of the folder itself.
    pub(super) fn is(&self, path: &Path) -> bool {
        self.0.as_ref().is_some_and(|folder| folder.canonicalize().is_ok_and(|folder| folder == path))
    }

    /// The true path of what a manifest names.
    pub(super) fn resolve(&self, named: &str) -> Result<PathBuf, FileFault> {
        let Some(folder) = &self.0 else {
            let detail = "standard input has no folder: give the manifest as a file, or the content in it";
            return Err(FileFault::new("no_folder", detail));
        };
        let path = Path::new(named);
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if named.is_empty() || !is_below {
            let detail = format!("`{named}` is not below the folder of the manifest");
            return Err(FileFault::new("outside", detail));
        }
        below(folder, &folder.join(path))
    }
}

/// The true path, if it is below the true path of `folder`.
pub(super) fn below(folder: &Path, path: &Path) -> Result<PathBuf, FileFault> {
    let folder = fs::canonicalize(folder).map_err(|error| FileFault::unreadable(folder, &error))?;
    let target = fs::canonicalize(path).map_err(|error| FileFault::unreadable(path, &error))?;
    match target.starts_with(&folder) {
        true => Ok(target),
        false => Err(FileFault::new("outside", format!("{} is a link that leads out of its folder", path.display()))),
    }
}

/// Reads a file of at most `bytes_max`.
pub(super) fn read(path: &Path, bytes_max: usize) -> Result<AttachedFile, FileFault> {
    let unreadable = |error: std::io::Error| FileFault::unreadable(path, &error);
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(FileFault::new("no_file", format!("{} is no file", path.display())));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() > bytes_max {
        return Err(FileFault::new("too_large", format!("{} has more than {bytes_max} bytes", path.display())));
    }
    Ok(AttachedFile { bytes, is_executable: found.permissions().mode() & 0o111 != 0 })
}

/// Reads a file that becomes the content of a document.
pub(super) fn read_content(path: &Path) -> Result<AttachedFile, FileFault> {
    read(path, CONTENT_BYTES_MAX)
}

/// A file of a folder.
#[derive(Debug)]
pub(super) struct FolderFile {
    /// Below the folder.
    pub(super) name: PathBuf,
    /// The true path.
    pub(super) target: PathBuf,
}

/// What is in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FolderEntry {
    /// A folder, whose files are looked at if it is wanted.
    Folder,
    /// Anything else.
    File,
}

/// All files of a folder and below it, in order of path.
pub(super) fn files_below(
    folder: &Path,
    is_wanted: &dyn Fn(&Path, FolderEntry) -> bool,
) -> (Vec<FolderFile>, Vec<FileFault>) {
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    let mut folders = vec![PathBuf::new()];
    while let Some(name) = folders.pop() {
        let path = folder.join(&name);
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match entries {
            Err(error) => faults.push(FileFault::unreadable(&path, &error)),
            Ok(entries) => {
                for entry in entries {
                    let name = name.join(entry.file_name());
                    match entry.file_type() {
                        Ok(kind) if kind.is_dir() => {
                            folders.extend(is_wanted(&name, FolderEntry::Folder).then_some(name));
                        }
                        Ok(_) if !is_wanted(&name, FolderEntry::File) => {}
                        Ok(_) => match folder_file(folder, &name) {
                            Ok(target) => files.push(FolderFile { name, target }),
                            Err(fault) => faults.push(fault),
                        },
                        Err(error) => faults.push(FileFault::unreadable(&folder.join(&name), &error)),
                    }
                }
            }
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    faults.sort_by(|one, other| one.detail.cmp(&other.detail));
    (files, faults)
}

fn folder_file(folder: &Path, name: &Path) -> Result<PathBuf, FileFault> {
    let path = folder.join(name);
    let target = below(folder, &path)?;
    match fs::metadata(&target) {
        Ok(found) if found.is_file() => Ok(target),
        Ok(found) if found.is_dir() => {
            Err(FileFault::new("no_file", format!("{} is a link to a folder: put the folder there", path.display())))
        }
        Ok(_) => Err(FileFault::new("no_file", format!("{} is no file", path.display()))),
        Err(error) => Err(FileFault::unreadable(&path, &error)),
    }
}
