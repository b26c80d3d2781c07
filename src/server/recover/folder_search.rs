//! Searches a folder for contents: trees and caches of nodes, copies of blobs, exports.
//!
//! What always holds: only bytes whose SHA-256 was asked for are given; no link is followed and only regular files are opened, so that a
//! prepared folder can neither lead elsewhere nor block; one content at a time is in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use replay::file::block::{BlockHead, BlockKind, Unpacker};
use replay::file::body::read_blobs;
use replay::file::{MAGIC, PREFIX_BYTES, check_prefix};
use rustix::fs::OFlags;
use schema::digest::Digest;
use tokio::sync::mpsc;

/// A content and its digest.
pub(super) type FoundContent = (Digest, Vec<u8>);

/// Searches below `dir` on a thread of its own. The receiver gives each of the wanted contents once, the task whether the folder could
/// be read.
pub(super) fn search(
    dir: &Path,
    wanted: BTreeMap<Digest, u64>,
) -> (mpsc::Receiver<FoundContent>, tokio::task::JoinHandle<io::Result<()>>) {
    let (found, results) = mpsc::channel(1);
    let dir = dir.to_owned();
    let search = tokio::task::spawn_blocking(move || Search { wanted, found }.below(dir));
    (results, search)
}

struct Search {
    /// The contents that were not found yet, with their sizes.
    wanted: BTreeMap<Digest, u64>,
    found: mpsc::Sender<FoundContent>,
}

impl Search {
    fn below(mut self, dir: PathBuf) -> io::Result<()> {
        let mut folders = vec![std::fs::read_dir(&dir)?];
        while let Some(folder) = folders.last_mut() {
            if self.wanted.is_empty() || self.found.is_closed() {
                break;
            }
            let Some(entry) = folder.next() else {
                folders.pop();
                continue;
            };
            // What can't be read is logged; the other files may still help.
            let read = entry.and_then(|entry| {
                let (kind, path) = (entry.file_type()?, entry.path());
                match (kind.is_dir(), kind.is_file()) {
                    (true, _) => folders.push(std::fs::read_dir(&path).inspect_err(|error| log_skipped(&path, error))?),
                    (_, true) => self.search_file(&path).inspect_err(|error| log_skipped(&path, error))?,
                    _ => {}
                }
                Ok(())
            });
            if let Err(error) = read {
                tracing::debug!(%error, "skipped an entry below the folder");
            }
        }
        Ok(())
    }

    /// Searches a file that is one content, or an export with many.
    fn search_file(&mut self, path: &Path) -> io::Result<()> {
        // The file may have been replaced by a link or a pipe since its kind was read.
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let size = file.metadata()?.len();
        let sizes: BTreeSet<u64> = self.wanted.values().copied().collect();
        if sizes.contains(&size) {
            let mut bytes = Vec::new();
            (&mut file).take(size).read_to_end(&mut bytes)?;
            self.give(Digest::of(&bytes), bytes);
            return Ok(());
        }
        let mut prefix = [0; PREFIX_BYTES];
        match file.read_exact(&mut prefix) {
            Ok(()) if prefix.starts_with(&MAGIC) => self.search_export(file, prefix),
            _ => Ok(()),
        }
    }

    fn search_export(&mut self, file: File, prefix: [u8; PREFIX_BYTES]) -> io::Result<()> {
        let damaged =
            |damage: replay::file::ExportError| io::Error::new(io::ErrorKind::InvalidData, damage.to_string());
        check_prefix(&prefix).map_err(damaged)?;
        let (mut file, mut unpacker) = (io::BufReader::new(file), Unpacker::default());
        while !self.wanted.is_empty() {
            let mut head = [0; BlockHead::BYTES];
            file.read_exact(&mut head)?;
            let head = BlockHead::read(&head).map_err(damaged)?;
            let mut stored = vec![0; head.stored];
            file.read_exact(&mut stored)?;
            match head.kind {
                BlockKind::End => break,
                BlockKind::Blobs => {
                    let raw = unpacker.unpack(head, &stored).map_err(damaged)?;
                    for blob in read_blobs(&raw).map_err(damaged)? {
                        // The digest in the file is not trusted, so it is computed again.
                        if self.wanted.contains_key(&blob.digest) {
                            self.give(Digest::of(blob.bytes), blob.bytes.to_vec());
                        }
                    }
                }
                BlockKind::Header | BlockKind::Events | BlockKind::Checkpoints => {}
            }
        }
        Ok(())
    }

    fn give(&mut self, digest: Digest, bytes: Vec<u8>) {
        if self.wanted.remove(&digest).is_some() {
            // If the receiver was dropped, the search ends.
            let _ = self.found.blocking_send((digest, bytes));
        }
    }
}

fn log_skipped(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), %error, "skipped a file that can't be read");
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;
    use replay::file::body::{Blob, ExportHeader};
    use replay::file::writer::ExportWriter;
    use rustix::fs::{CWD, Mode, mknodat};
    use uuid::Uuid;

    async fn found_below(dir: &Path, wanted: &[&[u8]]) -> BTreeSet<Vec<u8>> {
        let wanted = wanted.iter().map(|bytes| (Digest::of(bytes), bytes.len() as u64)).collect();
        let (mut found, search) = search(dir, wanted);
        let mut all = BTreeSet::new();
        while let Some((digest, bytes)) = found.recv().await {
            assert_eq!(digest, Digest::of(&bytes));
            assert!(all.insert(bytes), "each is given once");
        }
        search.await.unwrap().unwrap();
        all
    }

    #[tokio::test]
    async fn what_is_asked_for_is_found_in_files_and_exports_and_no_link_is_followed() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let below = dir.path().join("generations/7-abc/files/etc");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("motd"), "in a tree").unwrap();
        std::fs::write(below.join("again"), "in a tree").unwrap();
        std::fs::write(below.join("other"), "xx x tree").unwrap();
        std::fs::write(elsewhere.path().join("linked"), "elsewhere").unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("linked"), dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("folder")).unwrap();
        mknodat(CWD, dir.path().join("fifo"), rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let (log_id, public_key) = (Uuid::from_u128(1).into(), [0; 32]);
        let mut export =
            ExportWriter::new(&ExportHeader { log_id, public_key, from: 1.into(), to: 1.into(), frontier: Vec::new() });
        for bytes in [b"in an export".as_slice(), b"not asked for"] {
            export.blob(&Blob { digest: Digest::of(bytes), bytes }).unwrap();
        }
        export.blob(&Blob { digest: Digest::of(b"made up"), bytes: b"is not it" }).unwrap();
        std::fs::write(dir.path().join("log.hwlog"), export.finish().0).unwrap();

        let wanted: [&[u8]; 4] = [b"in a tree", b"in an export", b"elsewhere", b"made up"];
        let expected = [b"in a tree".to_vec(), b"in an export".to_vec()].into();
        assert_eq!(found_below(dir.path(), &wanted).await, expected);
        assert!(search(Path::new("/no/such"), BTreeMap::new()).1.await.unwrap().is_err());
    }
}
