//! `headwater recover`: what to do about a database that was restored from a backup.
//!
//! What always holds: without a flag it only looks. Events are taken back from the event stream if they go on from the log and lead to
//! the newest checkpoint outside PostgreSQL; no event of the log is changed. Events behind that checkpoint, for which nobody signed, are
//! taken back only with a flag of their own. Where events can't be had back, the rest becomes a new log, which nodes accept only when
//! told to. Absent on purpose: mixing two histories. A log that was appended to after it was restored is not the one that others know.

use std::path::PathBuf;
use std::sync::Arc;

use projections::configuration::Configuration;
use replay::checkpoint::{Checkpoint, CheckpointError};
use replay::log::{DivergenceError, Follower};
use replay::stray::{StrayError, next_event};
use schema::event::Event;
use schema::position::Position;
use schema::wire::WireRecord as _;

mod findings;
mod folder_search;
mod lost_contents;
mod new_log;
mod put_aside;

pub use self::findings::RecoveryFindings;
pub use self::new_log::NewLog;
pub use self::put_aside::PutAside;

use crate::adapters::ContentSource;
use crate::backend;
use crate::config::{PostgresOptions, StreamOptions};
use crate::publish::checkpoint_bucket::CheckpointBucket;
use crate::publish::recovery_scan;
use crate::publish::stream_comparison::{ExcessOrigin, StreamComparison, StreamExcess};
use bus::connect::Link;
use bus::options::{IdentityOptions, NatsOptions};
use program::output::StdoutError;
use store::database::Error as LogError;
use store::reader::Reader;
use store::restore_events::restore_events;
use tls::plain::PlainOption;

const URL_HELP: &str = "The log as role headwater_app: postgres://headwater_app:password@host:port/database. For --new-log \
                        as the database's owner, as for `headwater install`";
const FILE_HELP: &str = "A file with the password for that URL";

const AFTER_HELP: &str = "\
1. Look which events are missing, and who holds them:
     headwater recover
2. Take back what the event stream holds and the log's key signed for:
     headwater recover --adopt-stream
   and also the last events, for which nobody signed:
     headwater recover --adopt-stream --unsigned-too
   or not, if somebody else wrote them or nobody needs them:
     headwater recover --put-aside
   Contents that no table holds any more are put back from files below a
   folder: copies of nodes' folders, exports. A put_document of the same bytes
   that changes its document puts them back, too:
     headwater recover --contents DIR
3. Or, if they are nowhere to be had: end every server, perhaps keep a copy
   of NATS, and begin a new log with what is left, which prints its id:
     headwater recover --new-log --database-url <owner>
   Then on each node, with its agent stopped:
     headwater edge accept-log <LOG_ID> --dir <DIR>

Exit codes: 0 nothing is missing any more, 1 something is (a content, too), or it was refused, 2 usage, 3 could not reach something.";

/// Says which events a restored database lacks, and who holds them. With --adopt-stream it takes them back. Where they can't be had
/// back, --new-log begins a new log with the rest.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP, mut_args(PostgresOptions::with_help(URL_HELP, FILE_HELP)))]
pub struct Options {
    #[command(flatten)]
    postgres: PostgresOptions,

    #[command(flatten)]
    plain: PlainOption,

    #[command(flatten)]
    nats: NatsOptions,

    #[command(flatten)]
    identity: IdentityOptions,

    #[command(flatten)]
    streams: StreamOptions,

    /// Take the missing events back from the event stream, up to the newest checkpoint kept outside PostgreSQL.
    #[arg(long)]
    pub adopt_stream: bool,

    /// Take back also the events after that checkpoint: nobody signed for them, and anybody who may publish could have put them there.
    #[arg(long, requires = "adopt_stream")]
    pub unsigned_too: bool,

    /// Put aside the messages of the event stream after the end of the log for which nobody signed: they are copied to the stream of
    /// strays, and the relay fills the event stream again from the log.
    #[arg(long, conflicts_with_all = ["adopt_stream", "new_log"])]
    pub put_aside: bool,

    /// Take contents that events name and the database lacks from the files below this folder, whatever they are called: a copy of a
    /// node's folder (its generations and blobs), of a backup's contents, or exports. Of overwritten documents nothing else may have
    /// them any more. No link is followed.
    #[arg(long, value_name = "DIR", conflicts_with = "new_log")]
    pub contents: Option<PathBuf>,

    /// Give up what is missing: all events of the database are sealed again under a new log id, followed by one that names
    /// the old log, its last event and its root, and what NATS holds of the old log is removed. Nodes keep what they run and take
    /// nothing of the new log until `headwater edge accept-log` on each says so.
    #[arg(long, conflicts_with = "adopt_stream")]
    pub new_log: bool,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why nothing can be found out or done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL or NATS refused, or could not be reached.
    #[error(transparent)]
    Backend(backend::Error),
    /// Another key or log signed the checkpoint.
    #[error("the newest checkpoint kept outside PostgreSQL can't be trusted: {0}")]
    Untrusted(#[from] CheckpointError),
    /// The stream's events do not go on from the log's.
    #[error("the event stream does not go on from the log {0}")]
    Diverged(#[from] DivergenceError),
    /// The log was appended to after it was restored.
    #[error(
        "the log and the event stream tell different stories from position {0} on: the database was put back and then \
         appended to, or somebody else wrote to the stream. The stream's events can't be taken back behind those. \
         `headwater recover --put-aside` puts them aside if nobody signed for them; else `headwater recover --new-log` goes \
         on with what the database has, under a new log id"
    )]
    TwoHistories(Position),
    /// What was to be put aside was signed for, or is another log's.
    #[error("the event stream is not made anew: {0}")]
    NotAside(String),
    /// The stream does not lead to what was signed.
    #[error("what was signed at position {0} is not what the log and the event stream lead to: nothing is taken back")]
    NotSigned(Position),
    /// The stream ends within a request.
    #[error("the event stream ends within a request, at position {0}: nothing is taken back")]
    Cut(Position),
    /// The content of a document is nowhere.
    #[error(
        "the content of these documents is not in NATS, so that no node could be given it: {0}. Nothing is taken back. A node that \
         runs them has it: copy its folder here, and say `--contents DIR`"
    )]
    ContentGone(String),
    /// The folder can't be read.
    #[error("{} can't be read (--contents)", .0.display())]
    Folder(PathBuf, #[source] std::io::Error),
    /// A new log is not needed.
    #[error("nobody holds more of this log than the database has, so there is no reason to begin a new one")]
    NothingLost,
    /// The role is not the database's owner.
    #[error(
        "{0}: a new log seals all events anew, which the application's role must not be able to do. Give the database's URL \
         as its owner, as for `headwater install`"
    )]
    NotOwner(#[source] LogError),
}

backend::command_error!(Error, Usage: Self::NotOwner(_) | Self::Folder(..));

/// What a recovery came to, which is printed.
#[derive(Debug)]
pub enum RecoveryOutcome {
    /// What was found, and perhaps taken back.
    Inspected(RecoveryFindings),
    /// Unsigned events were put aside.
    PutAside(PutAside),
    /// A new log was begun.
    NewLog(NewLog),
}

impl RecoveryOutcome {
    /// Prints the outcome. True if nothing is missing any more.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn print(&self, json: bool) -> Result<bool, StdoutError> {
        match self {
            Self::Inspected(findings) => findings.print(json),
            Self::PutAside(aside) => aside.print(json).map(|()| true),
            Self::NewLog(begun) => begun.print(json).map(|()| true),
        }
    }
}

struct Recovery {
    reader: Reader,
    link: Link,
    options: Options,
}

/// Finds out what the log lacks, and does what the options say.
///
/// # Errors
/// If something can't be reached, or must not be taken back.
pub async fn run(options: Options) -> Result<RecoveryOutcome, Error> {
    let reader = options.postgres.open(options.plain).await?;
    let link =
        options.nats.connect::<Error>(options.plain, options.identity.load()?.as_ref(), "headwater recover").await?;
    link.up().await;
    let recovery = Recovery { reader, link, options };
    if recovery.options.new_log {
        return Box::pin(recovery.begin_new_log()).await.map(RecoveryOutcome::NewLog);
    }
    if recovery.options.put_aside {
        return Box::pin(recovery.put_aside()).await.map(RecoveryOutcome::PutAside);
    }
    let (mut findings, checkpoint) = recovery.inspect().await?;
    if let Some(parted) = findings.parted.filter(|_| recovery.options.adopt_stream) {
        return Err(Error::TwoHistories(parted));
    }
    let wanted = match (recovery.options.adopt_stream, recovery.options.unsigned_too) {
        (false, _) => 0,
        (true, false) => findings.signed(),
        (true, true) => findings.missing.len(),
    };
    if wanted > 0 {
        Box::pin(recovery.take_back(findings.head, &findings.missing[..wanted], checkpoint)).await?;
        findings.adopted = wanted;
    }
    findings.lacking = recovery.reader.lacking_contents().await?;
    if let Some(dir) = recovery.options.contents.as_ref().filter(|_| !findings.lacking.is_empty()) {
        findings.restored = recovery.restore(dir, &mut findings.lacking).await?;
    }
    Ok(RecoveryOutcome::Inspected(findings))
}

impl Recovery {
    async fn inspect(&self) -> Result<(RecoveryFindings, Option<Checkpoint>), Error> {
        let (jetstream, prefix) = (self.link.jetstream(), &self.options.nats.nats_prefix);
        let (_, (stream, head), excess) = self.compare().await?;
        let checkpoint = self.checkpoint().await?;
        let (mut missing, mut stray, mut parted) = (Vec::new(), None, None);
        match excess {
            Some(StreamExcess { origin: ExcessOrigin::Stray(why), agreed, .. }) => stray = Some((agreed.next(), why)),
            Some(StreamExcess { origin: ExcessOrigin::OtherLog(_), agreed, .. }) => {
                return Err(Error::TwoHistories(agreed.next()));
            }
            Some(StreamExcess { agreed, .. }) => {
                parted = (agreed < head).then(|| agreed.next());
                missing = recovery_scan::events(&jetstream, prefix, agreed, stream).await?;
                stray = self.cut_before_stray(agreed, &mut missing).await?;
            }
            None => {}
        }
        let nodes = recovery_scan::seen(&jetstream, prefix, (self.reader.log_id(), self.reader.public_key())).await?;
        let nodes = nodes.into_iter().filter(|(_, seen)| seen.is_beyond(head)).collect();
        let signed = checkpoint.as_ref().map(|checkpoint| checkpoint.position);
        let (adopted, lacking, restored) = (0, Vec::new(), 0);
        let findings = RecoveryFindings {
            head,
            stream,
            checkpoint: signed,
            missing,
            parted,
            stray,
            nodes,
            adopted,
            lacking,
            restored,
        };
        Ok((findings, checkpoint))
    }

    /// Compares the event stream with the log: the stream's last sequence, the log's head, and the messages that the log does not have.
    async fn compare(&self) -> Result<(StreamComparison, (Position, Position), Option<StreamExcess>), Error> {
        let (jetstream, prefix) = (self.link.jetstream(), self.options.nats.nats_prefix.clone());
        let table = Arc::new(ContentSource(self.reader.clone()));
        let mut comparison = StreamComparison::new(jetstream, prefix, self.reader.log_id(), table);
        let stream = comparison.last().await?;
        let head = self.reader.head().await?.position;
        let excess = comparison.excess(stream, head, Position::ZERO, &Configuration::default()).await?;
        Ok((comparison, (stream, head), excess))
    }

    /// The newest checkpoint outside PostgreSQL; the table's, where that one was not signed for this log.
    async fn checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let open = |note: &[u8]| Checkpoint::open(note, self.reader.log_id(), self.reader.public_key());
        let outside =
            CheckpointBucket::new(self.link.jetstream(), self.options.nats.nats_prefix.clone()).read().await?;
        let Some(note) = outside.note else { return Ok(None) };
        let inside = async || Ok::<_, Error>(self.reader.newest_checkpoint().await?);
        match open(&note) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(bad) => match inside().await?.and_then(|kept| open(kept.note.as_bytes()).ok()) {
                Some(checkpoint) => Ok(Some(checkpoint)),
                None => Err(bad.into()),
            },
        }
    }

    /// Cuts the events before the first one that can't follow from the log, and gives that one's position and the reason.
    async fn cut_before_stray(
        &self,
        agreed: Position,
        events: &mut Vec<Event>,
    ) -> Result<Option<(Position, StrayError)>, Error> {
        let mut follower = Follower::new(self.reader.log_id());
        self.reader.follow(&mut follower, agreed).await?;
        for index in 0..events.len() {
            let event = &events[index];
            if let Err(stray) = next_event(&follower, &event.write()) {
                let position = event.position;
                events.truncate(index);
                return Ok(Some((position, *stray)));
            }
            // This program can't follow an event of a newer one. Taking it back fails with that error.
            if follower.advance(event).is_err() {
                break;
            }
        }
        Ok(None)
    }

    async fn take_back(&self, head: Position, missing: &[Event], checkpoint: Option<Checkpoint>) -> Result<(), Error> {
        let mut follower = Follower::new(self.reader.log_id());
        let (within, ahead): (Option<_>, Option<_>) = match checkpoint {
            Some(checkpoint) if checkpoint.position <= head => (Some(checkpoint), None),
            checkpoint => (None, checkpoint),
        };
        if let Some(signed) = within {
            self.reader.follow(&mut follower, signed.position).await?;
            if follower.frontier().root() != signed.root {
                return Err(Error::NotSigned(signed.position));
            }
        }
        self.reader.follow(&mut follower, head).await?;
        // The rest of the log must be unchanged too, or the missing events would be appended to another history.
        self.reader.head_at_rest().await?.is_over(&follower)?;
        let after = proven(follower.clone(), missing, ahead)?;
        let contents = self.contents(missing, &after).await?;
        Ok(restore_events(&self.reader, &mut follower, missing, &contents).await?)
    }
}

/// The log after these events, if they go on from it, end with a request, and lead to what was signed.
fn proven(mut follower: Follower, events: &[Event], signed: Option<Checkpoint>) -> Result<Follower, Error> {
    let mut is_proven = signed.is_none();
    for event in events {
        follower.advance(event)?;
        if let Some(signed) = &signed
            && signed.position == event.position
        {
            is_proven = follower.frontier().root() == signed.root;
        }
    }
    match signed {
        Some(signed) if !is_proven => Err(Error::NotSigned(signed.position)),
        _ if !follower.is_between_requests() => Err(Error::Cut(follower.position())),
        _ => Ok(follower),
    }
}
