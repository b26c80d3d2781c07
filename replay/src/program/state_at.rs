//! The state of a log as of a point in its past, after the whole log was verified.

use std::path::PathBuf;

use projections::configuration::Configuration;
use replay::as_of::AsOf;
use replay::log::OpenedEvent;

use super::file_audit::{EventObserver, read};
use super::options::{AuditOptions, Options};
use super::output::RunError;

/// A log, and the point in its past that is asked about.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StateOptions {
    /// As of a position, or a time such as 2026-01-31T12:00:00Z; else as of the end.
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<AsOf>,

    #[command(flatten)]
    pub(crate) options: Options,
}

impl StateOptions {
    /// The state at that point.
    pub(crate) fn state(&self) -> Result<Configuration, RunError> {
        let Options { files, how } = &self.options;
        state(files, how, self.at)
    }
}

/// Records the states as of some points.
struct Keeper {
    wanted: Vec<(Option<AsOf>, Option<Configuration>)>,
}

impl EventObserver for Keeper {
    fn before(&mut self, event: &OpenedEvent, state: &Configuration) {
        for (moment, kept) in &mut self.wanted {
            if kept.is_none() && moment.is_some_and(|moment| moment.is_before(event.event())) {
                *kept = Some(state.clone());
            }
        }
    }
}

/// The states as of these moments; where none is given, as of the end.
pub(crate) fn states(
    files: &[PathBuf],
    how: &AuditOptions,
    moments: &[Option<AsOf>],
) -> Result<Vec<Configuration>, RunError> {
    let mut audit = how.audit()?;
    let mut keeper = Keeper { wanted: moments.iter().map(|moment| (*moment, None)).collect() };
    read(files, &mut audit, &mut keeper)?;
    let end = audit.configuration().cloned().unwrap_or_default();
    let state = |(moment, kept): (Option<AsOf>, Option<Configuration>)| match moment {
        Some(AsOf::Position(position)) if position > end.position() => {
            Err(RunError::Usage(format!("there is no position {position}: the log ends at {}", end.position())))
        }
        _ => Ok(kept.unwrap_or_else(|| end.clone())),
    };
    keeper.wanted.into_iter().map(state).collect()
}

/// The state as of a moment, or of the end.
pub(crate) fn state(files: &[PathBuf], how: &AuditOptions, moment: Option<AsOf>) -> Result<Configuration, RunError> {
    states(files, how, &[moment])?.pop().ok_or_else(|| RunError::Nothing("there is no state".into()))
}
