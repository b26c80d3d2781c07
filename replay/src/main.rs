//! `headwater-replay`: what a log says, and whether it is true, from exports alone. It needs neither server, PostgreSQL nor
//! NATS, and trusts one key.

mod program;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use program::options::Options;
use program::{diff, history, rebuild, show, stats, verify, why};

/// Events are made on some threads and thrown away on another, a million times over: the system's allocator spends a third of
/// an audit on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Verifies exports of a Headwater log, and says what any node had to hold at any moment, and why.
///
/// Every command reads its files to their end, and says nothing of a log that is not right.
#[derive(Parser)]
#[command(name = "headwater-replay", version, propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Exports come from `headwater export --to FILE`; several parts of one log are given in their command.\n\
                          Exit codes: 0 done, 1 something is not right or not there, 2 usage, 3 a file, or the output, can't be read or written.";

#[derive(Subcommand)]
enum Command {
    /// Whether all of it is true; if not, what is the first thing that is not
    Verify(Options),
    /// What a node held at a moment, or what a job was, byte for byte
    Show(show::ShowCommand),
    /// What a node had to hold at two moments, or by two files
    Diff(diff::DiffCommand),
    /// What happened to a node, or to one thing
    History(history::HistoryCommand),
    /// The events that a node's file or a job follows from, or that keep it away
    Why(why::WhyCommand),
    /// Every node's tree, as it lies on its disk
    Rebuild(rebuild::RebuildCommand),
    /// What there is, counted
    Stats(Options),
}

fn main() -> ExitCode {
    let (done, json) = match Arguments::parse().command {
        Command::Verify(options) => (verify::run(&options), options.how.json),
        Command::Show(command) => (show::run(&command), command.json()),
        Command::Diff(command) => (diff::run(&command), command.json()),
        Command::History(command) => (history::run(&command), command.json()),
        Command::Why(command) => (why::run(&command), command.json()),
        Command::Rebuild(command) => (rebuild::run(&command), command.json()),
        Command::Stats(options) => (stats::run(&options), options.how.json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.print(json),
    }
}
