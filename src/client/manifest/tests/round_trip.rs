use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use proptest::sample::select;
use schema::command::Command;
use schema::terminal;
use serde_json::{Map, Value, json};

use super::reading::read;
use crate::manifest::declared::DeclaredEntity;
use crate::manifest::kind::ManifestKind;
use crate::manifest::write::{declared_to_yaml, join, to_yaml};

/// Texts that a careless writer of YAML gets wrong.
const STRANGE: [&str; 44] = [
    "",
    " ",
    "#",
    "a #b",
    "a: b",
    "a:",
    ":",
    "- x",
    "-",
    "? x",
    "| x",
    "> x",
    "% x",
    "@x",
    "`x",
    "&x",
    "*x",
    "!x",
    "{}",
    "[]",
    "yes",
    "No",
    "0x1f",
    "1e3",
    ".inf",
    "null",
    "~",
    "True",
    "12:30",
    "007",
    "\u{1b}[2J",
    "x\u{202e}y",
    "a\nb",
    "\n",
    "\n\n",
    " \n x\n\n",
    "\tx\ny",
    "x\r\ny",
    "---\nkind: node\n",
    "...\n",
    "\u{feff}x\ny",
    "x\u{85}y\u{2028}",
    "'\"\\\\n",
    "😀\u{ffff}",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&STRANGE[..]).prop_map(str::to_owned),
        "[a-z #:\\-|\n\t'\"\\\\]{0,20}",
        // No command may hold U+0000 in a text.
        any::<String>().prop_map(|text| text.replace('\0', "")),
        prop::collection::vec(select(&STRANGE[..]), 0..4).prop_map(|parts| parts.concat()),
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9][A-Za-z0-9_-]{0,20}",
        select(vec!["1e3", "0x1f", "null", "123", "no"]).prop_map(str::to_owned)
    ]
}

fn labels() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(text(), text(), 0..4).prop_map(|map: BTreeMap<String, String>| json!(map))
}

fn ids() -> impl Strategy<Value = Value> {
    prop::collection::btree_set(id(), 0..4).prop_map(|ids| json!(ids))
}

fn selector() -> impl Strategy<Value = Value> {
    (labels(), text(), prop::collection::btree_set(text(), 1..3)).prop_map(|(labels, key, values)| {
        json!({"match_labels": labels, "match_expressions": [
            {"key": key, "operator": "In", "values": values}, {"key": key, "operator": "Exists"}]})
    })
}

fn target() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"all": true})),
        prop::collection::btree_set(id(), 1..4).prop_map(|ids| json!({"nodes": ids})),
        selector()
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<String>().prop_map(String::into_bytes),
        text().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..200),
        json_value().prop_map(|value| value.to_string().into_bytes()),
        json_value().prop_map(|value| format!("{value:#}\n").into_bytes()),
        select(vec!["{\"b\":1,\"a\":2}", "[1.50,1E+2,12345678901234567890123]", "{\"a\":1,\"a\":2}", "\"\\ud800\""])
            .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

/// An entity as a server shows it, and its content.
fn item() -> impl Strategy<Value = (ManifestKind, Value, Option<Vec<u8>>)> {
    let document = (id(), target(), any::<i32>(), select(vec!["644", "755"]), select(vec!["application/json", "text/plain"]), content())
        .prop_map(|(id, target, priority, mode, media_type, content)| {
            let item = json!({"id": id, "path": "etc/a b", "media_type": media_type, "target": target, "priority": priority,
                "mode": mode, "merge": "replace", "size": content.len(), "digest": "d", "bundle": null});
            (ManifestKind::Document, item, Some(content))
        });
    let node = (id(), labels()).prop_map(|(id, labels)| {
        (ManifestKind::Node, json!({"id": id, "labels": labels, "state": "converged", "retired": false}), None)
    });
    let control = (id(), text(), text(), text(), labels(), labels()).prop_map(|(id, title, class, statement, one, other)| {
        let item = json!({"id": id, "title": title, "class": class, "statement": statement, "parameters": one, "labels": other});
        (ManifestKind::Control, item, None)
    });
    let component = (id(), text(), text(), ids(), labels(), labels()).prop_map(|(id, title, kind, controls, one, other)| {
        let item = json!({"id": id, "title": title, "kind": kind, "controls": controls, "properties": one, "labels": other});
        (ManifestKind::Component, item, None)
    });
    let schedule = || select(vec!["* * * * *", "0 0 1 * *", "30 */5 * * * MON-FRI"]);
    let assessment = (id(), text(), id(), ids(), prop::option::of(selector()), schedule()).prop_map(
        |(id, title, control, components, selector, schedule)| {
            let cover = match selector {
                Some(selector) => json!({"component_selector": selector, "components": null}),
                None => json!({"components": components}),
            };
            let item = json!({"id": id, "title": title, "control": control, "schedule": schedule});
            (ManifestKind::Assessment, joined(item, cover), None)
        },
    );
    let attestation = (id(), text(), (text(), text(), labels()), prop::option::of(schedule()), labels(), selector(), ids()).prop_map(
        |(id, title, (name, image, configuration), schedule, parameters, runtimes, subjects)| {
            let item = json!({"id": id, "title": title, "assessment": "a", "schedule": schedule, "parameters": parameters,
                "provider": {"name": name, "image": image, "tag": "", "configuration": configuration},
                "selector": {"query": title, "labels": parameters, "expressions": [], "ids": subjects},
                "runtime_selector": runtimes, "job": "j"});
            (ManifestKind::Attestation, item, None)
        },
    );
    prop_oneof![4 => document, 1 => node, 1 => control, 1 => component, 1 => assessment, 1 => attestation]
}

fn joined(one: Value, other: Value) -> Value {
    let members = [one, other].into_iter().filter_map(|value| value.as_object().cloned()).flatten();
    Value::Object(members.collect())
}

/// The command that makes the item, as types where the schema has them.
fn meaning(kind: ManifestKind, fields: &Map<String, Value>) -> (Option<Command>, Value) {
    match kind {
        ManifestKind::Document | ManifestKind::Node => (None, Value::Object(fields.clone())),
        _ => (Some(Command::read(kind.command(), fields.clone()).expect("a command")), Value::Null),
    }
}

fn expected_fields(kind: ManifestKind, item: &Value) -> Map<String, Value> {
    let names = kind.fields().iter().map(|rule| rule.command_name);
    let fields =
        names.filter_map(|name| Some((name.to_owned(), item.get(name).filter(|value| !value.is_null())?.clone())));
    let is_usual =
        |name: &str, value: &Value| (name == "mode" && value == "644") || (name == "merge" && value == "replace");
    fields.filter(|(name, value)| !is_usual(name, value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read_as_the_same_command(items in prop::collection::vec(item(), 1..4)) {
        let mut items = items;
        // What is declared twice is refused.
        items.sort_by_key(|(kind, item, _)| (*kind, item["id"].to_string()));
        items.dedup_by_key(|(kind, item, _)| (*kind, item["id"].to_string()));
        let status = json!({"version": 3, "position": 17, "at": "2026-01-01T00:00:00Z", "bundle": "b\u{1b}\nx"});
        let written: Vec<String> = items
            .iter()
            .map(|(kind, item, content)| to_yaml(*kind, &joined(item.clone(), status.clone()), content.as_deref()))
            .collect();
        let text = join(&written);
        prop_assert_eq!(terminal::lines(&text), text.clone(), "it is printed as it is");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.yaml");
        fs::write(&file, &text).unwrap();
        let declared = read(&file).map_err(|faults| TestCaseError::fail(format!("{faults:?}\n{text}")))?;
        prop_assert_eq!(declared.entities.len(), items.len(), "{}", text);
        for (entity, (kind, item, content)) in declared.entities.iter().zip(&items) {
            let DeclaredEntity { kind: read_kind, fields, content: read_content, .. } = entity;
            prop_assert_eq!(read_kind, kind);
            prop_assert_eq!(meaning(*kind, fields), meaning(*kind, &expected_fields(*kind, item)), "{}", text);
            let read_content = read_content.as_ref().map(|content| content.bytes().to_vec());
            prop_assert_eq!(&read_content, content, "{}", text);
        }
        // Written again it is the same text, so that a comparison of texts shows differences of meaning only.
        let again: Vec<String> = declared.entities.iter().map(declared_to_yaml).collect();
        let without_comments = |text: &String| text.lines().skip_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect::<String>();
        prop_assert_eq!(again, written.iter().map(without_comments).collect::<Vec<_>>());
    }
}

#[test]
fn a_manifest_is_written_for_people() {
    let item = json!({"id": "daq", "path": "daq/pipeline.json", "media_type": "application/json", "priority": 100,
        "target": {"match_labels": {"instrument": "loki"}}, "merge": "replace", "version": 2, "position": 17, "bundle": "loki"});
    let written = to_yaml(
        ManifestKind::Document,
        &item,
        Some(br#"{"brokers":["a:9092"],"rate":1.50,"steps":[{"a":1,"b":"x\ny\n"}]}"#),
    );
    let expected = "\
# version 2, position 17, bundle loki
kind: document
id: daq
path: daq/pipeline.json
media_type: application/json
target:
  match_labels:
    instrument: loki
priority: 100
value:
  brokers:
    - \"a:9092\"
  rate: 1.50
  steps:
    - a: 1
      b: |
        x
        y
";
    assert_eq!(written, expected);
    let left_out = to_yaml(ManifestKind::Document, &json!({"id": "a", "digest": "00ff"}), None);
    assert_eq!(left_out, "# the content is left out: SHA-256 00ff\nkind: document\nid: a\n");
}
