//! Log lines on standard error.

use std::env::VarError;
use std::io::{self, IsTerminal as _, Write};

use schema::id::CommandId;
use schema::terminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The default filter. The client of NATS logs what is logged here already, without the address; the client of the slot logs an
/// error each time it finds that another server holds the slot.
const DEFAULT: &str = "info,async_nats=off,pgwire_replication=off,refinery_core=warn";

/// The default filter of `demo`, which shows its own output.
const QUIET: &str = "error,headwater=warn";

const FILTER: &str = "HEADWATER_LOG";
const FORMAT: &str = "HEADWATER_LOG_FORMAT";

/// A variable has an invalid value. If it were ignored, an operator would wait for lines that never come.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not a filter.
    #[error(
        "HEADWATER_LOG={given:?}: {why}. It is a level (off, error, warn, info, debug or trace), or a list such as \
         info,headwater_server::publish=trace"
    )]
    Filter {
        /// The value.
        given: String,
        /// Of the parser.
        why: String,
    },
    /// It is not a format.
    #[error("HEADWATER_LOG_FORMAT={given:?}: it is json, or text as by default")]
    Format {
        /// The value.
        given: String,
    },
}

/// Installs the subscriber. `HEADWATER_LOG` is a filter such as `debug` or `headwater_server::publish=trace`;
/// `HEADWATER_LOG_FORMAT=json` gives one JSON object a line.
///
/// # Errors
/// If one of them has an invalid value.
pub fn init() -> Result<(), Error> {
    init_with(DEFAULT)
}

/// The span of one request, the same in the server and on a node. It is at level `debug`, and costs nothing while that is off.
#[must_use]
pub fn request(command_id: CommandId) -> tracing::Span {
    tracing::debug_span!("request", %command_id)
}

/// As [`init`], but by default only warnings and errors.
///
/// # Errors
/// As [`init`].
pub fn init_quietly() -> Result<(), Error> {
    init_with(QUIET)
}

fn init_with(default: &str) -> Result<(), Error> {
    let filter = match variable(FILTER) {
        Some(given) => filter(&given)?,
        None => EnvFilter::new(default),
    };
    let is_json = match variable(FORMAT).as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(Error::Format { given: other.to_owned() }),
    };
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(colours);
    match is_json {
        true => lines.json().with_writer(|| Printable(terminal::json)).init(),
        false => lines.with_writer(|| Printable(printable)).init(),
    }
    Ok(())
}

/// None if unset or empty. A value that is not Unicode is converted, and then refused as invalid.
fn variable(name: &str) -> Option<String> {
    let given = match std::env::var(name) {
        Ok(given) => given,
        Err(VarError::NotPresent) => return None,
        Err(VarError::NotUnicode(given)) => given.to_string_lossy().into_owned(),
    };
    (!given.is_empty()).then_some(given)
}

/// Parses a filter. A word alone must be a level or a module of Headwater: `EnvFilter` takes any other word for a module, so that
/// a mistyped level would silence everything.
fn filter(given: &str) -> Result<EnvFilter, Error> {
    let wrong = |why: String| Error::Filter { given: given.to_owned(), why };
    let alone = given.split(',').map(str::trim).filter(|part| !part.contains(['=', '[', ']', '{', '}']));
    let is_known = |part: &str| part.is_empty() || part.parse::<LevelFilter>().is_ok() || part.starts_with("headwater");
    match alone.into_iter().find(|part| !is_known(part)) {
        Some(part) => Err(wrong(format!("{part:?} is no level"))),
        None => EnvFilter::try_new(given).map_err(|error| wrong(error.to_string())),
    }
}

/// Makes a line printable. The subscriber has escaped ESC in all values, so any ESC that is left is a colour of its own.
fn printable(line: &str) -> String {
    let pieces: Vec<String> = line.split('\u{1b}').map(terminal::lines).collect();
    pieces.join("\u{1b}")
}

/// Standard error behind a filter function. Each write is a complete line.
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
    fn a_filter_that_would_silence_everything_by_mistake_is_refused() {
        for given in [
            "debug",
            "WARN",
            "off",
            "3",
            "info,async_nats=debug",
            "headwater=debug",
            "headwater_server::publish",
            "headwater_server::publish=trace, warn",
            "headwater[request{command_id}]=debug",
            DEFAULT,
            QUIET,
        ] {
            assert!(filter(given).is_ok(), "{given}");
        }
        for given in ["nonsense", "debgu", "info,verbose", "headwater=loud", "info debug"] {
            assert!(filter(given).is_err(), "{given}");
        }
    }

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
