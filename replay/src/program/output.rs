//! Output and exit codes.
//!
//! Always: output passes `schema::terminal`, except the bytes of a file that don't go to a terminal. Output that can't be
//! written is an error, except for a broken pipe, which means that its reader has ended.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use schema::terminal;
use serde_json::{Value, json};

use super::file_audit::{AuditError, LocatedFinding};

/// An error that ends the program, with its exit code.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The log is not valid: exit code 1.
    Found(Box<LocatedFinding>),
    /// The log has no such thing: exit code 1.
    Nothing(String),
    /// The command line makes no sense: exit code 2.
    Usage(String),
    /// A file or the output can't be read or written: exit code 3.
    Unreachable(String),
}

impl From<AuditError> for RunError {
    fn from(failure: AuditError) -> Self {
        match failure {
            AuditError::Found(found) => Self::Found(found),
            AuditError::Unreadable(path, error) => {
                Self::Unreachable(format!("{} can't be read: {error}", path.display()))
            }
        }
    }
}

impl RunError {
    /// Prints the error and returns the exit code.
    pub(crate) fn print(&self, json: bool) -> ExitCode {
        let (code, text) = match self {
            Self::Found(found) => (1, format!("{}, byte {}\n{}", found.path.display(), found.offset, found.finding)),
            Self::Nothing(text) => (1, text.clone()),
            Self::Usage(text) => (2, text.clone()),
            Self::Unreachable(text) => (3, text.clone()),
        };
        let printed = if json { print_json(&self.to_json()) } else { Ok(()) };
        if !json || printed.is_err() {
            print_error(&text);
        }
        match printed {
            Err(Self::Unreachable(unwritable)) => {
                print_error(&unwritable);
                ExitCode::from(3)
            }
            _ => ExitCode::from(code),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Found(found) => json!({"ok": false, "finding": to_json(found)}),
            Self::Nothing(text) | Self::Usage(text) | Self::Unreachable(text) => json!({"ok": false, "error": text}),
        }
    }
}

fn to_json(found: &LocatedFinding) -> Value {
    let finding = &found.finding;
    json!({
        "file": found.path, "offset": found.offset, "position": finding.position, "code": finding.code,
        "what": finding.what, "expected": finding.expected, "found": finding.found,
    })
}

/// Prints an error on standard error. If that can't be written, the error is lost.
fn print_error(text: &str) {
    let _unheard = io::stderr().write_all(format!("headwater-replay: {}\n", terminal::lines(text)).as_bytes());
}

/// Prints text.
pub(crate) fn print(text: &str) -> Result<(), RunError> {
    write(terminal::lines(text).as_bytes())
}

/// Prints one JSON value on a line of its own.
pub(crate) fn print_json(value: &Value) -> Result<(), RunError> {
    write(format!("{}\n", terminal::json(&value.to_string())).as_bytes())
}

/// Prints a file's bytes: as they are to a file or a pipe, printable to a terminal.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), RunError> {
    match io::stdout().is_terminal() {
        true => print(&String::from_utf8_lossy(bytes)),
        false => write(bytes),
    }
}

fn write(bytes: &[u8]) -> Result<(), RunError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(RunError::Unreachable(format!("standard output can't be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Lines of a table: columns as wide as they must be, two spaces between them, each cell printable and on one line.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| terminal::line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or_default()).collect();
    let printed = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(printed).collect()
}
