//! A file that grows beside its name, and gets that name once it is complete and on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use program::progress::Progress;
use replay::file::body::{Blob, Header};
use replay::file::writer::Writer;
use schema::digest::Digest;
use schema::position::Position;
use serde::Deserialize;
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
/// Contents that are remembered as written. Beyond that they are forgotten, and written again where they are named again.
const REMEMBERED: usize = 200_000;

/// A file in the making.
pub(super) struct ExportFile {
    name: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    writer: Writer,
    /// For contents and checkpoints.
    contents: Reader,
    written: BTreeSet<Digest>,
    missing: BTreeSet<Digest>,
    /// Checkpoints about this position and those before it are written.
    signed: Position,
    bytes: u64,
}

/// Events that are written together: read to the end before any of them is written, because a statement that waits for our
/// packing would run into its timeout.
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

/// What came of it.
pub(super) struct ExportSummary {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    /// Contents that some event names and the database does not have.
    pub(super) missing: BTreeSet<Digest>,
}

/// What a document's event names.
#[derive(Deserialize)]
struct NamedContent {
    digest: Digest,
    size: u64,
}

impl ExportFile {
    pub(super) fn begin(name: &Path, header: &Header, contents: Reader) -> Result<Self, Error> {
        let mut path = name.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let mut open = File::options();
        // It holds what the fleet is configured with.
        open.write(true).create(true).truncate(true).mode(0o600);
        let file = open.open(&path).map_err(|error| Error::File(path.clone(), error))?;
        Ok(Self {
            name: name.to_owned(),
            path,
            file: BufWriter::new(file),
            writer: Writer::new(header),
            contents,
            written: BTreeSet::new(),
            missing: BTreeSet::new(),
            // What was signed about the end of the part before may have come too late for it.
            signed: header.from.get().saturating_sub(2).into(),
            bytes: 0,
        })
    }

    pub(super) async fn write_all(&mut self, reader: &Reader, header: &Header, to: Position) -> Result<(), Error> {
        let mut after = Position::from(header.from.get() - 1);
        let mut progress = Progress::begin("events exported", to.get() - after.get());
        while after < to {
            let chunk = read_chunk(reader, after, to).await?;
            // The table may end before the head says. Whoever verifies the file finds that.
            let Some(last) = chunk.last() else { break };
            after = last.position();
            self.write_chunk(&chunk).await?;
            progress.advance(chunk.len() as u64);
        }
        Ok(())
    }

    /// Events, each after the content that it names.
    async fn write_chunk(&mut self, chunk: &[RawRow]) -> Result<(), Error> {
        let mut wanted: BTreeMap<Digest, u64> = BTreeMap::new();
        for stored in chunk.iter().filter(|stored| stored.event_type() == "DocumentPut") {
            // What can't be read is no reason to stop: whoever verifies the file finds it.
            if let Ok(named) = serde_json::from_str::<NamedContent>(stored.data())
                && !self.written.contains(&named.digest)
            {
                wanted.insert(named.digest, named.size);
            }
        }
        let position = chunk.first().map_or(Position::ZERO, RawRow::position);
        let mut together = (Vec::new(), 0);
        for (digest, size) in wanted {
            together.0.push(digest);
            together.1 += size;
            if together.1 >= CONTENTS_BYTES {
                self.write_contents(position, &std::mem::take(&mut together).0).await?;
            }
        }
        self.write_contents(position, &together.0).await?;
        self.write_checkpoints(chunk.last().map_or(Position::ZERO, RawRow::position)).await?;
        for stored in chunk {
            let written = self.writer.event(&stored.row()?);
            written.map_err(|source| Error::TooLarge { position: stored.position(), source })?;
        }
        self.drain()
    }

    /// What was signed about the tree up to here.
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
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| Error::File(self.path.clone(), error))
    }

    /// Makes it last, and gives it its name.
    pub(super) fn finish(mut self) -> Result<ExportSummary, Error> {
        let (last, digest) = self.writer.finish();
        self.put(&last)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::File(path, error)
        };
        self.file.flush().map_err(failed(&self.path))?;
        self.file.get_ref().sync_all().map_err(failed(&self.path))?;
        std::fs::rename(&self.path, &self.name).map_err(failed(&self.name))?;
        let folder = self.name.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))?;
        Ok(ExportSummary { digest, bytes: self.bytes, missing: std::mem::take(&mut self.missing) })
    }
}

impl Drop for ExportFile {
    /// What is not complete is of no use. Once it has its name, there is nothing here to remove.
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}
