//! The program `headwater`: its subcommands, and their exit codes.

mod manual;

use std::process::ExitCode;

use agent::options::EdgeCommand;
use clap::{CommandFactory as _, Parser, Subcommand};
use client::fleet::FleetCommand;
use client::node::{CloseBus, NodeCommand};
use client::proposals::ProposalCommand;
use client::rollout::RolloutCommand;
use client::token::TokenCommand;
use client::{
    apply, console, context, delete, diff, events, fleet, get, health, history, impact, import, mark, plan, proposals,
    revert, rollout, wait, why,
};
use lab::{demo, dev};
use manual::{CompletionsOptions, ManOptions};
use program::exit::{AFTER_HELP, CommandFailure, ExitClass, conclude, run_to_end};
use program::signals::stop_on_signals;
use program::{output, telemetry};
use server::{bus_init, export, install, recover, serve, token_reset};
use tokio::runtime::Builder;

/// With the system's allocator, a server spends a quarter of the time for a command on allocating.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Configuration for fleets. Every change is an event in PostgreSQL; the write-ahead log carries it into NATS; each node
/// verifies and applies what is desired of it, and reports what it runs.
///
/// To see it: `headwater demo`. To try it: `headwater dev` starts everything on this machine.
#[derive(Parser)]
#[command(name = "headwater", version, propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine: a private PostgreSQL and NATS, the server, and a few nodes
    Dev(dev::Options),
    /// Show it at work in a minute: a fleet of three nodes, from a command to a verified file on each
    Demo(demo::Options),
    /// Prepare PostgreSQL and NATS for a log, and create the first administrator
    Install(install::InstallCommand),
    /// Serve a log: the HTTP API, and the relay into NATS
    Serve(serve::Options),
    /// Run the agent of one node, or show the state of its folder
    Edge(EdgeCommand),
    /// Access to the HTTP API: create, list and revoke tokens
    Token(TokenArguments),
    /// Nodes' access to NATS: tokens with which they join, and shutting one out
    #[command(subcommand)]
    Node(NodeCommand),
    /// Who may come into NATS: make the keys of the servers, end the shared password
    #[command(subcommand)]
    Bus(BusAction),
    /// Servers by name: add, list, choose and remove contexts
    Context(context::Options),
    /// Print the link with which a browser signs in to the console
    Console(console::Options),
    /// Show the things of one kind, or one of them
    Get(get::Options),
    #[command(flatten)]
    Fleet(FleetCommand),
    #[command(flatten)]
    Proposals(ProposalCommand),
    #[command(flatten)]
    Manifests(ManifestCommand),
    /// Changes that reach nodes stage by stage: show, start, steer and end them
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Show events, past and following
    Events(events::Options),
    /// Show the requests that changed something, with who sent them and why
    History(history::Options),
    /// Give a position of the log a name, by which past states are asked for
    Mark(mark::Options),
    /// Show why a node has a file at a path, or why a job is as it is: the events that it follows from
    Why(why::Options),
    /// Show what a request changed: which nodes and which jobs' specs
    Impact(impact::Options),
    /// Wait until nodes run what is desired of them, or jobs have passed
    Wait(wait::Options),
    /// Create definitions from files in another format
    Import(import::Options),
    /// Write the log, its contents and its checkpoints into one file, which `headwater-replay` verifies
    Export(export::Options),
    /// Show what a database that was restored from a backup lacks; take it back, or begin a new log without it
    Recover(recover::Options),
    /// Ask a server whether it can do its work
    Health(health::Options),
    /// Print the completions of a shell
    Completions(CompletionsOptions),
    /// Write manual pages, one for each command
    Man(ManOptions),
}

/// Commands that show what a request would do, and send exactly that.
#[derive(Subcommand)]
enum ManifestCommand {
    /// Make the log hold what manifests declare, or send a plan: shown and asked about first
    Apply(apply::Options),
    /// Show what manifests would change on which nodes, and keep it in a file for `headwater apply`
    Plan(plan::Options),
    /// Show what differs: between manifests and the log, two states of the log, or two nodes
    Diff(diff::Options),
    /// Remove documents and definitions, and end bundles: shown and asked about first
    Delete(delete::Options),
    /// Take back what one request did: shown and asked about first
    Undo(revert::UndoRequest),
    /// Take back all that happened since a moment, or a part of it: shown and asked about first
    Revert(revert::RevertTo),
}

/// `headwater token`: its subcommands work over HTTP, except `reset`, which needs the database.
#[derive(clap::Args)]
#[command(after_help = client::token::AFTER_HELP)]
struct TokenArguments {
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Subcommand)]
enum TokenAction {
    #[command(flatten)]
    OverHttp(TokenCommand),
    /// Create a new token for an administrator when all of theirs are lost: as the database's owner, without the server
    Reset(Box<token_reset::Options>),
}

#[derive(Subcommand)]
enum BusAction {
    /// Make the keys of the servers, and the part of nats-server's configuration that says who may do what
    Init(bus_init::Options),
    /// Let in no node without keys any more
    Close(CloseBus),
}

fn main() -> ExitCode {
    tls::provider::install();
    let arguments = Arguments::parse();
    let begun = match arguments.command {
        Command::Demo(_) => telemetry::init_quietly(),
        _ => telemetry::init(),
    };
    let ran = begun.map_err(|error| CommandFailure::of(ExitClass::Usage, error)).and_then(|()| run(arguments.command));
    conclude("headwater", ran)
}

fn run(command: Command) -> Result<(), CommandFailure> {
    // Children of `dev` and `demo` are killed when the thread that started them ends, so these two run on one thread: this one.
    let mut runtime = match command {
        Command::Dev(_) | Command::Demo(_) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    run_to_end(&mut runtime, run_command(command))
}

/// A rollout that was watched and did not end well has said so.
async fn run_rollout_command(command: RolloutCommand) -> Result<(), CommandFailure> {
    let done = rollout::run(command).await;
    let ended_well = done.map_err(|error| CommandFailure::of(error.exit_class(), error))?;
    ended_well.then_some(()).ok_or(CommandFailure::Printed)
}

async fn run_command(command: Command) -> Result<(), CommandFailure> {
    match command {
        Command::Dev(options) => {
            let done = dev::run(options).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Demo(options) => {
            let done = demo::run(options).await;
            done.map_err(|error| CommandFailure::reaching(error.is_output(), error))
        }
        Command::Install(command) => run_install(command).await,
        Command::Serve(options) => {
            let stop = stop_on_signals().map_err(CommandFailure::refused)?;
            let served = serve::run(options, stop).await;
            served.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Edge(command) => agent::command::run(command).await,
        Command::Token(arguments) => run_token_action(arguments.action).await,
        Command::Node(command) => {
            client::node::run(command).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Bus(action) => run_bus_action(action).await,
        Command::Context(options) => {
            context::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Console(options) => {
            console::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Fleet(command) => {
            fleet::run(command).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Get(options) => get::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error)),
        Command::Proposals(command) => {
            proposals::run(command).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Manifests(command) => run_manifest_command(command).await,
        Command::Events(options) => {
            events::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::History(options) => {
            history::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Rollout(command) => run_rollout_command(command).await,
        Command::Mark(options) => {
            mark::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Why(options) => why::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error)),
        Command::Impact(options) => {
            impact::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Wait(options) => {
            wait::run(options).await.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Import(options) => {
            let done = import::run(options).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Recover(options) => run_recover(options).await,
        Command::Export(options) => {
            let done = export::run(options).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        Command::Health(options) => health::run(options).await.map_err(CommandFailure::unreachable),
        Command::Completions(options) => manual::print_completions(&options, Arguments::command()),
        Command::Man(options) => manual::write_pages(&options, Arguments::command()),
    }
}

async fn run_manifest_command(command: ManifestCommand) -> Result<(), CommandFailure> {
    match command {
        ManifestCommand::Apply(options) => {
            let done = Box::pin(apply::run(options)).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        ManifestCommand::Plan(options) => {
            tell_difference(Box::pin(plan::run(options)).await, plan::Error::comparison_exit_class)
        }
        ManifestCommand::Diff(options) => tell_difference(Box::pin(diff::run(options)).await, diff::Error::exit_class),
        ManifestCommand::Delete(options) => {
            let done = Box::pin(delete::run(options)).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        ManifestCommand::Undo(options) => {
            let done = Box::pin(revert::undo(options)).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        ManifestCommand::Revert(options) => {
            let done = Box::pin(revert::revert(options)).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
    }
}

/// Ends a command whose exit code 1 says that something differs.
fn tell_difference<E>(compared: Result<bool, E>, class: impl Fn(&E) -> ExitClass) -> Result<(), CommandFailure>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match compared {
        Ok(false) => Ok(()),
        Ok(true) => Err(CommandFailure::Printed),
        Err(error) => Err(CommandFailure::of(class(&error), error)),
    }
}

async fn run_install(command: install::InstallCommand) -> Result<(), CommandFailure> {
    match command {
        install::InstallCommand::PrintRoles => {
            output::text(&store::roles::print())?;
            Ok(())
        }
        install::InstallCommand::Install(options) => {
            let json = options.json;
            let installed = install::run(*options).await;
            let installed = installed.map_err(|error| CommandFailure::of(error.exit_class(), error))?;
            Ok(installed.print(json)?)
        }
    }
}

async fn run_recover(options: recover::Options) -> Result<(), CommandFailure> {
    let json = options.json;
    let done = Box::pin(recover::run(options)).await;
    let done = done.map_err(|error| CommandFailure::of(error.exit_class(), error))?;
    done.print(json)?.then_some(()).ok_or(CommandFailure::Printed)
}

async fn run_bus_action(action: BusAction) -> Result<(), CommandFailure> {
    match action {
        BusAction::Init(options) => {
            bus_init::run(&options).map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        BusAction::Close(options) => {
            let done = client::node::close_bus(options).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
    }
}

async fn run_token_action(action: TokenAction) -> Result<(), CommandFailure> {
    match action {
        TokenAction::OverHttp(command) => {
            let done = client::token::run(command).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
        TokenAction::Reset(options) => {
            let done = Box::pin(token_reset::run(*options)).await;
            done.map_err(|error| CommandFailure::of(error.exit_class(), error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a command and its subcommands.
    fn keeps_its_lines(command: &mut clap::Command) {
        let wide = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let shown = command.clone().term_width(80).render_long_help().to_string();
        for line in wide.lines() {
            // An example is an indented line; other text is wrapped at the width of the terminal.
            let is_example = line.trim_start().starts_with("headwater ") || line.starts_with("  ");
            assert!(
                !is_example || line.starts_with("  "),
                "{}: an example is not indented: {line}",
                command.get_name()
            );
            let is_kept = !is_example || shown.lines().any(|kept| kept.trim_end() == line.trim_end());
            assert!(is_kept, "{}: this line is broken: {line}", command.get_name());
        }
        command.get_subcommands_mut().for_each(keeps_its_lines);
    }

    #[test]
    fn examples_in_help_keep_their_lines_in_a_terminal_of_80_columns() {
        keeps_its_lines(&mut Arguments::command());
    }
}
