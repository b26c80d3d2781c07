//! How a command ends: which exit code a failure gives, and the line that standard error says of it.

use std::error::Error;
use std::process::ExitCode;

use crate::output::{self, StdoutError};

/// The class of a failure, which the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitClass {
    /// It was refused, or something is wrong: exit code 1.
    Refused,
    /// The command line makes no sense: exit code 2.
    Usage,
    /// PostgreSQL, NATS or a server could not be reached, or the output could not be written: exit code 3.
    Unreachable,
}

impl ExitClass {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
        }
    }
}

/// Why a command ends with another exit code than 0.
#[derive(Debug)]
pub enum CommandFailure {
    /// An error that is still to be printed.
    Failed(ExitClass, Box<dyn Error + Send + Sync>),
    /// Something is wrong, and the command has printed all of it: exit code 1.
    Printed,
}

impl CommandFailure {
    /// A failure of a class.
    pub fn of(class: ExitClass, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(class, error.into())
    }

    /// It was refused, or something is wrong.
    pub fn refused(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(ExitClass::Refused, error)
    }

    /// Something could not be reached, or the output could not be written.
    pub fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(ExitClass::Unreachable, error)
    }

    /// One of the two, for an error that knows which.
    pub fn reaching(is_unreachable: bool, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(if is_unreachable { ExitClass::Unreachable } else { ExitClass::Refused }, error)
    }
}

impl From<StdoutError> for CommandFailure {
    fn from(error: StdoutError) -> Self {
        Self::unreachable(error)
    }
}

/// Prints what there is to say about the end of `program`, and gives its exit code.
#[must_use]
pub fn conclude(program: &str, ended: Result<(), CommandFailure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandFailure::Printed) => ExitClass::Refused.code().into(),
        Err(CommandFailure::Failed(class, error)) => {
            output::complain_as(program, &with_sources(&*error));
            class.code().into()
        }
    }
}

/// An error and what it comes from, on one line.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += ": ";
        text += &error.to_string();
        source = error.source();
    }
    text
}
