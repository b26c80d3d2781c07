//! The file of an export: it grows beside its name, and gets the name once it is complete and on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use program::durable_file;
use program::progress::Progress;
use replay::file::body::{Blob, ExportHeader};
use replay::file::writer::ExportWriter;
use schema::change::{Change, NamedContent};
use schema::digest::Digest;
use schema::position::Position;
use store::checkpoint::StoredCheckpoint;
use store::raw_rows::RawRow;
use store::reader::Reader;

use super::error::Error;

/// Bytes of the data of events that are written together, unless one alone has more.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of contents that are fetched together, unless one alone has more.
const CONTENTS_BYTES: u64 = 8 * 1024 * 1024;
/// Checkpoints that are fetched together.
const CHECKPOINTS: usize = 1_000;
/// Contents that are remembered as written. With more of them, a content is written again where an event names it again.
const REMEMBERED: usize = 200_000;

pub(super) struct ExportFile {
    name: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    writer: ExportWriter,
    /// Reads contents and checkpoints while `reader` streams rows.
    contents: Reader,
    written: BTreeSet<Digest>,
    missing: BTreeSet<Digest>,
    /// Checkpoints up to this position are written.
    signed: Position,
    bytes: u64,
}

/// The next events to write. They are read to the end before any is written, because a statement that waits for the compression would
/// run into its timeout.
async fn read_chunk(reader: &Reader, after: Position, to: Position) -> Result<Vec<RawRow>, Error> {
    let mut page = reader.raw_rows(after, to).await?;
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while bytes < CHUNK_BYTES
        && let Some(stored) = page.next().await?
    {
        bytes += stored.data().len();
        chunk.push(stored);
    }
    Ok(chunk)
}

/// The finished file.
pub(super) struct ExportSummary {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    /// Contents that an event names and the database lacks.
    pub(super) missing: BTreeSet<Digest>,
}

impl ExportFile {
    pub(super) fn begin(name: &Path, header: &ExportHeader, contents: Reader) -> Result<Self, Error> {
        let mut path = name.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let mut open = File::options();
        // The export holds the configuration of the fleet, which may be secret.
        open.write(true).create(true).truncate(true).mode(0o600);
        let file = open.open(&path).map_err(|error| Error::File(path.clone(), error))?;
        Ok(Self {
            name: name.to_owned(),
            path,
            file: BufWriter::new(file),
            writer: ExportWriter::new(header),
            contents,
            written: BTreeSet::new(),
            missing: BTreeSet::new(),
            // The last checkpoint of the part before this one may have come too late for it, so it is written here.
            signed: header.from.get().saturating_sub(2).into(),
            bytes: 0,
        })
    }

    pub(super) async fn write_all(
        &mut self,
        reader: &Reader,
        header: &ExportHeader,
        to: Position,
    ) -> Result<(), Error> {
        let mut after = header.from.previous();
        let mut progress = Progress::begin("events exported", to.get() - after.get());
        while after < to {
            let chunk = read_chunk(reader, after, to).await?;
            // The table may end before the head says. The verifier of the file finds that.
            let Some(last) = chunk.last() else { break };
            after = last.position();
            self.write_chunk(&chunk).await?;
            progress.advance(chunk.len() as u64);
        }
        Ok(())
    }

    /// Writes events, each after the content that it names.
    async fn write_chunk(&mut self, chunk: &[RawRow]) -> Result<(), Error> {
        let mut wanted: BTreeMap<Digest, u64> = BTreeMap::new();
        for stored in chunk.iter().filter(|stored| Change::CONTENT_TYPES.contains(&stored.event_type())) {
            // Data that can't be read is no reason to stop: the verifier of the file finds it.
            if let Ok(named) = serde_json::from_str::<NamedContent>(stored.data())
                && !self.written.contains(&named.digest)
            {
                wanted.insert(named.digest, named.size);
            }
        }
        let position = chunk.first().map_or(Position::ZERO, RawRow::position);
        let (mut digests, mut bytes) = (Vec::new(), 0);
        for (digest, size) in wanted {
            digests.push(digest);
            bytes += size;
            if bytes >= CONTENTS_BYTES {
                bytes = 0;
                self.write_contents(position, &std::mem::take(&mut digests)).await?;
            }
        }
        self.write_contents(position, &digests).await?;
        self.write_checkpoints(chunk.last().map_or(Position::ZERO, RawRow::position)).await?;
        for stored in chunk {
            let written = self.writer.event(&stored.row()?);
            written.map_err(|source| Error::TooLarge { position: stored.position(), source })?;
        }
        self.drain()
    }

    /// Writes the checkpoints up to this position.
    async fn write_checkpoints(&mut self, up_to: Position) -> Result<(), Error> {
        loop {
            let kept = self.contents.checkpoints(self.signed, up_to, CHECKPOINTS).await?;
            for StoredCheckpoint { position, note, .. } in &kept {
                let written = self.writer.checkpoint(note);
                written.map_err(|source| Error::TooLarge { position: *position, source })?;
                self.signed = *position;
            }
            if kept.len() < CHECKPOINTS {
                return Ok(());
            }
        }
    }

    async fn write_contents(&mut self, position: Position, digests: &[Digest]) -> Result<(), Error> {
        if digests.is_empty() {
            return Ok(());
        }
        let found = self.contents.contents(digests).await?;
        self.missing.extend(digests.iter().filter(|digest| !found.contains_key(digest)));
        for (digest, bytes) in &found {
            let written = self.writer.blob(&Blob { digest: *digest, bytes });
            written.map_err(|source| Error::TooLarge { position, source })?;
        }
        if self.written.len() > REMEMBERED {
            self.written.clear();
        }
        self.written.extend(digests);
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Error> {
        let bytes = self.writer.take();
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| Error::File(self.path.clone(), error))
    }

    /// Syncs the file and gives it its name.
    pub(super) fn finish(mut self) -> Result<ExportSummary, Error> {
        let (last, digest) = self.writer.finish();
        self.write(&last)?;
        self.file.flush().map_err(|error| Error::File(self.path.clone(), error))?;
        let named = durable_file::rename_synced(self.file.get_ref(), &self.path, &self.name);
        named.map_err(|error| Error::File(self.name.clone(), error))?;
        Ok(ExportSummary { digest, bytes: self.bytes, missing: std::mem::take(&mut self.missing) })
    }
}

impl Drop for ExportFile {
    /// Removes a file that was not completed. A complete one has its name by now, and nothing is left here.
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}
