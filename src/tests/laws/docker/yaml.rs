//! YAML as JSON, with merge keys (`<<`) merged as Compose merges them: what a mapping says itself is stronger.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};

/// The only document of a text.
pub(crate) fn read(text: &str) -> Value {
    let documents = Yaml::load_from_str(text).unwrap();
    let [document] = documents.as_slice() else { panic!("one document is expected") };
    json(document)
}

fn json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(scalar) => plain(scalar),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| (json(key).as_str().unwrap().to_owned(), json(value)));
            merged(entries.collect())
        }
        other => panic!("nothing here needs {other:?}"),
    }
}

fn plain(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => (*value).into(),
        Scalar::Integer(value) => (*value).into(),
        Scalar::FloatingPoint(value) => value.into_inner().into(),
        Scalar::String(value) => value.as_ref().into(),
    }
}

fn merged(mut own: Map<String, Value>) -> Value {
    if let Some(inherited) = own.remove("<<") {
        for (key, value) in inherited.as_object().unwrap() {
            own.entry(key).or_insert_with(|| value.clone());
        }
    }
    Value::Object(own)
}

#[test]
fn what_a_mapping_says_itself_is_stronger_than_what_it_merges() {
    let read = read("base: &base {a: 1, b: [x, 'y z']}\nnext:\n  <<: *base\n  a: 2\n");
    assert_eq!(read["next"], serde_json::json!({"a": 2, "b": ["x", "y z"]}));
}
