//! Contexts as they are kept: [`context_file`] has all of a user, [`server_context`] is one of them, and [`context_error`] why one can't be
//! used.
//!
//! Always: a token is never in the file; a context names one log.

pub(crate) mod context_error;
pub(crate) mod context_file;
pub(crate) mod server_context;
