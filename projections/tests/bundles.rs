//! What a bundle may own.

use histories::history;
use projections::configuration::Configuration;
use projections::request::{decide_request, preview_request};
use schema::limit::BUNDLE_MEMBERS_MAX;
use schema::request::Request;
use serde_json::{Value, json};

fn request(commands: Value) -> Request {
    Request::read(json!({"commands": commands}).to_string().as_bytes()).unwrap()
}

#[test]
fn a_bundle_has_no_more_members_than_may_be_listed() {
    let mut state = Configuration::default();
    let controls: Vec<String> = (0..=BUNDLE_MEMBERS_MAX).map(|number| format!("c-{number}")).collect();
    for (index, part) in controls.chunks(1_000).enumerate() {
        let define = |id: &String| json!({"type": "define_control", "id": id, "title": "T"});
        let defined = request(part.iter().map(define).collect());
        state = decide_request(&state, &history::envelope(index), &defined).unwrap().configuration;
    }
    let assign = |controls: &[String]| {
        let members: Vec<String> = controls.iter().map(|id| format!("control/{id}")).collect();
        request(json!([{"type": "assign_bundle", "id": "b", "members": members, "grow": true}]))
    };
    let (last, others) = controls.split_last().unwrap();
    let full = decide_request(&state, &history::envelope(100), &assign(others)).unwrap();
    assert_eq!(full.events.len(), 10, "an event has at most 1,000 of them");
    let refused =
        decide_request(&full.configuration, &history::envelope(101), &assign(std::slice::from_ref(last))).unwrap_err();
    assert_eq!(refused.refusal.code().as_str(), "bundle_too_large");
    assert!(decide_request(&full.configuration, &history::envelope(102), &assign(&others[..1])).is_ok());
}

/// As an `apply` does it of a folder in which the document is missing.
#[test]
fn a_document_does_not_leave_the_log_with_its_bundle_if_an_aborted_rollout_took_that_back() {
    let put = json!({"type": "put_document", "id": "d", "path": "d", "media_type": "text/plain", "content": "old",
        "target": {"all": true}, "priority": 0});
    let stages = json!([{"name": "rest", "bake_s": 1}]);
    let asked = [
        json!([{"type": "enrol_node", "id": "n", "labels": {}}, put,
            {"type": "assign_bundle", "id": "b", "members": ["document/d"]}]),
        json!([{"type": "open_rollout", "id": "r", "max_in_flight": 1, "settle_s": 10, "stages": stages},
            {"type": "remove_document", "id": "d", "rollout": "r"}, {"type": "start_rollout", "id": "r"}]),
        json!([{"type": "abort_rollout", "id": "r"}]),
    ];
    let mut state = Configuration::default();
    for (index, commands) in asked.into_iter().enumerate() {
        state = decide_request(&state, &history::envelope(index), &request(commands)).unwrap().configuration;
    }
    let prune = json!([{"type": "assign_bundle", "id": "b", "members": [], "empty": true}]);
    let refused = preview_request(&state, &history::envelope(10), &request(prune.clone())).unwrap_err();
    assert_eq!((refused.refusal.code().as_str(), refused.field().as_str()), ("revision_aborted", "commands[0].id"));
    let meant = Request { now: true, ..request(prune) };
    assert!(preview_request(&state, &history::envelope(11), &meant).is_ok(), "a person says so");
}
