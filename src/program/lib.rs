//! What each program of Headwater does in the same way.
//!
//! - [`output`] prints answers and complaints, [`progress`] shows how far something long has come, [`telemetry`] writes log lines.
//! - [`exit`] says which exit code a failure gives, [`signals`] turns SIGINT and SIGTERM into an orderly end.
//! - [`durable_file`] replaces and creates files, [`password`] reads secrets that stand in files, [`token`] makes new ones.
//! - [`tasks`] runs blocking work, and hands on the panic of a task.
//! - [`backoff`] spaces attempts, [`clock`] is the wall clock of this machine, [`failpoints`] is where a test stops a process.
//!
//! Absent on purpose: PostgreSQL, NATS, HTTP, and anything that only one program does.

pub mod backoff;
pub mod clock;
pub mod durable_file;
pub mod exit;
pub mod failpoints;
pub mod output;
pub mod password;
pub mod progress;
pub mod signals;
pub mod tasks;
pub mod telemetry;
pub mod token;
