//! The answers of `GET /v1/log` and `GET /v1/log/times`.

use alloc::string::String;
use alloc::vec::Vec;

use schema::digest::Digest;
use schema::id::LogId;
use schema::instant::Instant;
use schema::position::Position;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which log it is, how far it has come, and whose signature to trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogStatus {
    /// Which log.
    pub log_id: LogId,
    /// Its last event.
    pub position: Position,
    /// When that event was appended.
    pub at: Instant,
    /// The last sequence of the stream of published events, if it is known.
    pub published: Option<Position>,
    /// The phase of the relay of the server that answers: `following` if it publishes what is appended, `standby` if another server
    /// does, `starting` and `repairing` before that. Null if the server runs no relay.
    pub relay: Option<String>,
    /// The public key of the log's signatures, as 64 hexadecimal digits.
    pub signing_key: String,
    /// The SHA-256 of that key.
    pub key_id: Digest,
}

/// Positions of an answer of `GET /v1/log/times` unless `points` says otherwise.
pub const POINTS_DEFAULT: usize = 200;
/// Positions of an answer of `GET /v1/log/times`.
pub const POINTS_MAX: usize = 1_000;

/// When events were appended, for positions spread evenly over a part of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogTimes {
    /// The log's last event.
    pub position: Position,
    /// The positions in order, the first and the last of the part among them; none if the log is empty.
    pub times: Vec<LogTime>,
}

/// When an event was appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogTime {
    /// The event's position.
    pub position: Position,
    /// When it was appended.
    pub at: Instant,
}
