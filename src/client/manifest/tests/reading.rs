use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::manifest::declared::Declaration;
use crate::manifest::reader;

/// A folder with these files.
pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

pub(super) fn read(path: &Path) -> Result<Declaration, Vec<String>> {
    read_all(&[path.to_owned()], None, path)
}

/// Faults as `file:line:column code`, with files below `root`.
pub(super) fn read_all(paths: &[PathBuf], bundle: Option<&str>, root: &Path) -> Result<Declaration, Vec<String>> {
    let root = format!("{}/", if root.is_dir() { root } else { root.parent().unwrap() }.display());
    reader::read(paths, bundle).map_err(|faults| {
        faults.iter().map(|fault| format!("{} {}", fault.at, fault.code).replace(&root, "")).collect()
    })
}

pub(super) fn commands(declared: &Declaration) -> Vec<Value> {
    declared.entities.iter().map(|entity| entity.command(&BTreeSet::new())).collect()
}

fn faults_of(text: &str) -> Vec<String> {
    let dir = folder(&[("m.yaml", text)]);
    read(&dir.path().join("m.yaml")).unwrap_err()
}

#[test]
fn manifests_are_commands_in_the_order_in_which_they_refer_to_each_other() {
    let text = "\
kind: bundle
id: loki
defaults: {priority: 100, target: {match_labels: {instrument: loki}}}
---
kind: document
id: daq
path: daq/pipeline.json
value: {threads: 4, kafka: {brokers: [a:9092], rate: 1.50}}
---
kind: document
id: motd
path: etc/motd
priority: 7
target: {all: true}
mode: '755'
content: |
  hello
---
kind: node
id: node-1
labels: {site: lund}
---
{\"kind\": \"component\", \"id\": \"k\", \"title\": \"T\", \"component_kind\": \"software\", \"controls\": [\"c\"]}
---
kind: control
id: c
title: T
";
    let dir = folder(&[("m.yaml", text)]);
    let declared = read(&dir.path().join("m.yaml")).unwrap();
    assert_eq!(
        json!(commands(&declared)),
        json!([
            {"type": "define_control", "id": "c", "title": "T"},
            {"type": "define_component", "id": "k", "title": "T", "kind": "software", "controls": ["c"]},
            {"type": "put_node", "id": "node-1", "labels": {"site": "lund"}},
            {"type": "put_document", "id": "daq", "path": "daq/pipeline.json", "media_type": "application/json",
             "priority": 100, "target": {"match_labels": {"instrument": "loki"}},
             "content": "{\"kafka\":{\"brokers\":[\"a:9092\"],\"rate\":1.50},\"threads\":4}"},
            {"type": "put_document", "id": "motd", "path": "etc/motd", "media_type": "text/plain", "priority": 7,
             "target": {"all": true}, "mode": "755", "content": "hello\n"},
        ])
    );
    let members = ["component/k", "control/c", "document/daq", "document/motd", "node/node-1"];
    assert_eq!(declared.bundles.len(), 1);
    assert_eq!(declared.bundles[0].id, "loki");
    assert!(declared.bundles[0].members.iter().eq(members));
}

#[test]
fn content_that_the_log_has_is_named_and_binary_content_is_base64() {
    let text = "\
kind: document
id: a
path: a
priority: 0
target: {all: true}
content_base64: |
  AAEC
  /w==
---
kind: document
id: b
path: b
priority: 0
target: {all: true}
content: \"a\\0b\"
";
    let dir = folder(&[("m.yaml", text)]);
    let declared = read(dir.path()).unwrap();
    let sent = commands(&declared);
    assert_eq!(
        (&sent[0]["content_base64"], &sent[0]["media_type"]),
        (&json!("AAEC/w=="), &json!("application/octet-stream"))
    );
    assert_eq!((&sent[1]["content_base64"], &sent[1]["media_type"]), (&json!("YQBi"), &json!("text/plain")));
    let digest = declared.entities[0].content.as_ref().unwrap().digest();
    let known = declared.entities[0].command(&BTreeSet::from([digest]));
    assert_eq!((&known["content_digest"], known.get("content_base64")), (&json!(digest.to_string()), None));
}

#[test]
fn every_fault_of_every_manifest_is_named_with_its_place() {
    let text = "\
kind: document
id: a b
path: /etc/x
priority: high
target: {match_labels: {a: b}, nodes: [n]}
mode: 755
colour: red
content: x
value: 1
---
kind: node
id: n
---
kind: principal
id: p
---
id: q
---
- kind
---
kind: assessment
id: s
title: T
control: c
schedule: daily
components: [k, 'a b']
---
kind: assessment
id: s2
title: T
control: c
schedule: '* * * * *'
---
kind: document
id: d
path: p
priority: 1
target: {all: true}
content_base64: '*'
---
kind: node
id: m
labels: {a: \"x\\0\", b: [c]}
";
    let expected = [
        "m.yaml:2:5 invalid_id",
        "m.yaml:3:7 invalid_path",
        "m.yaml:4:11 invalid_value",
        "m.yaml:5:9 invalid_target",
        "m.yaml:6:7 invalid_value",
        "m.yaml:7:1 unknown_field",
        "m.yaml:8:1 invalid_value",
        "m.yaml:11:1 missing_field",
        "m.yaml:14:7 unknown_kind",
        "m.yaml:17:1 missing_field",
        "m.yaml:19:1 missing_field",
        "m.yaml:25:11 invalid_schedule",
        "m.yaml:26:17 invalid_id",
        "m.yaml:28:1 missing_field",
        "m.yaml:39:17 invalid_value",
        "m.yaml:43:13 nul_in_text",
    ];
    assert_eq!(faults_of(text), expected);
}

#[test]
fn nothing_is_declared_twice_and_a_source_has_one_bundle() {
    let node = |id: &str| format!("kind: node\nid: {id}\nlabels: {{}}\n");
    let dir = folder(&[
        ("a.yaml", &node("n")),
        ("b/c.yml", &format!("{}---\n{}", node("m"), node("n"))),
        ("two.json", "{\"kind\": \"bundle\", \"id\": \"x\"}"),
        ("z.yaml", "kind: bundle\nid: y\n"),
    ]);
    assert_eq!(read(dir.path()).unwrap_err(), ["z.yaml:2:5 second_bundle"]);
    fs::remove_file(dir.path().join("z.yaml")).unwrap();
    assert_eq!(read(dir.path()).unwrap_err(), ["b/c.yml:5:1 id_twice"]);
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    let declared = read(dir.path()).unwrap();
    assert!(declared.bundles[0].id == "x" && declared.bundles[0].members.iter().eq(["node/m", "node/n"]));
    assert_eq!(
        read_all(&[dir.path().to_owned()], Some("other"), dir.path()).unwrap_err(),
        ["two.json:1:26 second_bundle"]
    );
    let file = dir.path().join("b/c.yml");
    assert!(read(&file).unwrap().bundles.is_empty(), "what is in no bundle belongs to none");
    let other = folder(&[("o.yaml", &node("o"))]);
    let both = read_all(&[file, other.path().to_owned()], Some("x"), dir.path()).unwrap();
    assert!(both.bundles.len() == 1 && both.bundles[0].members.iter().eq(["node/m", "node/n", "node/o"]));
}

#[test]
fn nothing_at_all_is_a_fault() {
    for text in ["", "# only this\n", "---\n---\n"] {
        assert_eq!(faults_of(text), ["m.yaml:1:1 empty_manifest"], "{text:?}");
    }
    let dir = folder(&[("a.txt", "kind: node"), (".hidden/a.yaml", "kind: x"), ("b.yaml", "other: file\n")]);
    assert!(read(dir.path()).unwrap_err()[0].ends_with(" empty_manifest"));
    assert_eq!(read(&dir.path().join("none.yaml")).unwrap_err(), ["none.yaml:1:1 unreadable"]);
    fs::write(dir.path().join("m.yaml"), b"kind: node\nid: \xff\n").unwrap();
    assert_eq!(read(dir.path()).unwrap_err(), ["m.yaml:2:1 not_utf8"]);
}
