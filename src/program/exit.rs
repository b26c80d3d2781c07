//! How a command ends: the exit code of a failure, its line on standard error, and the end of the runtime.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::output::{self, StdoutError};

/// The end of a program's help: its variables and exit codes.
pub const AFTER_HELP: &str = "Every flag can also be given as the HEADWATER_* variable that its help names.\n\
                              HEADWATER_LOG sets how much is logged (debug, info, warn); HEADWATER_LOG_FORMAT=json for machines.\n\
                              Exit codes: 0 done, 1 refused or diverged, 2 usage, 3 could not reach something, or write the output.";

/// How long the process waits at its end for threads that are still busy.
const ENDED_WITHIN: Duration = Duration::from_millis(200);

/// The class of a failure, which determines the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitClass {
    /// It was refused, or something is wrong: exit code 1.
    Refused,
    /// The command line makes no sense: exit code 2.
    Usage,
    /// PostgreSQL, NATS or a server could not be reached, or the output could not be written: exit code 3.
    Unreachable,
    /// A comparison was refused, whose exit code 1 says that something differs: exit code 4.
    ComparisonRefused,
}

impl ExitClass {
    /// 1 to 4.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::ComparisonRefused => 4,
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

/// Gives a command's error the conversion from whatever its variant `$part` can be made of, and its exit class: that of what is in this variant,
/// those that are listed here, or else `Refused`.
#[macro_export]
macro_rules! command_error {
    ($error:ident, $part:ident($inner:path) $(, $class:ident: $variants:pat)* $(,)?) => {
        impl<E: Into<$inner>> From<E> for $error {
            fn from(error: E) -> Self {
                Self::$part(error.into())
            }
        }

        impl $error {
            /// The class of the exit code.
            #[must_use]
            pub fn exit_class(&self) -> $crate::exit::ExitClass {
                match self {
                    Self::$part(error) => error.exit_class(),
                    $($variants => $crate::exit::ExitClass::$class,)*
                    _ => $crate::exit::ExitClass::Refused,
                }
            }
        }
    };
}

impl From<StdoutError> for CommandFailure {
    fn from(error: StdoutError) -> Self {
        Self::unreachable(error)
    }
}

/// Runs a command on a runtime of its own, and ends the runtime after it.
///
/// # Errors
/// If the command fails, or the operating system gives the runtime no threads.
pub fn run_to_end(
    runtime: &mut Builder,
    command: impl Future<Output = Result<(), CommandFailure>>,
) -> Result<(), CommandFailure> {
    let runtime = runtime.enable_all().build().map_err(CommandFailure::refused)?;
    let ended = runtime.block_on(command);
    // A DNS lookup runs on a blocking thread and can't be cancelled; the process does not wait for it.
    runtime.shutdown_timeout(ENDED_WITHIN);
    ended
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
