//! `docs/reference/settings.md` has every variable of the programs, with its flag and default, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use super::holds;
use super::page::{self, Page, code};

const PAGE: &str = "docs/reference/settings.md";
const PROGRAMS: [&str; 3] = ["headwater", "headwater-edge", "headwater-replay"];
/// Blanks before a flag in a help text.
const FLAG_INDENT_MAX: usize = 6;
/// Variables that no command line knows, each with the file that reads or sets it.
const ELSEWHERE: [(&str, &str); 22] = [
    ("HEADWATER_TREE", "src/agent/hook.rs"),
    ("HEADWATER_POSITION", "src/agent/hook.rs"),
    ("HEADWATER_DIGEST", "src/agent/hook.rs"),
    ("HEADWATER_JOB", "src/agent/jobs/command.rs"),
    ("HEADWATER_JOB_ID", "src/agent/jobs/command.rs"),
    ("HEADWATER_LOG", "src/program/telemetry.rs"),
    ("HEADWATER_LOG_FORMAT", "src/program/telemetry.rs"),
    ("HEADWATER_POSTGRES_BIN", "src/lab/server_programs.rs"),
    ("HEADWATER_NATS_SERVER", "src/lab/server_programs.rs"),
    ("HEADWATER_CONSOLE_AUDITOR_TOKEN", "src/tests/client/console.rs"),
    ("HEADWATER_CONSOLE_CHROMIUM", "src/tests/client/console.rs"),
    ("HEADWATER_CONSOLE_NODE_DIR", "src/tests/client/console.rs"),
    ("HEADWATER_CONSOLE_NODES", "src/console/tests/browser.mjs"),
    ("HEADWATER_CONSOLE_ONLY", "src/console/tests/browser.mjs"),
    ("HEADWATER_CONSOLE_SCREENSHOTS", "src/tests/client/console.rs"),
    ("HEADWATER_CONSOLE_TOKEN", "src/tests/client/console.rs"),
    ("HEADWATER_CONSOLE_URL", "src/tests/client/console.rs"),
    ("HEADWATER_TEST_NOT_RUN", "src/tests/testkit/skipped.rs"),
    ("HEADWATER_TEST_BEFORE", "src/tests/system/upgrade.rs"),
    ("HEADWATER_TEST_DATA", "scripts/test.sh"),
    ("HEADWATER_SEED", "src/tests/system/layers.rs"),
    ("HEADWATER_TEST_SEED", "src/tests/seams/broken.rs"),
];

/// A flag that has a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flag {
    variable: String,
    flag: String,
    default: String,
}

fn help(program: &str, words: &[String]) -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_headwater")).with_file_name(program);
    let ran = Command::new(&path).args(words).arg("--help").env_clear().output();
    let ran = ran.unwrap_or_else(|error| panic!("{}: {error}; `cargo build` makes it", path.display()));
    assert!(ran.status.success(), "{program} {words:?} --help");
    String::from_utf8(ran.stdout).unwrap()
}

/// The subcommands that a help text names.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
    let names = listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The flags of a help text that have a variable.
fn flags(help: &str) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut flag = String::new();
    let mut default = String::new();
    let between = |text: &str, open: &str| Some(text.split_once(open)?.1.split_once(']')?.0.to_owned());
    for line in help.lines() {
        // The lines of a description stand further in than those of flags.
        let indent = line.len() - line.trim_start().len();
        if let Some(at) = line.find("--").filter(|at| indent <= FLAG_INDENT_MAX && line[..*at].trim().len() <= 3) {
            flag = line[at..].split([' ', '=']).next().unwrap_or_default().to_owned();
            default = String::new();
        }
        default = between(line, "[default: ").unwrap_or(default);
        if let Some(variable) = between(line, "[env: ") {
            let variable = variable.split('=').next().unwrap_or_default().to_owned();
            flags.push(Flag { variable, flag: flag.clone(), default: between(line, "[default: ").unwrap_or_default() });
            continue;
        }
        // The default stands behind the variable, in a line of its own where the text is long.
        if let Some(last) = flags.last_mut().filter(|last| last.flag == flag && last.default.is_empty()) {
            last.default.clone_from(&default);
        }
    }
    flags
}

fn collect(program: &str, words: &[String], found: &mut BTreeSet<Flag>) {
    let help = help(program, words);
    found.extend(flags(&help));
    for name in subcommands(&help) {
        collect(program, &[words, &[name]].concat(), found);
    }
}

/// The variables of the page with their flags and defaults, as its tables have them.
fn documented() -> Vec<(String, Vec<String>)> {
    let rows = Page::read(PAGE).rows_below("# Settings");
    let of_variables = rows.into_iter().filter(|row| row[0].starts_with("`HEADWATER_"));
    of_variables
        .flat_map(|row| {
            let names: Vec<String> = row[0].split(", ").map(|name| code(name).expect(name).to_owned()).collect();
            names.into_iter().map(move |name| (name, row[1..].to_vec()))
        })
        .collect()
}

#[test]
fn every_variable_of_a_program_is_documented_with_its_flag_and_default() {
    let mut real = BTreeSet::new();
    PROGRAMS.iter().for_each(|program| collect(program, &[], &mut real));
    let variables: BTreeSet<&str> = real.iter().map(|flag| flag.variable.as_str()).collect();
    assert!(variables.contains("HEADWATER_TOKEN") && variables.len() > 25, "{variables:?}");
    let documented = documented();
    let mut wrong = Vec::new();
    for Flag { variable, flag, default } in &real {
        let is_row = |(name, row): &&(String, Vec<String>)| name == variable && row[0] == format!("`{flag}`");
        match documented.iter().find(is_row) {
            None => wrong.push(format!("{variable} with {flag} has no row")),
            // A default that only some commands have, and one that the help text says in words, stand in the page in words.
            Some((_, row)) if !default.is_empty() && code(&row[1]).is_some_and(|shown| shown != default) => {
                wrong.push(format!("{variable} is {default:?} by default, and the page has {}", row[1]));
            }
            Some(_) => {}
        }
    }
    holds(PAGE, &wrong);
}

#[test]
fn every_variable_that_a_page_names_exists() {
    let mut real = BTreeSet::new();
    PROGRAMS.iter().for_each(|program| collect(program, &[], &mut real));
    let mut known: BTreeMap<String, &str> = real.into_iter().map(|flag| (flag.variable, "")).collect();
    known.extend(ELSEWHERE.map(|(name, file)| (name.to_owned(), file)));
    known.extend(["POINT", "CLOCK"].map(|what| (format!("HEADWATER_FAULT_{what}"), "")));
    for (name, file) in ELSEWHERE {
        assert!(fs::read_to_string(page::checkout(file)).unwrap().contains(name), "{file} has no {name}");
    }
    let mut strange = Vec::new();
    for page in page::all().iter().filter(|page| page.path != "CHANGELOG.md") {
        for (at, start) in page.text.match_indices("HEADWATER_") {
            let is_name = |c: &char| c.is_ascii_uppercase() || *c == '_';
            let rest: String = page.text[at + start.len()..].chars().take_while(is_name).collect();
            let name = format!("{start}{rest}");
            if !rest.is_empty() && !known.contains_key(&name) {
                strange.push(format!("{}: {name}", page.path));
            }
        }
    }
    strange.extend(documented().into_iter().filter(|(name, _)| !known.contains_key(name)).map(|(name, _)| name));
    holds("a page names variables that a program reads or sets", &strange);
}
