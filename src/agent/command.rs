//! `headwater edge`, which is also the program `headwater-edge`: run the agent, print the status of a node's folder, let the node follow
//! another log, or let it join.

use std::path::Path;

use program::exit::CommandFailure;
use program::output;
use program::secret_file;
use program::signals::stop_on_signals;

use crate::inspection::FolderInspection;
use crate::join::{Joined, join};
use crate::layout::Layout;
use crate::main_loop;
use crate::node_folder::{NodeFolder, OpenError};
use crate::node_seed::NodeSeed;
use crate::options::{AcceptLogOptions, CredsOptions, EdgeCommand, JoinOptions, KeyOptions, StatusOptions};
use crate::proposal_commands;
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
        EdgeCommand::Join(options) => join_log(&options).await,
        EdgeCommand::Key(options) => print_keys(&options),
        EdgeCommand::Creds(options) => print_creds(&options),
        EdgeCommand::Propose(options) => proposal_commands::propose(&options),
        EdgeCommand::Proposals(options) => proposal_commands::print(&options),
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

async fn join_log(options: &JoinOptions) -> Result<(), CommandFailure> {
    let text = match &options.token_file {
        Some(file) => secret_file::read(file).map_err(CommandFailure::refused)?,
        None => std::io::read_to_string(std::io::stdin()).map_err(CommandFailure::refused)?,
    };
    let joined = join(options, &text).await;
    let Joined { node, line } = joined.map_err(|error| CommandFailure::of(error.exit_class(), error))?;
    let (dir, log, nats) = (options.dir.display(), line.log_id, &line.nats);
    let ca = match &line.ca {
        Some(_) => format!(" --nats-ca-file {}", Layout::of(options.dir.clone()).nats_ca().display()),
        None => String::new(),
    };
    let prefix = if line.prefix == "cfg" { String::new() } else { format!(" --nats-prefix {}", line.prefix) };
    output::text(&format!(
        "node {node} has joined log {log}; start its agent:\n\n  headwater edge --node {node} --dir {dir} --nats-url {nats}{ca}{prefix}\n"
    ))?;
    Ok(())
}

fn print_keys(options: &KeyOptions) -> Result<(), CommandFailure> {
    let keys = match &options.node {
        Some(node) => NodeFolder::open(&options.dir, node)
            .map_err(CommandFailure::refused)
            .and_then(|folder| NodeSeed::read_or_create(folder.layout()).map_err(CommandFailure::refused)),
        None => existing_seed(&options.dir),
    }?;
    output::json(&serde_json::to_string(&keys.keys()).expect("BUG: texts can be written as JSON"))?;
    Ok(())
}

fn print_creds(options: &CredsOptions) -> Result<(), CommandFailure> {
    let seed = existing_seed(&options.dir)?;
    output::text(&seed.bus_seed_text())?;
    Ok(())
}

/// The seed of a folder that has one: a mistyped folder must not get one.
fn existing_seed(dir: &Path) -> Result<NodeSeed, CommandFailure> {
    let layout = Layout::of(dir.to_owned());
    if !layout.seed().exists() {
        let why = format!(
            "{} has no node.seed: `headwater edge join`, or `headwater edge key --node ID`, makes it",
            dir.display()
        );
        return Err(CommandFailure::unreachable(why));
    }
    NodeSeed::read_or_create(&layout).map_err(CommandFailure::refused)
}
