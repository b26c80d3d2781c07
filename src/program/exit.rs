//! How a command ends: the exit code of a failure, and its line on standard error.

use std::error::Error;
use std::process::ExitCode;

use crate::output::{self, StdoutError};

/// The class of a failure, which determines the exit code.
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
    /// 1, 2 or 3.
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
    /// The error is still to be printed.
    Failed(ExitClass, Box<dyn Error + Send + Sync>),
    /// The command has printed what is wrong: exit code 1.
    Printed,
}

impl CommandFailure {
    /// The error is printed by [`conclude`].
    pub fn of(class: ExitClass, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(class, error.into())
    }

    /// Exit code 1.
    pub fn refused(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(ExitClass::Refused, error)
    }

    /// Exit code 3.
    pub fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(ExitClass::Unreachable, error)
    }

    /// Exit code 3 or 1.
    pub fn reaching(is_unreachable: bool, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(if is_unreachable { ExitClass::Unreachable } else { ExitClass::Refused }, error)
    }
}

impl From<StdoutError> for CommandFailure {
    fn from(error: StdoutError) -> Self {
        Self::unreachable(error)
    }
}

/// Prints the error, if there is one, after the name of `program`, and gives the exit code.
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

/// An error and its sources on one line.
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
