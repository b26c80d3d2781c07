//! The requests that manifests come to, and how each is shown, asked about and sent.
//!
//! - [`options`] says which manifests and what becomes of bundles; [`request_step`] divides what they declare into requests.
//! - [`shown_request`] decides a request, shows it, asks and sends it. [`prune_limit`] stops one that removes too much of a bundle.
//! - [`rollout_step`] makes a rollout of a request.
//! - [`plan_application`] does the same for a plan in a file. [`default_reason`] is the reason of who gives none.
//!
//! Always: nothing is sent before every manifest was read without a fault, and nothing is removed that was not shown.

mod default_reason;
pub(crate) mod error;
pub(crate) mod faults;
pub(crate) mod options;
pub(crate) mod owned_members;
pub(crate) mod plan_application;
mod prune_limit;
pub(crate) mod request_step;
mod rollout_order;
pub(crate) mod rollout_step;
pub(crate) mod shown_request;
