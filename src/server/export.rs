//! `headwater export`: the log, its contents and its checkpoints as one file, straight from PostgreSQL.
//!
//! Rows are written as they are: verifying them is left to the reader of the file. What always holds: a file gets its name only once it
//! is complete and on the disk; a request is never cut; memory does not grow with the log; the same part of a log gives the same file.
//! Absent on purpose: the HTTP API, which need not run.

mod error;
mod export_file;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use replay::file::body::ExportHeader;
use replay::tree::Frontier;
use schema::position::Position;
use serde_json::json;

pub use self::error::Error;
use self::export_file::{ExportFile, ExportSummary};
use crate::config::PostgresOptions;
use program::output;
use store::database::Error as LogError;
use store::reader::Reader;
use tls::plain::PlainOption;

/// How long an export waits for a checkpoint of its end: a relay signs at least every 10 s.
const SIGNED_WITHIN: Duration = Duration::from_secs(15);
const SIGNED_POLL: Duration = Duration::from_millis(200);

const URL_HELP: &str = "The log's database: postgres://headwater_reader:password@host/database";
const FILE_HELP: &str =
    "A file with the password for that URL, which then is postgres://headwater_reader@host/database";

/// Exports a log, or a part of it. The role headwater_reader may do it.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_args(PostgresOptions::with_help(URL_HELP, FILE_HELP)))]
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

    #[command(flatten)]
    postgres: PostgresOptions,

    #[command(flatten)]
    plain: PlainOption,

    /// Print what was written as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Writes the export, and prints its size and digest.
///
/// # Errors
/// If the log can't be read or the file can't be written; then there is no file of that name. If only the output can't be written,
/// there is.
pub async fn run(options: Options) -> Result<(), Error> {
    if options.to.exists() {
        return Err(Error::Exists(options.to));
    }
    let reader = options.postgres.open(options.plain).await?;
    let (from, to) = (options.from.into(), options.to_position.map(Position::from));
    let mut range = export_range(&reader, from, to).await?;
    if to.is_none() {
        range.end_at_checkpoint(&reader).await?;
    }
    let ExportRange { from, to, rows_to } = range;
    let header = ExportHeader {
        log_id: reader.log_id(),
        public_key: *reader.public_key().as_bytes(),
        from,
        to,
        frontier: tree_before(&reader, from).await?.roots().to_vec(),
    };
    let mut file = ExportFile::begin(&options.to, &header, reader.beside())?;
    file.write_all(&reader, &header, rows_to).await?;
    let ExportSummary { digest, bytes, missing } = file.finish()?;
    for digest in &missing {
        output::complain(&format!("content {digest} is not in the database, so not in the file either"));
    }
    match options.json {
        true => output::json(
            &json!({
                "file": options.to, "log_id": header.log_id, "from": from, "to": to, "bytes": bytes, "sha256": digest,
                "missing": missing,
            })
            .to_string(),
        ),
        false => output::text(&format!(
            "events {from} to {to} in {}, {bytes} bytes\nsha256 {digest}\n",
            options.to.display()
        )),
    }
    .map_err(Error::Output)?;
    Ok(())
}

/// The events of an export, in whole requests.
struct ExportRange {
    from: Position,
    to: Position,
    /// Rows are written up to here: rows behind the end of the log are evidence of a change.
    rows_to: Position,
}

impl ExportRange {
    /// Waits for a checkpoint that covers the end of the log, and ends the export there: a verifier with a key trusts no event that
    /// nobody signed for, and of a growing log only later events may be signed. Without a running relay the export ends unsigned.
    async fn end_at_checkpoint(&mut self, reader: &Reader) -> Result<(), Error> {
        let deadline = Instant::now() + SIGNED_WITHIN;
        loop {
            let signed = reader.newest_checkpoint().await?.map(|kept| kept.position).unwrap_or_default();
            if signed >= self.to {
                // A log that was cut may have checkpoints beyond its end.
                if signed <= reader.ends().await?.0 {
                    self.to = reader.request_of(signed).await?.map_or(signed, |request| request.last);
                    self.rows_to = self.rows_to.max(self.to);
                }
                return Ok(());
            }
            if Instant::now() >= deadline {
                output::complain(&format!("the log is signed up to {signed} only: is a server running that signs it?"));
                return Ok(());
            }
            tokio::time::sleep(SIGNED_POLL).await;
        }
    }
}

async fn export_range(reader: &Reader, from: Position, to: Option<Position>) -> Result<ExportRange, Error> {
    let (head, last) = reader.ends().await?;
    let first = reader.request_of(from).await?.map_or(from, |request| request.first);
    if first != from && from <= head {
        return Err(Error::WithinRequest { from, first });
    }
    match to {
        Some(to) if to < from || to > head => Err(Error::EmptyRange { from, to, head }),
        Some(to) => {
            let to = reader.request_of(to).await?.map_or(to, |request| request.last).min(head);
            Ok(ExportRange { from, to, rows_to: to })
        }
        None if head < from && (head > Position::ZERO || from.get() > 1) => {
            Err(Error::EmptyRange { from, to: head, head })
        }
        None => Ok(ExportRange { from, to: head, rows_to: head.max(last) }),
    }
}

/// The tree over the events before `from`.
async fn tree_before(reader: &Reader, from: Position) -> Result<Frontier, Error> {
    let mut frontier = Frontier::default();
    let last = from.previous();
    while frontier.size() < last {
        let leaves = reader.leaves(frontier.size(), last).await?;
        if leaves.is_empty() {
            return Err(LogError::WentBack { head: frontier.size(), folded: last }.into());
        }
        leaves.into_iter().for_each(|leaf| frontier.push(leaf));
    }
    Ok(frontier)
}
