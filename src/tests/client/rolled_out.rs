//! Laws of rollouts as people start them: what is shown is what is started, a bundle's own policy is not forgotten, and a document is written
//! as the rollout makes it.

use serde_json::json;

use crate::managed::{Fleet, document, done, fails};

const POLICY: &str = "{max_in_flight: 5, settle_s: 30, stages: [{name: canary, up_to: {count: 1}, bake_s: 20}]}";

fn bundle() -> String {
    format!("kind: bundle\nid: x\ndefaults: {{priority: 1, target: {{all: true}}}}\nrollout: {POLICY}\n")
}

#[tokio::test]
async fn a_bundle_with_a_policy_is_rolled_out_until_somebody_says_now() {
    let fleet = Fleet::start();
    fleet.send(vec![json!({"type": "enrol_node", "id": "n-1", "labels": {}})]).await;
    let path = fleet.manifests.to_str().unwrap().to_owned();
    fleet.write("m.yaml", &(bundle() + &document("a", "old")));
    let said = done(fleet.apply(&["--now", "--reason", "the first load"]));
    assert!(said.contains("1 node changes") && !said.contains("Rollout"), "{said}");
    fleet.write("m.yaml", &(bundle() + &document("a", "new")));
    let shown = fleet.run(&["plan", "-f", &path, "--out", &fleet.manifests.join("plan").display().to_string()]);
    fails(1, "Stage by stage 1 node changes:\n  n-1\n    ~ etc/a  by document a\n", shown);
    fails(2, "apply without --prune", fleet.apply(&["--prune"]));
    fails(2, "rollout watch x-", fleet.apply(&["--wait"]));
    let said = done(fleet.apply(&[]));
    assert!(said.contains("No node gets other files at once.\nRollout x-"), "{said}");
    assert!(said.contains("  stage canary: 1 of 1, of which none can be released now\n  stage rest: "), "{said}");
    assert!(said.contains("  n-1: not heard, released when they return\n"), "{said}");
    // The folder, and what the log holds, are the same again.
    assert!(done(fleet.apply(&[])).contains("there is nothing to change"));
    assert_eq!(fleet.run(&["diff", "-f", &path]).0, 0);
    let written = done(fleet.run(&["get", "documents", "-o", "yaml"]));
    assert!(written.contains("# as rollout x-") && written.contains("content: new"), "{written}");
    // A change of it goes against the rollout, and is compared with what that makes of it.
    fleet.write("m.yaml", &(bundle() + &document("a", "newer")));
    fails(1, "rollout_open", fleet.apply(&["--now", "--reason", "hurry"]));
    let rollouts = fleet.get("/v1/rollouts").await;
    let id = rollouts["items"][0]["id"].as_str().unwrap().to_owned();
    done(fleet.run(&["rollout", "abort", &id, "--reason", "no node is there", "--yes"]));
    let written = done(fleet.run(&["get", "document/a", "-o", "yaml"]));
    assert!(!written.contains("rollout") && written.contains("content: old"), "{written}");
    fleet.write("m.yaml", "kind: bundle\nid: x\nrollout: {max_in_flight: 5, settle: 30}\n");
    fails(2, "(unknown_field)", fleet.apply(&[]));
}

#[tokio::test]
async fn a_request_in_a_file_is_shown_and_started() {
    let fleet = Fleet::start();
    fleet.send(vec![json!({"type": "enrol_node", "id": "n-1", "labels": {}})]).await;
    let put = json!({"type": "put_document", "id": "d", "path": "etc/d", "media_type": "text/plain", "content": "x",
        "target": {"all": true}, "priority": 0, "rollout": "r-1"});
    let open = json!({"type": "open_rollout", "id": "r-1", "max_in_flight": 1, "settle_s": 30,
        "stages": [{"name": "site", "select": {"match_labels": {"site": "lund"}}, "bake_s": 20}]});
    let start = json!({"type": "start_rollout", "id": "r-1"});
    let file = fleet.write("r.json", &json!({"reason": "wider", "commands": [open, put]}).to_string());
    fails(2, "one is a `start_rollout`", fleet.run(&["rollout", "start", "-f", &file, "--yes"]));
    let file = fleet.write("r.json", &json!({"reason": "wider", "commands": [open, put, start]}).to_string());
    let before = fleet.position().await;
    fails(2, "no terminal to ask on", fleet.run(&["rollout", "start", "-f", &file]));
    assert_eq!(fleet.position().await, before);
    let said = done(fleet.run(&["rollout", "start", "-f", &file, "--yes"]));
    assert!(said.contains("  stage site: no node is left for it, and it waits until there is one\n"), "{said}");
    let rollout = fleet.get("/v1/rollouts/r-1").await;
    assert_eq!(rollout["status"], "running");
    let started = fleet.get("/v1/events?entity=rollout/r-1").await;
    assert_eq!(started["items"][0]["reason"], "wider");
    assert!(done(fleet.run(&["why", "node", "n-1", "etc/d"])).contains("Rollout r-1 changes this"));
    fails(1, "rollout_status", fleet.run(&["rollout", "start", "r-1", "--yes"]));
    fails(2, "", fleet.run(&["rollout", "start"]));
}
