//! `docs/reference/http.md`, made from the OpenAPI document, and compared with what is committed.
//!
//! `UPDATE_GOLDEN=1 cargo nextest run -p headwater --test door reference` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::contract::{DOCUMENT, operations};

const HEAD: &str = "\
# The HTTP interface

This page is made from `schema/openapi.json`, which `GET /v1/openapi.json` serves, too; programs are better served by that document.
What each error code means is in [errors](errors.md), and what a command asks for in [commands](commands.md).

";

#[test]
fn the_reference_page_is_what_the_document_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/http.md");
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == page, "docs/reference/http.md is not what the document says: see the head of this file");
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    writeln!(page, "## Conventions\n\n{}\n", DOCUMENT["info"]["description"].as_str().unwrap()).unwrap();
    let common = common_codes();
    let listed = common.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
    writeln!(page, "Any operation that needs a token can be refused with {listed}. They are not repeated below. A 401 has \
         `WWW-Authenticate`, a 405 `Allow`, and a 503 `Retry-After`, in seconds. Answers of more than 1 KiB are compressed with gzip for callers that accept it.\n")
        .unwrap();
    page.push_str("| operation | what it is for |\n|---|---|\n");
    for (path, method, operation) in operations() {
        let (title, summary) = (title(path, method), operation["summary"].as_str().unwrap());
        writeln!(page, "| [{title}](#{}) | {summary} |", anchor(&title)).unwrap();
    }
    page.push_str("\n## Operations\n");
    for (path, method, operation) in operations() {
        describe(&mut page, path, method, operation, &common);
    }
    page.push_str("\n## Shapes\n");
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(name, _)| !is_problem(name)) {
        shape(&mut page, name, schema);
    }
    page
}

/// `Problem404_2` and the like: `Problem` with a list of codes, which each operation has.
fn is_problem(name: &str) -> bool {
    name.strip_prefix("Problem").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn title(path: &str, method: &str) -> String {
    format!("{} {path}", method.to_uppercase())
}

/// The anchor that a renderer of Markdown gives a heading.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn codes(operation: &Value) -> Vec<(String, Vec<String>)> {
    let responses = operation["responses"].as_object().unwrap();
    let codes = responses.iter().filter_map(|(status, response)| {
        let reference = response["content"]["application/problem+json"]["schema"]["$ref"].as_str()?;
        let codes =
            DOCUMENT.pointer(&format!("{}/properties/code/enum", reference.trim_start_matches('#')))?.as_array()?;
        Some((status.clone(), codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()))
    });
    codes.collect()
}

/// The codes of every operation that needs a token.
fn common_codes() -> BTreeSet<String> {
    let of = |operation| codes(operation).into_iter().flat_map(|(_, codes)| codes).collect::<BTreeSet<String>>();
    let guarded = operations().filter(|(_, _, operation)| operation.get("security").is_none());
    guarded.map(|(_, _, operation)| of(operation)).reduce(|one, other| &one & &other).unwrap()
}

fn describe(page: &mut String, path: &str, method: &str, operation: &Value, common: &BTreeSet<String>) {
    let token = if operation.get("security").is_some() { " No token is needed." } else { "" };
    let id = operation["operationId"].as_str().unwrap();
    writeln!(page, "\n### {}\n\n{}. (`{id}`){token}\n", title(path, method), operation["summary"].as_str().unwrap())
        .unwrap();
    if let Some(parameters) = operation["parameters"].as_array() {
        page.push_str("| parameter | in | value | meaning |\n|---|---|---|---|\n");
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap();
            let needed = if parameter["required"] == true && parameter["in"] != "path" { ", required" } else { "" };
            let (place, meaning) = (parameter["in"].as_str().unwrap(), parameter["description"].as_str().unwrap());
            writeln!(page, "| `{name}` | {place}{needed} | {} | {meaning} |", kind(&parameter["schema"])).unwrap();
        }
        page.push('\n');
    }
    if let Some(body) = operation.pointer("/requestBody/content/application~1json/schema") {
        writeln!(page, "Body: {}.\n", kind(body)).unwrap();
    }
    let content = operation["responses"]["200"]["content"].as_object().unwrap();
    let answers: Vec<String> =
        content.iter().map(|(media_type, body)| format!("`{media_type}`: {}", kind(&body["schema"]))).collect();
    let headers: Vec<String> = operation["responses"]["200"]["headers"]
        .as_object()
        .map(|headers| headers.keys().map(|name| format!("`{name}`")).collect())
        .unwrap_or_default();
    let known = if operation["responses"].get("304").is_some() { "; 304 to a caller that has it" } else { "" };
    let headers = if headers.is_empty() { String::new() } else { format!(", with {}", headers.join(", ")) };
    writeln!(page, "Answer: {}{headers}{known}.", answers.join("; ")).unwrap();
    let mut refusals = String::new();
    for (status, codes) in codes(operation) {
        let own: Vec<String> =
            codes.iter().filter(|code| !common.contains(*code)).map(|code| format!("`{code}`")).collect();
        if !own.is_empty() {
            write!(refusals, " {status} {};", own.join(", ")).unwrap();
        }
    }
    if !refusals.is_empty() {
        writeln!(page, "Refusals:{}.", refusals.trim_end_matches(';')).unwrap();
    }
}

fn shape(page: &mut String, name: &str, schema: &Value) {
    writeln!(page, "\n### {name}\n").unwrap();
    if let Some(description) = schema["description"].as_str() {
        writeln!(page, "{}\n", one_line(description)).unwrap();
    }
    let none = Map::new();
    let members = schema["properties"].as_object().unwrap_or(&none);
    if members.is_empty() {
        writeln!(page, "{}", kind(schema)).unwrap();
        return;
    }
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str("| member | value | meaning |\n|---|---|---|\n");
    for (member, schema) in members {
        let optional = if required.contains(member.as_str()) { "" } else { ", optional" };
        let meaning = one_line(schema["description"].as_str().unwrap_or_default());
        writeln!(page, "| `{member}` | {}{optional} | {meaning} |", kind(schema)).unwrap();
    }
}

/// A cell of a table, and a paragraph, is one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a value is, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("[{name}](#{})", anchor(name));
    }
    if let Some(value) = schema["const"].as_str() {
        return format!("`{value}`");
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    for alternatives in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[alternatives].as_array() {
            return schemas.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let words = types.into_iter().map(|name| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of text to {}", kind(&schema["additionalProperties"]))
        }
        "string" => text(schema),
        other => other.to_owned(),
    });
    let words = words.collect::<Vec<_>>().join(" or ");
    if words.is_empty() { "any value".to_owned() } else { words }
}

fn text(schema: &Value) -> String {
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("date-time"), _) => "RFC 3339 time".to_owned(),
        (Some("uuid"), _) => "UUID".to_owned(),
        (_, Some("^[0-9a-f]{64}$")) => "64 hexadecimal digits".to_owned(),
        (_, Some("^[A-Za-z0-9][A-Za-z0-9_-]*$")) => "id".to_owned(),
        (_, Some(pattern)) if !pattern.contains('|') => format!("text `{pattern}`"),
        _ => "text".to_owned(),
    }
}
