//! `headwater edge`, which is also the program `headwater-edge`: run the agent of a node, look at its folder, or let it follow
//! another log.

use program::exit::Failure;
use program::output;
use program::signals::stop_on_signals;

use crate::edge;
use crate::options::{AcceptLog, EdgeCommand, Look};
use crate::store::{OpenError, Store};
use crate::survey::Survey;
use crate::words;

/// Does what the command line says.
///
/// # Errors
/// If it can't be done, or a folder that was looked at is not as it must be.
pub async fn run(command: EdgeCommand) -> Result<(), Failure> {
    match command {
        EdgeCommand::Run(options) => {
            let stop = stop_on_signals().map_err(Failure::refused)?;
            edge::run(*options, stop).await.map_err(Failure::refused)
        }
        EdgeCommand::Status(look) => print_status(&look),
        EdgeCommand::AcceptLog(accept) => accept_log(&accept),
    }
}

/// Prints how a node's folder stands. A reader that has gone changes nothing about the exit code.
fn print_status(look: &Look) -> Result<(), Failure> {
    let survey = Survey::of(&look.dir).map_err(Failure::unreachable)?;
    match look.json {
        true => output::json(&format!("{:#}", words::json(&survey))),
        false => output::text(&words::text(&survey)),
    }?;
    survey.is_well().then_some(()).ok_or(Failure::Printed)
}

/// Has a node follow a log that was begun anew.
fn accept_log(accept: &AcceptLog) -> Result<(), Failure> {
    let state = Store::accept_log(&accept.dir, accept.log_id).map_err(|error| match error {
        OpenError::NoNode(_) => Failure::unreachable(error),
        error => Failure::refused(error),
    })?;
    let (node, log) = (state.node, accept.log_id);
    output::text(&format!("node {node} takes records of log {log} from now on; start its agent again\n"))?;
    Ok(())
}
