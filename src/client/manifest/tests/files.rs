use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use schema::limit::CONTENT_BYTES_MAX;
use serde_json::json;

use super::reading::{commands, folder, read};

const BUNDLE: &str = "kind: bundle\nid: b\ndefaults: {priority: 1, target: {all: true}}\n---\n";

fn tree(more: &str) -> String {
    format!("{BUNDLE}kind: tree\nid: t\nfrom: files\n{more}")
}

#[test]
fn a_tree_is_a_document_for_each_file_with_its_mode_and_media_type() {
    let dir = folder(&[
        ("m.yaml", &tree("path: etc\nexclude: ['*.md', skip/]\n")),
        ("files/a.yaml", "kind: Deployment\n"),
        ("files/README.md", "x"),
        ("files/skip/x", "x"),
        ("files/sub/run.sh", "#!/bin/sh\n"),
        ("files/.hidden", "x"),
    ]);
    fs::write(dir.path().join("files/sub/b.json"), b"\xff").unwrap();
    fs::set_permissions(dir.path().join("files/sub/run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    let declared = read(dir.path()).unwrap();
    let said: Vec<_> = commands(&declared)
        .into_iter()
        .map(|command| json!([command["id"], command["path"], command["media_type"], command["mode"]]))
        .collect();
    assert_eq!(
        json!(said),
        json!([
            ["t-_hidden", "etc/.hidden", "text/plain", null],
            ["t-a_yaml", "etc/a.yaml", "application/yaml", null],
            ["t-sub-b_json", "etc/sub/b.json", "application/octet-stream", null],
            ["t-sub-run_sh", "etc/sub/run.sh", "text/plain", "755"],
        ])
    );
}

#[test]
fn a_file_that_is_a_content_is_no_manifest() {
    let dir = folder(&[
        ("m.yaml", &format!("{BUNDLE}kind: document\nid: d\npath: p.yaml\nfile: sub/k8s.yaml\n")),
        ("sub/k8s.yaml", "kind: Deployment\n"),
        ("values.json", "{\"no\": \"manifest\"}"),
    ]);
    let declared = read(dir.path()).unwrap();
    assert_eq!(commands(&declared)[0]["content"], "kind: Deployment\n");
    assert_eq!(commands(&declared)[0]["media_type"], "application/yaml");
    fs::write(dir.path().join("other.yaml"), "kind: Deployment\n").unwrap();
    assert_eq!(read(dir.path()).unwrap_err(), ["other.yaml:1:7 unknown_kind"]);
    fs::write(dir.path().join("other.yaml"), "no: [yaml\n").unwrap();
    assert_eq!(read(dir.path()).unwrap_err(), ["other.yaml:2:1 not_yaml"], "what can't be read may be a manifest");
}

#[test]
fn no_file_is_read_from_elsewhere() {
    let outside = folder(&[("secret", "x")]);
    let dir = folder(&[("sub/m.yaml", ""), ("above", "x"), ("sub/inside", "x")]);
    symlink(outside.path().join("secret"), dir.path().join("sub/out")).unwrap();
    symlink("inside", dir.path().join("sub/in")).unwrap();
    mknodat(CWD, dir.path().join("sub/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let manifest = dir.path().join("sub/m.yaml");
    let read_file = |name: &str| {
        fs::write(&manifest, format!("{BUNDLE}kind: document\nid: d\npath: p\nfile: '{name}'\n")).unwrap();
        read(&manifest).map(|declared| commands(&declared).len())
    };
    assert_eq!(read_file("in"), Ok(1));
    assert_eq!(read_file("./inside"), Ok(1));
    for (name, code) in [
        ("../above", "outside"),
        ("in/../../above", "outside"),
        ("/etc/hostname", "outside"),
        ("", "outside"),
        ("out", "outside"),
        ("none", "unreadable"),
        ("pipe", "no_file"),
        (".", "no_file"),
    ] {
        assert_eq!(read_file(name), Err(vec![format!("m.yaml:8:7 {code}")]), "{name}");
    }
}

#[test]
fn a_tree_with_links_outwards_special_files_or_nothing_is_refused() {
    let outside = folder(&[("secret", "x")]);
    let dir = folder(&[("m.yaml", &tree("")), ("files/a", "x"), ("files/sub/b", "x")]);
    let refused = |code: &str| assert_eq!(read(dir.path()).unwrap_err(), [format!("m.yaml:7:7 {code}")]);
    let at = |name: &str| dir.path().join(name);
    symlink(outside.path().join("secret"), at("files/out")).unwrap();
    refused("outside");
    fs::remove_file(at("files/out")).unwrap();
    symlink("../m.yaml", at("files/out")).unwrap();
    refused("outside");
    fs::remove_file(at("files/out")).unwrap();
    symlink("sub", at("files/link")).unwrap();
    refused("no_file");
    fs::remove_file(at("files/link")).unwrap();
    mknodat(CWD, at("files/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    refused("no_file");
    fs::remove_file(at("files/pipe")).unwrap();
    fs::write(at("files/large"), vec![b'x'; CONTENT_BYTES_MAX + 1]).unwrap();
    refused("too_large");
    fs::write(at("files/large"), vec![b'x'; CONTENT_BYTES_MAX]).unwrap();
    assert_eq!(read(dir.path()).unwrap().entities.len(), 3);
    fs::remove_dir_all(at("files")).unwrap();
    refused("unreadable");
    fs::create_dir(at("files")).unwrap();
    refused("empty_tree");
    fs::write(at("m.yaml"), tree("").replace("files", ".")).unwrap();
    refused("outside");
}

#[test]
fn the_example_fleet_is_read_without_a_fault() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/examples/manifests");
    let declared = read(&folder).unwrap();
    let names: Vec<String> = declared.entities.iter().map(|entity| entity.entity()).collect();
    let expected = [
        "node/node-1",
        "node/node-2",
        "document/loki-readout",
        "document/loki-motd",
        "document/loki-limits-node-2",
        &format!("document/{}", crate::manifest::tree_id::of("loki-base", "bin/check-readout")),
        "document/loki-base-daq-limits_toml",
    ];
    assert_eq!(names, expected);
    let commands = commands(&declared);
    assert_eq!((&commands[5]["mode"], &commands[6]["path"]), (&json!("755"), &json!("daq/limits.toml")));
    assert_eq!(
        commands[2]["content"],
        "{\"kafka\":{\"brokers\":[\"kafka-1.site.example:9093\",\"kafka-2.site.example:9093\"]},\"threads\":4,\"window_ms\":71.50}"
    );
    assert_eq!(declared.bundles[0].members.len(), 7);
}
