//! What the relay of this process is doing, for readiness, the reconciler and the HTTP API.

use schema::position::Position;

/// What the relay of this process is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// The state that it is in.
    pub phase: Phase,
    /// The last event that is public, as far as this process knows.
    pub published: Position,
    /// Why it does not publish, as a sentence.
    pub fault: Option<String>,
}

/// The state of a relay, as it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It does not hold the slot yet, or had to give it up.
    #[default]
    Starting,
    /// Another server holds the slot and relays.
    Standby,
    /// It holds the slot, and resyncs NATS with the log.
    Repairing,
    /// It publishes what comes through the slot. Only now is this process the reconciler.
    Following,
}

impl Phase {
    /// The name in `/v1/log` and `/readyz`.
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
