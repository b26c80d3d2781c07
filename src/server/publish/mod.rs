//! Publishes in NATS what follows from the log: blobs, then desired records, then events.
//!
//! - [`publisher`]: the order of the three, and the repair of what differs in NATS.
//! - [`blobs`]: content in the object store, encrypted. [`records`]: each node's signed desired record.
//! - [`event_stream`]: the log itself, at sequence = position. [`stream_comparison`]: what it holds that the log does not have, and who
//!   wrote that. [`rebuild`]: deleting it and making it again, with foreign messages copied aside.
//! - [`checkpoint_bucket`]: the newest checkpoint, where nobody reaches it through PostgreSQL.
//! - [`streams`]: the settings of all streams and buckets. [`ownership`]: which log a prefix belongs to, and that log's public key.
//! - [`signing_key`]: the file of the key. [`source`]: what publishing needs of the log. [`nats_clock`]: the time by NATS.
//! - [`foreign_writes`]: notices writes to the bucket of records. [`recovery_scan`]: what NATS holds that the log may have lost.
//! - [`signature_check`]: whether the records that were there already are signed right. `latest_messages`: the last message of each subject
//!   of a stream.
//!
//! What always holds: a record is published after every blob that it points at, and the last sequence of the event stream says that
//! everything before it is public. A record that somebody else put there with a wrong signature and the right body may stand until its signature
//! is checked; its node refuses it. Absent on purpose: LSNs, SQL, and any state that could not be read back from NATS.

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
mod records_under_way;
pub mod recovery_scan;
pub mod signature_check;
pub mod signing_key;
pub mod source;
pub mod stream_comparison;
pub mod streams;

pub use error::Error;
