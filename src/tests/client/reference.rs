//! `docs/reference/cli.md` says what the three programs say with `--help`, and nothing else.
//!
//! To write it again: `cargo build && cargo nextest run --test client the_reference_is_written_again --run-ignored only`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use testkit::programs::{beside, checkout};

/// Columns of the help texts.
const COLUMNS: &str = "100";

const PROGRAMS: [(&str, &str); 3] = [
    ("headwater", "The server, the commands that people give it, and all of it on one machine."),
    (
        "headwater-edge",
        "The agent of one node: the same as `headwater edge`, for machines that run nothing else of Headwater.",
    ),
    ("headwater-replay", "The auditor's program. It needs exports of the log and its public key, and no server."),
];

const HEAD: &str = "\
# Every command with its flags

What the three programs say with `--help`: every command, flag, variable and default. A flag counts before its variable, and the variable
before the default. [Programs and commands](programs.md) says what each is for, [settings](settings.md) what all share, with the
[exit codes](settings.md#exit-codes).

This page is generated, and a test compares it with the programs. To write it again after a change:

    cargo build && cargo nextest run --test client the_reference_is_written_again --run-ignored only
";

fn page() -> PathBuf {
    checkout().join("docs/reference/cli.md")
}

fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (program, about) in PROGRAMS {
        let _ = write!(text, "\n## {program}\n\n{about}\n");
        describe(&[program], &mut text);
    }
    text
}

/// Adds a command and all below it.
fn describe(command: &[&str], text: &mut String) {
    let help = help(command);
    let _ = write!(text, "\n### `{}`\n\n```text\n{}\n```\n", command.join(" "), help.trim_end());
    for name in subcommands(&help) {
        describe(&[command, &[name]].concat(), text);
    }
}

fn help(command: &[&str]) -> String {
    let output = Command::new(beside(command[0]))
        .args(&command[1..])
        .arg("--help")
        .env_clear()
        .env("COLUMNS", COLUMNS)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    // A variable is shown with its value, and there is none here.
    let help = String::from_utf8(output.stdout).unwrap().replace("=]", "]");
    help.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The commands that a help text lists, but `help` itself.
fn subcommands(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").collect()
}

#[test]
fn the_reference_is_what_the_programs_say() {
    let (written, said) = (std::fs::read_to_string(page()).unwrap(), reference());
    for command in [
        "headwater serve",
        "headwater wait nodes",
        "headwater token reset",
        "headwater-edge accept-log",
        "headwater-replay verify",
    ] {
        assert!(said.contains(&format!("\n### `{command}`\n")), "{command} is not listed");
    }
    let differs = written.lines().zip(said.lines()).find(|(written, said)| written != said);
    assert!(
        written == said,
        "docs/reference/cli.md is not what the programs say: {differs:?}; its head says how to write it again"
    );
}

#[test]
#[ignore = "writes docs/reference/cli.md"]
fn the_reference_is_written_again() {
    std::fs::write(page(), reference()).unwrap();
}
