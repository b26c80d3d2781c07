//! The texts that `-f` names: a file, a folder with all that is below it, or standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::attached_file::{self, FolderEntry, ManifestFolder};
use super::fault::{FaultList, TextPlace};

/// What stands for standard input.
pub(super) const STDIN: &str = "-";
/// Bytes of one manifest: a document's largest content fits in it, as do ten thousand nodes.
const MANIFEST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The ends of the names of manifests in a folder.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Where a fault is that concerns a whole file.
pub(super) const WHOLE_FILE: TextPlace = TextPlace { line: 1, column: 1 };

/// The text of a manifest.
#[derive(Debug)]
pub(super) struct ManifestText {
    pub(super) text: String,
    pub(super) folder: ManifestFolder,
    /// The true path of the file; none for standard input.
    pub(super) path: Option<PathBuf>,
    pub(super) faults: FaultList,
}

/// The texts at a path, in order of path. One that can't be read is empty, and has the fault.
pub(super) fn texts(path: &Path) -> Vec<ManifestText> {
    if path == Path::new(STDIN) {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
        let read = std::io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes);
        let mut text = ManifestText::new(STDIN.into(), ManifestFolder(None), None);
        match read {
            Ok(_) if bytes.len() > MANIFEST_BYTES_MAX => {
                text.faults.add(
                    WHOLE_FILE,
                    "too_large",
                    format!("standard input has more than {MANIFEST_BYTES_MAX} bytes"),
                );
            }
            Ok(_) => text.fill(bytes),
            Err(error) => text.faults.add(WHOLE_FILE, "unreadable", format!("standard input can't be read: {error}")),
        }
        return vec![text];
    }
    match path.is_dir() {
        true => in_folder(path),
        false => vec![in_file(path)],
    }
}

fn in_file(path: &Path) -> ManifestText {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.display().to_string().into();
    let mut text = ManifestText::new(name, ManifestFolder(Some(folder.to_owned())), path.canonicalize().ok());
    match attached_file::read(path, MANIFEST_BYTES_MAX) {
        Ok(file) => text.fill(file.bytes),
        Err(fault) => text.faults.add(WHOLE_FILE, fault.code, fault.detail),
    }
    text
}

/// Names that begin with a dot are left out: they are those of other programs, such as Git.
fn in_folder(folder: &Path) -> Vec<ManifestText> {
    let is_hidden = |name: &Path| name.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_manifest = |name: &Path| {
        let extension = name.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
    };
    let is_wanted = |name: &Path, entry| !is_hidden(name) && (entry == FolderEntry::Folder || is_manifest(name));
    let (files, faults) = attached_file::files_below(folder, &is_wanted);
    let mut texts: Vec<ManifestText> = files.iter().map(|file| in_file(&folder.join(&file.name))).collect();
    if !faults.is_empty() {
        let mut unread = ManifestText::new(folder.display().to_string().into(), ManifestFolder(None), None);
        faults.into_iter().for_each(|fault| unread.faults.add(WHOLE_FILE, fault.code, fault.detail));
        texts.push(unread);
    }
    texts
}

impl ManifestText {
    fn new(name: Arc<str>, folder: ManifestFolder, path: Option<PathBuf>) -> Self {
        Self { text: String::new(), folder, path, faults: FaultList::new(name) }
    }

    fn fill(&mut self, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) => self.text = text,
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
                self.faults.add(TextPlace { line, column: 1 }, "not_utf8", "a manifest is text in UTF-8");
            }
        }
    }
}
