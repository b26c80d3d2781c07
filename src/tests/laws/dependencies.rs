//! Laws of what we depend on, read from the lock file as cargo resolves it for this machine, without a network.
//!
//! Always: every dependency's licence allows what we do with it, and none is known to be unsound where we were
//! told. Absent on purpose: a database of advisories; `scripts/test.sh` asks one where it is installed.

use std::process::Command;

use serde_json::Value;

/// What we may ship. MPL-2.0 is imbl's: it binds changes to its own files, of which there are none.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// A crate, the least version that is sound, and the advisory that says so.
const FLOORS: [(&str, [u64; 3], &str); 2] =
    [("tokio", [1, 0, 0], "RUSTSEC-2021-0124"), ("tokio-postgres", [0, 7, 18], "RUSTSEC-2026-0178")];

fn said(program: &str, args: &[&str]) -> String {
    let said = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(said.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

/// All packages of the lock file that are built on this machine.
fn packages() -> Vec<Value> {
    let versions = said("rustc", &["-vV"]);
    let host = versions.lines().find_map(|line| line.strip_prefix("host: "));
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let how = ["metadata", "--format-version=1", "--offline", "--locked"];
    let metadata = said(&cargo, &[how.as_slice(), &["--filter-platform", host.unwrap()]].concat());
    let mut metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages: Vec<Value> = serde_json::from_value(metadata["packages"].take()).unwrap();
    assert!(packages.len() > 100, "this is not the whole of it");
    packages
}

/// Whether an SPDX expression can be met by what is allowed. `AND` binds tighter than `OR`; a slash is the `OR` of
/// old manifests. An exception (`WITH`) only adds permissions.
fn is_met(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any(&words);
    assert!(rest.is_empty(), "not an expression: {expression}");
    met
}

fn any<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = all(words);
    while let ["OR", after @ ..] = rest {
        let (next, left) = all(after);
        (met, rest) = (met | next, left);
    }
    (met, rest)
}

fn all<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = one(words);
    while let ["AND", after @ ..] = rest {
        let (next, left) = one(after);
        (met, rest) = (met & next, left);
    }
    (met, rest)
}

fn one<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inner @ ..] => match any(inner) {
            (met, [")", rest @ ..]) => (met, rest),
            (_, rest) => panic!("a parenthesis is open before {rest:?}"),
        },
        [licence, "WITH", _, rest @ ..] | [licence, rest @ ..] => {
            // A plus is "or any later version".
            let licence = licence.trim_end_matches('+');
            (ALLOWED.contains(&licence), rest)
        }
        [] => panic!("a licence is missing"),
    }
}

#[test]
fn every_dependency_has_a_licence_that_we_may_ship() {
    let unmet: Vec<String> = packages()
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_met))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(unmet.is_empty(), "{unmet:#?}");
}

#[test]
fn no_dependency_is_older_than_what_is_known_to_be_sound() {
    for package in packages() {
        let version: Vec<u64> = package["version"]
            .as_str()
            .unwrap()
            .split(['.', '-', '+'])
            .take(3)
            .map(|number| number.parse().unwrap())
            .collect();
        for (name, floor, advisory) in FLOORS {
            let is_sound = package["name"] != name || version >= floor.to_vec();
            assert!(is_sound, "{name} {version:?}: {advisory}");
        }
    }
}

#[test]
fn a_licence_expression_is_read_as_its_grammar_says() {
    let table = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("MPL-2.0+", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("MIT OR GPL-3.0 AND LGPL-3.0", true),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
    ];
    for (expression, expected) in table {
        assert_eq!(is_met(expression), expected, "{expression}");
    }
}

/// The crates that a crate of the workspace is linked with, tests not counted.
fn linked_with(name: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let how = ["tree", "--offline", "--locked", "--edges=normal", "--prefix=none", "--format={p}", "--package", name];
    said(&cargo, &how).lines().filter_map(|line| line.split(' ').next()).map(String::from).collect()
}

#[test]
fn each_part_links_only_what_its_work_needs() {
    const POSTGRES: [&str; 3] = ["tokio-postgres", "postgres-protocol", "pgwire-replication"];
    for (name, forbidden) in [
        (
            "headwater-agent",
            [&POSTGRES[..], &["axum", "hyper", "reqwest", "headwater-store", "headwater-wal"]].concat(),
        ),
        ("headwater-api", [&POSTGRES[..], &["tokio", "axum", "reqwest", "clap", "async-nats"]].concat()),
        ("headwater-client", [&POSTGRES[..], &["axum", "async-nats", "headwater-server"]].concat()),
        ("headwater-store", vec!["async-nats", "axum", "headwater-wal", "headwater-bus"]),
        ("headwater-wal", vec!["async-nats", "axum", "headwater-store", "headwater-bus"]),
        (
            "headwater-tls",
            [&POSTGRES[..], &["axum", "hyper", "reqwest", "async-nats", "aws-lc-rs", "openssl"]].concat(),
        ),
        ("headwater-postgres", vec!["async-nats", "axum", "reqwest", "headwater-store", "headwater-wal"]),
        ("headwater", vec!["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"]),
        ("headwater-bus", [&POSTGRES[..], &["axum", "headwater-store", "headwater-wal"]].concat()),
        ("headwater-projections", [&POSTGRES[..], &["tokio", "async-nats", "axum"]].concat()),
        ("headwater-schema", [&POSTGRES[..], &["tokio", "async-nats", "axum"]].concat()),
    ] {
        let linked = linked_with(name);
        assert!(linked.len() > 5, "{name}: {linked:?}");
        let found: Vec<&&str> =
            forbidden.iter().filter(|forbidden| linked.iter().any(|one| one == *forbidden)).collect();
        assert!(found.is_empty(), "{name} is linked with {found:?}");
    }
}
