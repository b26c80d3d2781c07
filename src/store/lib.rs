//! The log in PostgreSQL. Only this crate contains SQL about the log.
//!
//! - [`database`]: connections and errors; [`roles`], [`install`]: roles, schema and the head row.
//! - `rows`: events as rows and back; [`raw_rows`]: rows that need not be valid events; `copy_reader`: many events at once (COPY).
//! - [`reader`]: the head, pages of events, contents; `follow`: the whole log, folded; [`snapshots`]: folded states of the past.
//! - [`tree`]: the stored nodes of the Merkle tree; `proof`: roots and proofs from them; [`checkpoint`]: signed checkpoints.
//! - [`findings`]: rows that are known to be wrong; `intact`: checked reads; [`contents`]: missing contents, and restoring them.
//! - [`clocks`]: which clock is right, before an event is dated by it.
//! - [`submission`]: a request and what its caller is told; `queue`: requests and batches that wait; `batch_size`: how large these get;
//!   `batch`: a batch decided against a state; `speculation`: the next batch, decided while one is in flight.
//! - `append_session`: what the appender needs of a store; `postgres_session`: PostgreSQL as such a store; `statement`: a batch as one
//!   statement.
//! - `append_state`: the states of a batch, with the table of their transitions; `append_steps`: one step for each; `writer`: the state
//!   folded up to the head, and the session behind it.
//! - [`appender`]: the loop that steps each batch until its callers are answered; `append_handle`: how the process reaches it.
//! - [`log`]: the log as the rest of the program uses it; `submission_log`: the line that says who sent which request;
//!   `replayed_receipts`: answers to requests whose events were restored.
//! - [`restore_events`]: restoring events that the log lost; [`new_log`]: beginning a new log from the rest of an old one.
//!
//! Absent on purpose: LSNs, NATS, HTTP, and any statement that changes or removes an event, except in [`new_log`].

mod append_handle;
mod append_session;
mod append_state;
mod append_steps;
pub mod appender;
mod batch;
mod batch_size;
pub mod checkpoint;
pub mod clocks;
pub mod contents;
mod copy_reader;
pub mod database;
pub mod findings;
mod follow;
pub mod install;
mod intact;
pub mod log;
pub mod new_log;
mod postgres_session;
mod proof;
mod queue;
pub mod raw_rows;
pub mod reader;
mod replayed_receipts;
pub mod restore_events;
pub mod roles;
mod rows;
pub mod snapshots;
mod speculation;
mod statement;
pub mod submission;
mod submission_log;
pub mod tree;
mod writer;
