//! What is read as a command of compliance, and what is refused at which of its fields.

use schema::command::{ClaimJobs, Command};
use schema::compliance::Coverage;
use schema::limit::{EVIDENCE_BYTES_MAX, OUTCOME_BYTES_MAX};
use schema::request::Request;
use schema::target::Selector;
use serde_json::{Value, json};

fn read(command: Value) -> Result<Command, (&'static str, String)> {
    let body = json!({ "commands": [command] }).to_string();
    let read = Request::read(body.as_bytes()).map(|mut request| request.commands.remove(0).command);
    read.map_err(|refused| (refused.code, refused.field.replacen("commands[0]", "", 1).trim_start_matches('.').into()))
}

/// `base` with other members; `null` takes one away.
fn with(mut base: Value, members: Value) -> Value {
    for (name, member) in members.as_object().unwrap() {
        match member {
            Value::Null => drop(base.as_object_mut().unwrap().remove(name)),
            member => base[name] = member.clone(),
        }
    }
    base
}

fn control() -> Value {
    json!({"type": "define_control", "id": "ac-1", "title": "Access", "class": "SP800-53", "statement": "Keep out.",
        "parameters": {"ac-1_prm_1": "yearly"}, "labels": {"family": "ac"}})
}

fn component() -> Value {
    json!({"type": "define_component", "id": "db", "title": "Database", "kind": "software", "controls": ["ac-1"],
        "properties": {"version": "15"}, "labels": {"tier": "data"}})
}

fn assessment() -> Value {
    json!({"type": "define_assessment", "id": "as", "title": "Access of databases", "control": "ac-1",
        "components": ["db"], "schedule": "0 * * * *"})
}

fn attestation() -> Value {
    json!({"type": "define_attestation", "id": "at", "assessment": "as", "title": "No open port",
        "provider": {"name": "probe", "image": "registry/probe", "tag": "1", "configuration": {"port": "5432"}},
        "selector": {"query": "port=5432", "labels": {"tier": "data"}, "ids": ["db-1"],
            "expressions": [{"key": "site", "operator": "In", "values": ["lund"]}]},
        "schedule": "30 */5 * * * *", "parameters": {"depth": "2"},
        "runtime_selector": {"match_labels": {"runtime": "yes"}}})
}

fn complete() -> Value {
    json!({"type": "complete_job", "job": "j", "token": "0".repeat(64), "spec_digest": "1".repeat(64),
        "outcome": "pass", "evidence": ""})
}

#[test]
fn what_the_tables_start_from_is_accepted() {
    for command in [control(), component(), assessment(), attestation(), complete()] {
        assert!(read(command.clone()).is_ok(), "{command}");
    }
    for kind in ["control", "component", "assessment", "attestation"] {
        assert!(read(json!({"type": format!("remove_{kind}"), "id": "x"})).is_ok(), "{kind}");
    }
    let claim = read(json!({"type": "claim_jobs", "runtime": "n", "limit": 1}));
    assert_eq!(claim, Ok(Command::ClaimJobs(ClaimJobs { runtime: "n".parse().unwrap(), limit: 1, lease_s: 300 })));
    assert_eq!(read(json!({"type": "renew_claims", "runtime": "n"})), Ok(Command::RenewClaims("n".parse().unwrap())));
    for release in [
        json!({"type": "release_jobs", "runtime": "n"}),
        json!({"type": "release_jobs", "runtime": "n", "jobs": ["j"]}),
    ] {
        assert!(read(release).is_ok());
    }
}

#[test]
fn an_empty_selector_means_all() {
    let all = with(assessment(), json!({"components": null, "component_selector": {}}));
    let Ok(Command::DefineAssessment(_, assessment)) = read(all) else { panic!("it is read") };
    assert_eq!(assessment.cover, Coverage::Selector(Selector::default()));
    let unsaid = with(attestation(), json!({"runtime_selector": null, "selector": null}));
    let Ok(Command::DefineAttestation(_, attestation)) = read(unsaid) else { panic!("it is read") };
    assert_eq!(attestation.runtime_selector, Selector::default());
}

#[test]
fn each_field_is_refused_where_it_stands() {
    let claim = || json!({"type": "claim_jobs", "runtime": "n", "limit": 1});
    let release = || json!({"type": "release_jobs", "runtime": "n"});
    let too_long = |bytes: usize| "x".repeat(bytes + 1);
    for (base, members, code, field) in [
        (control(), json!({"id": null}), "missing_field", "id"),
        (control(), json!({"id": "ac.1"}), "invalid_id", "id"),
        (control(), json!({"title": null}), "missing_field", "title"),
        (control(), json!({"colour": "red"}), "unknown_field", "colour"),
        (control(), json!({"parameters": {"a": 1}}), "invalid_value", "parameters.a"),
        (control(), json!({"statement": "\0"}), "nul_in_text", "statement"),
        (component(), json!({"controls": ["ac-1", "a b"]}), "invalid_id", "controls[1]"),
        (component(), json!({"labels": []}), "invalid_value", "labels"),
        (assessment(), json!({"control": null}), "missing_field", "control"),
        (assessment(), json!({"components": null}), "missing_field", "components"),
        (assessment(), json!({"component_selector": {}}), "invalid_value", "component_selector"),
        (assessment(), json!({"components": ["é"]}), "invalid_id", "components[0]"),
        (assessment(), json!({"schedule": null}), "missing_field", "schedule"),
        (assessment(), json!({"schedule": "never"}), "invalid_schedule", "schedule"),
        (assessment(), json!({"schedule": "60 * * * *"}), "invalid_schedule", "schedule"),
        (
            assessment(),
            json!({"components": null, "component_selector": {"labels": {}}}),
            "unknown_field",
            "component_selector.labels",
        ),
        (
            assessment(),
            json!({"components": null, "component_selector": {"match_expressions": [{"key": "k", "operator": "Near"}]}}),
            "unknown_operator",
            "component_selector.match_expressions[0].operator",
        ),
        (attestation(), json!({"assessment": null}), "missing_field", "assessment"),
        (attestation(), json!({"provider": {}}), "missing_field", "provider.name"),
        (attestation(), json!({"provider": {"name": "p", "port": 1}}), "unknown_field", "provider.port"),
        (attestation(), json!({"selector": {"query": 1}}), "invalid_value", "selector.query"),
        (
            attestation(),
            json!({"selector": {"expressions": [{"key": "k", "operator": "In"}]}}),
            "invalid_target",
            "selector.expressions[0]",
        ),
        (attestation(), json!({"schedule": "* * * *"}), "invalid_schedule", "schedule"),
        (attestation(), json!({"runtime_selector": {"all": true}}), "unknown_field", "runtime_selector.all"),
        (claim(), json!({"limit": null}), "missing_field", "limit"),
        (claim(), json!({"limit": 0}), "invalid_value", "limit"),
        (claim(), json!({"limit": 1001}), "invalid_value", "limit"),
        (claim(), json!({"limit": -1}), "invalid_value", "limit"),
        (claim(), json!({"lease_s": 9}), "invalid_value", "lease_s"),
        (claim(), json!({"lease_s": 86_401}), "invalid_value", "lease_s"),
        (claim(), json!({"runtime": null}), "missing_field", "runtime"),
        (claim(), json!({"token": "x"}), "unknown_field", "token"),
        (release(), json!({"jobs": ["a", "."]}), "invalid_id", "jobs[1]"),
        (complete(), json!({"token": null}), "missing_field", "token"),
        (complete(), json!({"token": "0"}), "invalid_value", "token"),
        (complete(), json!({"spec_digest": null}), "missing_field", "spec_digest"),
        (complete(), json!({"outcome": ""}), "invalid_value", "outcome"),
        (complete(), json!({"outcome": too_long(OUTCOME_BYTES_MAX)}), "too_large", "outcome"),
        (complete(), json!({"evidence": too_long(EVIDENCE_BYTES_MAX)}), "too_large", "evidence"),
        (complete(), json!({"evidence": {}}), "invalid_value", "evidence"),
    ] {
        let command = with(base, members);
        assert_eq!(read(command.clone()), Err((code, field.to_string())), "{command}");
    }
    assert!(read(with(complete(), json!({"evidence": "x".repeat(EVIDENCE_BYTES_MAX)}))).is_ok());
}
