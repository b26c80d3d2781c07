//! Histories that the tests of the pure rooms share. Nothing here touches a server.
//!
//! - [`history`] and [`acts`]: any requests, and any claims, by chance; [`script`]: one in words
//! - [`planned`]: requests that come with a plan
//! - [`story`]: a log in which everything happens once, and its export; [`forge`]: somebody who changes such a file
#![expect(missing_docs, reason = "a test reads them beside their use")]
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

pub mod acts;
pub mod forge;
pub mod history;
pub mod planned;
pub mod script;
pub mod story;
