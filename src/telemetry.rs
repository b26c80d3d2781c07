//! What the program says while it works: one line for each thing that an operator may want to know, on standard error.

use std::io::IsTerminal as _;

use schema::id::CommandId;
use tracing_subscriber::EnvFilter;

/// What is said unless `HEADWATER_LOG` asks for more or less: the client of NATS repeats what is said here already, without
/// saying at which address, and that of the slot calls it an error, again and again, that another server holds it.
const DEFAULT: &str = "info,async_nats=off,pgwire_replication=off,refinery_core=warn";

/// What is said by a program that has something else to show.
const QUIET: &str = "error,headwater=warn";

/// Begins to speak. `HEADWATER_LOG` is a filter such as `debug` or `headwater::publish=trace`;
/// `HEADWATER_LOG_FORMAT=json` gives one JSON object a line.
pub fn begin() {
    begin_with(DEFAULT);
}

/// What belongs to one request, wherever it is seen: at the door, in the log, on its way out, on a node. It is said at
/// `debug`, and costs nothing where that is not asked for.
#[must_use]
pub fn request(command_id: CommandId) -> tracing::Span {
    tracing::debug_span!("request", %command_id)
}

/// Begins to speak, and unless asked for more only of what is wrong.
pub fn begin_quietly() {
    begin_with(QUIET);
}

fn begin_with(default: &str) {
    let filter = EnvFilter::try_from_env("HEADWATER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let lines = lines.with_target(false).with_ansi(colours);
    match std::env::var("HEADWATER_LOG_FORMAT").as_deref() {
        Ok("json") => lines.json().init(),
        _ => lines.init(),
    }
}
