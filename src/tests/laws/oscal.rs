//! Laws of reading OSCAL, held on what NIST and others publish: the files below `HEADWATER_TEST_DATA`. What is counted here
//! is counted again from the raw JSON, by rules of this file and none of the reader's.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use client::oscal::definition::{DefinitionKind, OscalDefinition};
use client::oscal::document;
use client::oscal::draft::ImportDraft;
use client::oscal::error::OscalError;
use client::oscal::plan::{ImportPlan, KnownIds};
use serde_json::Value;

const LOW: &str = "nist-800-53r5-low-catalog.json";

/// A given file, or nothing where there are none; then the test says so.
fn given(name: &str) -> Option<(PathBuf, Value)> {
    let Some(folder) = std::env::var_os("HEADWATER_TEST_DATA") else {
        eprintln!("HEADWATER_TEST_DATA is not set: this test has seen no real input");
        return None;
    };
    let path = PathBuf::from(folder).join("oscal").join(name);
    let value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    Some((path, value))
}

fn plan(paths: &[&PathBuf]) -> ImportPlan {
    let mut draft = ImportDraft::new("0 0 * * *");
    for path in paths {
        document::read(&path.display().to_string(), &fs::read(path).unwrap(), &mut draft).unwrap();
    }
    ImportPlan::of(draft, &KnownIds::new())
}

/// Every object in a list named `name`, however deep.
fn all<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if key == name {
                    found.extend(inner.as_array().unwrap());
                }
                all(inner, name, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| all(inner, name, found)),
        _ => {}
    }
}

fn named<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    all(value, name, &mut found);
    found
}

fn of(plan: &ImportPlan, kind: DefinitionKind) -> Vec<&OscalDefinition> {
    plan.definitions.iter().filter(|item| item.kind == kind).collect()
}

#[test]
fn the_low_baseline_is_all_there() {
    let Some((path, raw)) = given(LOW) else { return };
    let plan = plan(&[&path]);
    let originals: Vec<&str> = plan.definitions.iter().map(|item| item.original.as_str()).collect();
    assert_eq!((plan.definitions.len(), originals.iter().filter(|id| id.contains('.')).count()), (149, 18));
    let raw_controls = named(&raw, "controls");
    let ids: BTreeSet<&str> = raw_controls.iter().map(|control| control["id"].as_str().unwrap()).collect();
    assert_eq!(originals.iter().copied().collect::<BTreeSet<_>>(), ids);

    for item in &plan.definitions {
        let control = raw_controls.iter().find(|control| control["id"] == item.original.as_str()).unwrap();
        assert_eq!(item.id, item.original.replace('.', "_"));
        assert_eq!(item.command["labels"]["oscal-id"], item.original.as_str());
        assert_eq!((&item.command["title"], &item.command["class"]), (&control["title"], &control["class"]));
        let own = control["params"].as_array().map_or(0, Vec::len);
        assert!(item.command["parameters"].as_object().unwrap().len() >= own, "{}", item.id);
        assert_statement(item, control);
    }
}

/// Every word of prose outside insertions is in the statement, in its order, and no insertion is left.
fn assert_statement(item: &OscalDefinition, control: &Value) {
    let statement = item.command["statement"].as_str().unwrap();
    assert!(!statement.contains("{{"), "{}: {statement}", item.id);
    let parts = control["parts"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == "statement").unwrap();
    let mut rest = statement;
    let mut prose = Vec::new();
    in_order(part, &mut prose);
    for text in prose.iter().flat_map(|text| text.split("{{")) {
        let outside = text.split_once("}}").map_or(text, |(_, behind)| behind).trim();
        let (_, behind) = rest.split_once(outside).unwrap_or_else(|| panic!("{}: {outside:?} in {rest:?}", item.id));
        rest = behind;
    }
}

fn in_order<'a>(part: &'a Value, prose: &mut Vec<&'a str>) {
    prose.extend(part["prose"].as_str());
    part["parts"].as_array().into_iter().flatten().for_each(|part| in_order(part, prose));
}

#[test]
fn what_of_the_low_baseline_has_no_place_is_named_one_by_one() {
    let Some((path, raw)) = given(LOW) else { return };
    let plan = plan(&[&path]);
    let count = |holds: &dyn Fn(&str, &str) -> bool| {
        plan.skipped.iter().filter(|skipped| holds(skipped.kind, &skipped.path)).count()
    };
    let controls = named(&raw, "controls");
    let parts = controls.iter().flat_map(|control| control["parts"].as_array().unwrap());
    let other = parts.filter(|part| part["name"] != "statement").count();
    assert_eq!(count(&|kind, _| kind == "part"), other);
    assert_eq!(count(&|kind, path| kind == "control" && path.ends_with(".links")), controls.len());
    let guided = named(&raw, "params").iter().filter(|param| param.get("guidelines").is_some()).count();
    assert_eq!(count(&|_, path| path.ends_with(".guidelines")), guided);
    assert!(plan.skipped.iter().any(|skipped| skipped.path == "catalog.back-matter"));
    let paths: BTreeSet<&str> = plan.skipped.iter().map(|skipped| skipped.path.as_str()).collect();
    assert_eq!(paths.len(), plan.skipped.len(), "each once");
    for path in paths {
        let pointer = path.replace(['.', '['], "/").replace(']', "");
        assert!(raw.pointer(&format!("/{pointer}")).is_some(), "{path} is a place in the file");
    }
}

#[test]
fn small_catalogs_without_classes_are_read_too() {
    let Some((path, raw)) = given("basic-catalog.json") else { return };
    let plan = plan(&[&path]);
    assert_eq!(plan.definitions.len(), named(&raw, "controls").len());
    assert!(plan.definitions.iter().all(|item| item.id.starts_with('s') && item.id.contains('_')));
}

#[test]
fn a_component_of_other_controls_is_made_and_each_missing_control_is_named() {
    let Some((low, _)) = given(LOW) else { return };
    for name in ["example-component-definition.json", "example-component.json"] {
        let Some((path, raw)) = given(name) else { return };
        let plan = plan(&[&path, &low]);
        let components = of(&plan, DefinitionKind::Component);
        let raw_components = named(&raw, "components");
        assert_eq!(components.len(), raw_components.len());
        assert_eq!(components[0].id, raw_components[0]["uuid"].as_str().unwrap());
        // None of what they implement is in the LOW baseline; with it on the server all of it is.
        let wanted: BTreeSet<String> = named(&raw, "implemented-requirements")
            .iter()
            .map(|requirement| requirement["control-id"].as_str().unwrap().replace('.', "_"))
            .collect();
        let missing: Vec<_> = plan.skipped.iter().filter(|skipped| skipped.kind == "reference").collect();
        assert_eq!((missing.len(), &components[0].command["controls"]), (wanted.len(), &Value::Array(Vec::new())));

        let mut draft = ImportDraft::new("0 0 * * *");
        document::read(name, &fs::read(&path).unwrap(), &mut draft).unwrap();
        let known: KnownIds = wanted.iter().map(|id| (DefinitionKind::Control, id.clone())).collect();
        let plan = ImportPlan::of(draft, &known);
        let controls = plan.definitions[0].command["controls"].as_array().unwrap();
        assert_eq!(controls.iter().map(|id| id.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), wanted);
    }
}

#[test]
fn a_plan_makes_what_it_can_and_names_what_is_missing() {
    let Some((path, raw)) = given("ifa-assessment-plan.json") else { return };
    let alone = plan(&[&path]);
    assert!(alone.definitions.is_empty(), "the control that it reviews is nowhere");
    assert!(alone.skipped.iter().any(|skipped| skipped.kind == "assessment" && skipped.reason.ends_with(": ac-6_1")));

    let mut draft = ImportDraft::new("0 0 * * *");
    document::read("plan", &fs::read(&path).unwrap(), &mut draft).unwrap();
    let plan = ImportPlan::of(draft, &KnownIds::from([(DefinitionKind::Control, "ac-6_1".to_owned())]));
    let [assessment] = plan.definitions.as_slice() else { panic!("one control is reviewed: {:?}", plan.definitions) };
    let uuid = raw["assessment-plan"]["uuid"].as_str().unwrap();
    assert_eq!(assessment.id, format!("{uuid}_ac-6_1"));
    // Its task names an activity that it does not define, and its activity does not say what carries it out.
    let reasons: Vec<&str> = plan.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("does not define")), "{reasons:#?}");
    assert!(reasons.iter().any(|reason| reason.contains("its 6 steps")), "{reasons:#?}");
}

#[test]
fn a_real_file_that_is_cut_short_is_refused_where_it_ends() {
    let Some((path, _)) = given(LOW) else { return };
    let whole = fs::read(&path).unwrap();
    for part in 1..40 {
        let cut = &whole[..whole.len() * part / 40];
        let fault = document::read("cut", cut, &mut ImportDraft::new("0 0 * * *")).unwrap_err();
        assert!(matches!(&fault, OscalError::NotJson { path, .. } if path.starts_with("catalog")), "{fault:?}");
    }
}
