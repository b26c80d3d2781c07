//! What the program says while it works: one line for each thing that an operator may want to know, on standard error.

use std::io::{self, IsTerminal as _, Write};

use schema::id::CommandId;
use schema::terminal;
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
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(colours);
    match std::env::var("HEADWATER_LOG_FORMAT").as_deref() {
        Ok("json") => lines.json().with_writer(|| Printable(terminal::json)).init(),
        _ => lines.with_writer(|| Printable(printable)).init(),
    }
}

/// A line as it may be shown. The subscriber escapes ESC in what it is given, so any that is left colours the line.
fn printable(line: &str) -> String {
    let pieces: Vec<String> = line.split('\u{1b}').map(terminal::lines).collect();
    pieces.join("\u{1b}")
}

/// Standard error, written to through a function. Each write is a whole line.
struct Printable(fn(&str) -> String);

impl Write for Printable {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(self.0(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_colours_and_nothing_that_a_node_wrote() {
        let log = |format: &str| {
            let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            let kept = std::sync::Arc::clone(&lines);
            let writer = move || Kept(std::sync::Arc::clone(&kept));
            let subscriber = tracing_subscriber::fmt().with_ansi(true).with_writer(writer);
            let said = || tracing::info!(detail = "a\u{202e}b\u{1b}[2Jc\u{9b}", "d\u{200b}\u{1b}[2J");
            match format {
                "json" => tracing::subscriber::with_default(subscriber.json().finish(), said),
                _ => tracing::subscriber::with_default(subscriber.finish(), said),
            }
            String::from_utf8(lines.lock().expect("whole").clone()).expect("text")
        };
        let text = printable(&log("text"));
        assert!(text.contains("\u{1b}[") && !text.contains("\u{1b}[2J"), "{text:?}");
        assert!(!text.contains(['\u{202e}', '\u{9b}', '\u{200b}']), "{text:?}");
        let json = terminal::json(&log("json"));
        assert!(!json.contains(['\u{202e}', '\u{1b}', '\u{9b}', '\u{200b}']), "{json:?}");
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    }

    struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
