//! The seams: the log, the write-ahead log and publishing, each on real servers and without the rest of Headwater.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]
