//! The shape of the code, checked by an ordinary test: who may know what.
//!
//! Cargo refuses a library that imports the wrong way; these laws are what Cargo can't see. Each names the file and the
//! line that breaks it. There is no list of exceptions.

#[path = "architecture/circle.rs"]
mod circle;
#[path = "architecture/path.rs"]
mod path;
#[path = "architecture/source.rs"]
mod source;

use std::collections::BTreeSet;

use path::paths;
use source::Source;

/// What a law finds wrong, as `path:line: why`.
type Violations = Vec<String>;

const EVERYTHING: [&str; 5] = ["schema", "projections", "replay", "src", "benches"];
/// The folders of `src` are joined by these, which no folder imports.
const ORDERS: [&str; 14] = [
    "token",
    "get",
    "events",
    "import",
    "export",
    "recover",
    "serve",
    "project",
    "reconcile",
    "join",
    "edge",
    "install",
    "dev",
    "demo",
];
/// The one folder that others may import; it imports none of them.
const SHARED: &str = "nats";
const LINES_MAX: usize = 400;

fn product() -> Vec<Source> {
    source::below(&EVERYTHING).into_iter().filter(|source| !is_test(source)).collect()
}

fn is_test(source: &Source) -> bool {
    source.path.contains("/tests/") || source.path.starts_with("benches/") || source.path.ends_with("/tests.rs")
}

/// The folders of `src`, as they are today. What lies below an order is a part of that order.
fn rooms() -> BTreeSet<String> {
    let folder = |source: &Source| source.path.matches('/').count() > 1;
    let rooms = product().into_iter().filter(folder).filter_map(|source| source.room().map(String::from));
    rooms.filter(|room| !ORDERS.contains(&room.as_str())).collect()
}

fn holds(law: &str, violations: Violations) {
    assert!(violations.is_empty(), "{law}:\n  {}\n", violations.join("\n  "));
}

fn at(source: &Source, line: usize, why: &str) -> String {
    format!("{}:{line}: {why}", source.path)
}

#[test]
fn folders_of_src_do_not_import_each_other() {
    let rooms = rooms();
    let violations = product().iter().flat_map(|source| foreign_imports(source, &rooms)).collect();
    holds("a folder states what it needs as a trait or a channel of its own, and an order joins them", violations);
}

fn foreign_imports(source: &Source, rooms: &BTreeSet<String>) -> Violations {
    let Some(own) = source.room().filter(|room| rooms.contains(*room)) else { return Violations::new() };
    let foreign = |name: &str| {
        let room = rooms.contains(name) && name != own && (name != SHARED || own == SHARED);
        room || ORDERS.contains(&name)
    };
    let imports = imports_of_the_crate(source).into_iter().filter(|(_, name)| foreign(name));
    imports.map(|(line, name)| at(source, line, &format!("{own} imports {name}"))).collect()
}

/// The names right below the crate that a file speaks of.
fn imports_of_the_crate(source: &Source) -> Vec<(usize, &str)> {
    paths(source).into_iter().filter_map(|path| Some((path.line, *path.names.first()?))).collect()
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
    let outside = |source: &&Source| !matches!(source.room(), Some("log" | "wal" | "machine"));
    let violations = product().iter().filter(outside).flat_map(sql).collect();
    let law = "SQL is in schema/sql and src/log; the slot's and the heartbeat's in src/wal; in src/machine only whether a \
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
        let room = ["schema/src/", "projections/src/", "replay/src/"].iter().any(|room| source.path.starts_with(room));
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
    holds("a file of more than 400 lines holds two thoughts", violations);
}

fn length(source: &Source) -> Option<String> {
    (source.lines > LINES_MAX).then(|| at(source, source.lines, &format!("is the last of {} lines", source.lines)))
}

#[test]
fn each_law_sees_what_breaks_it_and_only_that() {
    let rooms = ["log", "wal", "door", "nats"].map(String::from).into();
    type Law = fn(&Source) -> Violations;
    let laws: [(&str, Law); 5] = [
        ("lsn", lsns),
        ("nats", nats_names),
        ("sql", sql),
        ("std", touches),
        ("length", |file| length(file).into_iter().collect()),
    ];
    let broken = |path: &str, text: &str| -> Vec<&str> {
        let source = Source::new(path, text);
        let imports = (!foreign_imports(&source, &rooms).is_empty()).then_some("imports");
        imports
            .into_iter()
            .chain(laws.iter().filter(|(_, law)| !law(&source).is_empty()).map(|(name, _)| *name))
            .collect()
    };
    for (path, text, laws) in [
        ("src/log/a.rs", "use crate::wal::Stream;", &["imports"][..]),
        ("src/log/a.rs", "use crate::{config::Config, log::b,\n    wal::{c, d}};", &["imports"]),
        ("src/log/a.rs", "fn f() { super::super::door::g() }", &["imports"]),
        ("src/log/mod.rs", "use super::wal;", &["imports"]),
        ("src/log/a.rs", "use crate::serve::Parts;", &["imports"]),
        ("src/nats/a.rs", "use crate::log::Head;", &["imports"]),
        ("src/log/a.rs", "use crate::nats::Client;\nuse crate::log::b;\nuse crate::{config, log};\nuse super::c;", &[]),
        ("src/serve.rs", "use crate::{log, wal};", &[]),
        ("src/dev/a.rs", "use crate::log;", &[]),
        ("src/log/a.rs", "// use crate::wal::Stream;\nlet a = \"crate::wal\"; /* crate::wal\n */ let b = 'x';", &[]),
        ("src/log/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::wal::Stream;\n}", &[]),
        ("src/log/a.rs", "let from: PgLsn = x;", &["lsn"]),
        ("src/log/a.rs", "let from = \"pg_current_wal_lsn()\";", &["lsn"]),
        ("src/publish/a.rs", "let a = r#\"$KV.x\"#;", &["nats"]),
        ("src/publish/a.rs", "let a = '\"'; let b = \"cfg_events\";", &["nats"]),
        ("src/publish/a.rs", "#[cfg_attr(unix, b)] fn a<'a>(b: &'a str) {}", &[]),
        ("src/door/a.rs", "let a = \"SELECT 1\";", &["sql"]),
        ("src/door/a.rs", "let a = \"select a from b where c = $1\";", &["sql"]),
        ("src/door/a.rs", "let a = \"create database x\";", &["sql"]),
        ("src/door/a.rs", "let a = \"Update the program\"; let b = \"create another one first\";", &[]),
        ("schema/src/a.rs", "use core::fmt;\nuse std::fmt::Debug;", &["std"]),
        ("schema/src/lib.rs", "//! no_std it is not\nextern crate alloc;", &["std"]),
        ("schema/src/a.rs", &"\n".repeat(401), &["length"]),
    ] {
        let found: Vec<_> =
            broken(path, text).into_iter().filter(|law| *law != "std" || path.starts_with("schema")).collect();
        assert_eq!(found, laws, "{path}: {text}");
    }
}

#[test]
fn a_circle_is_seen_however_it_is_closed_and_nothing_else_is_one() {
    for (files, expected) in [
        (
            &[("src/a.rs", "\nuse crate::b::B;"), ("src/b.rs", "use super::a::A;")][..],
            &["src/a.rs:2 -> src/b.rs:1 -> src/a.rs"][..],
        ),
        (
            &[
                ("src/a/b.rs", "use crate::{d, a::{f::{self, F as _}, c::*}, g};"),
                ("src/a/c.rs", "use schema::b::B;\nfn f() { super::e::g() }"),
                ("src/a/e.rs", "use super::{c as _, b::*};"),
            ],
            &[
                "src/a/b.rs:1 -> src/a/c.rs:2 -> src/a/e.rs:1 -> src/a/b.rs",
                "src/a/c.rs:2 -> src/a/e.rs:1 -> src/a/c.rs",
            ],
        ),
        (
            &[("src/a.rs", "mod b;\nuse self::b::B;"), ("src/a/b.rs", "use super::A;")],
            &["src/a.rs:2 -> src/a/b.rs:1 -> src/a.rs"],
        ),
        (
            &[("src/a.rs", "pub mod b;\nfn f() { b::g() }"), ("src/a/b.rs", "use crate::a::A;")],
            &["src/a.rs:2 -> src/a/b.rs:1 -> src/a.rs"],
        ),
        (
            &[
                ("src/a/mod.rs", "mod b;\npub use self::b::{B, C};\npub(crate) use b::D;"),
                ("src/a/b.rs", "use super::A;"),
            ],
            &[],
        ),
        (
            &[
                ("src/a.rs", "use crate::b::B;\nuse crate::c;"),
                ("src/b.rs", "use crate::c::{C,};"),
                ("src/c.rs", "use b::B;"),
            ],
            &[],
        ),
        (&[("src/a.rs", "use crate::b;"), ("src/b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a;\n}")], &[]),
        (&[("src/a.rs", "use crate::b;"), ("schema/src/b.rs", "use crate::a;"), ("src/lib.rs", "pub mod a;")], &[]),
    ] {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        assert_eq!(circle::circles(&sources), expected, "{files:?}");
    }
}
