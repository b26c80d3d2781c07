//! What says how to roll out: the policy of a rollout, in a file of its own or in a bundle, and a whole request that starts one.
//!
//! All are YAML or JSON.

use std::path::Path;

use schema::command::Command;
use schema::invalid::InputError;
use serde_json::{Map, Value};

use super::fault::ManifestFault;
use super::source::{self, WHOLE_FILE};
use super::yaml_reader;

const WHAT_A_POLICY_IS: &str = "a policy is one object with the fields of `open_rollout`, without `id` and `type`";

/// A request that starts a rollout.
#[derive(Debug)]
pub(crate) struct RolloutRequest {
    pub(crate) reason: Option<String>,
    pub(crate) commands: Vec<Value>,
}

/// The policy in a file.
///
/// # Errors
/// If it can't be read, or is no policy.
pub(crate) fn read(path: &Path) -> Result<Value, Vec<ManifestFault>> {
    read_object(path, WHAT_A_POLICY_IS, |policy| {
        check_policy(policy.clone())?;
        Ok(Value::Object(policy))
    })
}

/// The request in a file: `commands`, among them a `start_rollout`, and perhaps a `reason`.
///
/// # Errors
/// If it can't be read, or is no such request.
pub(crate) fn read_request(path: &Path) -> Result<RolloutRequest, Vec<ManifestFault>> {
    let what = "this is one object with `commands`, of which one is a `start_rollout`, and perhaps a `reason`";
    read_object(path, what, |mut request| {
        let wrong = || InputError::new("invalid_value", what);
        let reason = match request.remove("reason") {
            None | Some(Value::Null) => None,
            Some(Value::String(reason)) => Some(reason),
            Some(_) => return Err(wrong()),
        };
        let Some(Value::Array(commands)) = request.remove("commands") else { return Err(wrong()) };
        let starts = commands.iter().any(|command| command["type"] == "start_rollout");
        if !starts || !request.is_empty() {
            return Err(wrong());
        }
        Ok(RolloutRequest { reason, commands })
    })
}

/// Whether a value is a policy.
pub(super) fn check(policy: Value) -> Result<(), InputError> {
    let Value::Object(policy) = policy else { return Err(InputError::new("invalid_value", WHAT_A_POLICY_IS)) };
    check_policy(policy)
}

fn check_policy(mut policy: Map<String, Value>) -> Result<(), InputError> {
    if policy.contains_key("type") || policy.insert("id".to_owned(), "any".into()).is_some() {
        return Err(InputError::new("invalid_value", WHAT_A_POLICY_IS));
    }
    let read = Command::read("open_rollout", policy);
    read.map(drop).map_err(|refused| match refused.field.is_empty() {
        true => refused,
        false => InputError { detail: format!("{}: {}", refused.field, refused.detail), ..refused },
    })
}

/// The only object in a file, as `read` understands it.
fn read_object<T>(
    path: &Path,
    what: &str,
    read: impl FnOnce(Map<String, Value>) -> Result<T, InputError>,
) -> Result<T, Vec<ManifestFault>> {
    let mut texts = source::texts(path);
    let nodes: Vec<Value> = texts
        .iter_mut()
        .flat_map(|text| yaml_reader::read(&text.text, &mut text.faults))
        .map(|node| node.to_json())
        .collect();
    let read = match <[Value; 1]>::try_from(nodes) {
        Ok([Value::Object(object)]) => read(object),
        _ => Err(InputError::new("invalid_value", what)),
    };
    if let (Err(refused), Some(text)) = (&read, texts.iter_mut().find(|text| text.faults.is_empty())) {
        text.faults.add(WHOLE_FILE, refused.code, refused.detail.clone());
    }
    let faults: Vec<ManifestFault> = texts.into_iter().flat_map(|text| text.faults.into_faults()).collect();
    match (read, faults.is_empty()) {
        (Ok(read), true) => Ok(read),
        _ => Err(faults),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes<T>(read: Result<T, Vec<ManifestFault>>) -> Result<T, Vec<&'static str>> {
        read.map_err(|faults| faults.into_iter().map(|fault| fault.code).collect())
    }

    #[test]
    fn a_policy_is_one_object_without_an_id() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("policy.yaml");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            codes(read(&path))
        };
        let policy = read("max_in_flight: 2\nsettle_s: 30\nstages:\n- {name: canary, bake_s: 20}\n").expect("a policy");
        assert_eq!(policy["stages"][0]["bake_s"], 20);
        assert_eq!(read("id: r\nmax_in_flight: 2\nsettle_s: 30\nstages: []\n"), Err(vec!["invalid_value"]));
        assert_eq!(read("max_in_flight: 2\nsettle: 30\n"), Err(vec!["unknown_field"]));
        assert_eq!(read("- a\n"), Err(vec!["invalid_value"]));
        assert!(read("a: [\n").is_err() && read("").is_err());
    }

    #[test]
    fn a_request_starts_a_rollout() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("rollout.yaml");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            codes(read_request(&path)).map(|request| (request.reason, request.commands.len()))
        };
        assert_eq!(
            read("reason: wider\ncommands:\n- {type: open_rollout, id: r}\n- {type: start_rollout, id: r}\n"),
            Ok((Some("wider".to_owned()), 2))
        );
        for wrong in [
            "commands:\n- {type: open_rollout, id: r}\n",
            "commands: []\n",
            "commands: {type: start_rollout}\n",
            "reason: 3\ncommands:\n- {type: start_rollout, id: r}\n",
            "now: true\ncommands:\n- {type: start_rollout, id: r}\n",
        ] {
            assert_eq!(read(wrong), Err(vec!["invalid_value"]), "{wrong}");
        }
    }
}
