//! The seams: the log, the write-ahead log and publishing, on real servers and without the rest of Headwater.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod ahead;
mod appending;
#[path = "../auditor.rs"]
mod auditor;
mod broken;
mod checkpoint;
mod clock;
mod desk;
#[path = "../system/eventually.rs"]
mod eventually;
mod export;
#[path = "../system/ground.rs"]
mod ground;
#[path = "../system/law.rs"]
mod law;
mod newer;
mod past;
mod proxy;
mod publication;
mod publish;
mod repair;
mod rights;
mod tamper;
mod tree;
mod wal;

/// How long anything may take that happens by itself.
const SOON: std::time::Duration = std::time::Duration::from_secs(30);
