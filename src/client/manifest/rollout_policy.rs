//! Reads the policy of a rollout: the fields of `open_rollout` without its id, as YAML or JSON.

use std::path::Path;

use serde_json::Value;

use super::fault::ManifestFault;
use super::source::{self, WHOLE_FILE};
use super::yaml_reader;

/// The policy in a file. The server judges its fields.
///
/// # Errors
/// If it can't be read, or is not one object.
pub(crate) fn read(path: &Path) -> Result<Value, Vec<ManifestFault>> {
    let mut texts = source::texts(path);
    let nodes: Vec<Value> = texts
        .iter_mut()
        .flat_map(|text| yaml_reader::read(&text.text, &mut text.faults))
        .map(|node| node.to_json())
        .collect();
    let fitting = match nodes.as_slice() {
        [policy @ Value::Object(fields)] if !fields.contains_key("id") && !fields.contains_key("type") => Some(policy),
        _ => None,
    };
    let detail = "a policy is one object with the fields of `open_rollout`, without `id` and `type`";
    if let (None, Some(text)) = (fitting, texts.iter_mut().find(|text| text.faults.is_empty())) {
        text.faults.add(WHOLE_FILE, "invalid_value", detail);
    }
    let faults: Vec<ManifestFault> = texts.into_iter().flat_map(|text| text.faults.into_faults()).collect();
    match (fitting, faults.is_empty()) {
        (Some(policy), true) => Ok(policy.clone()),
        _ => Err(faults),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_one_object_without_an_id() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("policy.yaml");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            read(&path).map_err(|faults| faults.into_iter().map(|fault| fault.code).collect::<Vec<_>>())
        };
        let policy = read("max_in_flight: 2\nstages:\n- {name: canary, bake_s: 20}\n").expect("a policy");
        assert_eq!(policy["stages"][0]["bake_s"], 20);
        assert_eq!(read("id: r\nmax_in_flight: 2\n"), Err(vec!["invalid_value"]));
        assert_eq!(read("- a\n"), Err(vec!["invalid_value"]));
        assert!(read("a: [\n").is_err() && read("").is_err());
    }
}
