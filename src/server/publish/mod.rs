//! What follows from the log, made public in NATS: blobs, then desired records, then events.
//!
//! - [`key`]: what records are signed with.
//! - [`streams`]: the streams and buckets, and how they are set.
//! - [`blobs`]: content by digest in the object store.
//! - [`records`]: each node's signed desired record.
//! - [`events`]: the log itself, at sequence = position.
//! - [`ownership`]: whose a prefix is, and that log's public key.
//! - [`excess`]: what the event stream holds that the log does not have, and whose it is.
//! - [`rebuild`]: making that stream anew, with what was in excess put aside.
//! - [`source`]: what publishing needs of the log.
//! - [`checkpoint`]: what was last signed about the log, where its database does not reach.
//! - [`clock`]: what NATS's clock says.
//! - [`publisher`]: the order of the three, and the repair of what differs from what should be there.
//! - [`foreign_writes`]: whether somebody else writes records.
//! - [`recovery_scan`]: what NATS holds that the log may have lost.
//! - `latest`: what a stream holds last for each subject.
//!
//! A pointer never points at nothing, and the last sequence of the event stream says that everything before it is
//! public. Absent on purpose: LSNs, SQL, and any state that could not be read back from NATS.

pub mod blobs;
pub mod checkpoint_bucket;
pub mod error;
pub mod event_stream;
pub mod foreign_writes;
mod latest_messages;
pub mod nats_clock;
pub mod ownership;
pub mod publisher;
pub mod rebuild;
pub mod records;
pub mod recovery_scan;
pub mod signing_key;
pub mod source;
pub mod stream_comparison;
pub mod streams;

pub use error::Error;
