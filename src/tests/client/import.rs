//! Laws of `headwater import oscal`, held on the real program and the server of a `headwater dev`: what small files of our own
//! come to, what a second run and a changed file do, and what is refused; with `HEADWATER_TEST_DATA` what NIST publishes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::running::{Dev, folder};
use serde_json::{Value, json};

/// A `headwater dev` without nodes, whose reports would move the log meanwhile; files are put beside it.
fn start(dir: &Path) -> Dev {
    Dev::start(&dir.join("dev"), 0)
}

impl Dev {
    fn file(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.dir.with_file_name(name);
        fs::write(&path, content.to_string()).unwrap();
        path
    }

    /// The exit code, what was said, and what was complained of.
    fn run_on(&self, arguments: &[&str], files: &[&Path]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_headwater"))
            .args(arguments)
            .args(files)
            .env("HEADWATER_URL", &self.json.http)
            .env("HEADWATER_TOKEN", &self.json.tokens.admin)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn import(&self, arguments: &[&str], files: &[&Path]) -> Value {
        let (code, said, complained) = self.run_on(&[&["import", "oscal", "--json"], arguments].concat(), files);
        assert_eq!(code, 0, "{complained}");
        serde_json::from_str(&said).unwrap()
    }

    fn get(&self, arguments: &[&str]) -> Value {
        let (code, said, complained) = self.run_on(&[&["get", "--json"], arguments].concat(), &[]);
        assert_eq!(code, 0, "{complained}");
        serde_json::from_str(&said).unwrap()
    }

    fn position(&self) -> Value {
        self.get(&["log"])["position"].clone()
    }
}

fn catalog(title: &str) -> Value {
    let control = |id: &str, title: &str| {
        json!({"id": id, "class": "house", "title": title, "params": [{"id": format!("{id}_p"), "label": "hours"}],
               "parts": [{"name": "statement", "prose": format!("Locked within {{{{ insert: param, {id}_p }}}}.")}]})
    };
    json!({"catalog": {"uuid": "c", "controls": [control("lk-1", title), control("lk-1.2", "Windows")]}})
}

fn components() -> Value {
    let implements = |id: &str| json!({"uuid": "r", "control-id": id, "description": "With a bolt."});
    json!({"component-definition": {"uuid": "d", "components": [{
        "uuid": "11111111-0000-4000-8000-000000000001", "type": "hardware", "title": "A lock", "description": "It locks.",
        "control-implementations": [{"uuid": "i", "source": "#c", "description": "all",
            "implemented-requirements": [implements("lk-1"), implements("lk-1.2"), implements("elsewhere")]}]}]}})
}

fn rounds() -> Value {
    let activity = "11111111-0000-4000-8000-00000000000a";
    let prop = |name: &str, value: &str| json!({"name": name, "value": value});
    json!({"assessment-plan": {
        "uuid": "11111111-0000-4000-8000-000000000002", "metadata": {"title": "Rounds", "oscal-version": "1.1.2"},
        "local-definitions": {"activities": [{"uuid": activity, "title": "Try the door", "description": "Push.",
            "props": [prop("provider-name", "pusher"), prop("provider-image", "push"), prop("provider-tag", "1")]}]},
        "reviewed-controls": {"control-selections": [
            {"include-controls": [{"control-id": "lk-1"}, {"control-id": "lk-1.2"}]}]},
        "assessment-subjects": [{"type": "component", "include-all": {}}],
        "tasks": [{"uuid": "t", "type": "action", "title": "Nightly",
                   "timing": {"at-frequency": {"period": 1, "unit": "days"}},
                   "associated-activities": [{"activity-uuid": activity}]}]}})
}

#[test]
fn files_are_imported_once_and_what_changes_is_changed() {
    let dir = folder();
    let dev = start(dir.path());
    // In any order: what refers to something comes after it all the same.
    let files = [
        dev.file("rounds.json", &rounds()),
        dev.file("locks.json", &components()),
        dev.file("house.json", &catalog("Doors")),
    ];
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let start = dev.position();

    let tried = dev.import(&["--dry-run"], &files);
    assert_eq!((&tried["counts"]["controls"]["created"], &tried["events"]), (&json!(2), &json!(0)));
    assert_eq!(dev.position(), start, "a dry run writes nothing");

    let first = dev.import(&["--reason", "the house rules"], &files);
    let created = |kind: &str| first["counts"][kind]["created"].clone();
    let all = ["controls", "components", "assessments", "attestations"].map(created);
    assert_eq!(json!(all), json!([2, 1, 2, 2]), "{first}");
    assert_eq!((&first["events"], &first["requests"]), (&json!(7), &json!(1)));
    assert!(first["skipped"].to_string().contains("elsewhere"));
    assert_eq!(dev.get(&["control", "lk-1_2"])["labels"]["oscal-id"], "lk-1.2");
    assert_eq!(dev.get(&["components"])[0]["controls"], json!(["lk-1", "lk-1_2"]));
    assert_eq!(dev.get(&["attestations"]).as_array().unwrap().len(), 2);
    let (_, events, _) = dev.run_on(&["events", "--after", &start.to_string()], &[]);
    assert_eq!(events.lines().filter(|line| line.ends_with("\"the house rules\"")).count(), 7, "{events}");

    let after = first["position"].clone();
    let second = dev.import(&[], &files);
    assert_eq!(
        (&second["events"], &second["requests"], &second["position"]),
        (&json!(0), &json!(0), &after),
        "{second}"
    );
    assert_eq!(second["counts"]["controls"], json!({"created": 0, "updated": 0, "unchanged": 2}));

    dev.file("house.json", &catalog("All doors"));
    let third = dev.import(&[], &files);
    assert_eq!(
        (&third["events"], &third["counts"]["controls"]),
        (&json!(1), &json!({"created": 0, "updated": 1, "unchanged": 1}))
    );
    assert_eq!(dev.get(&["control", "lk-1"])["title"], "All doors");
    // Back to what was sent before: it is done again, not answered from memory.
    dev.file("house.json", &catalog("Doors"));
    assert_eq!(dev.import(&[], &files)["events"], 1);
    assert_eq!(dev.get(&["control", "lk-1"])["title"], "Doors");

    refusals_write_nothing(&dev);
}

fn refusals_write_nothing(dev: &Dev) {
    let before = dev.position();
    let good = dev.file("good.json", &catalog("Other doors"));
    let text = catalog("x").to_string();
    let cut = dev.dir.with_file_name("cut.json");
    fs::write(&cut, &text[..text.len() - 40]).unwrap();
    let clash = dev.file(
        "clash.json",
        &json!({"catalog": {"uuid": "c", "controls": [
        {"id": "a.b", "title": "t"}, {"id": "a_b", "title": "t"}]}}),
    );
    let taken =
        dev.file("taken.json", &json!({"catalog": {"uuid": "c", "controls": [{"id": "lk-1_2", "title": "t"}]}}));
    for (file, code) in [(&cut, "not_json"), (&clash, "id_clash"), (&taken, "id_clash")] {
        let files: &[&Path] = if *file == taken { &[file] } else { &[&good, file] };
        let (status, _, complained) = dev.run_on(&["import", "oscal"], files);
        assert!(status == 1 && complained.contains(code) && complained.contains("catalog"), "{complained}");
    }
    let (status, _, complained) =
        dev.run_on(&["import", "oscal", "--schedule", "every day"], &[&dev.file("r.json", &unscheduled())]);
    assert_eq!(status, 1, "a schedule that is none is refused by the server: {complained}");
    assert_eq!(dev.run_on(&["import", "oscal", "--url", "http://127.0.0.1:1"], &[&good]).0, 3);
    assert_eq!(dev.run_on(&["import", "oscal"], &[]).0, 2);
    assert_eq!(dev.position(), before);
}

fn unscheduled() -> Value {
    let mut plan = rounds();
    plan["assessment-plan"]["uuid"] = json!("11111111-0000-4000-8000-000000000003");
    plan["assessment-plan"]["tasks"] = json!([]);
    plan
}

#[test]
fn what_is_more_than_one_request_takes_is_sent_in_order() {
    let dir = folder();
    let dev = start(dir.path());
    let controls: Vec<Value> = (0..1_500).map(|number| json!({"id": format!("c-{number}"), "title": "t"})).collect();
    let requirements: Vec<Value> = (0..1_500)
        .map(|number| json!({"uuid": "r", "control-id": format!("c-{number}"), "description": "d"}))
        .collect();
    let component = json!({"component-definition": {"uuid": "d", "components": [{
        "uuid": "k", "type": "software", "title": "All", "description": "d",
        "control-implementations": [{"uuid": "i", "source": "s", "description": "d", "implemented-requirements": requirements}]}]}});
    let files =
        [dev.file("k.json", &component), dev.file("c.json", &json!({"catalog": {"uuid": "c", "controls": controls}}))];
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let first = dev.import(&[], &files);
    assert_eq!((&first["requests"], &first["events"]), (&json!(2), &json!(1_501)));
    assert_eq!(dev.get(&["controls"]).as_array().unwrap().len(), 1_500);
    assert_eq!(dev.import(&[], &files)["events"], 0);
}

#[test]
fn the_low_baseline_is_imported_in_one_request_and_once() {
    let Some(inputs) = std::env::var_os("HEADWATER_TEST_DATA") else {
        eprintln!("HEADWATER_TEST_DATA is not set: this test has seen no real input");
        return;
    };
    let dir = folder();
    let dev = start(dir.path());
    let inputs = PathBuf::from(inputs).join("oscal");
    let names = ["nist-800-53r5-low-catalog.json", "example-component-definition.json", "ifa-assessment-plan.json"];
    let files = names.map(|name| inputs.join(name));
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let first = dev.import(&[], &files);
    assert_eq!((&first["requests"], &first["events"]), (&json!(1), &json!(150)), "149 controls and a component");
    let controls = dev.get(&["controls"]);
    let controls = controls.as_array().unwrap();
    let dotted = controls.iter().filter(|control| control["labels"]["oscal-id"].as_str().unwrap().contains('.'));
    assert_eq!((controls.len(), dotted.count()), (149, 18));
    assert_eq!(dev.import(&[], &files)["events"], 0);
}
