//! Refusals about rollouts.

use alloc::string::String;
use core::fmt;

use schema::entity::Actor;
use schema::id::{DocumentId, Id, RolloutId};
use schema::limit::{ROLLOUT_CHANGES_MAX, ROLLOUTS_OPEN_MAX};
use schema::path::DocumentPath;

use crate::refusal_code::RefusalCode;

/// Why a command about a rollout, or about a document that a rollout changes, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolloutRefusal {
    /// An id names one rollout for ever.
    #[error("there was a rollout {0} before: take another id")]
    Exists(RolloutId),
    /// Too many rollouts are open.
    #[error("{ROLLOUTS_OPEN_MAX} rollouts are open: end one first")]
    TooManyOpen,
    /// It changes too many documents.
    #[error(
        "rollout {0} would change more than {ROLLOUT_CHANGES_MAX} documents: make it two rollouts, or put what belongs together into one document"
    )]
    TooManyChanges(RolloutId),
    /// It is not in a status in which this can be done.
    #[error("rollout {rollout} is {status}, and must be {needed}")]
    WrongStatus {
        /// The rollout.
        rollout: RolloutId,
        /// Its status.
        status: &'static str,
        /// The status that it would have to have.
        needed: &'static str,
    },
    /// A document can be staged only in a draft.
    #[error("{0}")]
    NotADraft(alloc::boxed::Box<RolloutRefusal>),
    /// It changes nothing.
    #[error("rollout {0} changes no document: put or remove documents with `rollout` first")]
    Empty(RolloutId),
    /// A document is not any more as it was when its change was staged.
    #[error("{document} was changed after rollout {rollout} staged it: look at it, and stage it again")]
    Stale {
        /// The rollout.
        rollout: RolloutId,
        /// The document.
        document: DocumentId,
    },
    /// The document belongs to a rollout that has not ended.
    #[error(
        "document {document} is being changed by rollout {rollout}: wait until it has ended, or abort it (headwater rollout abort {rollout})"
    )]
    Underway {
        /// The document.
        document: DocumentId,
        /// The rollout.
        rollout: RolloutId,
    },
    /// Another rollout changes a document at the same path.
    #[error("rollout {rollout} changes document {document} at {path}: two rollouts can't be at one path")]
    PathTaken {
        /// The path.
        path: DocumentPath,
        /// The document that is there in the other rollout.
        document: DocumentId,
        /// The other rollout.
        rollout: RolloutId,
    },
    /// An aborted rollout took this revision, or the removal, back.
    #[error("{0}")]
    Withdrawn(alloc::boxed::Box<WithdrawnBy>),
    /// It has more failures than it would go on with.
    #[error("rollout {rollout} has {failures} failures: give `max_failures` of at least as many, or abort it")]
    StillFailing {
        /// The rollout.
        rollout: RolloutId,
        /// How many failures it has.
        failures: u32,
    },
    /// Another stage is open.
    #[error("stage {given} of rollout {rollout} is not open: stage {open} is")]
    StageNotOpen {
        /// The rollout.
        rollout: RolloutId,
        /// The stage that was named.
        given: Id,
        /// The stage that is open.
        open: Id,
    },
    /// It can't be ended as good yet.
    #[error("rollout {rollout} is not proven: {why}")]
    NotProven {
        /// The rollout.
        rollout: RolloutId,
        /// What is missing.
        why: &'static str,
    },
    /// The request changes files of too many nodes.
    #[error(
        "the request changes files of more than {nodes_max} nodes: make it a rollout, or send it with `now` and a reason"
    )]
    BlastRadius {
        /// The number of nodes that the guard allows.
        nodes_max: u32,
    },
}

/// Who took a revision back, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawnBy {
    /// The document.
    pub document: DocumentId,
    /// Whether the rollout would have removed the document.
    pub is_removal: bool,
    /// The rollout that had it.
    pub rollout: RolloutId,
    /// Who aborted the rollout.
    pub by: Option<Actor>,
    /// Why.
    pub reason: Option<String>,
}

impl fmt::Display for WithdrawnBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { document, is_removal, rollout, by, reason } = self;
        let what = if *is_removal { "the removal" } else { "this revision" };
        write!(f, "rollout {rollout} took {what} of document {document} back: it was aborted")?;
        if let Some(by) = by {
            write!(f, " by {by}")?;
        }
        if let Some(reason) = reason {
            write!(f, " ({reason})")?;
        }
        f.write_str(match is_removal {
            true => "; roll it out again, or send the request with `now` and a reason",
            false => "; put another revision, roll this one out again, or send the request with `now` and a reason",
        })
    }
}

impl RolloutRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            Self::Exists(_) => RefusalCode::RolloutExists,
            Self::TooManyOpen => RefusalCode::TooManyRollouts,
            Self::TooManyChanges(_) => RefusalCode::RolloutTooLarge,
            Self::WrongStatus { .. } | Self::NotADraft(_) => RefusalCode::RolloutStatus,
            Self::Empty(_) => RefusalCode::RolloutEmpty,
            Self::Stale { .. } => RefusalCode::ChangesStale,
            Self::Underway { .. } => RefusalCode::RolloutOpen,
            Self::PathTaken { .. } => RefusalCode::PathInRollout,
            Self::Withdrawn(_) => RefusalCode::RevisionAborted,
            Self::StillFailing { .. } => RefusalCode::StillFailing,
            Self::StageNotOpen { .. } => RefusalCode::StageNotOpen,
            Self::NotProven { .. } => RefusalCode::RolloutNotProven,
            Self::BlastRadius { .. } => RefusalCode::BlastRadius,
        }
    }

    /// The field of the command that is at fault; empty for the whole.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::PathTaken { .. } => "path",
            Self::TooManyChanges(_) | Self::NotADraft(_) => "rollout",
            Self::StillFailing { .. } => "max_failures",
            Self::StageNotOpen { .. } => "stage",
            // It follows from all of the request, and no command of it is more at fault than another.
            Self::BlastRadius { .. } => "commands",
            _ => "id",
        }
    }
}
