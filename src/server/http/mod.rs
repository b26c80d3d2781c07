//! The HTTP door: where people and programs come in, and what they see.
//!
//! Every answer is JSON of one consistent snapshot and says the position that it holds for; every error is a problem
//! (RFC 9457) with a stable code. Every route requires a token, except `/healthz` and `/readyz`. Reading never waits for a write.
//!
//! Absent on purpose: SQL and the log itself (the door states what it needs in [`source`](crate::source), and whoever opens it
//! brings that), NATS, and every judgement that is not about HTTP.
//!
//! A request passes, in this order: [`serve`], [`router`], `limits`, `auth`, `params`, one of the resources, `answer`
//! or `problem`, and `room`. [`closed`] stands in for all of it while the log is not what it was.

mod context;

pub mod closed;
pub mod router;
pub mod serve;

mod connections;
mod stall;

mod account;
mod auth;
mod blocking;
mod causes;
mod costly;
mod guarded;
mod limits;
mod paging;
mod params;
mod room;
mod snapshot;

mod body;
mod commands;
mod compliance;
mod coverage;
mod dry_run;

mod documents;
mod event;
mod events;
mod files;
mod fleet;
mod health;
mod impact;
mod jobs;
mod live;
mod log;
mod metrics;
mod nodes;
mod principals;
mod proof;
mod versions;
mod why;

mod answer;
mod problem;

mod node_status;
mod record_digests;
