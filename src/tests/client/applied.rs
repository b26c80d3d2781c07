//! Laws of `headwater apply`, `plan`, `diff` and `delete` on the server of a `headwater dev`: what is applied is there and is not applied
//! twice, what is written is read as the same, and nothing is removed that was not shown.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use schema::limit::COMMANDS_MAX;
use serde_json::{Value, json};
use testkit::programs::checkout;

use crate::managed::{Fleet, bundle, document, done, fails, put};
use crate::terminal::Terminal;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-rp").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn what_is_applied_is_there_and_is_not_applied_twice() {
    let fleet = Fleet::start();
    copy(&checkout().join("schema/examples/manifests"), &fleet.manifests);
    let path = fleet.manifests.to_str().unwrap();
    assert_eq!(fleet.run(&["diff", "-f", path]).0, 1);
    fails(1, "+ document/loki-readout", fleet.run(&["plan", "-f", path]));
    let said = done(fleet.apply(&["--reason", "the first time"]));
    assert!(said.contains("+ daq/readout.json") && said.contains("+ bundle/loki"), "{said}");
    assert_eq!(fleet.members("loki").await.len(), 7);
    let programs: Vec<Value> = fleet.client().list("/v1/documents", &[]).await.unwrap();
    let programs = programs.iter().filter(|document| document["mode"] == "755");
    assert_eq!(programs.map(|document| document["path"].clone()).collect::<Vec<_>>(), ["bin/check-readout"]);
    let after = fleet.position().await;
    for more in [&[][..], &["--prune"]] {
        assert!(done(fleet.apply(more)).contains("there is nothing to change"));
        assert_eq!(fleet.run(&[&["plan", "-f", path], more].concat()).0, 0);
        assert_eq!(fleet.run(&[&["diff", "-f", path], more].concat()).0, 0);
    }
    assert_eq!(fleet.position().await, after);
}

#[tokio::test]
async fn what_the_log_holds_is_written_as_manifests_and_applying_those_changes_nothing() {
    let fleet = Fleet::start();
    fleet.write(
        "m.yaml",
        &(bundle("x") + &document("a", "a: b") + "---\nkind: node\nid: node-1\nlabels: {yes: 'no'}\n"),
    );
    done(fleet.apply(&[]));
    fleet
        .send(vec![
            json!({"type": "define_control", "id": "c", "title": "0x1f", "statement": "a: b\n  # c\n", "labels": {"yes": "no"}}),
            json!({"type": "define_component", "id": "k", "title": "K", "kind": "software", "controls": ["c"]}),
            json!({"type": "define_assessment", "id": "s", "title": "S", "control": "c", "component_selector": {}, "schedule": "* * * * *"}),
            json!({"type": "define_attestation", "id": "t", "assessment": "s", "title": "T", "provider": {"name": "p"}}),
            json!({"type": "put_document", "id": "bytes", "path": "etc/bytes", "media_type": "application/octet-stream",
                   "content_base64": "AAEC/w==", "target": {"nodes": ["node-1"]}, "priority": -1}),
        ])
        .await;
    let before = fleet.position().await;
    let (mut manifests, of_one) = (Vec::new(), fleet.run(&["get", "document/bytes", "-o", "yaml"]));
    for kind in ["controls", "components", "assessments", "attestations", "nodes", "documents"] {
        manifests.push(done(fleet.run(&["get", kind, "-o", "yaml"])));
    }
    let manifests = manifests.join("---\n");
    assert!(manifests.contains(&done(of_one)) && manifests.contains("content_base64: AAEC/w=="), "{manifests}");
    assert!(manifests.contains("bundle x\nkind: document\n"), "{manifests}");
    let (code, said) = fleet.run_with(&["apply", "-f", "-"], &manifests);
    assert!(code == 0 && said.contains("there is nothing to change"), "{said}\n{manifests}");
    fails(2, "are in no manifest", fleet.run(&["get", "principals", "-o", "yaml"]));
    assert_eq!(fleet.position().await, before);
}

#[tokio::test]
async fn nothing_is_removed_that_was_not_shown() {
    let fleet = Fleet::start();
    let names = ["a", "b", "c", "d", "e"];
    let declared = |names: &[&str]| bundle("x") + &names.iter().map(|name| document(name, "1")).collect::<String>();
    fleet.write("m.yaml", &declared(&names));
    done(fleet.apply(&[]));
    fleet.send(vec![put("foreign", "1")]).await;

    fleet.write("m.yaml", &declared(&names[..4]));
    assert!(done(fleet.apply(&[])).contains("1 more member, which stays"));
    let path = fleet.manifests.to_str().unwrap();
    fails(1, "- document/e  (leaves the bundle)", fleet.run(&["plan", "-f", path, "--prune"]));
    fails(1, "- document/e", fleet.run(&["plan", "-f", path, "--prune"]));
    fails(1, "-kind: document", fleet.run(&["diff", "-f", path, "--prune"]));
    assert_eq!(fleet.documents().await.len(), 6);
    assert!(done(fleet.apply(&["--prune"])).contains("- document/e  (leaves the bundle)"));
    assert_eq!(fleet.documents().await, ["a", "b", "c", "d", "foreign"]);

    // A checkout that was cut off.
    fleet.write("m.yaml", &declared(&names[..1]));
    fails(1, "prune_limit", fleet.apply(&["--prune"]));
    fleet.write("m.yaml", &bundle("x"));
    fails(2, "empty_bundle", fleet.apply(&["--prune"]));
    fails(1, "prune_limit", fleet.apply(&["--prune", "--empty"]));
    assert_eq!(fleet.documents().await.len(), 5);
    done(fleet.apply(&["--prune", "--empty", "--prune-max", "4"]));
    assert_eq!(fleet.documents().await, ["foreign"]);
}

#[tokio::test]
async fn what_belongs_to_another_bundle_moves_only_where_that_is_said() {
    let fleet = Fleet::start();
    let (one, two) = (fleet.write("one.yaml", ""), fleet.write("two.yaml", ""));
    let apply = |more: &[&str]| fleet.run(&[&["apply", "--yes"], more].concat());
    fs::write(&one, bundle("one") + &document("a", "1") + &document("b", "1")).unwrap();
    fs::write(&two, bundle("two") + &document("c", "1")).unwrap();
    done(apply(&["-f", &one, "-f", &two]));
    fs::write(&two, bundle("two") + &document("b", "1") + &document("c", "1")).unwrap();
    fails(1, "owned_elsewhere", apply(&["-f", &two]));
    assert_eq!(fleet.members("one").await, ["document/a", "document/b"]);
    fs::write(&one, bundle("one") + &document("a", "1")).unwrap();
    // Both sides in one request: it moves, and is not removed in between.
    let said = done(apply(&["-f", &one, "-f", &two, "--prune"]));
    assert!(!said.contains("- document/b"), "{said}");
    assert_eq!((fleet.members("one").await, fleet.members("two").await.len()), (vec!["document/a".to_owned()], 2));
    fs::write(&one, bundle("one") + &document("a", "1") + &document("c", "1")).unwrap();
    done(apply(&["-f", &one, "--take"]));
    assert_eq!(fleet.members("two").await, ["document/b"]);
    assert_eq!(fleet.documents().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_plan_does_what_it_shows_once_and_says_what_became_of_it() {
    let fleet = Fleet::start();
    fleet.write("m.yaml", &(bundle("x") + &document("a", "1") + &document("b", "1")));
    let out = fleet.manifests.with_file_name("plan.json");
    let out = out.to_str().unwrap();
    let plan = || fleet.run(&["plan", "-f", fleet.manifests.to_str().unwrap(), "--prune", "--out", out]);
    let apply = || fleet.run(&["apply", out, "--yes"]);
    assert_eq!(plan().0, 1);
    // What does not matter for it.
    fleet.send(vec![put("foreign", "1")]).await;
    done(apply());
    let after = fleet.position().await;
    for _ in 0..3 {
        assert!(done(apply()).contains("already applied at position"));
    }
    assert_eq!(fleet.position().await, after);
    fleet.send(vec![put("a", "by hand")]).await;
    fails(1, "document/a was changed at", apply());
    assert_eq!(plan().0, 1);
    fleet.send(vec![put("a", "by somebody else")]).await;
    fleet.send(vec![json!({"type": "remove_document", "id": "b"})]).await;
    let before = fleet.position().await;
    fails(1, "plan_changed", apply());
    assert_eq!(fleet.position().await, before);
    assert_eq!(plan().0, 1);
    done(apply());
    assert_eq!(plan().0, 0);
    assert!(done(apply()).contains("there is nothing to change"));
    let text = fs::read_to_string(out).unwrap();
    let log_id = fleet.get("/v1/log").await["log_id"].as_str().unwrap().to_owned();
    fs::write(out, text.replace(&log_id, "0198b0a2-0000-7000-8000-000000000000")).unwrap();
    fails(1, "other_log", apply());
}

#[tokio::test]
async fn what_is_more_than_one_request_takes_is_applied_in_several() {
    let fleet = Fleet::start();
    let nodes: String =
        (0..COMMANDS_MAX).map(|number| format!("---\nkind: node\nid: n-{number}\nlabels: {{}}\n")).collect();
    fleet.write("m.yaml", &(bundle("x") + &nodes));
    let said = done(fleet.apply(&[]));
    assert!(said.contains("Request 1 of 2:") && said.contains("Request 2 of 2:"), "{said:.500}");
    assert_eq!(fleet.members("x").await.len(), COMMANDS_MAX);
    let after = fleet.position().await;
    assert!(done(fleet.apply(&["--prune"])).contains("there is nothing to change"));
    assert_eq!(fleet.position().await, after);
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_what_is_in_use_is_not() {
    let fleet = Fleet::start();
    fleet.write("m.yaml", &(bundle("x") + &document("a", "1") + "---\nkind: node\nid: n\nlabels: {}\n"));
    done(fleet.apply(&[]));
    fleet
        .send(vec![
            json!({"type": "define_control", "id": "c", "title": "C"}),
            json!({"type": "define_component", "id": "k", "title": "K", "controls": ["c"]}),
        ])
        .await;
    let delete = |more: &[&str]| fleet.run(&[&["delete", "--yes"], more].concat());
    fails(1, "in_use", delete(&["control/c"]));
    fails(1, "404", delete(&["document/none"]));
    assert!(done(delete(&["document/none", "--ignore-not-found"])).contains("there is nothing to remove"));
    fails(2, "there is no terminal to ask on", fleet.run(&["delete", "control/c", "component/k"]));
    done(delete(&["control/c", "component/k"]));
    done(delete(&["-f", fleet.manifests.to_str().unwrap()]));
    assert_eq!(fleet.documents().await, Vec::<String>::new());
    assert_eq!(fleet.get("/v1/nodes/n").await["retired"], false);
}

#[tokio::test]
async fn a_plan_is_applied_once_whoever_sends_it_and_however_often() {
    let fleet = Fleet::start();
    fleet.write("m.yaml", &(bundle("x") + &document("a", "1")));
    let out = fleet.manifests.with_file_name("plan.json");
    let out = out.to_str().unwrap();
    assert_eq!(fleet.run(&["plan", "-f", fleet.manifests.to_str().unwrap(), "--out", out]).0, 1);
    // One is killed wherever it is, the others are not disturbed by it.
    let mut killed = fleet.command(&["apply", out, "--yes"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(fastrand::u64(..60)));
    killed.kill().unwrap();
    killed.wait().unwrap();
    for _ in 0..3 {
        let all: Vec<Child> = (0..4).map(|_| fleet.command(&["apply", out, "--yes"]).spawn().unwrap()).collect();
        for one in all {
            let ended = one.wait_with_output().unwrap();
            let said = String::from_utf8(ended.stdout).unwrap();
            assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
            assert!(said.contains("done at position") || said.contains("already applied at position"), "{said}");
        }
    }
    let kept: Vec<Value> = fleet.client().list("/v1/events", &[("type", "PlanKept")]).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(fleet.get("/v1/documents/a").await["version"], 1);
}

#[tokio::test]
async fn a_person_is_asked_after_it_was_shown_and_told_which_log_it_is() {
    let fleet = Fleet::start();
    let path = fleet.write("m.yaml", &(bundle("x") + &document("a", "1")));
    let log_id = fleet.get("/v1/log").await["log_id"].as_str().unwrap().to_owned();
    let before = fleet.position().await;
    for (answer, code) in [("n\n", 1), ("\u{4}", 1), ("y\n", 0)] {
        assert_eq!(fleet.position().await, before);
        let mut terminal = Terminal::start(fleet.command(&["apply", "-f", &path]), 40);
        terminal.await_text("+ document/a");
        terminal.await_text("Apply it at http://");
        terminal.await_text(&format!("(log {log_id})? [y/N] "));
        terminal.write(answer);
        let (ended, shown) = terminal.end();
        assert_eq!(ended.code(), Some(code), "{shown}");
    }
    assert!(fleet.position().await > before);
}
