//! What the OpenAPI document says, held against what the server does: each answer that any test of this program gets is checked by
//! the schema of its operation.
//!
//! `UPDATE_GOLDEN=1 cargo nextest run -p headwater --test door contract` writes `schema/openapi.json` anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use api::error_code::ErrorCode;
use axum::http::{Method, StatusCode};
use projections::refusal_code::RefusalCode;
use serde_json::{Value, json};
use server::http::openapi::document_text;

use crate::ask::{AUDITOR, Answered, House, enrol, put, request};

pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(document_text()).unwrap());

/// Fails if an answer is none that the document allows for the request.
pub(crate) fn check(method: &Method, path: &str, answered: &Answered) {
    let Some(operation) = operation(method, path) else {
        let is_refused = answered.status.is_client_error() || answered.status.is_server_error();
        assert!(is_refused || *method == Method::OPTIONS, "{method} {path} is no operation: {answered}");
        return;
    };
    let what = format!("{method} {path}: {answered}");
    let response = &operation["responses"][answered.status.as_u16().to_string()];
    assert!(response.is_object(), "the document does not have this status: {what}");
    if answered.status == StatusCode::NOT_MODIFIED || *method == Method::HEAD {
        assert!(answered.body.is_empty(), "{what}");
        return;
    }
    let media_type = answered.header("content-type").split(';').next().unwrap_or_default();
    let content = response["content"].as_object().unwrap();
    let Some(body) = content.get(media_type).or_else(|| content.get("*/*")) else {
        panic!("the document does not have media type {media_type}: {what}");
    };
    if media_type.ends_with("json") && !content.contains_key("*/*") && answered.header("content-encoding").is_empty() {
        assert_valid(&body["schema"], &answered.json(), &what);
    }
}

/// Fails if the body of a request that was accepted is none that the document allows.
pub(crate) fn check_commands(body: &[u8]) {
    let schema = &DOCUMENT["paths"]["/v1/commands"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_valid(schema, &body, "an accepted request");
}

fn assert_valid(schema: &Value, instance: &Value, what: &str) {
    let validator = validator_in_document(schema);
    let faults: Vec<String> =
        validator.iter_errors(instance).map(|fault| format!("{} at {}", fault, fault.instance_path())).collect();
    assert!(faults.is_empty(), "{what}\n{}", faults.join("\n"));
}

/// The validator of a schema of the document. To make one takes longer than a request, so that each is made once.
fn validator_in_document(schema: &Value) -> Arc<jsonschema::Validator> {
    static MADE: LazyLock<Mutex<HashMap<String, Arc<jsonschema::Validator>>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || Arc::new(validator(&json!({"allOf": [schema], "components": DOCUMENT["components"]})));
    Arc::clone(made.entry(schema.to_string()).or_insert_with(make))
}

/// Formats such as `date-time` count.
fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

fn operation<'a>(method: &Method, path: &str) -> Option<&'a Value> {
    let method = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    // A path without a parameter is meant before one with a parameter in the same place.
    let mut fitting: Vec<_> = paths.iter().filter(|(pattern, _)| fits(pattern, path)).collect();
    fitting.sort_by_key(|(pattern, _)| pattern.matches('{').count());
    fitting.first()?.1.get(method)
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some("{path}"), Some(_)) => return true,
            (Some(pattern), Some(segment)) if pattern == segment => {}
            (Some(pattern), Some(segment)) if pattern.starts_with('{') && !segment.is_empty() => {}
            _ => return false,
        }
    }
}

pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&'static String, &'static Value)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path)
}

#[test]
fn the_committed_document_is_what_the_program_serves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, document_text()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == document_text(),
        "schema/openapi.json is not what the program serves: see the head of this file"
    );
}

#[test]
fn every_code_stands_in_an_operation_and_every_code_of_an_operation_exists() {
    let mut found = BTreeSet::new();
    for (_, _, operation) in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let schema = &response["content"]["application/problem+json"]["schema"];
            let schema = schema["$ref"].as_str().and_then(|name| DOCUMENT.pointer(name.trim_start_matches('#')));
            let codes = schema.and_then(|schema| schema.pointer("/properties/code/enum")?.as_array());
            found.extend(codes.into_iter().flatten().map(|code| (code.as_str().unwrap().to_owned(), status.clone())));
        }
    }
    let names: BTreeSet<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
    let own = ErrorCode::ALL.iter().map(|code| code.as_str());
    let refused = RefusalCode::ALL.iter().map(|code| code.as_str());
    let known: BTreeSet<&str> = own.chain(refused).chain(schema::invalid::CODES.iter().copied()).collect();
    assert_eq!(names, known);
    for code in ErrorCode::ALL {
        assert!(found.contains(&(code.as_str().to_owned(), code.status().to_string())), "{code:?}");
    }
}

#[test]
fn every_operation_says_what_a_client_needs() {
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} names two operations");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{id}");
        assert!(["get", "post"].contains(&method), "{id}");
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        let in_path: BTreeSet<&str> =
            parameters.iter().filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()).collect();
        let named: BTreeSet<&str> =
            path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(in_path, named, "{id}");
        for parameter in parameters {
            assert!(parameter["description"].as_str().is_some_and(|text| text.ends_with('.')), "{id}: {parameter}");
            validator(&parameter["schema"]);
        }
    }
}

#[tokio::test]
async fn a_document_that_selects_by_what_is_there_is_shown_as_described() {
    let house = House::new();
    let target = json!({"match_expressions": [{"key": "site", "operator": "Exists"}]});
    house.done(json!([put("d", "etc/d", "text", target.clone())])).await;
    assert_eq!(house.shown("/v1/documents/d").await["target"], target);
}

#[tokio::test]
async fn the_document_is_served_without_a_token() {
    let house = House::new();
    let answered = house.send(request(Method::GET, "/v1/openapi.json", &[], "")).await;
    assert_eq!((answered.status, answered.body.as_slice()), (StatusCode::OK, document_text().as_bytes()));
}

/// Values that no declared parameter takes: each is tried with every parameter whose schema refuses it.
const NONSENSE: [&str; 9] = ["", "-1", "x y", "1.5", "99999999999999999999", "\0", "true,false", "../..", "null"];

#[tokio::test]
async fn nonsense_in_a_declared_parameter_and_any_in_an_undeclared_one_is_refused_by_name() {
    let house = House::new();
    house.done(json!([enrol("n", json!({})), put("d", "etc/d", "text", json!({"all": true}))])).await;
    let (mut tried, before) = (0, house.position());
    for (path, method, operation) in operations().filter(|(path, ..)| path.starts_with("/v1/")) {
        let path = path.replace("{position}", "1").replace("{command_id}", "1").replace("{path}", "etc/d");
        let path = path.replace("{id}", if path.contains("documents") { "d" } else { "n" });
        let ask = async |query: String| {
            let uri = format!("{path}?{query}");
            match method {
                "get" => house.get(&uri).await,
                _ => house.post(&uri, &[], "{}").await,
            }
        };
        ask("colour=red".into()).await.is_problem(&path, 400, "unknown_parameter", "colour");
        let none = Vec::new();
        for parameter in operation["parameters"].as_array().unwrap_or(&none).iter().filter(|one| one["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let others = operation["parameters"].as_array().unwrap().iter();
            let others = others.filter(|one| one["in"] == "query" && one["required"] == true && one["name"] != name);
            let required: String = others.map(|one| format!("&{}=1", one["name"].as_str().unwrap())).collect();
            ask(format!("{name}=1&{name}=1{required}")).await.is_problem(&path, 400, "invalid_parameter", name);
            let validator = validator(&parameter["schema"]);
            for text in NONSENSE {
                let as_number: Value = text.parse::<i64>().map_or(json!(text), |number| json!(number));
                if validator.is_valid(&as_number)
                    || validator.is_valid(&json!(text))
                    || text.is_empty() && name == "cursor"
                {
                    continue;
                }
                let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
                ask(format!("{name}={encoded}{required}")).await.is_problem(&path, 400, "invalid_parameter", name);
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "only {tried} values were tried");
    assert_eq!(house.position(), before, "nothing was written");
}

#[tokio::test]
async fn a_wrong_method_is_told_which_ones_there_are() {
    let house = House::new();
    let mut methods = BTreeMap::<&str, &str>::new();
    for (path, method, ..) in operations() {
        // No path has both.
        assert!(methods.insert(path, method).is_none_or(|other| other == method), "{path}");
    }
    for (path, method) in methods {
        let uri =
            path.replace("{position}", "1").replace("{command_id}", "1").replace("{path}", "a").replace("{id}", "n");
        let bearer = format!("Bearer {}", crate::ask::ADMIN);
        let headers = [("authorization", bearer.as_str())];
        let allowed = if method == "post" { "POST, OPTIONS" } else { "GET, HEAD, OPTIONS" };
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let answered = house.send(request(method.clone(), &uri, &headers, "")).await;
            answered.is_problem(&uri, 405, "method_not_allowed", "");
            let told: BTreeSet<&str> = answered.header("allow").split(',').map(str::trim).collect();
            assert_eq!(told, allowed.split(", ").collect(), "{method} {uri}");
        }
        let bearer = format!("Bearer {AUDITOR}");
        let answered = house.send(request(Method::OPTIONS, &uri, &[("authorization", &bearer)], "")).await;
        assert_eq!((answered.status, answered.header("allow")), (StatusCode::NO_CONTENT, allowed), "{uri}");
    }
}
