//! The log in PostgreSQL: the only folder that speaks SQL.
//!
//! - [`database`]: a connection that is given up when it no longer answers.
//! - `rows`: events as rows, and back; [`stored`]: rows with nothing read of them; `copied`: many events at once.
//! - [`reader`]: what is in the log, for whoever asks; `follow`: all of it, folded.
//! - [`batch`]: waiting requests decided together against the head.
//! - [`tree`]: the nodes of the tree that are kept, and any other from them.
//! - [`checkpoint`]: what was signed about the log.
//! - `proof`: roots and proofs, from what is kept of the tree.
//! - [`findings`]: what is known to be wrong with rows; `intact`: reading none of those for an answer.
//! - [`clocks`]: which clocks are right, before an event is dated by one of them.
//! - `store`: one append as a transaction; `statement`: a batch as the one statement that stores it.
//! - [`kept`]: states of the past.
//! - [`adopt`]: taking events back that the log had and lost.
//! - [`contents`]: what events name and is not there, and putting it back.
//! - [`anew`]: beginning a log from what is left of another.
//! - `line`: who waits to be appended; `ahead`: what is decided of it while a transaction is on its way.
//! - `writer`: what is folded up to the head, and one transaction after the other behind it.
//! - [`appender`]: the one writer of this process: who waits is appended, however often it takes, and answered.
//! - `restored`: answers to requests whose events were taken back.
//! - [`handle`]: the log as the rest of the program holds it.
//! - [`roles`]: who may do what, and who makes them.
//! - [`install`]: roles, schema and the head of a new log.
//!
//! Absent on purpose: LSNs, NATS, HTTP, and any statement that changes or removes an event, but in [`anew`].

pub mod adopt;
mod ahead;
pub mod anew;
pub mod appender;
pub mod batch;
pub mod checkpoint;
pub mod clocks;
pub mod contents;
mod copied;
pub mod database;
pub mod findings;
mod follow;
pub mod handle;
pub mod install;
mod intact;
pub mod kept;
mod line;
mod proof;
pub mod reader;
mod restored;
pub mod roles;
mod rows;
mod statement;
mod store;
pub mod stored;
pub mod tree;
mod writer;
