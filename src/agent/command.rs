//! `headwater edge`, which is also the program `headwater-edge`: run the agent of a node, look at its folder, or let it follow
//! another log.

use program::exit::CommandFailure;
use program::output;
use program::signals::stop_on_signals;

use crate::inspection::FolderInspection;
use crate::main_loop;
use crate::node_folder::{NodeFolder, OpenError};
use crate::options::{AcceptLogOptions, EdgeCommand, StatusOptions};
use crate::status_text;

/// Does what the command line says.
///
/// # Errors
/// If it can't be done, or a folder that was looked at is not as it must be.
pub async fn run(command: EdgeCommand) -> Result<(), CommandFailure> {
    match command {
        EdgeCommand::Run(options) => {
            let stop = stop_on_signals().map_err(CommandFailure::refused)?;
            main_loop::run(*options, stop).await.map_err(CommandFailure::refused)
        }
        EdgeCommand::ReportDraft(look) => print_status(&look),
        EdgeCommand::AcceptLog(accept) => accept_log(&accept),
    }
}

/// Prints how a node's folder stands. A reader that has gone changes nothing about the exit code.
fn print_status(look: &StatusOptions) -> Result<(), CommandFailure> {
    let survey = FolderInspection::of(&look.dir).map_err(CommandFailure::unreachable)?;
    match look.json {
        true => output::json(&format!("{:#}", status_text::json(&survey))),
        false => output::text(&status_text::text(&survey)),
    }?;
    survey.is_well().then_some(()).ok_or(CommandFailure::Printed)
}

/// Has a node follow a log that was begun anew.
fn accept_log(accept: &AcceptLogOptions) -> Result<(), CommandFailure> {
    let state = NodeFolder::accept_log(&accept.dir, accept.log_id).map_err(|error| match error {
        OpenError::NoNode(_) => CommandFailure::unreachable(error),
        error => CommandFailure::refused(error),
    })?;
    let (node, log) = (state.node, accept.log_id);
    output::text(&format!("node {node} takes records of log {log} from now on; start its agent again\n"))?;
    Ok(())
}
