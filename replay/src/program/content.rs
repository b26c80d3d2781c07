//! Contents by their digests, found in files that were read before: only blocks of blobs are unpacked.

use std::collections::BTreeSet;
use std::path::PathBuf;

use replay::file::block::{Kind, Unpacker};
use replay::file::body::read_blobs;
use schema::digest::Digest;

use super::output::Trouble;
use super::source::{Next, Source};

/// Brings each of these contents once, in the order of the files.
pub(crate) fn bring(
    files: &[PathBuf],
    mut wanted: BTreeSet<Digest>,
    mut take: impl FnMut(Digest, &[u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    // A file may have been exchanged since it was found to be right.
    let changed =
        |error: &dyn std::fmt::Display| Trouble::Unreachable(format!("a file changed while it was read: {error}"));
    let mut unpacker = Unpacker::default();
    for path in files {
        let (mut source, _) = Source::open(path).map_err(|error| changed(&error))?;
        while let (false, Next::Block(stored)) = (wanted.is_empty(), source.next().map_err(|error| changed(&error))?) {
            if stored.head.kind != Kind::Blobs {
                continue;
            }
            let raw = unpacker.unpack(stored.head, &stored.bytes).map_err(|error| changed(&error))?;
            for blob in read_blobs(&raw).map_err(|error| changed(&error))? {
                if wanted.remove(&blob.digest) {
                    match Digest::of(blob.bytes) == blob.digest {
                        true => take(blob.digest, blob.bytes)?,
                        false => return Err(changed(&"a content is another")),
                    }
                }
            }
        }
    }
    match wanted.first() {
        None => Ok(()),
        Some(digest) => Err(changed(&format_args!("content {digest} is gone"))),
    }
}
