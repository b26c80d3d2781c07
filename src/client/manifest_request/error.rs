//! Why manifests or a plan were not applied.

use program::exit::ExitClass;

use crate::confirm::ConfirmError;
use crate::error::Error as ClientError;
use crate::exchange;
use crate::manifest::fault::ManifestPlace;
use crate::request_plan::plan_file::PlanFileError;
use crate::wait;

/// Why it was not done, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused or could not be reached, or the output can't be written.
    #[error(transparent)]
    Exchange(exchange::Error),
    /// The manifests are at fault; each fault was printed.
    #[error("{} in manifests; nothing was sent", count(*.0, "fault"))]
    Manifests(usize),
    /// A bundle without members is declared.
    #[error(
        "bundle {0} has no members here, so there is nothing to do; --prune with --empty removes all that it has (empty_bundle)"
    )]
    NoMembers(String),
    /// The server refused one command.
    #[error("{place}: {refusal}")]
    RefusedAt {
        /// Where what the command makes is declared.
        place: ManifestPlace,
        /// The refusal.
        refusal: ClientError,
    },
    /// More of a bundle would be removed than the limit allows.
    #[error(
        "{pruned} of the {members} members of bundle {bundle} would be removed, and more than {limit} are not: if that is meant, give --prune-max {pruned} (prune_limit)"
    )]
    PruneLimit {
        /// The bundle.
        bundle: String,
        /// Members that would be removed.
        pruned: usize,
        /// Members that it has.
        members: usize,
        /// How many may be removed.
        limit: usize,
    },
    /// The token's principal may look only.
    #[error("this token may not send it: ask an administrator (not_permitted)")]
    NotPermitted,
    /// The request would do something else than was shown.
    #[error(
        "nothing was sent: since it was shown, something else would come of it: {0}; look at it again (plan_changed)"
    )]
    PlanChanged(String),
    /// Another command than `apply` would do it.
    #[error("{0}")]
    WrongCommand(String),
    /// The plan was made for another log.
    #[error("this plan was made for another log, or for a part of this log that was lost: plan anew (other_log)")]
    OtherLog,
    /// The plan was applied, and something of it was changed since.
    #[error("this plan was applied at {applied}, and {what} since: plan anew (plan_undone)")]
    Undone {
        /// The position of the request's last event.
        applied: u64,
        /// What happened since.
        what: String,
    },
    /// The plan's file can't be used or written.
    #[error(transparent)]
    PlanFile(#[from] PlanFileError),
    /// Nobody said yes.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// The request was sent, and its nodes are not converged.
    #[error(transparent)]
    Waiting(wait::Error),
    /// Some of several requests were sent.
    #[error("after {done} of {total} requests, which stay")]
    Halfway {
        /// Requests that were sent.
        done: usize,
        /// Requests in all.
        total: usize,
        /// Why the next one was not.
        source: Box<Self>,
    },
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

impl<E: Into<exchange::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Exchange(error.into())
    }
}

impl Error {
    /// The class of the failure.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Exchange(error) => error.exit_class(),
            Self::RefusedAt { refusal, .. } => refusal.exit_class(),
            Self::Manifests(_) | Self::NoMembers(_) | Self::WrongCommand(_) => ExitClass::Usage,
            Self::PlanFile(PlanFileError::NotPlannable) => ExitClass::Refused,
            Self::PlanFile(PlanFileError::Unwritable { .. }) => ExitClass::Unreachable,
            Self::PlanFile(_) => ExitClass::Usage,
            Self::Confirm(error) => error.exit_class(),
            Self::Waiting(error) => error.exit_class(),
            Self::Halfway { source, .. } => source.exit_class(),
            Self::PruneLimit { .. }
            | Self::NotPermitted
            | Self::PlanChanged(_)
            | Self::OtherLog
            | Self::Undone { .. } => ExitClass::Refused,
        }
    }

    /// The class for a command whose exit code 1 says that something differs.
    #[must_use]
    pub fn comparison_exit_class(&self) -> ExitClass {
        match self.exit_class() {
            ExitClass::Refused => ExitClass::ComparisonRefused,
            other => other,
        }
    }
}
