//! Laws of reading OSCAL, on small files of our own.

use serde_json::{Value, json};

use super::definition::{DefinitionKind, OscalDefinition};
use super::document;
use super::draft::ImportDraft;
use super::error::OscalError;
use super::plan::{ImportPlan, KnownIds};

const DAILY: &str = "0 0 * * *";
const PLAN: &str = "5f3b3f0e-0000-4000-8000-000000000001";
const ACTIVITY: &str = "5f3b3f0e-0000-4000-8000-00000000000a";

fn read(files: &[Value]) -> Result<ImportDraft, OscalError> {
    let mut draft = ImportDraft::new(DAILY);
    for (number, file) in (1..).zip(files) {
        document::read(&format!("{number}.json"), file.to_string().as_bytes(), &mut draft)?;
    }
    Ok(draft)
}

fn plan(files: &[Value]) -> ImportPlan {
    ImportPlan::of(read(files).expect("readable"), &KnownIds::new())
}

fn catalog(controls: Value) -> Value {
    json!({"catalog": {"uuid": "c", "groups": [{"id": "g", "title": "A group", "controls": controls}]}})
}

fn item<'a>(plan: &'a ImportPlan, id: &str) -> &'a OscalDefinition {
    plan.definitions.iter().find(|item| item.id == id).unwrap_or_else(|| panic!("no {id} in {plan:#?}"))
}

fn skipped(plan: &ImportPlan) -> Vec<(&str, &str, &str)> {
    plan.skipped.iter().map(|skipped| (skipped.kind, skipped.path.as_str(), skipped.reason.as_str())).collect()
}

#[test]
fn a_control_is_read_with_all_that_it_says() {
    let control = json!({
        "id": "lk-1", "class": "house", "title": "Doors are locked",
        "props": [{"name": "label", "value": "LK-1"}, {"name": "label", "class": "long", "value": "LK-01"},
                  {"name": "level", "value": "a"}, {"name": "level", "value": "b"}],
        "params": [
            {"id": "lk-1_p.1", "label": "hours"},
            {"id": "lk-1_p.2", "select": {"how-many": "one-or-more",
                                          "choice": ["by {{ insert: param, lk-1_p.3 }}", "by key"]}},
            {"id": "lk-1_p.3", "values": ["guard", "owner"]}],
        "parts": [{"id": "lk-1_smt", "name": "statement", "prose": "Whoever leaves:", "parts": [
            {"name": "item", "props": [{"name": "label", "value": "a."}],
             "prose": "locks within {{ insert: param, lk-1_p.1 }}", "parts": [
                {"name": "item", "props": [{"name": "label", "value": "1."}], "prose": "{{insert:param,lk-1_p.2}}"}]},
            {"name": "item", "prose": "says {{ nothing }} and {{ insert: param, gone }}."}]}],
        "controls": [{"id": "lk-1.1", "title": "Windows too"}],
    });
    let plan = plan(&[catalog(json!([control]))]);
    let read = item(&plan, "lk-1");
    let expected = json!({
        "id": "lk-1", "class": "house", "title": "Doors are locked",
        "statement": "Whoever leaves:\n  a. locks within [lk-1_p.1: hours]\n    1. [lk-1_p.2: one or more of: by \
                      [lk-1_p.3: guard, owner]; by key]\n  says {{ nothing }} and {{ insert: param, gone }}.",
        "parameters": {"lk-1_p.1": "hours", "lk-1_p.2": "one or more of: by [lk-1_p.3: guard, owner]; by key",
                       "lk-1_p.3": "guard, owner"},
        "labels": {"oscal-id": "lk-1", "oscal-group": "g", "oscal-group-title": "A group", "label": "LK-1",
                   "label.long": "LK-01", "level": "a, b"},
    });
    assert_eq!(Value::Object(read.command.clone()), expected);
    let inner = item(&plan, "lk-1_1");
    assert_eq!((inner.original.as_str(), &inner.command["labels"]["oscal-parent"]), ("lk-1.1", &json!("lk-1")));
    assert_eq!(inner.command["statement"], "");
    let left = skipped(&plan);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].2.contains("inserts `gone`"));
}

#[test]
fn what_has_no_place_is_named_with_its_path() {
    let control = json!({"id": "a", "title": "t", "links": [], "parts": [{"name": "guidance", "prose": "x"}],
                         "params": [{"id": "p", "guidelines": []}]});
    let mut file = catalog(json!([control]));
    file["$schema"] = json!("x");
    file["catalog"]["metadata"] = json!({"title": "t", "oscal-version": "1.1.2"});
    file["catalog"]["params"] = json!([{"id": "outer"}]);
    let plan = plan(&[file]);
    let paths: Vec<&str> = plan.skipped.iter().map(|skipped| skipped.path.as_str()).collect();
    let control = "catalog.groups[0].controls[0]";
    let expected = [
        "$schema".to_owned(),
        "catalog.params[0]".to_owned(),
        format!("{control}.params[0].guidelines"),
        format!("{control}.parts[0]"),
        format!("{control}.links"),
        "catalog.metadata".to_owned(),
    ];
    assert_eq!(paths, expected);
    assert!(plan.skipped.iter().all(|skipped| !skipped.reason.is_empty() && skipped.file == "1.json"));
}

#[test]
fn an_id_is_mapped_or_refused_and_never_shared() {
    let ids = |ids: &[&str]| {
        let controls: Vec<Value> = ids.iter().map(|id| json!({"id": id, "title": "t"})).collect();
        read(&[catalog(controls.into())]).map(|draft| {
            let plan = ImportPlan::of(draft, &KnownIds::new());
            plan.definitions.into_iter().map(|item| item.id).collect::<Vec<_>>()
        })
    };
    assert_eq!(ids(&["a.b.c", "_x", "-y", "1z"]).expect("map_id"), ["a_b_c", "x_x", "x-y", "1z"]);
    assert!(ids(&["a".repeat(64).as_str()]).is_ok());
    for (refused, code) in [
        (&["ä"][..], "invalid_id"),
        (&[""], "invalid_id"),
        (&["a b"], "invalid_id"),
        (&["a".repeat(65).as_str()], "invalid_id"),
        (&["ac-2.1", "ac-2_1"], "id_clash"),
        (&["a", "a"], "id_clash"),
        (&["_a", "x_a"], "id_clash"),
    ] {
        let fault = ids(refused).expect_err("refused");
        assert_eq!(fault.code(), code, "{refused:?}: {fault}");
        assert!(fault.to_string().contains("catalog.groups[0].controls["), "{fault}");
    }
}

#[test]
fn the_same_control_in_two_files_is_one_and_another_is_refused() {
    let one = catalog(json!([{"id": "a", "title": "t"}]));
    let other = catalog(json!([{"id": "a", "title": "another"}]));
    assert_eq!(plan(&[one.clone(), one.clone()]).definitions.len(), 1);
    let fault = read(&[one, other]).expect_err("a clash");
    let place = "1.json catalog.groups[0].controls[0]";
    assert!(matches!(&fault, OscalError::Clash { first, .. } if first == place), "{fault:?}");
}

#[test]
fn a_fault_is_shown_with_its_place() {
    let text = catalog(json!([{"id": "a", "title": "t"}])).to_string();
    let fault = |text: &str| document::read("f", text.as_bytes(), &mut ImportDraft::new(DAILY)).expect_err("refused");
    let chain = |fault: OscalError| format!("{:#}", anyhow::Error::from(fault));
    // Every way to cut a file short is seen.
    for end in 0..text.len() {
        assert!(matches!(fault(&text[..end]), OscalError::NotJson { .. }), "cut at {end}");
    }
    let cut = chain(fault(&text[..text.find("\"t\"").expect("a title") + 2]));
    assert!(cut.contains("catalog.groups[0].controls[0]") && cut.contains("line 1 column"), "{cut}");
    for (text, code, named) in [
        (text.replace("\"t\"", "7"), "wrong_shape", "catalog.groups[0].controls[0].title"),
        (text.replace("\"title\":\"t\"", "\"t\":1"), "missing", "catalog.groups[0].controls[0]: `title`"),
        (text.replace("\"t\"", "\"\\u0000\""), "invalid_text", "catalog.groups[0].controls[0].title"),
        (text.replace("\"id\":\"a\"", "\"id\":\"a\",\"id\":\"b\""), "not_json", "`id`"),
        (catalog(json!({})).to_string(), "wrong_shape", "catalog.groups[0].controls"),
        ("[]".to_owned(), "not_oscal", "a list"),
        ("{\"profile\":{}}".to_owned(), "not_oscal", "`profile`"),
        ("{\"catalog\":{\"uuid\":\"c\",\"metadata\":{\"oscal-version\":\"2.0\"}}}".to_owned(), "not_oscal", "2.0"),
        (text.clone() + "x", "not_json", "line 1 column"),
        ("[".repeat(100_000), "not_json", "line 1 column"),
    ] {
        let refused = fault(&text);
        assert_eq!(refused.code(), code, "{refused}");
        let said = chain(refused);
        assert!(said.contains(named), "{said}\ndoes not name\n{named}");
    }
}

#[test]
fn parameters_that_insert_each_other_come_to_an_end() {
    let params =
        json!([{"id": "a", "values": ["{{ insert: param, b }}"]}, {"id": "b", "values": ["{{ insert: param, a }}"]}]);
    let control = json!({"id": "x", "title": "t", "params": params});
    let read = plan(&[catalog(json!([control]))]);
    let text = item(&read, "x").command["parameters"]["a"].as_str().map(str::len);
    assert!(text.is_some_and(|length| length < 200), "{text:?}");
}

fn component(id: &str, controls: &[&str]) -> Value {
    let requirements: Vec<Value> = controls
        .iter()
        .map(|control| {
            json!({"uuid": "r", "control-id": control, "description": "by {{ insert: param, p }}",
                              "set-parameters": [{"param-id": "p", "values": ["x", "y"]}]})
        })
        .collect();
    json!({"component-definition": {"uuid": "d", "components": [{
        "uuid": id, "type": "software", "title": "A lock", "description": "It locks.",
        "protocols": [{"name": "bolt", "port-ranges": [{"start": 1, "end": 2, "transport": "TCP"}]}],
        "control-implementations": [{"uuid": "i", "source": "#s", "description": "all of it",
                                     "implemented-requirements": requirements}]}]}})
}

#[test]
fn a_component_names_the_controls_that_there_are() {
    let files = [component("k1", &["a.2", "a.2", "gone", "old"]), catalog(json!([{"id": "a.2", "title": "t"}]))];
    let known = KnownIds::from([(DefinitionKind::Control, "old".to_owned())]);
    let plan = ImportPlan::of(read(&files).expect("readable"), &known);
    assert_eq!(
        plan.definitions.iter().map(|item| item.kind).collect::<Vec<_>>(),
        [DefinitionKind::Control, DefinitionKind::Component]
    );
    let expected = json!({
        "id": "k1", "title": "A lock", "kind": "software", "controls": ["a_2", "old"], "labels": {"oscal-id": "k1"},
        "properties": {"description": "It locks.", "protocol:bolt": "TCP 1-2", "parameter:p": "x, y",
                       "implements:a_2": "by [p: x, y]", "implements:gone": "by [p: x, y]",
                       "implements:old": "by [p: x, y]"},
    });
    assert_eq!(Value::Object(item(&plan, "k1").command.clone()), expected);
    let requirement = "component-definition.components[0].control-implementations[0].implemented-requirements[2]";
    let reference = skipped(&plan).into_iter().find(|(kind, ..)| *kind == "reference").expect("named");
    assert_eq!(reference.1, format!("{requirement}.control-id"));
    assert!(reference.2.ends_with(": gone"), "{}", reference.2);
}

/// A plan with one activity, as `change` makes it.
fn assessment(change: impl FnOnce(&mut Value)) -> Value {
    let mut plan = json!({"assessment-plan": {
        "uuid": PLAN, "metadata": {"title": "Rounds"},
        "local-definitions": {"activities": [{
            "uuid": ACTIVITY, "title": "Try the door", "description": "Push.",
            "props": [{"name": "provider-name", "value": "pusher"}, {"name": "provider-image", "value": "push"},
                      {"name": "provider-tag", "value": "1"},
                      {"name": "provider-configuration", "class": "force", "value": "9"},
                      {"name": "method", "value": "TEST"}],
            "steps": [{"uuid": "s", "title": "Push", "description": "hard"}],
            "related-controls": {"control-selections": [{"include-controls": [{"control-id": "a.2"}]}]}}]},
        "reviewed-controls": {"control-selections": [
            {"include-controls": [{"control-id": "a.2"}, {"control-id": "b"}, {"control-id": "c"}],
             "exclude-controls": [{"control-id": "c"}]}]},
        "assessment-subjects": [{"type": "component", "include-all": {}}],
        "tasks": [{"uuid": "t", "type": "action", "title": "Nightly", "timing": {"at-frequency": {"period": 6, "unit": "hours"}},
                   "associated-activities": [{"activity-uuid": ACTIVITY}]}],
    }});
    change(&mut plan["assessment-plan"]);
    plan
}

fn with_controls(plan: Value) -> ImportPlan {
    let controls = catalog(json!([{"id": "a.2", "title": "t"}, {"id": "b", "title": "t"}]));
    self::plan(&[plan, component("k1", &["a.2"]), controls])
}

#[test]
fn a_plan_makes_an_assessment_for_each_control_and_an_attestation_for_each_provider() {
    let plan = with_controls(assessment(|_| ()));
    let id = format!("{PLAN}_a_2");
    let expected = json!({"id": id, "title": "Rounds (a.2)", "control": "a_2", "schedule": "0 */6 * * *",
                          "component_selector": {}});
    assert_eq!(Value::Object(item(&plan, &id).command.clone()), expected);
    assert_eq!(item(&plan, &format!("{PLAN}_b")).command["schedule"], "0 */6 * * *");
    let attestation = item(&plan, &format!("{ACTIVITY}_a_2"));
    let expected = json!({
        "id": attestation.id, "assessment": id, "title": "Try the door", "schedule": "0 */6 * * *",
        "provider": {"name": "pusher", "image": "push", "tag": "1", "configuration": {"force": "9"}},
        "selector": {"query": "", "labels": {}, "expressions": [], "ids": []},
        "parameters": {"description": "Push.", "method": "TEST", "step-01": "Push: hard", "oscal-activity": ACTIVITY},
    });
    assert_eq!(Value::Object(attestation.command.clone()), expected);
    let kinds: Vec<DefinitionKind> = plan.definitions.iter().map(|item| item.kind).collect();
    assert!(kinds.is_sorted() && kinds.len() == 6, "each after what it refers to: {kinds:?}");
}

#[test]
fn what_a_plan_leaves_open_is_named_and_the_rest_is_made() {
    let plan = with_controls(assessment(|plan| {
        plan["local-definitions"]["activities"][0]["props"] = json!([]);
        plan["tasks"][0]["timing"] = json!({"on-date": {"date": "2026-01-01T00:00:00Z"}});
        plan["tasks"][0]["associated-activities"][0]["activity-uuid"] = json!("gone");
        plan["reviewed-controls"]["control-selections"][0]["include-controls"][2] = json!({"control-id": "nowhere"});
        plan["assessment-subjects"] = json!([{"type": "user", "include-all": {}}]);
    }));
    let assessments: Vec<&OscalDefinition> =
        plan.definitions.iter().filter(|item| item.kind == DefinitionKind::Assessment).collect();
    assert_eq!(assessments.len(), 2);
    assert!(assessments.iter().all(|item| item.command["schedule"] == DAILY));
    assert!(plan.definitions.iter().all(|item| item.kind != DefinitionKind::Attestation));
    let said = skipped(&plan);
    for expected in
        ["its 1 steps", "only `at-frequency` is", "does not define", "nowhere", "not a `user`", "all are taken"]
    {
        assert!(
            said.iter().any(|(_, path, reason)| reason.contains(expected) && !path.is_empty()),
            "{expected}: {said:#?}"
        );
    }
}

#[test]
fn an_assessment_is_of_the_components_that_its_plan_names() {
    let subjects = |subjects: Value| {
        let plan = with_controls(assessment(|plan| plan["assessment-subjects"] = json!([subjects])));
        let found = plan.definitions.iter().find(|item| item.id == format!("{PLAN}_b"));
        found.map(|item| (item.command.get("components").cloned(), item.command.get("component_selector").cloned()))
    };
    let of =
        |ids: &[&str]| -> Value { ids.iter().map(|id| json!({"subject-uuid": id, "type": "component"})).collect() };
    let named = subjects(json!({"type": "component", "include-subjects": of(&["k1", "gone"])}));
    assert_eq!(named, Some((Some(json!(["k1"])), None)));
    // None of them would be all of them.
    assert_eq!(subjects(json!({"type": "component", "include-subjects": of(&["gone"])})), None);
    assert_eq!(
        subjects(json!({"type": "component", "include-subjects": of(&["k1"]), "exclude-subjects": of(&["k1"])})),
        None
    );
    let but = subjects(json!({"type": "component", "include-all": {}, "exclude-subjects": of(&["k1"])}));
    let selector = json!({"match_expressions": [{"key": "oscal-id", "operator": "NotIn", "values": ["k1"]}]});
    assert_eq!(but, Some((None, Some(selector))));
}
