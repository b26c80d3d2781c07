//! The HTTP server: what people and programs may ask for, and how they are answered.
//!
//! Every answer is JSON of one consistent snapshot and says the position that it holds for; every error is a problem document
//! (RFC 9457) with a stable code. Every route requires a token, except `/healthz`, `/readyz`, the description of the interface, and the
//! files of the console. A read never waits for a write.
//!
//! Absent on purpose: SQL and NATS ([`event_log`](crate::event_log) is all that these modules know of the log), and every
//! decision that is not about HTTP.
//!
//! A request passes, in this order: [`listener`], [`router`], `request_limits`, `auth`, `params`, one of the resources, `answer`
//! or `problem`, and `answer_memory`. [`damaged_log`] answers everything while the log is damaged.

mod context;

pub mod damaged_log;
pub mod listener;
pub mod openapi;
pub mod router;

mod catalogue;
mod operation;

mod connections;
mod tls_handshake;
mod write_timeout;

mod answer_memory;
mod auth;
mod causing_events;
mod compression;
mod entity_tag;
mod expensive_queries;
mod guarded_body;
mod paging;
mod params;
mod path_id;
mod plan_condition;
mod planned_node;
mod position_header;
mod quota;
mod request_limits;
mod request_metrics;
mod snapshot;
mod stream_session;

mod body;
mod bundles;
mod commands;
mod compliance;
mod console;
mod contents;
mod coverage;
mod dry_run;

mod diff;
mod documents;
mod event;
mod events;
mod files;
mod first_change;
mod fleet;
mod fleet_feed;
mod fleet_rows;
mod fleet_scan;
mod fleet_stream;
mod fleet_table;
mod health;
mod impact;
mod jobs;
mod join_tokens;
mod live;
mod log;
mod log_times;
mod marks;
mod metrics;
mod nodes;
mod principals;
mod proof;
mod proposals;
mod reverts;
mod rollout_preview;
mod rollouts;
mod search;
mod versions;
mod why;

mod answer;
mod fixed_answer;
mod problem;

mod digest_cache;
mod node_status;
mod text_diff;
