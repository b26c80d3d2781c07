//! What the program prints: answers on standard output, complaints on standard error.
//!
//! Always: all of it passes `schema::terminal`; an answer is flushed before its printing counts as done; standard output
//! that can't be written is an error, unless nobody reads it any more (a broken pipe), which ends a command quietly.

use std::io::{self, Write as _};

use schema::answer::CommandWarning;
use schema::terminal;

/// Characters of a complaint: what others wrote may be endless.
const COMPLAINT_CHARS_MAX: usize = 16 * 1024;

/// Standard output can't be written, and not because nobody reads it.
#[derive(Debug, thiserror::Error)]
#[error("standard output can't be written")]
pub struct StdoutError(#[from] io::Error);

/// Whether somebody reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeState {
    /// As far as can be told.
    Open,
    /// It has closed the pipe.
    Closed,
}

/// Prints text as it stands, which ends with a line feed.
///
/// # Errors
/// If standard output can't be written.
pub fn text(text: &str) -> Result<PipeState, StdoutError> {
    write(&terminal::lines(text))
}

/// Prints JSON, and a line feed after it.
///
/// # Errors
/// If standard output can't be written.
pub fn json(json: &str) -> Result<PipeState, StdoutError> {
    write(&format!("{}\n", terminal::json(json)))
}

/// Prints text that was made printable and has control sequences of our own.
///
/// # Errors
/// If standard output can't be written.
pub fn sequences(text: &str) -> Result<PipeState, StdoutError> {
    write(text)
}

fn write(text: &str) -> Result<PipeState, StdoutError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(PipeState::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(PipeState::Closed),
        Err(error) => Err(error.into()),
    }
}

/// Says on standard error what the door warns of: which of the commands does what its sender may not have meant.
pub fn warn(warnings: &[CommandWarning]) {
    for CommandWarning { command, code, detail } in warnings {
        complain(&format!("warning: command {command}: {detail} ({code})"));
    }
}

/// Says what is wrong on standard error, after the name `headwater`.
pub fn complain(text: &str) {
    complain_as("headwater", text);
}

/// Says what is wrong on standard error, after the program's name. There is nobody to tell if that can't be written.
pub fn complain_as(program: &str, text: &str) {
    let text: String = text.chars().take(COMPLAINT_CHARS_MAX).collect();
    let _unheard = io::stderr().write_all(format!("{program}: {}\n", terminal::lines(&text)).as_bytes());
}
