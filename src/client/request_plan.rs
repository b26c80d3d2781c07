//! Requests that are shown before they are sent.
//!
//! - [`outcome`] is what a request would do, as a dry run answers it; [`outcome_text`] is that for people, and [`outcome_difference`] what two of them
//!   do not share.
//! - [`exchange`] decides a request without appending it, and sends it so that it does what was shown, or nothing.
//! - [`plan_file`] is a shown request in a file; [`kept_plan`] finds out whether it was sent already.
//!
//! Always: a request that was shown goes out with the digest of its plan. Absent on purpose: what a request would do is never computed here.

mod changed_nodes_text;
pub(crate) mod exchange;
pub(crate) mod kept_plan;
pub(crate) mod outcome;
pub(crate) mod outcome_difference;
pub(crate) mod outcome_text;
pub(crate) mod plan_file;
mod rollout_text;
