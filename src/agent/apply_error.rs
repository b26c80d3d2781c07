//! Why an attempt to apply a record failed, with the stable code that the report carries.

use std::io;
use std::path::{Path, PathBuf};

use bus::objects::ReadError;
use schema::digest::Digest;
use schema::report::AttemptState;

/// A failed attempt. Every one is tried again, except a rejection by the operator's check or hook.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A file operation failed.
    #[error("can't {doing} {}", .path.display())]
    Disk {
        /// The operation, such as `write`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A symlink or another file lies where a folder or file of the agent belongs.
    #[error("{} is not what the agent put there; remove it", .path.display())]
    PlantedPath {
        /// The place.
        path: PathBuf,
    },
    /// The lock's file was removed or replaced, and another agent took the folder.
    #[error(
        "another agent works in {}: the file `lock` there was removed or replaced while this agent ran, so this one ends; \
         stop one of the two, and leave that file alone", .dir.display()
    )]
    OtherAgent {
        /// The folder of the node.
        dir: PathBuf,
    },
    /// The tree in force was repaired several times and differs again.
    #[error(
        "the tree in force was repaired {} and differs again: {}. {}", REPAIRS, list_places(.places),
        if *.hooks { HOOK_WRITES } else { SOMEBODY_WRITES }
    )]
    DriftReturns {
        /// The places that differ.
        places: Vec<String>,
        /// Whether an apply hook runs after each repair, which may be what writes there.
        hooks: bool,
    },
    /// A large content could not be fetched.
    #[error("content {} can't be fetched", .digest.short())]
    Fetch {
        /// Of the content.
        digest: Digest,
        /// The error of the object store.
        source: ReadError,
    },
    /// Cached content does not have the digest of its name. It was removed, and is fetched again.
    #[error("cached content {} was damaged", .0.short())]
    DamagedCache(Digest),
    /// Content is missing and there is no connection to NATS.
    #[error("{0}")]
    NatsUnreachable(String),
    /// No key is pinned, and none could be chosen.
    #[error("no key is trusted yet: {0}")]
    NoTrustedKey(String),
    /// The operator's check or apply hook failed.
    #[error("{output}")]
    HookRejected {
        /// `check_rejected`, `check_timed_out`, `apply_rejected` or `apply_timed_out`.
        code: &'static str,
        /// How it ended, and the tail of its output.
        output: String,
    },
    /// The record on disk was complete when it was written, and is not any more.
    #[error("the record of what runs can't be used: {0}")]
    DamagedRecord(String),
    /// The agent was told to end.
    #[error("the agent ends")]
    ShuttingDown,
}

impl ApplyError {
    /// For `map_err` of a file operation.
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

    /// `Refused` if the record or the folder is at fault and nothing was changed; else `Failed`.
    #[must_use]
    pub fn state(&self) -> AttemptState {
        match self {
            Self::PlantedPath { .. } | Self::Fetch { source: ReadError::Wrong { .. }, .. } => AttemptState::Refused,
            _ => AttemptState::Failed,
        }
    }

    /// This error and its sources, on one line.
    #[must_use]
    pub fn with_sources(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// The limit of `RepairBackoff`, in words.
const REPAIRS: &str = "three times within a minute";
/// Advice where an apply hook runs.
const HOOK_WRITES: &str = "If the --apply command writes into the tree or removes it, have it write elsewhere; it is run \
                           again after each repair. The next repair waits, up to 5 minutes";
/// Advice where none does.
const SOMEBODY_WRITES: &str = "Find the program that writes there; what should stay belongs into a document at the server. \
                               The next repair waits, up to 5 minutes";
/// How many places are listed one by one.
const PLACES_MAX: usize = 20;

/// Such as `a, b and 3 more`.
#[must_use]
pub fn list_places(places: &[String]) -> String {
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
