//! The audit of files as a pipeline of threads: one reads and hashes, others unpack and prepare blocks, and the caller's
//! thread audits and folds in the order of the files.
//!
//! Always: memory is bounded by a few blocks for each thread, however long the files are.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use replay::audit::{Audit, PreparedBlock};
use replay::file::ExportError;
use replay::file::block::Unpacker;
use replay::file::body::ExportHeader;
use replay::finding::Finding;
use replay::log::OpenedEvent;
use schema::digest::Digest;
use schema::id::LogId;
use schema::position::Position;

use super::export_reader::{ExportReadError, ExportReader, NextBlock, PackedBlock};

/// Blocks that wait before and behind each thread that prepares them.
const WAITING: usize = 3;

/// An observer of every event that the audit accepted.
pub(crate) trait EventObserver {
    /// The state before an event.
    fn before(&mut self, _event: &OpenedEvent, _state: &Configuration) {}

    /// The state after an event, and the nodes that it affects.
    fn after(&mut self, _event: &OpenedEvent, _state: &Configuration, _affected: &AffectedNodes) {}
}

/// An observer that does nothing.
pub(crate) struct NoObserver;

impl EventObserver for NoObserver {}

/// A file that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedFile {
    /// The path of the file.
    pub(crate) path: PathBuf,
    /// Its first block.
    pub(crate) header: ExportHeader,
    /// The digest at its end.
    pub(crate) digest: Digest,
    /// The size in bytes.
    pub(crate) bytes: u64,
}

/// An audit that ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// A file can't be read.
    #[error("{} can't be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The log is not valid.
    #[error("{}, byte {}: {}", .0.path.display(), .0.offset, .0.finding)]
    Found(Box<LocatedFinding>),
}

/// A finding with its file and offset.
#[derive(Clone, Debug)]
pub(crate) struct LocatedFinding {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) finding: Finding,
}

impl LocatedFinding {
    pub(crate) fn failure(path: &Path, offset: u64, finding: Finding) -> AuditError {
        AuditError::Found(Box::new(Self { path: path.to_owned(), offset, finding }))
    }
}

/// The work of a thread.
enum Job {
    Prepare(PackedBlock, LogId),
    Pass(Step),
}

/// The result of a thread.
enum Step {
    /// A file begins.
    Begin(PathBuf, Box<ExportHeader>),
    /// A block that begins at this byte.
    Block(u64, Result<PreparedBlock, ExportError>),
    /// A file ends: its digest, and its size in bytes.
    End(Digest, u64),
    /// The rest of the file can't be read.
    Broken(PathBuf, ExportReadError),
}

/// Reads files into an audit, which is then at their end.
pub(crate) fn read(
    files: &[PathBuf],
    audit: &mut Audit,
    witness: &mut dyn EventObserver,
) -> Result<Vec<VerifiedFile>, AuditError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(1, 8);
    thread::scope(|scope| {
        let (mut jobs, mut steps) = (Vec::new(), Vec::new());
        for _ in 0..threads {
            let (job, taken) = sync_channel(WAITING);
            let (given, step) = sync_channel(WAITING);
            scope.spawn(move || prepare(&taken, &given));
            jobs.push(job);
            steps.push(step);
        }
        scope.spawn(move || feed(files, &jobs));
        // Threads whose steps nobody takes any more end by themselves.
        follow(&steps, audit, witness)
    })
}

/// Hands the blocks of the files to the threads in turn.
fn feed(files: &[PathBuf], threads: &[SyncSender<Job>]) {
    let mut turn = threads.iter().cycle();
    let mut give = |job| turn.next().is_some_and(|thread| thread.send(job).is_ok());
    for path in files {
        if let Err(broken) = feed_one(path, &mut give) {
            give(Job::Pass(Step::Broken(path.clone(), broken)));
            return;
        }
    }
}

fn feed_one(path: &Path, give: &mut impl FnMut(Job) -> bool) -> Result<(), ExportReadError> {
    let (mut source, header) = ExportReader::open(path)?;
    let log_id = header.log_id;
    let mut goes_on = give(Job::Pass(Step::Begin(path.to_owned(), Box::new(header))));
    while goes_on {
        goes_on = match source.next()? {
            NextBlock::Block(stored) => give(Job::Prepare(stored, log_id)),
            NextBlock::End { computed, written } if computed == written => {
                give(Job::Pass(Step::End(written, source.offset())));
                false
            }
            NextBlock::End { computed, written } => {
                return Err(ExportReadError::Altered {
                    offset: source.offset() - Digest::BYTES as u64,
                    computed,
                    written,
                });
            }
        };
    }
    Ok(())
}

fn prepare(jobs: &Receiver<Job>, steps: &SyncSender<Step>) {
    let mut unpacker = Unpacker::default();
    for job in jobs {
        let step = match job {
            Job::Pass(step) => step,
            Job::Prepare(PackedBlock { offset, head, bytes }, log_id) => {
                let raw = unpacker.unpack(head, &bytes);
                Step::Block(offset, raw.and_then(|raw| PreparedBlock::new(head.kind, &raw, log_id)))
            }
        };
        if steps.send(step).is_err() {
            return;
        }
    }
}

/// Audits the results of the threads in turn.
fn follow(
    steps: &[Receiver<Step>],
    audit: &mut Audit,
    witness: &mut dyn EventObserver,
) -> Result<Vec<VerifiedFile>, AuditError> {
    let mut parts = Vec::new();
    let mut current = None;
    for thread in steps.iter().cycle() {
        let Ok(step) = thread.recv() else { break };
        match (step, &current) {
            (Step::Begin(path, header), _) => {
                let begun = audit.begin(&header);
                begun.map_err(|finding| LocatedFinding::failure(&path, 0, finding))?;
                current = Some((path, header));
            }
            (Step::Block(offset, prepared), Some((path, _))) => {
                let taken = match prepared {
                    Ok(prepared) => take(audit, &prepared, witness),
                    Err(damage) => Err(Finding::damage(audit.position().next(), &damage)),
                };
                taken.map_err(|finding| LocatedFinding::failure(path, offset, finding))?;
            }
            (Step::End(digest, bytes), Some((path, header))) => {
                audit.end().map_err(|finding| LocatedFinding::failure(path, bytes, finding))?;
                parts.push(VerifiedFile { path: path.clone(), header: (**header).clone(), digest, bytes });
            }
            (Step::Broken(path, broken), _) => return Err(failure(&path, broken, audit.position().next())),
            (Step::Block(..) | Step::End(..), None) => unreachable!("BUG: a file begins with its header"),
        }
    }
    let (path, bytes) = parts.last().map(|part| (part.path.clone(), part.bytes)).unwrap_or_default();
    audit.finish().map_err(|finding| LocatedFinding::failure(&path, bytes, finding))?;
    Ok(parts)
}

fn take(audit: &mut Audit, prepared: &PreparedBlock, witness: &mut dyn EventObserver) -> Result<(), Finding> {
    match prepared {
        PreparedBlock::Blobs(contents) => audit.blobs(contents),
        PreparedBlock::Checkpoints(notes) => audit.checkpoints(notes),
        PreparedBlock::Events(events) => events.iter().try_for_each(|event| {
            if let (Ok(opened), Some(state)) = (event, audit.configuration()) {
                witness.before(opened, state);
            }
            let affected = audit.event(event)?;
            if let (Ok(opened), Some(state)) = (event, audit.configuration()) {
                witness.after(opened, state, &affected);
            }
            Ok(())
        }),
    }
}

fn failure(path: &Path, broken: ExportReadError, next: Position) -> AuditError {
    match broken {
        ExportReadError::Unreadable(path, error) => AuditError::Unreadable(path, error),
        ExportReadError::Damaged { offset, damage } => {
            LocatedFinding::failure(path, offset, Finding::damage(next, &damage))
        }
        ExportReadError::Altered { offset, computed, written } => {
            let what = "the file's digest is not that of its bytes: it was changed after it was written";
            LocatedFinding::failure(path, offset, Finding::new(next, "file_digest", what, written, computed))
        }
    }
}
