//! Files become what they say, in their order: one thread reads and hashes, others unpack and prepare, and the caller's
//! audits and folds.
//!
//! Always: what is being read, prepared or waiting is bounded by a few blocks for each thread, however long the files are.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use projections::configuration::Configuration;
use projections::fold::Touched;
use replay::audit::{Audit, Prepared};
use replay::file::Damage;
use replay::file::block::Unpacker;
use replay::file::body::Header;
use replay::finding::Finding;
use replay::log::Opened;
use schema::digest::Digest;
use schema::id::LogId;
use schema::position::Position;

use super::source::{Broken, Next, Source, Stored};

/// Blocks that wait before and behind each thread that prepares them.
const WAITING: usize = 3;

/// Somebody who is told of every event that was found to be right.
pub(crate) trait Witness {
    /// The state before an event.
    fn before(&mut self, _event: &Opened, _state: &Configuration) {}

    /// An event once it is folded, and the nodes that it concerns.
    fn after(&mut self, _event: &Opened, _state: &Configuration, _touched: &Touched) {}
}

/// Nobody.
pub(crate) struct Nobody;

impl Witness for Nobody {}

/// A file that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it says of itself.
    pub(crate) header: Header,
    /// Its digest.
    pub(crate) digest: Digest,
    /// Its bytes.
    pub(crate) bytes: u64,
}

/// Why an audit ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file can't be read.
    #[error("{} can't be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// Something is not as it must be.
    #[error("{}, byte {}: {}", .0.path.display(), .0.offset, .0.finding)]
    Found(Box<Found>),
}

/// A finding, and where in which file.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) finding: Finding,
}

impl Found {
    pub(crate) fn failure(path: &Path, offset: u64, finding: Finding) -> Failure {
        Failure::Found(Box::new(Self { path: path.to_owned(), offset, finding }))
    }
}

/// What a thread is given.
enum Job {
    Prepare(Stored, LogId),
    Pass(Step),
}

/// What it gives.
enum Step {
    /// A file begins.
    Begin(PathBuf, Box<Header>),
    /// A block that begins at this byte.
    Block(u64, Result<Prepared, Damage>),
    /// A file ends: its digest, and its bytes.
    End(Digest, u64),
    /// It can't be read on.
    Broken(PathBuf, Broken),
}

/// Reads files into an audit, which is then at their end.
pub(crate) fn read(files: &[PathBuf], audit: &mut Audit, witness: &mut dyn Witness) -> Result<Vec<Part>, Failure> {
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

/// Gives what stands in the files to the threads in turn.
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

fn feed_one(path: &Path, give: &mut impl FnMut(Job) -> bool) -> Result<(), Broken> {
    let (mut source, header) = Source::open(path)?;
    let log_id = header.log_id;
    let mut goes_on = give(Job::Pass(Step::Begin(path.to_owned(), Box::new(header))));
    while goes_on {
        goes_on = match source.next()? {
            Next::Block(stored) => give(Job::Prepare(stored, log_id)),
            Next::End { computed, written } if computed == written => {
                give(Job::Pass(Step::End(written, source.offset())));
                false
            }
            Next::End { computed, written } => {
                return Err(Broken::Altered { offset: source.offset() - Digest::BYTES as u64, computed, written });
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
            Job::Prepare(Stored { offset, head, bytes }, log_id) => {
                let raw = unpacker.unpack(head, &bytes);
                Step::Block(offset, raw.and_then(|raw| Prepared::new(head.kind, &raw, log_id)))
            }
        };
        if steps.send(step).is_err() {
            return;
        }
    }
}

/// Takes what the threads give in turn.
fn follow(steps: &[Receiver<Step>], audit: &mut Audit, witness: &mut dyn Witness) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    let mut current = None;
    for thread in steps.iter().cycle() {
        let Ok(step) = thread.recv() else { break };
        match (step, &current) {
            (Step::Begin(path, header), _) => {
                let begun = audit.begin(&header);
                begun.map_err(|finding| Found::failure(&path, 0, finding))?;
                current = Some((path, header));
            }
            (Step::Block(offset, prepared), Some((path, _))) => {
                let taken = match prepared {
                    Ok(prepared) => take(audit, &prepared, witness),
                    Err(damage) => Err(Finding::damage(audit.position().next(), &damage)),
                };
                taken.map_err(|finding| Found::failure(path, offset, finding))?;
            }
            (Step::End(digest, bytes), Some((path, header))) => {
                audit.end().map_err(|finding| Found::failure(path, bytes, finding))?;
                parts.push(Part { path: path.clone(), header: (**header).clone(), digest, bytes });
            }
            (Step::Broken(path, broken), _) => return Err(failure(&path, broken, audit.position().next())),
            (Step::Block(..) | Step::End(..), None) => unreachable!("BUG: a file begins with its header"),
        }
    }
    let (path, bytes) = parts.last().map(|part| (part.path.clone(), part.bytes)).unwrap_or_default();
    audit.finish().map_err(|finding| Found::failure(&path, bytes, finding))?;
    Ok(parts)
}

fn take(audit: &mut Audit, prepared: &Prepared, witness: &mut dyn Witness) -> Result<(), Finding> {
    match prepared {
        Prepared::Blobs(contents) => audit.blobs(contents),
        Prepared::Checkpoints(notes) => audit.checkpoints(notes),
        Prepared::Events(events) => events.iter().try_for_each(|event| {
            if let (Ok(opened), Some(state)) = (event, audit.configuration()) {
                witness.before(opened, state);
            }
            let touched = audit.event(event)?;
            if let (Ok(opened), Some(state)) = (event, audit.configuration()) {
                witness.after(opened, state, &touched);
            }
            Ok(())
        }),
    }
}

fn failure(path: &Path, broken: Broken, next: Position) -> Failure {
    match broken {
        Broken::Unreadable(path, error) => Failure::Unreadable(path, error),
        Broken::Damaged { offset, damage } => Found::failure(path, offset, Finding::damage(next, &damage)),
        Broken::Altered { offset, computed, written } => {
            let what = "the file's digest is not that of its bytes: it was changed after it was written";
            Found::failure(path, offset, Finding::new(next, "file_digest", what, written, computed))
        }
    }
}
