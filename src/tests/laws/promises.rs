//! What the last release promised of the HTTP interface still holds: no operation, parameter, answer or member of it has gone.

use std::process::Command;

use serde_json::{Map, Value};
use testkit::skipped::did_not_run;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn nothing_of_the_interface_of_the_last_release_has_gone() {
    let tag = git(&["describe", "--tags", "--abbrev=0"]);
    let released = tag.and_then(|tag| git(&["show", &format!("{}:schema/openapi.json", tag.trim())]));
    let Some(released) = released else {
        did_not_run("the interface of the last release", "no tagged version has schema/openapi.json yet");
        return;
    };
    let today = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/openapi.json")).unwrap();
    let gone = gone(&serde_json::from_str(&released).unwrap(), &serde_json::from_str(&today).unwrap());
    assert!(gone.is_empty(), "gone since the last release:\n{}", gone.join("\n"));
}

/// What a client of the older document relies on and the newer one does not have.
fn gone(older: &Value, newer: &Value) -> Vec<String> {
    let none = Map::new();
    let mut gone = Vec::new();
    for (path, methods) in older["paths"].as_object().unwrap_or(&none) {
        for (method, operation) in methods.as_object().unwrap_or(&none) {
            let now = &newer["paths"][path][method];
            if now["operationId"] != operation["operationId"] {
                gone.push(format!("{method} {path}"));
                continue;
            }
            let parameters = |operation: &Value| {
                let all = operation["parameters"].as_array().cloned().unwrap_or_default();
                all.into_iter().map(|one| (one["name"].clone(), one["in"].clone())).collect::<Vec<_>>()
            };
            let left = parameters(now);
            gone.extend(
                parameters(operation)
                    .into_iter()
                    .filter(|one| !left.contains(one))
                    .map(|(name, _)| format!("{method} {path}: {}", name.as_str().unwrap_or_default())),
            );
        }
    }
    for (name, schema) in older["components"]["schemas"].as_object().unwrap_or(&none) {
        for member in schema["properties"].as_object().unwrap_or(&none).keys() {
            if newer["components"]["schemas"][name]["properties"].get(member).is_none() {
                gone.push(format!("{name}.{member}"));
            }
        }
    }
    gone
}

#[test]
fn what_has_gone_is_found() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/openapi.json")).unwrap();
    let today: Value = serde_json::from_str(&text).unwrap();
    assert!(gone(&today, &today).is_empty());
    let mut changed = today.clone();
    changed["paths"].as_object_mut().unwrap().remove("/v1/fleet");
    changed["paths"]["/v1/nodes"]["get"]["parameters"].as_array_mut().unwrap().retain(|one| one["name"] != "cursor");
    changed["components"]["schemas"]["LogStatus"]["properties"].as_object_mut().unwrap().remove("published");
    assert_eq!(gone(&today, &changed), ["get /v1/fleet", "get /v1/nodes: cursor", "LogStatus.published"]);
}
