//! `headwater-replay`: verifies and reads exports of a log. It needs no server, PostgreSQL or NATS, and trusts one key.

mod program;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use program::options::Options;
use program::{diff, history, laws, rebuild, show, stats, verify, why};

/// Events are allocated on some threads and freed on another. The system's allocator spends a third of an audit on that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Verifies exports of a Headwater log, and shows what any node had to hold at any time, and why.
///
/// Every command verifies all of its files first, and prints nothing from a log that is not valid.
#[derive(Parser)]
#[command(name = "headwater-replay", version, propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Exports come from `headwater export --to FILE`; several parts of one log are given in their order.\n\
                          Exit codes: 0 done, 1 the log is not valid or something is not found, 2 usage, 3 a file, or the output, can't be read or written.";

#[derive(Subcommand)]
enum Command {
    /// Verify the whole log; name the first thing that is wrong
    Verify(Options),
    /// Show what a node had to hold at a time, or a job's spec, byte for byte
    Show(show::ShowCommand),
    /// Compare what a node had to hold at two times, or at the ends of two files
    Diff(diff::DiffCommand),
    /// Show the events of a node, or of one entity
    History(history::HistoryCommand),
    /// Show the events that explain a node's file or a job, or its absence
    Why(why::WhyCommand),
    /// Write every node's tree as it is on the node's disk
    Rebuild(rebuild::RebuildCommand),
    /// Check that rollouts kept their rules: that nothing ran ahead, and nothing passed without evidence
    Laws(Options),
    /// Count events, entities, actors and bytes
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
        Command::Laws(options) => (laws::run(&options), options.how.json),
        Command::Stats(options) => (stats::run(&options), options.how.json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.print(json),
    }
}
