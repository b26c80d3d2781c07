//! Commands that a person gives a server over HTTP, and the client that all of them use.
//!
//! - [`api_client`] sends requests; [`endpoint`] is the server's URL and the token, for which [`context`] has names;
//!   [`server_sent_events`] reads the live stream.
//! - [`error`] is why a request failed: every refusal has the server's own code, field and detail. [`exchange`] adds that nothing could be
//!   printed, and is a part of the error of each command.
//! - [`manifest`] reads and writes files that say what the log is to hold; [`apply`], [`plan`], [`diff`] and [`delete`] are commands about them. [`revert`] takes
//!   back what was changed, [`history`] shows what that was, and [`mark`] names a moment.
//! - [`get`], [`events`], [`why`], [`impact`], [`wait`], [`import`], [`proposals`], [`token`], [`console`] and [`health`] are commands; [`oscal`] reads the files that
//!   `import` takes.
//!
//! Always: a request is sent again only if it has an idempotency key; memory is bounded, whatever answers.

pub mod api_client;
mod confirm;
mod document_revision;
mod duration;
pub mod endpoint;
mod entity_name;
pub mod error;
pub mod exchange;
mod http_answer;
mod server_access;
pub mod server_sent_events;
mod stored_context;

pub mod apply;
mod comparison;
pub mod console;
pub mod context;
pub mod delete;
pub mod diff;
pub mod events;
pub mod fleet;
pub mod get;
pub mod health;
pub mod history;
pub mod impact;
pub mod import;
pub mod join_token;
pub mod manifest;
mod manifest_request;
pub mod mark;
pub mod node;
pub mod node_access;
mod now_option;
pub mod oscal;
pub mod plan;
pub mod proposals;
mod request_plan;
pub mod revert;
pub mod rollout;
pub mod token;
mod url_path;
pub mod wait;
pub mod why;
