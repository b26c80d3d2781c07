//! `headwater export`: the log, its contents and its checkpoints as one file, straight from PostgreSQL.
//!
//! Rows are written as they stand: whether they are right is for whoever verifies the file, here or where nobody can reach
//! this server. Always: a file has its name only once it is complete and on the disk; a request is never cut; memory does
//! not grow with the log; the same part of a log gives the same file. Absent on purpose: the door, which need not run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use replay::file::body::{Blob, Header};
use replay::file::writer::{TooLarge, Writer};
use replay::tree::Edge;
use schema::digest::Digest;
use schema::position::Position;
use serde::Deserialize;
use serde_json::json;

use crate::log::database::{Database, Error as LogError};
use crate::log::reader::Reader;
use crate::log::stored::Stored;
use crate::password;
use crate::progress::Progress;

/// Events that are kept until their contents are fetched together.
const CHUNK_EVENTS: usize = 1_000;
/// Bytes of their data.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of contents that are fetched together, unless one alone has more.
const CONTENTS_BYTES: u64 = 8 * 1024 * 1024;
/// Contents that are remembered as written. Beyond that they are forgotten, and written again where they are named again.
const REMEMBERED: usize = 200_000;

/// Exports a log, or a part of it. The role headwater_reader may do it.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The file to write. It must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,

    /// The first event: one more than where the export before this one ended.
    #[arg(long, value_name = "POSITION", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub from: u64,

    /// The last event; the rest of its request comes along [default: the last of the log]
    #[arg(long, value_name = "POSITION")]
    pub to_position: Option<u64>,

    /// The log's database: postgres://headwater_reader:password@host/database
    #[arg(long, env = "HEADWATER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: String,

    /// A file with the password for that URL, which then is postgres://headwater_reader@host/database
    #[arg(long, env = "HEADWATER_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,

    /// Print what was written as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The password can't be read.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// The file can't be written.
    #[error("{0}")]
    File(PathBuf, #[source] std::io::Error),
    /// There is such a file.
    #[error("{0} is there already: exports are not overwritten")]
    There(PathBuf),
    /// The part would begin within a request.
    #[error("position {from} is within a request that begins at {first}: an export begins with a request")]
    Within {
        /// Where it would begin.
        from: Position,
        /// Where the request does.
        first: Position,
    },
    /// There is nothing of this part.
    #[error("the log ends at {head}, so there is nothing from {from} to {to}")]
    Nothing {
        /// Where it would begin.
        from: Position,
        /// Where it would end.
        to: Position,
        /// Where the log does.
        head: Position,
    },
    /// Something is larger than what an export can hold.
    #[error("an event or a content at or before position {position} can't be exported")]
    TooLarge {
        /// Where.
        position: Position,
        /// How large.
        source: TooLarge,
    },
}

impl Error {
    /// Whether something could not be reached, rather than being wrong.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Log(error) => error.is_transient(),
            Self::File(..) => true,
            _ => false,
        }
    }

    /// Whether what was asked for makes no sense.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::There(_)
                | Self::Within { .. }
                | Self::Nothing { .. }
                | Self::Log(LogError::Address(_))
                | Self::Password(_)
        )
    }
}

/// Exports.
///
/// # Errors
/// If the log can't be read or the file can't be written; then there is no file of that name.
pub async fn run(options: Options) -> Result<(), Error> {
    if options.to.exists() {
        return Err(Error::There(options.to));
    }
    let url = password::fill(&options.database_url, options.database_password_file.as_deref())?;
    let reader = Reader::open(Database::parse(&url)?).await?;
    let (from, to) = part(&reader, options.from.into(), options.to_position.map(Position::from)).await?;
    let header = Header {
        log_id: reader.log_id(),
        public_key: *reader.public_key().as_bytes(),
        from,
        to,
        edge: edge(&reader, from).await?.roots().to_vec(),
    };
    let mut export = Export::begin(&options.to, &header, reader.beside())?;
    export.write_all(&reader, &header).await?;
    let Written { digest, bytes, missing } = export.finish()?;
    for digest in &missing {
        eprintln!("headwater: content {digest} is not in the database, so not in the file either");
    }
    match options.json {
        true => println!(
            "{}",
            json!({
                "file": options.to, "log_id": header.log_id, "from": from, "to": to, "bytes": bytes, "sha256": digest,
                "missing": missing,
            })
        ),
        false => println!("events {from} to {to} in {}, {bytes} bytes\nsha256 {digest}", options.to.display()),
    }
    Ok(())
}

/// From where to where, in whole requests.
async fn part(reader: &Reader, from: Position, to: Option<Position>) -> Result<(Position, Position), Error> {
    let head = reader.head().await?.position;
    let first = reader.request_of(from).await?.map_or(from, |request| request.first);
    if first != from {
        return Err(Error::Within { from, first });
    }
    let end = match to {
        Some(to) if to < from || to > head => return Err(Error::Nothing { from, to, head }),
        Some(to) => reader.request_of(to).await?.map_or(to, |request| request.last),
        None if head < from && head > Position::ZERO => return Err(Error::Nothing { from, to: head, head }),
        None => head,
    };
    Ok((from, end))
}

/// The edge of the tree over all before `from`.
async fn edge(reader: &Reader, from: Position) -> Result<Edge, Error> {
    let mut edge = Edge::default();
    let last = Position::from(from.get() - 1);
    while edge.size() < last {
        let leaves = reader.leaves(edge.size(), last).await?;
        if leaves.is_empty() {
            return Err(LogError::WentBack { head: edge.size(), folded: last }.into());
        }
        leaves.into_iter().for_each(|leaf| edge.push(leaf));
    }
    Ok(edge)
}

/// A file in the making.
struct Export {
    name: PathBuf,
    growing: PathBuf,
    file: BufWriter<File>,
    writer: Writer,
    /// For contents, while events stream in over another connection.
    contents: Reader,
    written: BTreeSet<Digest>,
    missing: BTreeSet<Digest>,
    bytes: u64,
}

/// What came of it.
struct Written {
    digest: Digest,
    bytes: u64,
    missing: BTreeSet<Digest>,
}

/// What a document's event names.
#[derive(Deserialize)]
struct Named {
    digest: Digest,
    size: u64,
}

impl Export {
    fn begin(name: &Path, header: &Header, contents: Reader) -> Result<Self, Error> {
        let mut growing = name.as_os_str().to_owned();
        growing.push(".part");
        let growing = PathBuf::from(growing);
        let mut open = File::options();
        // It holds what the fleet is configured with.
        open.write(true).create(true).truncate(true).mode(0o600);
        let file = open.open(&growing).map_err(|error| Error::File(growing.clone(), error))?;
        Ok(Self {
            name: name.to_owned(),
            growing,
            file: BufWriter::new(file),
            writer: Writer::new(header),
            contents,
            written: BTreeSet::new(),
            missing: BTreeSet::new(),
            bytes: 0,
        })
    }

    async fn write_all(&mut self, reader: &Reader, header: &Header) -> Result<(), Error> {
        let (mut after, to) = (Position::from(header.from.get() - 1), header.to);
        let mut progress = Progress::begin("events exported", to.get() - after.get());
        while after < to {
            let mut page = reader.stored(after, to).await?;
            let begun = after;
            let (mut chunk, mut bytes) = (Vec::new(), 0);
            while let Some(stored) = page.next().await? {
                after = stored.position();
                bytes += stored.data().len();
                chunk.push(stored);
                if chunk.len() >= CHUNK_EVENTS || bytes >= CHUNK_BYTES {
                    self.write_chunk(&chunk).await?;
                    progress.advance(chunk.len() as u64);
                    (chunk, bytes) = (Vec::new(), 0);
                }
            }
            self.write_chunk(&chunk).await?;
            progress.advance(chunk.len() as u64);
            if after == begun {
                // The table ends before the head says. Whoever verifies the file finds that.
                break;
            }
        }
        Ok(())
    }

    /// Events, each after the content that it names.
    async fn write_chunk(&mut self, chunk: &[Stored]) -> Result<(), Error> {
        let mut wanted: BTreeMap<Digest, u64> = BTreeMap::new();
        for stored in chunk.iter().filter(|stored| stored.event_type() == "DocumentPut") {
            // What can't be read is no reason to stop: whoever verifies the file finds it.
            if let Ok(named) = serde_json::from_str::<Named>(stored.data())
                && !self.written.contains(&named.digest)
            {
                wanted.insert(named.digest, named.size);
            }
        }
        let position = chunk.first().map_or(Position::ZERO, Stored::position);
        let mut together = (Vec::new(), 0);
        for (digest, size) in wanted {
            together.0.push(digest);
            together.1 += size;
            if together.1 >= CONTENTS_BYTES {
                self.write_contents(position, &std::mem::take(&mut together).0).await?;
            }
        }
        self.write_contents(position, &together.0).await?;
        for stored in chunk {
            let written = self.writer.event(&stored.row()?);
            written.map_err(|source| Error::TooLarge { position: stored.position(), source })?;
        }
        self.drain()
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
        self.file.write_all(bytes).map_err(|error| Error::File(self.growing.clone(), error))
    }

    /// Makes it last, and gives it its name.
    fn finish(mut self) -> Result<Written, Error> {
        let (last, digest) = self.writer.finish();
        self.put(&last)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::File(path, error)
        };
        self.file.flush().map_err(failed(&self.growing))?;
        self.file.get_ref().sync_all().map_err(failed(&self.growing))?;
        std::fs::rename(&self.growing, &self.name).map_err(failed(&self.name))?;
        let folder = self.name.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))?;
        Ok(Written { digest, bytes: self.bytes, missing: std::mem::take(&mut self.missing) })
    }
}

impl Drop for Export {
    /// What is not complete is of no use. Once it has its name, there is nothing here to remove.
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.growing);
    }
}
