//! What every program of Headwater does in the same way.
//!
//! - [`output`] prints answers and error lines, [`progress`] shows a progress bar, [`status_line`] one line that changes,
//!   [`live_frame`] several, [`telemetry`] writes log lines.
//! - [`exit`] maps failures to exit codes, [`signals`] turns SIGINT and SIGTERM into an orderly end.
//! - [`durable_file`] replaces and creates files, [`password`] and [`secret_file`] read secrets from files, [`token`] makes
//!   new ones.
//! - [`tasks`] runs blocking work, and resumes the panic of a task.
//! - [`backoff`] spaces retries, [`clock`] is the wall clock, [`failpoints`] are places at which a test can kill a process.
//!
//! Not here: PostgreSQL, NATS, HTTP, and what only one program does.

pub mod backoff;
pub mod clock;
pub mod durable_file;
pub mod exit;
pub mod failpoints;
pub mod live_frame;
pub mod output;
pub mod password;
pub mod progress;
pub mod secret_file;
pub mod signals;
pub mod status_line;
pub mod tasks;
pub mod telemetry;
pub mod token;
