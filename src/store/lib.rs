//! The log in PostgreSQL: the only folder that speaks SQL.
//!
//! - [`database`]: a connection that is given up when it no longer answers.
//! - `rows`: events as rows, and back; [`stored`]: rows with nothing read of them; `copied`: many events at once.
//! - [`reader`]: what is in the log, for whoever asks; `follow`: all of it, folded.
//! - `batch`: submissions decided one after another against a state of the log.
//! - [`tree`]: the nodes of the tree that are kept, and any other from them.
//! - [`checkpoint`]: what was signed about the log.
//! - `proof`: roots and proofs, from what is kept of the tree.
//! - [`findings`]: what is known to be wrong with rows; `intact`: reading none of those for an answer.
//! - [`clocks`]: which clocks are right, before an event is dated by one of them.
//! - `store`: one append as PostgreSQL executes it; `statement`: a batch as the one statement that stores it.
//! - [`kept`]: states of the past.
//! - [`adopt`]: taking events back that the log had and lost.
//! - [`contents`]: what events name and is not there, and putting it back.
//! - [`anew`]: beginning a log from what is left of another.
//! - `submission`: one request and what its caller is told; `line`: the queue; `ahead`: the speculative batch.
//! - `append_session`: what the appender needs of the store; `append_state`: the states of a batch and the table of their transitions;
//!   `append_steps`: one step for each state; `writer`: the state folded up to the head.
//! - [`appender`]: the loop that steps each batch until its callers are answered; `append_handle`: how it is reached.
//! - `restored`: answers to requests whose events were taken back.
//! - [`handle`]: the log as the rest of the program holds it.
//! - [`roles`]: who may do what, and who makes them.
//! - [`install`]: roles, schema and the head of a new log.
//!
//! Absent on purpose: LSNs, NATS, HTTP, and any statement that changes or removes an event, but in [`anew`].

pub mod adopt;
mod ahead;
pub mod anew;
mod append_handle;
mod append_session;
mod append_state;
mod append_steps;
pub mod appender;
mod batch;
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
mod submission;
pub mod tree;
mod writer;
