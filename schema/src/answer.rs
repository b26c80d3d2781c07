//! The answer to an accepted request: sent once it is appended, and again for each repetition under its idempotency key.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::id::{BundleId, CommandId, LogId};
use crate::lease::LeasedJob;
use crate::position::{Position, Version};

/// What an accepted request appended, and what each of its commands came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Answer {
    /// The id of the log that answers.
    pub log_id: LogId,
    /// The request's identity, carried by each of its events: `GET /v1/impact/{command_id}` says what it changed. Absent in
    /// answers stored by older programs, and for a dry run, which appends nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// The position of the request's last event; where nothing changed, the head of the log that decided it.
    pub position: Position,
    /// The events that were appended, in order.
    pub events: Vec<AppendedEvent>,
    /// The result of each command, in order.
    pub results: Vec<CommandOutcome>,
    /// Likely mistakes of the sender, in the order of the commands. Empty in answers stored by older programs.
    #[serde(default)]
    pub warnings: Vec<CommandWarning>,
}

/// A likely mistake: an effect, or a missing effect, that the sender may not have intended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct CommandWarning {
    /// The command's place in the request, from 0.
    pub command: usize,
    /// The stable code.
    pub code: String,
    /// The likely mistake in one sentence, for people.
    pub detail: String,
}

/// One appended event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct AppendedEvent {
    /// The event's position in the log.
    pub position: Position,
    /// The type of the event by its name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The entity that the event is about.
    pub entity: Entity,
    /// The entity's version after the event.
    pub version: Version,
}

/// The result of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct CommandOutcome {
    /// The entity that the command was about.
    pub entity: Entity,
    /// The entity's version after it.
    pub version: Version,
    /// Whether the command changed anything. A command that changes nothing appends no event.
    pub changed: bool,
    /// The jobs that a runtime claimed or still holds; only for commands that ask for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<LeasedJob>>,
    /// The bundle that the entity belonged to before the command, unless the request assigns that bundle: what was changed by hand differs
    /// from the files that the bundle is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<BundleId>,
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
