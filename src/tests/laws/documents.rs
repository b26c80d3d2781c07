//! Laws of the documents: every link leads somewhere, every page is found from the README, and what a page names is what the code has.

mod codes;
mod limits;
mod page;
mod settings;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use schema::entity::Kind;

use self::page::{Link, Page};

/// Lines of the README.
const README_LINES_MAX: usize = 130;

/// Words that a new user searched for. Each is found below `docs/`.
const SEARCHED: [&str; 15] = [
    "dry_run",
    "min_position",
    "cursor",
    "label_node",
    "cfg_reported",
    "converged",
    "backup",
    "`?at=`",
    "expected_version",
    "Idempotency-Key",
    "retire_node",
    "put_document",
    "inclusion proof",
    "slot",
    "offline",
];

/// Folders of the checkout whose files a page may name.
const FOLDERS: [&str; 8] = ["benches/", "docker/", "docs/", "fuzz/", "projections/", "replay/", "schema/", "scripts/"];

fn holds(law: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{law}:\n  {}\n", violations.join("\n  "));
}

#[test]
fn every_link_and_anchor_exists() {
    let pages = page::all();
    let broken: Vec<String> = pages.iter().flat_map(|page| page.links().into_iter().filter_map(fault)).collect();
    holds("a link leads to a file of the checkout, and its anchor to a heading", &broken);
    assert!(pages.iter().map(|page| page.links().len()).sum::<usize>() > 100, "links are found at all");
}

fn fault(link: Link) -> Option<String> {
    let Link { from, line, path, anchor } = &link;
    let at = |why: String| Some(format!("{from}:{line}: {why}"));
    if !page::checkout(path).exists() {
        return at(format!("there is no {path}"));
    }
    let anchor = anchor.as_deref()?;
    let is_page = Path::new(path).extension().is_some_and(|kind| kind == "md");
    match is_page && Page::read(path).anchors().contains(anchor) {
        true => None,
        false => at(format!("{path} has no heading #{anchor}")),
    }
}

#[test]
fn every_file_that_a_page_names_exists() {
    let mut missing = Vec::new();
    let ignored = fs::read_to_string(page::checkout(".gitignore")).unwrap();
    let is_made = |path: &str| ignored.lines().any(|line| line.trim_matches('/') == path.trim_matches('/'));
    for page in page::all() {
        // What was decided or changed once may name what is gone.
        if page.path.starts_with("docs/decisions/") || page.path == "CHANGELOG.md" {
            continue;
        }
        for (line, code) in page.code_spans() {
            let is_path =
                FOLDERS.iter().any(|folder| code.starts_with(folder)) && !code.contains(['…', '*', '<', '{', ' ']);
            if is_path && !is_made(&code) && !page::checkout(&code).exists() {
                missing.push(format!("{}:{line}: {code}", page.path));
            }
        }
    }
    holds("a page names files that are there", &missing);
}

#[test]
fn every_kind_of_entity_is_named_where_the_log_is_described() {
    let named: BTreeSet<String> =
        Page::read("docs/reference/log.md").code_spans().into_iter().map(|(_, code)| code).collect();
    let missing: Vec<&str> = Kind::ALL.iter().map(Kind::name).filter(|kind| !named.contains(*kind)).collect();
    assert!(missing.is_empty(), "docs/reference/log.md names no {missing:?}");
}

#[test]
fn every_page_is_found_from_the_readme_in_two_clicks() {
    let first = targets("README.md");
    let second: BTreeSet<String> =
        first.iter().filter(|path| path.ends_with(".md")).flat_map(|path| targets(path)).collect();
    let lost: Vec<String> = page::all()
        .into_iter()
        .map(|page| page.path)
        .filter(|path| path != "README.md" && !path.starts_with("docs/decisions/0"))
        .filter(|path| !first.contains(path) && !second.contains(path))
        .collect();
    holds("docs/README.md has a line for each page", &lost);
}

/// The files that a page links to.
fn targets(path: &str) -> BTreeSet<String> {
    Page::read(path).links().into_iter().map(|link| link.path).collect()
}

#[test]
fn every_decision_is_in_the_index() {
    let all = page::all();
    let records = all.iter().filter(|page| page.path.starts_with("docs/decisions/0")).map(|page| page.path.clone());
    let indexed = targets("docs/decisions/README.md");
    let lost: Vec<String> = records.filter(|path| !indexed.contains(path)).collect();
    holds("docs/decisions/README.md has a row for each record", &lost);
}

#[test]
fn the_readme_is_short() {
    let lines = Page::read("README.md").text.lines().count();
    assert!(lines <= README_LINES_MAX, "the README has {lines} lines: what is too much belongs on a page below docs/");
}

#[test]
fn what_was_searched_for_is_found() {
    let pages = page::all();
    let is_found = |word: &&str| pages.iter().any(|page| page.path.starts_with("docs/") && page.text.contains(*word));
    let lost: Vec<String> = SEARCHED.iter().filter(|word| !is_found(word)).map(ToString::to_string).collect();
    holds("a page below docs/ has the word", &lost);
}
