//! What an accepted request is answered with, at once and again under its idempotency key.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::id::{CommandId, LogId};
use crate::lease::LeasedJob;
use crate::position::{Position, Version};

/// The answer to an accepted request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which log.
    pub log_id: LogId,
    /// The request's identity, which each of its events has: `GET /v1/impact/{command_id}` says what it changed. Answers that
    /// older programs kept lack it, and so does a dry run, which leaves nothing to be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// The request's last event; the head as it was decided against, where nothing changed.
    pub position: Position,
    /// What was appended.
    pub events: Vec<AppendedEvent>,
    /// One for each command, in order.
    pub results: Vec<CommandOutcome>,
    /// What the sender may not have meant, in the order of the commands; always there, and empty in answers that older programs
    /// kept.
    #[serde(default)]
    pub warnings: Vec<CommandWarning>,
}

/// What one command does, or leaves undone, that its sender may not have meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandWarning {
    /// The command's place in the request, from 0.
    pub command: usize,
    /// A stable code.
    pub code: String,
    /// One sentence for a person.
    pub detail: String,
}

/// One appended event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendedEvent {
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
pub struct CommandOutcome {
    /// What it was about.
    pub entity: Entity,
    /// The entity's version after it.
    pub version: Version,
    /// Whether it changed anything; what changes nothing appends nothing.
    pub changed: bool,
    /// What a runtime was given, or still has; only where it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<LeasedJob>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_that_an_older_program_kept_is_read() {
        let kept =
            json!({"log_id": "00000000-0000-0000-0000-000000000007", "position": 3, "events": [], "results": []});
        let answer: Answer = serde_json::from_value(kept.clone()).expect("an answer");
        assert_eq!((answer.command_id, answer.warnings.len()), (None, 0));
        let mut shown = serde_json::to_value(&answer).expect("JSON");
        assert_eq!(shown.as_object_mut().and_then(|members| members.remove("warnings")), Some(json!([])));
        assert_eq!(shown, kept);
    }
}
