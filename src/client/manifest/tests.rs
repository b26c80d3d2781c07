//! Laws of manifests: what is read, what is refused and where, and that what is written is read as the same.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

mod files;
mod reading;
mod round_trip;
