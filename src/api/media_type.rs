//! Media types of requests and answers.

/// Commands, and every answer that is not one of the others.
pub const JSON: &str = "application/json";
/// Every error.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// The live stream of events.
pub const EVENT_STREAM: &str = "text/event-stream";
