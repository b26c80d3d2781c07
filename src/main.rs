//! The `headwater` program: reads what it is told, starts what that names, and turns signals into an orderly end.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use headwater::ground::Verdict;
use headwater::output::Unwritable;
use headwater::{
    demo, dev, edge, events, export, get, health, impact, import, install, output, recover, serve, telemetry, token,
    why,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

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

const AFTER_HELP: &str = "Every flag can also be given as the HEADWATER_* variable that its help names.\n\
                          HEADWATER_LOG sets how much is logged (debug, info, warn); HEADWATER_LOG_FORMAT=json for machines.\n\
                          Exit codes: 0 done, 1 refused or diverged, 2 usage, 3 could not reach something, or write the output.";

#[derive(Subcommand)]
enum Command {
    /// Everything on this machine: a private PostgreSQL and NATS, the server, and a few nodes
    Dev(dev::Options),
    /// Show all of it at work in a minute: a fleet of three nodes, from a command to a verified file on each
    Demo(demo::Options),
    /// Prepare PostgreSQL and NATS for a log, and make the first administrator
    Install(install::Order),
    /// Serve a log: the HTTP door, and the relay into NATS
    Serve(serve::Options),
    /// The agent of one node, and how its folder stands
    Edge(edge::Order),
    /// Who may speak to the door: create, list and revoke tokens
    Token(token::command::Options),
    /// Show what there is: one sort of thing, or one of them
    Get(get::Options),
    /// Show what happened, and what happens next
    Events(events::Options),
    /// Show why a node has what it has at a path, or why a job is what it is: the events that it follows from
    Why(why::Options),
    /// Show what a request changed: which nodes and which jobs' specs
    Impact(impact::Options),
    /// Make definitions from files of another language
    Import(import::Options),
    /// Write the log, its contents and its checkpoints into one file, which `headwater-replay` verifies
    Export(export::Options),
    /// Say what a database that was put back to an earlier state lacks; take it back, or begin a new log without it
    Recover(recover::Options),
    /// Ask a server whether it can do its work
    Health(health::Options),
    #[command(hide = true)]
    Apply(NotYet),
    #[command(hide = true)]
    Diff(NotYet),
}

/// How long threads that are still busy are waited for once all is done or given up.
const ENDED_WITHIN: Duration = Duration::from_millis(200);

/// A command whose name is kept for what is to come.
#[derive(clap::Args)]
struct NotYet {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _whatever: Vec<String>,
}

impl NotYet {
    fn refuse(name: &str) -> Result<(), Failure> {
        Err(Failure::Refused(anyhow::anyhow!("`headwater {name}` is not available yet")))
    }
}

/// How a run ends badly.
enum Failure {
    /// It was refused, or something is wrong.
    Refused(anyhow::Error),
    /// What it was told makes no sense.
    Usage(anyhow::Error),
    /// Something could not be reached.
    Unreachable(anyhow::Error),
    /// Something is wrong, and all of it was printed.
    Told,
}

impl Failure {
    fn of(verdict: Verdict, error: impl Into<anyhow::Error>) -> Self {
        match verdict {
            Verdict::Refused => Self::Refused(error.into()),
            Verdict::Usage => Self::Usage(error.into()),
            Verdict::Unreachable => Self::Unreachable(error.into()),
        }
    }

    fn reaching(is_unreachable: bool, error: impl Into<anyhow::Error>) -> Self {
        Self::of(if is_unreachable { Verdict::Unreachable } else { Verdict::Refused }, error)
    }
}

impl From<get::Error> for Failure {
    fn from(error: get::Error) -> Self {
        Self::reaching(error.is_unreachable(), error)
    }
}

impl From<Unwritable> for Failure {
    fn from(error: Unwritable) -> Self {
        Self::Unreachable(error.into())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let begun = match arguments.command {
        Command::Demo(_) => telemetry::begin_quietly(),
        _ => telemetry::begin(),
    };
    let ran = begun.map_err(|error| Failure::Usage(error.into())).and_then(|()| run(arguments.command));
    let (failure, code) = match ran {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(failure)) => (failure, 1),
        Err(Failure::Usage(failure)) => (failure, 2),
        Err(Failure::Unreachable(failure)) => (failure, 3),
        Err(Failure::Told) => return ExitCode::from(1),
    };
    output::complain(&format!("{failure:#}"));
    ExitCode::from(code)
}

fn run(command: Command) -> Result<(), Failure> {
    // Children of `dev` and `demo` die with the thread that started them, so it has one thread only: this one.
    let runtime = match command {
        Command::Dev(_) | Command::Demo(_) => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
    };
    let runtime = runtime.context("starting").map_err(Failure::Refused)?;
    let ended = runtime.block_on(async {
        match command {
            Command::Dev(options) => {
                let done = dev::run(options).await;
                done.map_err(|error| Failure::reaching(matches!(error, dev::Error::Output(_)), error))
            }
            Command::Demo(options) => {
                let done = demo::run(options).await;
                done.map_err(|error| Failure::reaching(error.is_output(), error))
            }
            Command::Install(install::Order::PrintRoles) => {
                output::text(&headwater::log::roles::print())?;
                Ok(())
            }
            Command::Install(install::Order::Install(options)) => {
                let json = options.json;
                let installed = install::run(*options).await;
                let installed = installed.map_err(|error| Failure::of(error.verdict(), error))?;
                Ok(installed.print(json)?)
            }
            Command::Serve(options) => {
                let stop = stop_on_signals().map_err(Failure::Refused)?;
                let served = serve::run(options, stop).await;
                served.map_err(|error| Failure::of(error.verdict(), error))
            }
            Command::Edge(edge::Order::Run(options)) => {
                let stop = stop_on_signals().map_err(Failure::Refused)?;
                edge::run(*options, stop).await.map_err(|error| Failure::Refused(error.into()))
            }
            Command::Edge(edge::Order::Status(look)) => match edge::status(&look) {
                Ok(status) => status.print()?.then_some(()).ok_or(Failure::Told),
                Err(error) => Err(Failure::Unreachable(error.into())),
            },
            Command::Edge(edge::Order::AcceptLog(order)) => match edge::accept_log(&order) {
                Ok(done) => {
                    output::text(&format!("{done}\n"))?;
                    Ok(())
                }
                Err(error @ edge::OpenError::NoNode(_)) => Err(Failure::Unreachable(error.into())),
                Err(error) => Err(Failure::Refused(error.into())),
            },
            Command::Token(options) => {
                let done = token::command::run(options).await;
                done.map_err(|error| Failure::of(error.verdict(), error))
            }
            Command::Get(options) => get::run(options).await.map_err(Failure::from),
            Command::Events(options) => events::run(options).await.map_err(Failure::from),
            Command::Why(options) => why::run(options).await.map_err(Failure::from),
            Command::Impact(options) => impact::run(options).await.map_err(Failure::from),
            Command::Import(options) => {
                let done = import::run(options).await;
                done.map_err(|error| Failure::reaching(error.is_unreachable(), error))
            }
            Command::Recover(options) => {
                let json = options.json;
                let done = Box::pin(recover::run(options)).await;
                let done = done.map_err(|error| Failure::of(error.verdict(), error))?;
                done.print(json)?.then_some(()).ok_or(Failure::Told)
            }
            Command::Apply(_) => NotYet::refuse("apply"),
            Command::Diff(_) => NotYet::refuse("diff"),
            Command::Export(options) => {
                let done = export::run(options).await;
                done.map_err(|error| Failure::of(error.verdict(), error))
            }
            Command::Health(options) => health::run(options).await.map_err(|error| Failure::Unreachable(error.into())),
        }
    });
    // What runs on threads of its own, such as looking a name up, is not waited for: nobody is left to hear of it.
    runtime.shutdown_timeout(ENDED_WITHIN);
    ended
}

/// Cancelled at the first SIGINT or SIGTERM.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        stopped.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Looks at a command and all below it.
    fn keeps_its_lines(command: &mut clap::Command) {
        let wide = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let shown = command.clone().term_width(80).render_long_help().to_string();
        for line in wide.lines() {
            // An example stands on a line of its own, indented; the words around it are wrapped where a terminal ends.
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
