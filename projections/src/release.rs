//! A node that a rollout has released, and what became of it.

use alloc::vec::Vec;

use schema::digest::Digest;
use schema::instant::Instant;
use schema::position::Position;
use schema::rollout::{FailureCounts, OutcomeCounts};

/// A node that a rollout has released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The position of its release, or of the event since that let other changes of the rollout be for it.
    pub position: Position,
    /// The time of that event.
    pub at: Instant,
    /// The position of its release.
    pub released: Position,
    /// The place of the stage that released it.
    pub stage: usize,
    /// The digests of records by which the node confirms the changes.
    pub expected: Vec<Digest>,
    /// The position up to which these are known.
    pub known: Position,
    /// Whether it has not settled yet.
    pub in_flight: bool,
    /// What became of it, as it is counted; none at first.
    pub outcome: Option<ReleaseOutcome>,
    /// Whether a verdict stood against what it had when it was released, so that its failure says nothing about the changes.
    pub unwell: bool,
}

/// What became of a released node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// It runs the changes well.
    Confirmed,
    /// It rejected or refused them.
    Failed,
    /// It was heard, and did not confirm them in time.
    Late,
    /// It was not heard, or was taken away meanwhile.
    Lost,
    /// They changed nothing on it.
    Moot,
    /// Something else is in force where they would be.
    Shadowed,
}

impl ReleaseOutcome {
    /// The outcome in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Lost => "lost",
            Self::Moot => "moot",
            Self::Shadowed => "shadowed",
        }
    }

    /// Whether the outcome counts against the changes.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Late | Self::Lost)
    }

    /// Whether nothing of the changes is in force on the node.
    #[must_use]
    pub const fn is_unconcerned(self) -> bool {
        matches!(self, Self::Moot | Self::Shadowed)
    }

    pub(crate) fn of(self, counts: &mut OutcomeCounts) -> &mut u32 {
        match self {
            Self::Confirmed => &mut counts.confirmed,
            Self::Failed => &mut counts.failed,
            Self::Late => &mut counts.late,
            Self::Lost => &mut counts.lost,
            Self::Moot => &mut counts.moot,
            Self::Shadowed => &mut counts.shadowed,
        }
    }

    pub(crate) fn of_failures(self, failures: &mut FailureCounts) -> Option<&mut u32> {
        match self {
            Self::Failed => Some(&mut failures.failed),
            Self::Late => Some(&mut failures.late),
            Self::Lost => Some(&mut failures.lost),
            Self::Confirmed | Self::Moot | Self::Shadowed => None,
        }
    }
}

impl Release {
    /// A release from which nothing has come yet.
    pub(crate) fn new(position: Position, at: Instant, stage: usize) -> Self {
        Self {
            position,
            at,
            released: position,
            stage,
            expected: Vec::new(),
            known: position,
            in_flight: true,
            outcome: None,
            unwell: false,
        }
    }

    /// A release that is only assumed, to see what a record would be.
    pub(crate) fn assumed() -> Self {
        Self::new(Position::ZERO, Instant::default(), 0)
    }
}
