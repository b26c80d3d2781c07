//! The plan of a node for a record: ordered steps, a refusal, or nothing to do.
//!
//! Always: a step that changes the tree is planned only after every claim of the manifest was checked; the floor never falls;
//! a tree that the operator's check or hook rejected is not tried again before its digest changes or a retry is ordered.
//!
//! Absent on purpose: the signature, which is checked over bytes before a record is read at all, and every file.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use schema::desired::{Desired, Entry, EntryKind};
use schema::digest::Digest;
use schema::id::{Id, LogId, NodeId};
use schema::limit::{CONTENT_BYTES_MAX, ENTRIES_MAX};
use schema::path::DocumentPath;
use schema::position::Position;
use schema::report::RecordRef;
use schema::variant::UnknownVariantName;

/// The actual state of a node: what it stored, and the tree that `current` points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActualState {
    /// The id of the node.
    pub node: NodeId,
    /// The log that the node follows; none before its first record.
    pub log_id: Option<LogId>,
    /// The newest record that the node has accepted.
    pub floor: Option<RecordRef>,
    /// The record whose generation is in force.
    pub running: Option<RecordRef>,
    /// The last record that was applied with success.
    pub last_good: Option<RecordRef>,
    /// The attempts that the check or the hook rejected.
    pub rejected: Vec<RejectedAttempt>,
    /// Whether the operator has a `--check` command, which runs before the switch.
    pub checks: bool,
    /// Whether the operator has an `--apply` command, which runs after the switch.
    pub hooks: bool,
}

/// A digest that the operator's check or hook rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectedAttempt {
    /// The digest of the rejected record.
    pub digest: Digest,
    /// The `retry` of that record: a record with a higher one is tried again.
    pub retry: Position,
}

/// Content that does not travel inside the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchedContent {
    /// SHA-256 of the content, which is the name of the object.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
}

/// A step of a plan. Each can be repeated safely after the agent was killed in the middle of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Store the record and raise the floor to it, before anything else is changed.
    Accept,
    /// Put the last good generation back in force, or nothing if there is none: what runs was rejected.
    Restore,
    /// Report again that the digest was rejected before; no retry was ordered since.
    LeaveRejected,
    /// Fetch all of this content into the cache.
    Fetch(Vec<FetchedContent>),
    /// Run the operator's check on a copy of the generation.
    Check,
    /// Write the whole generation beside the one in force. It comes after the check, so that changes which the check made to its
    /// copy are not part of it.
    Write,
    /// Put the generation in force.
    Switch,
    /// Run the `--apply` command of the operator on the generation in force.
    Hook,
    /// Store the record as the last good one.
    Settle,
}

/// The refusal of a record. Nothing on the node was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefusal {
    /// The record is for another node.
    #[error("the record is for node {0}")]
    OtherNode(NodeId),
    /// The record follows from another log than this node.
    #[error("the record is of log {found}; this node follows {pinned}")]
    OtherLog {
        /// The log of the record.
        found: LogId,
        /// The log that this node follows.
        pinned: LogId,
    },
    /// No event has position 0.
    #[error("the record has no position")]
    NoPosition,
    /// A newer record was accepted before.
    #[error("the record is of position {found}; {floor} was accepted before")]
    OlderPosition {
        /// The position of the record.
        found: Position,
        /// The newest position that was accepted.
        floor: Position,
    },
    /// The same position was accepted with other content. Two histories claim it.
    #[error("position {position} was accepted with content {}, and comes with {}", .accepted.short(), .found.short())]
    SamePositionOtherContent {
        /// The position of both.
        position: Position,
        /// The digest of the accepted record.
        accepted: Digest,
        /// The digest of this record.
        found: Digest,
    },
    /// More entries than a record may have.
    #[error("the record has {0} entries, more than {ENTRIES_MAX}")]
    TooManyEntries(usize),
    /// A retired node's record holds entries.
    #[error("the record retires the node and yet has entries")]
    RetiredWithEntries,
    /// A newer server wants a sort of file that this program does not know.
    #[error("path {path:?} is of kind {kind}, which this program does not know: upgrade it")]
    UnknownKind {
        /// The path of the entry.
        path: String,
        /// The name of its kind.
        kind: UnknownVariantName,
    },
    /// A path that could leave its folder, or is of the wrong form for its kind.
    #[error("path {path:?}: {why}")]
    InvalidPath {
        /// The path of the entry.
        path: String,
        /// The rule that the path breaks.
        why: String,
    },
    /// The entries are not in order of their paths, or name one twice.
    #[error("path {0:?} is not in order, or is there twice")]
    UnsortedEntries(String),
    /// One entry is the folder of another.
    #[error("path {path:?} lies below {ancestor:?}, which is a file")]
    NestedPath {
        /// The longer path.
        path: String,
        /// The path that would be its folder.
        ancestor: String,
    },
    /// Content beyond what a document may have.
    #[error("path {path:?} has {size} bytes, more than {CONTENT_BYTES_MAX}")]
    TooLarge {
        /// The path of the entry.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// Content inside the record is not what the entry says.
    #[error("path {path:?} carries other content than its digest or size says")]
    WrongInline {
        /// The path of the entry.
        path: String,
    },
    /// The entries do not have the digest that the record claims.
    #[error("the entries have digest {}, the record says {}", .found.short(), .claimed.short())]
    WrongDigest {
        /// The digest computed from the entries.
        found: Digest,
        /// The digest that the record states.
        claimed: Digest,
    },
}

impl RecordRefusal {
    /// Whether the record is of the node's own log, and the node has gone further: what it holds proves that.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        matches!(self, Self::OlderPosition { .. } | Self::SamePositionOtherContent { .. })
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherNode(_) => "other_node",
            Self::OtherLog { .. } => "other_log",
            Self::NoPosition => "no_position",
            Self::OlderPosition { .. } => "older_position",
            Self::SamePositionOtherContent { .. } => "same_position_other_content",
            Self::TooManyEntries(_) => "too_many_entries",
            Self::RetiredWithEntries => "retired_with_entries",
            Self::UnknownKind { .. } => "newer_format",
            Self::InvalidPath { .. } => "invalid_path",
            Self::UnsortedEntries(_) => "unsorted_entries",
            Self::NestedPath { .. } => "nested_path",
            Self::TooLarge { .. } => "too_large",
            Self::WrongInline { .. } => "wrong_inline",
            Self::WrongDigest { .. } => "wrong_digest",
        }
    }
}

/// The steps from `have` to `want`; none if there is nothing to do.
///
/// `want` must have been opened with the pinned key: this function trusts its author, and nothing that it says.
///
/// # Errors
/// The reason why `want` must not be tried.
pub fn plan(have: &ActualState, want: &Desired) -> Result<Vec<Step>, RecordRefusal> {
    is_for_this_node(have, want)?;
    moves_forward(have, want)?;
    is_whole(want)?;
    Ok(steps(have, want))
}

/// Refuses a record of another node or another log.
fn is_for_this_node(have: &ActualState, want: &Desired) -> Result<(), RecordRefusal> {
    if want.node != have.node {
        return Err(RecordRefusal::OtherNode(want.node.clone()));
    }
    match have.log_id {
        Some(pinned) if pinned != want.log_id => Err(RecordRefusal::OtherLog { found: want.log_id, pinned }),
        _ => Ok(()),
    }
}

/// Refuses a record at or below the floor, unless it is the accepted one.
fn moves_forward(have: &ActualState, want: &Desired) -> Result<(), RecordRefusal> {
    if want.position == Position::ZERO {
        return Err(RecordRefusal::NoPosition);
    }
    let Some(floor) = have.floor else { return Ok(()) };
    if want.position < floor.position {
        return Err(RecordRefusal::OlderPosition { found: want.position, floor: floor.position });
    }
    // The digest covers every path and all content, so equal digests are equal trees.
    if want.position == floor.position && want.digest != floor.digest {
        let (position, accepted, found) = (want.position, floor.digest, want.digest);
        return Err(RecordRefusal::SamePositionOtherContent { position, accepted, found });
    }
    Ok(())
}

/// Every claim that the manifest makes about itself, so that what follows may believe it.
fn is_whole(want: &Desired) -> Result<(), RecordRefusal> {
    if want.entries.len() > ENTRIES_MAX {
        return Err(RecordRefusal::TooManyEntries(want.entries.len()));
    }
    if want.retired && !want.entries.is_empty() {
        return Err(RecordRefusal::RetiredWithEntries);
    }
    for entry in &want.entries {
        has_valid_path(entry)?;
        has_its_content(entry)?;
    }
    are_apart(&want.entries)?;
    let found = want.digest_of_entries();
    if found != want.digest {
        return Err(RecordRefusal::WrongDigest { found, claimed: want.digest });
    }
    Ok(())
}

fn has_valid_path(entry: &Entry) -> Result<(), RecordRefusal> {
    let invalid = |why: String| RecordRefusal::InvalidPath { path: entry.path.clone(), why };
    match entry.kind {
        EntryKind::Document => match entry.path.parse::<DocumentPath>() {
            Ok(_) => Ok(()),
            Err(fault) => Err(invalid(fault.detail)),
        },
        EntryKind::Job => {
            let id = entry.path.strip_prefix("jobs/").and_then(|rest| rest.strip_suffix(".json"));
            match id.map(str::parse::<Id>) {
                Some(Ok(_)) => Ok(()),
                _ => Err(invalid("a job's path is jobs/<id>.json".to_owned())),
            }
        }
        // Which paths such a kind may have is not known here, so none is safe.
        EntryKind::Unknown(kind) => Err(RecordRefusal::UnknownKind { path: entry.path.clone(), kind }),
    }
}

fn has_its_content(entry: &Entry) -> Result<(), RecordRefusal> {
    if entry.size > CONTENT_BYTES_MAX as u64 {
        return Err(RecordRefusal::TooLarge { path: entry.path.clone(), size: entry.size });
    }
    match &entry.inline {
        Some(bytes) if bytes.len() as u64 != entry.size || Digest::of(bytes) != entry.digest => {
            Err(RecordRefusal::WrongInline { path: entry.path.clone() })
        }
        _ => Ok(()),
    }
}

/// Sorted, no path twice, and no path a folder of another.
fn are_apart(entries: &[Entry]) -> Result<(), RecordRefusal> {
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].path >= pair[1].path) {
        return Err(RecordRefusal::UnsortedEntries(pair[1].path.clone()));
    }
    // Neighbours do not tell: `a-b` sorts between `a` and `a/b`.
    let paths: BTreeSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    for path in &paths {
        let mut ancestors = path.match_indices('/').map(|(slash, _)| &path[..slash]);
        if let Some(ancestor) = ancestors.find(|ancestor| paths.contains(ancestor)) {
            return Err(RecordRefusal::NestedPath { path: path.to_string(), ancestor: ancestor.to_string() });
        }
    }
    Ok(())
}

/// What remains to be done for a record that may be trusted.
fn steps(have: &ActualState, want: &Desired) -> Vec<Step> {
    let record_ref = want.record_ref();
    let mut steps = if have.floor == Some(record_ref) { vec![] } else { vec![Step::Accept] };
    let is_wanted = |place: Option<RecordRef>| place.is_some_and(|record_ref| record_ref.digest == want.digest);
    if is_wanted(have.running) && is_wanted(have.last_good) {
        return steps;
    }
    if is_rejected(have, want) {
        if is_wanted(have.running) {
            steps.push(Step::Restore);
        }
        steps.push(Step::LeaveRejected);
        return steps;
    }
    steps.extend(fetch(want));
    if have.checks {
        steps.push(Step::Check);
    }
    steps.push(Step::Write);
    steps.extend(in_force(have));
    steps
}

/// The steps that put the tree in force right after somebody changed it by hand. Whether it is good was asked when it came.
///
/// # Errors
/// If `running`, the record that is in force, is not whole: then nothing can be put right by it.
pub fn repair(have: &ActualState, running: &Desired) -> Result<Vec<Step>, RecordRefusal> {
    is_for_this_node(have, running)?;
    is_whole(running)?;
    Ok(fetch(running).into_iter().chain([Step::Write]).chain(in_force(have)).collect())
}

/// The steps from a written generation to a good one.
fn in_force(have: &ActualState) -> impl Iterator<Item = Step> + use<> {
    [Some(Step::Switch), have.hooks.then_some(Step::Hook), Some(Step::Settle)].into_iter().flatten()
}

fn is_rejected(have: &ActualState, want: &Desired) -> bool {
    have.rejected.iter().any(|rejection| rejection.digest == want.digest && want.retry <= rejection.retry)
}

/// Each content that does not travel inside the record once, however many entries name it.
fn fetch(want: &Desired) -> Option<Step> {
    let large = want.entries.iter().filter(|entry| entry.inline.is_none());
    let contents: BTreeSet<FetchedContent> =
        large.map(|entry| FetchedContent { digest: entry.digest, size: entry.size }).collect();
    (!contents.is_empty()).then(|| Step::Fetch(contents.into_iter().collect()))
}
