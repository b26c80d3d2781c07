//! Prints answers on standard output and errors on standard error.
//!
//! Invariants: everything but [`bytes`] and [`sequences`] passes `schema::terminal`; an answer is flushed before the call returns; a failed write to standard
//! output is an error, except for a closed pipe, which ends a command quietly.

use std::io::{self, Write as _};

use schema::answer::CommandWarning;
use schema::terminal;

/// Limit of an error line: text of a server or file may be of any length.
const ERROR_CHARS_MAX: usize = 16 * 1024;

/// Standard output can't be written, for another reason than a closed pipe.
#[derive(Debug, thiserror::Error)]
#[error("standard output can't be written")]
pub struct StdoutError(#[from] io::Error);

/// Whether standard output still has a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeState {
    /// The write succeeded.
    Open,
    /// The reader has closed the pipe.
    Closed,
}

/// Prints text that ends with a line feed.
///
/// # Errors
/// If standard output can't be written.
pub fn text(text: &str) -> Result<PipeState, StdoutError> {
    write(&terminal::lines(text))
}

/// Prints JSON and a line feed.
///
/// # Errors
/// If standard output can't be written.
pub fn json(json: &str) -> Result<PipeState, StdoutError> {
    write(&format!("{}\n", terminal::json(json)))
}

/// Writes bytes as they are, for another program or a file: never for a terminal, if somebody else chose them.
///
/// # Errors
/// If standard output can't be written.
pub fn bytes(bytes: &[u8]) -> Result<PipeState, StdoutError> {
    write_all(bytes)
}

/// Prints text with control sequences of our own; the caller has made the rest printable.
///
/// # Errors
/// If standard output can't be written.
pub fn sequences(text: &str) -> Result<PipeState, StdoutError> {
    write(text)
}

fn write(text: &str) -> Result<PipeState, StdoutError> {
    write_all(text.as_bytes())
}

fn write_all(bytes: &[u8]) -> Result<PipeState, StdoutError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(PipeState::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(PipeState::Closed),
        Err(error) => Err(error.into()),
    }
}

/// Prints the server's warnings about commands on standard error.
pub fn warn(warnings: &[CommandWarning]) {
    for CommandWarning { command, code, detail } in warnings {
        complain(&format!("warning: command {command}: {detail} ({code})"));
    }
}

/// Prints an error on standard error, after the name `headwater`.
pub fn complain(text: &str) {
    complain_as("headwater", text);
}

/// Prints an error on standard error, after the program's name. A failed write is ignored.
pub fn complain_as(program: &str, text: &str) {
    let text: String = text.chars().take(ERROR_CHARS_MAX).collect();
    let _ignored = io::stderr().write_all(format!("{program}: {}\n", terminal::lines(&text)).as_bytes());
}
