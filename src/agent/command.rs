//! `headwater edge`, which is also the program `headwater-edge`: run the agent, print the status of a node's folder, or let the
//! node follow another log.

use program::exit::CommandFailure;
use program::output;
use program::signals::stop_on_signals;

use crate::inspection::FolderInspection;
use crate::main_loop;
use crate::node_folder::{NodeFolder, OpenError};
use crate::options::{AcceptLogOptions, EdgeCommand, StatusOptions};
use crate::status_text;

/// Runs the agent or a subcommand.
///
/// # Errors
/// If it fails, or `status` finds that something is wrong with the folder.
pub async fn run(command: EdgeCommand) -> Result<(), CommandFailure> {
    match command {
        EdgeCommand::Run(options) => {
            let stop = stop_on_signals().map_err(CommandFailure::refused)?;
            main_loop::run(*options, stop).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        EdgeCommand::Status(options) => print_status(&options),
        EdgeCommand::AcceptLog(options) => accept_log(&options),
    }
}

/// The exit code tells the state of the folder, also if standard output was closed early.
fn print_status(options: &StatusOptions) -> Result<(), CommandFailure> {
    let inspection = FolderInspection::of(&options.dir).map_err(CommandFailure::unreachable)?;
    match options.json {
        true => output::json(&format!("{:#}", status_text::render_json(&inspection))),
        false => output::text(&status_text::render_text(&inspection)),
    }?;
    inspection.is_well().then_some(()).ok_or(CommandFailure::Printed)
}

fn accept_log(options: &AcceptLogOptions) -> Result<(), CommandFailure> {
    let state = NodeFolder::accept_log(&options.dir, options.log_id).map_err(|error| match error {
        OpenError::NoNode(_) => CommandFailure::unreachable(error),
        error => CommandFailure::refused(error),
    })?;
    let (node, log) = (state.node, options.log_id);
    output::text(&format!("node {node} takes records of log {log} from now on; start its agent again\n"))?;
    Ok(())
}
