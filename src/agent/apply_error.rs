//! Why an attempt came to nothing, with the code that the report carries.

use std::io;
use std::path::{Path, PathBuf};

use bus::objects::ReadError;
use schema::digest::Digest;
use schema::report::AttemptState;

/// An attempt that did not work. All of them are tried again, except what the operator said no to.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The disk, or who owns it, says no.
    #[error("can't {doing} {}", .path.display())]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// Somebody put a link, or something else, where a folder or file of the agent belongs.
    #[error("{} is not what the agent put there; remove it", .path.display())]
    PlantedPath {
        /// Where.
        path: PathBuf,
    },
    /// Another agent took the folder, after somebody had removed or replaced the lock's file.
    #[error(
        "another agent works in {}: the file `lock` there was removed or replaced while this agent ran, so this one ends; \
         stop one of the two, and leave that file alone", .dir.display()
    )]
    OtherAgent {
        /// The folder.
        dir: PathBuf,
    },
    /// What runs was put right and is changed again, time after time.
    #[error(
        "what runs was put right {} and is changed again: {}. {}", REPAIRS, listed(.places),
        if *.hooks { HOOK_WRITES } else { SOMEBODY_WRITES }
    )]
    DriftReturns {
        /// The places that differ.
        places: Vec<String>,
        /// Whether the operator's hook runs after each repair.
        hooks: bool,
    },
    /// A large content could not be had.
    #[error("content {} can't be fetched", .digest.short())]
    Fetch {
        /// Which.
        digest: Digest,
        /// Why.
        source: ReadError,
    },
    /// What lies in the cache is not what its name says. It was thrown away, and is fetched anew.
    #[error("cached content {} was damaged", .0.short())]
    DamagedCache(Digest),
    /// There is no connection, so what is missing can't be fetched.
    #[error("{0}")]
    NatsUnreachable(String),
    /// The centre's key is not known.
    #[error("no key is trusted yet: {0}")]
    NoTrustedKey(String),
    /// The operator's check or hook said no.
    #[error("{output}")]
    HookRejected {
        /// `check_rejected`, `check_timed_out`, `apply_rejected` or `apply_timed_out`.
        code: &'static str,
        /// How it ended, and the tail of what it printed.
        output: String,
    },
    /// The record on disk, which was whole when it was written, is not.
    #[error("the record of what runs can't be used: {0}")]
    DamagedRecord(String),
    /// The agent is to end.
    #[error("the agent ends")]
    ShuttingDown,
}

impl ApplyError {
    /// A failure of the disk.
    pub fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { doing, path, source }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disk { source, .. } => disk_code(source),
            Self::PlantedPath { .. } => "planted_path",
            Self::OtherAgent { .. } => "other_agent",
            Self::DriftReturns { .. } => "drift_returns",
            Self::Fetch { source, .. } => match source {
                ReadError::Missing(_) => "blob_missing",
                ReadError::Wrong { .. } => "wrong_blob",
                ReadError::Late => "fetch_timed_out",
                ReadError::Nats(_) => "fetch_failed",
                ReadError::Sink(source) => disk_code(source),
            },
            Self::DamagedCache(_) => "damaged_cache",
            Self::NatsUnreachable(_) => "nats_unreachable",
            Self::NoTrustedKey(_) => "no_trusted_key",
            Self::HookRejected { code, .. } => code,
            Self::DamagedRecord(_) => "damaged_record",
            Self::ShuttingDown => "agent_ending",
        }
    }

    /// Refused where nothing was touched and what came is at fault; else failed.
    #[must_use]
    pub fn state(&self) -> AttemptState {
        match self {
            Self::PlantedPath { .. } | Self::Fetch { source: ReadError::Wrong { .. }, .. } => AttemptState::Refused,
            _ => AttemptState::Failed,
        }
    }

    /// The whole story in one line: this failure and what it came from.
    #[must_use]
    pub fn with_sources(&self) -> String {
        let mut story = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            story = format!("{story}: {cause}");
            source = cause.source();
        }
        story
    }
}

/// How often, and within which time, until it is called a failure.
const REPAIRS: &str = "three times within a minute";
/// What to do about it where a hook runs.
const HOOK_WRITES: &str = "If the --apply command writes into the tree or removes it, have it write elsewhere; it is run \
                           again after each repair. The next repair waits, up to 5 minutes";
/// The same where none does.
const SOMEBODY_WRITES: &str = "Find the program that writes there; what should stay belongs into a document at the centre. \
                               The next repair waits, up to 5 minutes";
/// Places that are listed one by one.
const PLACES_MAX: usize = 20;

/// Places as a sentence lists them.
#[must_use]
pub fn listed(places: &[String]) -> String {
    let first = places.iter().take(PLACES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match places.len().saturating_sub(PLACES_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn disk_code(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk_full",
        _ => "disk_failed",
    }
}
