//! The codes on `docs/reference/errors.md` are those of the code, with their statuses, and no others.

use std::collections::BTreeSet;
use std::fs;

use api::error_code::ErrorCode;
use projections::refusal_code::{RefusalClass, RefusalCode};

use super::holds;
use super::page::{self, Page, code};

const PAGE: &str = "docs/reference/errors.md";
/// Every status that a code can have.
const STATUSES: [&str; 13] =
    ["400", "401", "403", "404", "405", "408", "409", "410", "413", "415", "422", "500", "503"];

/// The text of a source file up to its tests.
fn source(path: &str) -> String {
    let text = fs::read_to_string(page::checkout(path)).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// The body of the functions of this name.
fn bodies(path: &str, function: &str) -> String {
    let text = source(path);
    let starts = text.match_indices(&format!("fn {function}(")).map(|(at, _)| at).collect::<Vec<_>>();
    assert!(!starts.is_empty(), "{path} has no function {function}");
    let body = |at: usize| {
        let rest = &text[at..];
        let open = rest.find('{').unwrap();
        let mut depth = 0;
        let close = rest[open..].char_indices().find(|(_, c)| {
            depth += i32::from(*c == '{') - i32::from(*c == '}');
            depth == 0
        });
        rest[open..open + close.unwrap().0].to_owned()
    };
    starts.into_iter().map(body).collect()
}

/// The codes among the texts in a piece of source.
fn literals(source: &str) -> BTreeSet<String> {
    let is_code = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    source.split('"').skip(1).step_by(2).filter(is_code).map(str::to_owned).collect()
}

/// The status of a refusal of this class.
fn status(class: RefusalClass) -> &'static str {
    match class {
        RefusalClass::NotFound => "404",
        RefusalClass::Conflict => "409",
        RefusalClass::TooLarge | RefusalClass::Unfit => "422",
        RefusalClass::Forbidden => "403",
        RefusalClass::Unplanned => "428",
    }
}

/// Codes and statuses of the rows of a section.
fn documented(heading: &str) -> BTreeSet<(String, String)> {
    let rows = Page::read(PAGE).rows_below(heading);
    rows.iter().map(|row| (code(&row[0]).expect(&row[0]).to_owned(), row[1].clone())).collect()
}

fn same<T: Ord + std::fmt::Debug>(what: &str, documented: &BTreeSet<T>, real: &BTreeSet<T>) {
    let absent = real.difference(documented).map(|code| format!("the page lacks {code:?}"));
    let strange = documented.difference(real).map(|code| format!("the page has {code:?}, which the code has not"));
    holds(what, &absent.chain(strange).collect::<Vec<_>>());
}

#[test]
fn every_code_of_the_http_api_is_documented_with_its_status() {
    let real = ErrorCode::ALL.iter().map(|code| (code.as_str().to_owned(), code.status().to_string())).collect();
    same("codes of api::error_code", &documented("### The request as a whole"), &real);
}

#[test]
fn every_code_of_what_is_read_is_documented_with_its_status() {
    let status = |code: &&str| if *code == "invalid_json" { "400" } else { "422" };
    let real = schema::invalid::CODES.iter().map(|code| ((*code).to_owned(), status(code).to_owned())).collect();
    same("codes of schema::invalid", &documented("### The commands as they were written"), &real);
}

#[test]
fn every_code_of_a_refused_command_is_documented_with_its_status() {
    let real =
        RefusalCode::ALL.iter().map(|code| (code.as_str().to_owned(), status(code.class()).to_owned())).collect();
    same("codes of projections::refusal_code", &documented("### What the log says to them"), &real);
}

#[test]
fn every_code_of_an_attempt_is_documented() {
    let functions = [
        ("src/agent/apply_error.rs", "code"),
        ("src/agent/apply_error.rs", "disk_code"),
        ("src/agent/hook.rs", "rejected"),
        ("src/agent/hook.rs", "timed_out"),
        ("src/agent/verify.rs", "code"),
        ("projections/src/plan.rs", "code"),
        ("schema/src/wire.rs", "code"),
    ];
    let real: BTreeSet<String> =
        functions.iter().flat_map(|(path, function)| literals(&bodies(path, function))).collect();
    assert!(real.contains("drift_returns") && real.contains("wrong_digest"), "{real:?}");
    let page = Page::read(PAGE);
    let section = page.section("## Attempts of a node");
    let absent = real.iter().filter(|code| !section.contains(&format!("`{code}`"))).map(|code| format!("lacks {code}"));
    let rows = page.rows_below("## Attempts of a node");
    let strange = rows.iter().filter_map(|row| code(&row[0])).filter(|code| !real.contains(*code));
    let strange = strange.map(|code| format!("has {code}, which no node reports"));
    holds("codes of a node's attempt", &absent.chain(strange).collect::<Vec<_>>());
}

#[test]
fn every_warning_and_every_reason_is_documented() {
    let rows = |heading: &str| -> BTreeSet<String> {
        Page::read(PAGE).rows_below(heading).iter().map(|row| code(&row[0]).expect(&row[0]).to_owned()).collect()
    };
    let warnings = literals(&source("projections/src/warning.rs"));
    same("warnings of a request", &rows("## Warnings in an answer"), &warnings);
    let node = literals(&source("src/agent/actions.rs"));
    assert!(node.contains("check_changed_tree"), "{node:?}");
    let reasons = literals(&source("src/server/http/node_status.rs"));
    // Where a node names no code, the state's own name stands for one.
    let reasons = reasons.into_iter().filter(|code| code != "failed" && code != "refused").collect();
    same("reasons of a node's state", &rows("## Reasons of a node's state"), &reasons);
    let oscal = literals(&bodies("src/client/oscal/error.rs", "code"));
    let page = Page::read("docs/how-to/import-oscal.md");
    let absent: Vec<String> = oscal.into_iter().filter(|code| !page.text.contains(&format!("`{code}`"))).collect();
    holds("codes of an OSCAL file that is refused", &absent);
}

#[test]
fn every_code_of_a_client_without_an_answer_is_documented() {
    let mut real = literals(&bodies("src/tls/handshake_fault.rs", "code"));
    let own = ["plain_url", "ca_file", "context", "other_log"];
    real.extend(own.map(str::to_owned));
    let client = literals(&bodies("src/client/error.rs", "code"));
    assert!(real.len() == 9 && own.iter().all(|code| client.contains(*code)), "{real:?} {client:?}");
    let rows = Page::read(PAGE).rows_below("### Without an answer");
    let documented = rows.iter().map(|row| code(&row[0]).expect(&row[0]).to_owned()).collect();
    same("codes of a client without an answer", &documented, &real);
}

#[test]
fn a_status_beside_a_code_is_that_codes_status() {
    let headings =
        ["### The request as a whole", "### The commands as they were written", "### What the log says to them"];
    let known: BTreeSet<_> = headings.iter().flat_map(|heading| documented(heading)).collect();
    let mut wrong = Vec::new();
    for page in page::all() {
        for status in STATUSES {
            for (at, before) in page.text.match_indices(&format!("{status} `")) {
                let code: String = page.text[at + before.len()..].chars().take_while(|c| *c != '`').collect();
                let is_code = literals(&format!("\"{code}\"")).len() == 1;
                if is_code && !known.contains(&(code.clone(), status.to_owned())) {
                    wrong.push(format!("{}: {status} {code}", page.path));
                }
            }
        }
    }
    holds("a page names codes with their statuses", &wrong);
}
