//! What is printed, and how a run ends.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::reading::{Failure, Found};

/// How a run ends badly.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The files are not what they must be.
    Found(Box<Found>),
    /// What is asked for is not there.
    Nothing(String),
    /// What was told makes no sense.
    Usage(String),
    /// A file can't be read or written.
    Unreachable(String),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Found(found) => Self::Found(found),
            Failure::Unreadable(path, error) => Self::Unreachable(format!("{} can't be read: {error}", path.display())),
        }
    }
}

impl Trouble {
    /// Says it, and with what code to end.
    pub(crate) fn tell(&self, json: bool) -> ExitCode {
        let (code, text) = match self {
            Self::Found(found) => (1, format!("{}, byte {}\n{}", found.path.display(), found.offset, found.finding)),
            Self::Nothing(text) => (1, text.clone()),
            Self::Usage(text) => (2, text.clone()),
            Self::Unreachable(text) => (3, text.clone()),
        };
        match json {
            true => print(&format!("{}\n", self.to_json())),
            false => eprintln!("headwater-replay: {text}"),
        }
        ExitCode::from(code)
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Found(found) => json!({"ok": false, "finding": to_json(found)}),
            Self::Nothing(text) | Self::Usage(text) | Self::Unreachable(text) => json!({"ok": false, "error": text}),
        }
    }
}

fn to_json(found: &Found) -> Value {
    let finding = &found.finding;
    json!({
        "file": found.path, "offset": found.offset, "position": finding.position, "code": finding.code,
        "what": finding.what, "expected": finding.expected, "found": finding.found,
    })
}

/// Prints text. Whoever has closed our output does not want it.
pub(crate) fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// Prints bytes as they are.
pub(crate) fn print_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _unread = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Prints one JSON value on a line of its own.
pub(crate) fn print_json(value: &Value) {
    print(&format!("{value}\n"));
}

/// Lines of a table: columns as wide as they must be, two spaces between them.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
