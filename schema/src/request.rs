//! A request: a reason and commands that are decided and appended together or not at all.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::command::Command;
use crate::digest::{Digest, Hasher};
use crate::invalid::InputError;
use crate::json::StrictJson;
use crate::limit::{COMMANDS_MAX, REASON_BYTES_MAX};
use crate::position::Version;

/// Commands that are decided, appended and published together or not at all. It is written as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// The reason in words of the caller: at most 4 KiB. Each event of the request has it.
    pub reason: Option<String>,
    /// Whether it may change what a guard, or the end of a rollout, keeps from being changed by mistake. Then it has a reason.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub now: bool,
    /// 1 to 1,000 commands, decided in this order.
    pub commands: Vec<RequestItem>,
    /// Digest of the request's JSON with sorted keys. It tells whether two requests under one idempotency key are the same.
    #[serde(skip)]
    pub fingerprint: Digest,
    /// Size of the request's JSON in bytes; 0 for a request of Headwater's own parts.
    #[serde(skip)]
    pub bytes: usize,
}

/// A command with the version that its sender expects the entity to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestItem {
    /// The command.
    #[serde(flatten)]
    pub command: Command,
    /// The entity's version before the command; 0 says that it must not be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<Version>,
}

impl Request {
    /// A request of Headwater's own parts, which say what they ask for in types and not in JSON.
    #[must_use]
    pub fn of(commands: impl IntoIterator<Item = Command>) -> Self {
        let commands = commands.into_iter().map(|command| RequestItem { command, expected_version: None }).collect();
        Self { reason: None, now: false, commands, fingerprint: Digest::of(b""), bytes: 0 }
    }

    /// Reads a request's JSON.
    ///
    /// # Errors
    /// With the code and the field that are at fault.
    pub fn read(body: &[u8]) -> Result<Self, InputError> {
        let StrictJson(mut value) =
            serde_json::from_slice(body).map_err(|error| InputError::new("invalid_json", format!("{error}")))?;
        refuse_nul(&value)?;
        // Members are sorted as it is, unless somebody in the build asks serde_json to keep their order.
        value.sort_all_objects();
        let fingerprint = fingerprint(&value);
        let Value::Object(mut fields) = value else {
            return Err(InputError::new("invalid_value", "a request is an object with `commands`"));
        };
        let reason = reason(fields.remove("reason"))?;
        let now = now(fields.remove("now"), reason.as_deref())?;
        let commands = commands(fields.remove("commands"))?;
        match fields.keys().next() {
            Some(unknown) => {
                Err(InputError::new("unknown_field", "a request has `reason`, `now` and `commands`").at(unknown))
            }
            None => Ok(Self { reason, now, commands, fingerprint, bytes: body.len() }),
        }
    }
}

/// Digest of the compact JSON text, which is up to as long as the request and is never held as a whole.
fn fingerprint(value: &Value) -> Digest {
    let mut hasher = Hasher::default();
    write!(hasher, "{value}").expect("BUG: hashing can't fail");
    hasher.finish()
}

/// A reason is not too long.
///
/// # Errors
/// `too_large`
pub fn check_reason(text: &str) -> Result<(), InputError> {
    if text.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("a reason has at most {REASON_BYTES_MAX} bytes, this one {}", text.len());
    Err(InputError::new("too_large", detail).at("reason"))
}

fn reason(value: Option<Value>) -> Result<Option<String>, InputError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => check_reason(&text).map(|()| Some(text)),
        Some(_) => Err(InputError::new("invalid_value", "a reason is text").at("reason")),
    }
}

fn now(value: Option<Value>, reason: Option<&str>) -> Result<bool, InputError> {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => Ok(false),
        Some(Value::Bool(true)) if reason.is_none_or(str::is_empty) => {
            let detail = "a request that says `now` says why, because it passes over what keeps others from mistakes";
            Err(InputError::new("missing_field", detail).at("reason"))
        }
        Some(Value::Bool(true)) => Ok(true),
        Some(_) => Err(InputError::new("invalid_value", "`now` is true or false").at("now")),
    }
}

fn commands(value: Option<Value>) -> Result<Vec<RequestItem>, InputError> {
    let Some(value) = value else {
        return Err(InputError::new("missing_field", "a request has `commands`").at("commands"));
    };
    let Value::Array(items) = value else {
        return Err(InputError::new("invalid_value", "`commands` is a list").at("commands"));
    };
    if items.is_empty() {
        return Err(InputError::new("invalid_value", "a request has at least one command").at("commands"));
    }
    if items.len() > COMMANDS_MAX {
        let detail = format!("a request has at most {COMMANDS_MAX} commands, this one {}", items.len());
        return Err(InputError::new("too_many", detail).at("commands"));
    }
    let read = |(index, item)| RequestItem::read(item).map_err(|refused| refused.at(&format!("commands[{index}]")));
    let items: Vec<RequestItem> = items.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    assignments_come_last(&items)?;
    Ok(items)
}

/// What leaves a bundle is removed, unless another assignment of the request takes it up. So the assignments are judged together, against
/// the state that the other commands leave.
fn assignments_come_last(items: &[RequestItem]) -> Result<(), InputError> {
    let is_assignment = |item: &RequestItem| matches!(item.command, Command::AssignBundle(_));
    let ends = |item: &RequestItem| is_assignment(item) || matches!(item.command, Command::RemoveBundle(_));
    let first = items.iter().position(is_assignment).unwrap_or(items.len());
    if let Some(index) = items.iter().skip(first).position(|item| !ends(item)) {
        let detail = "behind an `assign_bundle` only `assign_bundle` and `remove_bundle` may come";
        return Err(InputError::new("invalid_value", detail).at(&format!("commands[{}].type", first + index)));
    }
    let mut assigned = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        if let Command::AssignBundle(assign) = &item.command
            && !assigned.insert(&assign.id)
        {
            let detail = format!("bundle {} is assigned twice", assign.id);
            return Err(InputError::new("invalid_value", detail).at(&format!("commands[{index}].id")));
        }
    }
    Ok(())
}

impl RequestItem {
    fn read(value: Value) -> Result<Self, InputError> {
        let Value::Object(mut fields) = value else {
            return Err(InputError::new("invalid_value", "a command is an object with a `type`"));
        };
        let kind = match fields.remove("type") {
            Some(Value::String(kind)) => kind,
            Some(_) => return Err(InputError::new("invalid_value", "`type` is text").at("type")),
            None => return Err(InputError::new("missing_field", "a command has a `type`").at("type")),
        };
        let expected_version = expected_version(&mut fields)?;
        Ok(Self { command: Command::read(&kind, fields)?, expected_version })
    }
}

fn expected_version(fields: &mut Map<String, Value>) -> Result<Option<Version>, InputError> {
    match fields.remove("expected_version") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(Version::from(number))),
            None => Err(InputError::new("invalid_value", "a version is a whole number from 0").at("expected_version")),
        },
    }
}

/// Postgres can't hold U+0000 in text, so no text may bring it, wherever it stands.
fn refuse_nul(value: &Value) -> Result<(), InputError> {
    let nul = || {
        InputError::new("nul_in_text", "text can't hold U+0000; content that has it can be sent as `content_base64`")
    };
    match value {
        Value::String(text) if text.contains('\0') => Err(nul()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| refuse_nul(item).map_err(|refused| refused.at(&format!("[{index}]")))),
        Value::Object(fields) => fields.iter().try_for_each(|(name, item)| {
            if name.contains('\0') {
                return Err(nul());
            }
            refuse_nul(item).map_err(|refused| refused.at(name))
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_digest_of_the_sorted_text() {
        let request = Request::read(r#"{"reason": "ü\n", "commands": [{"type": "retry_node", "id": "n"}]}"#.as_bytes());
        let text = r#"{"commands":[{"id":"n","type":"retry_node"}],"reason":"ü\n"}"#;
        assert_eq!(request.map(|request| request.fingerprint), Ok(Digest::of(text.as_bytes())));
    }
}
