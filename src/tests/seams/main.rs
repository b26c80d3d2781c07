//! The seams: the log, the write-ahead log and publishing, on real servers and without the rest of Headwater.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod ahead;
mod appending;
mod broken;
mod checkpoint;
mod clock;
mod desk;
mod export;
mod hearing;
mod machine;
mod newer;
mod objects;
mod past;
mod publication;
mod publish;
mod publishing;
mod repair;
mod rights;
mod tamper;
mod tls;
mod tls_nats;
mod tree;
mod waiting;
mod wal;

/// How long anything may take that happens by itself.
const SOON: std::time::Duration = std::time::Duration::from_secs(30);
