//! What an accepted request is answered with, at once and again under its idempotency key.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::id::LogId;
use crate::lease::Leased;
use crate::position::{Position, Version};

/// The answer to an accepted request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which log.
    pub log_id: LogId,
    /// The request's last event; the head as it was decided against, where nothing changed.
    pub position: Position,
    /// What was appended.
    pub events: Vec<Appended>,
    /// One for each command, in order.
    pub results: Vec<Outcome>,
}

/// One appended event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// Where.
    pub position: Position,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: String,
    /// To what.
    pub entity: Entity,
    /// The entity's version since.
    pub version: Version,
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it was about.
    pub entity: Entity,
    /// The entity's version after it.
    pub version: Version,
    /// Whether it changed anything; what changes nothing appends nothing.
    pub changed: bool,
    /// What a runtime was given, or still has; only where it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<Leased>>,
}
