//! Where the relay stands.

use schema::position::Position;

/// Where the relay stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// What it does.
    pub phase: Phase,
    /// The last event that is public, as far as this process knows.
    pub published: Position,
    /// What keeps it from its work.
    pub fault: Option<String>,
}

impl Phase {
    /// The phase in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Repairing => "repairing",
            Self::Following => "following",
        }
    }
}

/// What a relay does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has not got the slot yet.
    #[default]
    Starting,
    /// Another server has the slot, and does the work.
    Standby,
    /// It has the slot, and makes NATS level with the log.
    Repairing,
    /// It follows. Only now is this process the reconciler.
    Following,
}
