//! Paths that the server serves and its own client knows by name. The client makes those of single entities from what it is
//! given.

/// Whether the server can do its work; no token is needed.
pub const READY: &str = "/readyz";
/// Where commands are sent.
pub const COMMANDS: &str = "/v1/commands";
/// The log's events, in pages or as a live stream.
pub const EVENTS: &str = "/v1/events";
/// The state of the log itself.
pub const LOG: &str = "/v1/log";
/// People and programs with a token.
pub const PRINCIPALS: &str = "/v1/principals";
