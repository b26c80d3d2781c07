//! The shape of the code, checked by an ordinary test: who may know what.
//!
//! Cargo refuses a library that imports the wrong way; these laws are what Cargo can't see. Each names the file and the
//! line that breaks it. There is no list of exceptions.

mod circle;
mod items;
mod path;
mod source;

use std::collections::BTreeMap;

use self::path::paths;
use self::source::Source;

/// What a law finds wrong, as `path:line: why`.
type Violations = Vec<String>;

const EVERYTHING: [&str; 5] = ["schema", "projections", "replay", "src", "benches"];
/// Lines of a file.
const LINES_MAX: usize = 450;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// Names that say what they are together with their module.
const TOLD_BY_THEIR_MODULE: [&str; 2] = ["Error", "Options"];

fn product() -> Vec<Source> {
    source::below(&EVERYTHING).into_iter().filter(|source| !is_test(source)).collect()
}

fn is_test(source: &Source) -> bool {
    source.path.contains("/tests/") || source.path.starts_with("benches/") || source.path.ends_with("/tests.rs")
}

fn holds(law: &str, violations: Violations) {
    assert!(violations.is_empty(), "{law}:\n  {}\n", violations.join("\n  "));
}

fn at(source: &Source, line: usize, why: &str) -> String {
    format!("{}:{line}: {why}", source.path)
}

#[test]
fn http_is_spoken_in_one_room_which_knows_no_nats() {
    let violations = product().iter().flat_map(http).collect();
    holds("axum and hyper are used in src/server/http only, and NATS is not known there", violations);
}

fn http(source: &Source) -> Violations {
    let is_http = source.path.starts_with("src/server/http/");
    let (foreign, why): (&[&str], _) = match is_http {
        true => (&["async_nats", "bus"], "HTTP reaches for NATS"),
        false => (&["axum", "hyper", "hyper_util", "tower", "tower_http"], "speaks HTTP outside of src/server/http"),
    };
    let uses = |line: &str| {
        let mut words = line.split(|next: char| !(next.is_alphanumeric() || next == '_' || next == ':'));
        words.any(|word| foreign.iter().any(|name| word.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"))))
    };
    source.lines_with(uses).into_iter().map(|line| at(source, line, why)).collect()
}

#[test]
fn what_works_for_the_http_api_does_not_import_it() {
    let behind = ["src/server/fleet/", "src/server/publish/", "src/server/relay", "src/server/reconciler"];
    let is_behind = |source: &&Source| behind.iter().any(|room| source.path.starts_with(room));
    let violations = product().iter().filter(is_behind).flat_map(imports_of_http).collect();
    holds("the modules beside `http` state what they need of it as traits, and `serve` joins them", violations);
}

fn imports_of_http(source: &Source) -> Violations {
    let imports = paths(source).into_iter().filter(|path| path.names.first() == Some(&"http"));
    imports.map(|path| at(source, path.line, "imports http")).collect()
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let violations = circle::circles(&product());
    holds("what two files share stands in a file below both, and what joins them in one above", violations);
}

#[test]
fn an_lsn_never_leaves_the_wal_folder() {
    let outside = |source: &&Source| source.room() != Some("wal");
    let violations = product().iter().filter(outside).flat_map(lsns).collect();
    holds("(log_id, position) is what the system compares; an LSN does not survive a restore", violations);
}

fn lsns(source: &Source) -> Violations {
    let speaks = |text: &str| text.to_lowercase().contains("lsn");
    let code = source.lines_with(speaks).into_iter();
    let texts = source.texts.iter().filter(|(_, text)| speaks(text)).map(|(line, _)| *line);
    code.chain(texts).map(|line| at(source, line, "speaks of an LSN")).collect()
}

#[test]
fn names_in_nats_are_made_in_one_place() {
    let outside = |source: &&Source| source.path != "schema/src/address.rs";
    let violations = product().iter().filter(outside).flat_map(nats_names).collect();
    holds("every subject, bucket, key and object name is in schema/src/address.rs", violations);
}

fn nats_names(source: &Source) -> Violations {
    let made = |text: &str| ["$KV", "$O.", "KV_", "OBJ_", "cfg_", "cfg."].iter().any(|name| text.contains(name));
    let texts = source.texts.iter().filter(|(_, text)| made(text));
    texts.map(|(line, text)| at(source, *line, &format!("makes a name of its own: \"{text}\""))).collect()
}

#[test]
fn sql_stays_where_the_database_is_touched() {
    let outside = |source: &&Source| !matches!(source.room(), Some("store" | "wal" | "lab"));
    let violations = product().iter().filter(outside).flat_map(sql).collect();
    let law = "SQL is in schema/sql and src/store; the slot's and the heartbeat's in src/wal; in src/lab only whether a \
               private cluster answers, and the making of its database";
    holds(law, violations);
}

fn sql(source: &Source) -> Violations {
    let texts = source.texts.iter().filter(|(_, text)| is_sql(text.trim_start()));
    texts.map(|(line, text)| at(source, *line, &format!("speaks SQL: \"{text:.60}\""))).collect()
}

/// Whether a text is a statement, in whatever case, and not a sentence that begins with the same word.
fn is_sql(text: &str) -> bool {
    let text = text.to_uppercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["SELECT", "1" | "$1"] => true,
        ["SELECT", ..] => words.contains(&"FROM") || text.contains('('),
        ["INSERT", "INTO", ..] | ["DELETE", "FROM", ..] | ["TRUNCATE", ..] | ["BEGIN;" | "COMMIT;", ..] => true,
        ["UPDATE", _, "SET", ..] => true,
        ["COPY", ..] => words.contains(&"STDIN") || words.contains(&"STDOUT"),
        ["CREATE" | "ALTER" | "DROP", what, ..] => {
            ["TABLE", "DATABASE", "ROLE", "USER", "INDEX", "SCHEMA", "PUBLICATION", "FUNCTION"].contains(&what)
        }
        ["GRANT" | "REVOKE", ..] => words.contains(&"ON"),
        _ => false,
    }
}

#[test]
fn the_libraries_touch_nothing() {
    let library = |source: &&Source| {
        let room = ["schema/src/", "projections/src/", "replay/src/", "src/api/"]
            .iter()
            .any(|room| source.path.starts_with(room));
        // The auditor's program reads files; the library beside it does not.
        room && source.path != "replay/src/main.rs" && !source.path.starts_with("replay/src/program/")
    };
    let violations = product().iter().filter(library).flat_map(touches).collect();
    holds("a clock, a file, a socket, the environment and a randomly seeded map do not compile there", violations);
}

fn touches(source: &Source) -> Violations {
    let std = source.lines_with(|line| line.contains("std::") || line.contains("crate std"));
    let mut violations: Violations = std.into_iter().map(|line| at(source, line, "reaches for std")).collect();
    if source.path.ends_with("/lib.rs") && !source.code.contains("#![no_std]") {
        violations.push(at(source, 1, "is not no_std"));
    }
    violations
}

#[test]
fn a_file_is_read_in_one_sitting() {
    let violations = source::below(&EVERYTHING).iter().flat_map(length).collect();
    holds("a file of more than 450 lines holds two thoughts", violations);
}

fn length(source: &Source) -> Option<String> {
    (source.lines > LINES_MAX).then(|| at(source, source.lines, &format!("is the last of {} lines", source.lines)))
}

#[test]
fn a_function_is_seen_whole_on_a_screen() {
    let violations = source::below(&EVERYTHING).iter().flat_map(long_functions).collect();
    holds("a function of more than 70 lines does two things", violations);
}

fn long_functions(source: &Source) -> Violations {
    let long = items::functions(source).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|long| at(source, long.line, &format!("`{}` has {} lines", long.name, long.lines))).collect()
}

#[test]
fn a_name_of_a_type_means_one_thing_in_the_whole_workspace() {
    holds("a type that others can see has a name of its own", names_of_two(&product()));
}

fn names_of_two(sources: &[Source]) -> Violations {
    let mut places = BTreeMap::<&str, Vec<String>>::new();
    for source in sources {
        for (name, line) in items::types(source) {
            places.entry(name).or_default().push(format!("{}:{line}", source.path));
        }
    }
    let twice = places.iter().filter(|(name, places)| places.len() > 1 && !TOLD_BY_THEIR_MODULE.contains(*name));
    twice.map(|(name, places)| format!("{}: `{name}`", places.join(" "))).collect()
}

#[test]
fn a_module_lies_where_its_name_says_and_all_of_it_is_used() {
    let everything = source::below(&[&EVERYTHING[..], &["fuzz"]].concat());
    let violations = everything.iter().flat_map(misplaced).collect();
    holds("what two programs share is a crate, so no module is read by its path and no code is dead", violations);
}

fn misplaced(source: &Source) -> Violations {
    let is_exception = |line: &str| line.contains("#[path") || line.contains("dead_code");
    source.lines_with(is_exception).into_iter().map(|line| at(source, line, "is an exception")).collect()
}

#[test]
fn each_law_sees_what_breaks_it_and_only_that() {
    type Law = fn(&Source) -> Violations;
    let laws: [(&str, Law); 9] = [
        ("http", http),
        ("http import", imports_of_http),
        ("lsn", lsns),
        ("nats", nats_names),
        ("sql", sql),
        ("std", touches),
        ("length", |file| length(file).into_iter().collect()),
        ("function", long_functions),
        ("exception", misplaced),
    ];
    let broken = |path: &str, text: &str| -> Vec<&str> {
        let source = Source::new(path, text);
        laws.iter().filter(|(_, law)| !law(&source).is_empty()).map(|(name, _)| *name).collect()
    };
    for (path, text, laws) in [
        ("src/server/fleet/a.rs", "use axum::Router;", &["http"][..]),
        ("src/server/http/a.rs", "use async_nats::Client;", &["http"]),
        ("src/server/http/a.rs", "use axum::Router;\n// async_nats::Client", &[]),
        ("src/server/relay/a.rs", "use crate::{config::Config, relay::b,\n    http::{c, d}};", &["http import"]),
        ("src/server/fleet/a.rs", "fn f() { super::super::http::g() }", &["http import"]),
        ("src/server/fleet/a.rs", "let a = \"crate::http\"; /* crate::http\n */ let b = 'x';", &[]),
        ("src/server/fleet/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::http::AppState;\n}", &[]),
        ("src/store/a.rs", "let from: PgLsn = x;", &["lsn"]),
        ("src/store/a.rs", "let from = \"pg_current_wal_lsn()\";", &["lsn"]),
        ("src/server/publish/a.rs", "let a = r#\"$KV.x\"#;", &["nats"]),
        ("src/server/publish/a.rs", "let a = '\"'; let b = \"cfg_events\";", &["nats"]),
        ("src/server/publish/a.rs", "#[cfg_attr(unix, b)] fn a<'a>(b: &'a str) {}", &[]),
        ("src/server/fleet/a.rs", "let a = \"SELECT 1\";", &["sql"]),
        ("src/server/fleet/a.rs", "let a = \"select a from b where c = $1\";", &["sql"]),
        ("src/server/fleet/a.rs", "let a = \"create database x\";", &["sql"]),
        ("src/server/fleet/a.rs", "let a = \"Update the program\"; let b = \"create another one first\";", &[]),
        ("schema/src/a.rs", "use core::fmt;\nuse std::fmt::Debug;", &["std"]),
        ("schema/src/lib.rs", "//! no_std it is not\nextern crate alloc;", &["std"]),
        ("schema/src/a.rs", &"\n".repeat(451), &["length"]),
        ("src/store/a.rs", &format!("fn f() {{{}}}", "\n".repeat(70)), &["function"]),
        ("src/store/a.rs", "#[path = \"b.rs\"]\nmod a;", &["exception"]),
        ("src/store/a.rs", "#![expect(dead_code)]", &["exception"]),
    ] {
        let found: Vec<_> =
            broken(path, text).into_iter().filter(|law| *law != "std" || path.starts_with("schema")).collect();
        assert_eq!(found, laws, "{path}: {text}");
    }
}

#[test]
fn a_name_is_one_of_two_only_where_both_can_be_seen() {
    for (files, expected) in [
        (&["pub struct A;", "fn f() {}\npub(crate) enum A {}"][..], &["src/0.rs:1 src/1.rs:2: `A`"][..]),
        (&["pub(super) trait A<T> {}", "    pub type A = u8;"], &["src/0.rs:1 src/1.rs:1: `A`"]),
        (&["pub struct A;", "struct A;", "pub struct Ab;", "pub fn a() {}", "pub use a::A;"], &[]),
        (&["pub struct A;", "#[cfg(test)]\nmod tests {\n    pub struct A;\n}", "// pub struct A;"], &[]),
        (&["pub enum Error {}", "pub enum Error {}", "pub struct Options {", "pub(crate) struct Options;"], &[]),
    ] {
        let sources = files.iter().enumerate().map(|(index, text)| Source::new(&format!("src/{index}.rs"), text));
        assert_eq!(names_of_two(&sources.collect::<Vec<_>>()), expected, "{files:?}");
    }
}

#[test]
fn a_function_is_as_long_as_from_its_name_to_its_last_brace() {
    let text = "pub(crate) async fn a<const N: usize>(b: [u8; N]) {\n    fn inner() { c(\"}\") }\n    { '}' }\n}\n\
                trait B {\n    fn declared(&self);\n    fn provided(&self) {\n    }\n}\nconst C: fn (u8) = d;\n";
    let source = Source::new("src/a.rs", text);
    let found: Vec<_> = items::functions(&source).iter().map(|found| (found.name, found.line, found.lines)).collect();
    assert_eq!(found, [("a", 1, 4), ("inner", 2, 1), ("provided", 7, 2)]);
}

#[test]
fn a_circle_is_seen_however_it_is_closed_and_nothing_else_is_one() {
    for (files, expected) in [
        (
            &[("src/x/a.rs", "\nuse crate::b::B;"), ("src/x/b.rs", "use super::a::A;")][..],
            &["src/x/a.rs:2 -> src/x/b.rs:1 -> src/x/a.rs"][..],
        ),
        (
            &[
                ("src/x/a/b.rs", "use crate::{d, a::{f::{self, F as _}, c::*}, g};"),
                ("src/x/a/c.rs", "use schema::b::B;\nfn f() { super::e::g() }"),
                ("src/x/a/e.rs", "use super::{c as _, b::*};"),
            ],
            &[
                "src/x/a/b.rs:1 -> src/x/a/c.rs:2 -> src/x/a/e.rs:1 -> src/x/a/b.rs",
                "src/x/a/c.rs:2 -> src/x/a/e.rs:1 -> src/x/a/c.rs",
            ],
        ),
        (
            &[("src/x/a.rs", "mod b;\nuse self::b::B;"), ("src/x/a/b.rs", "use super::A;")],
            &["src/x/a.rs:2 -> src/x/a/b.rs:1 -> src/x/a.rs"],
        ),
        (
            &[("src/x/a.rs", "pub mod b;\nfn f() { b::g() }"), ("src/x/a/b.rs", "use crate::a::A;")],
            &["src/x/a.rs:2 -> src/x/a/b.rs:1 -> src/x/a.rs"],
        ),
        (
            &[
                ("src/x/a/mod.rs", "mod b;\npub use self::b::{B, C};\npub(crate) use b::D;"),
                ("src/x/a/b.rs", "use super::A;"),
            ],
            &[],
        ),
        (
            &[
                ("src/x/a.rs", "use crate::b::B;\nuse crate::c;"),
                ("src/x/b.rs", "use crate::c::{C,};"),
                ("src/x/c.rs", "use b::B;"),
            ],
            &[],
        ),
        (&[("src/x/a.rs", "use crate::b;"), ("src/x/b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a;\n}")], &[]),
        (
            &[("src/x/a.rs", "use crate::b;"), ("schema/src/x/b.rs", "use crate::a;"), ("src/x/lib.rs", "pub mod a;")],
            &[],
        ),
    ] {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        assert_eq!(circle::circles(&sources), expected, "{files:?}");
    }
}
