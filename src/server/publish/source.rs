//! What publishing needs of the log.

use std::collections::BTreeMap;

use schema::digest::Digest;
use schema::event::Event;
use schema::position::Position;

use super::error::SourceFuture;

/// Where the publisher gets content and events: the log in PostgreSQL.
pub trait PublishSource: Send + Sync {
    /// The bytes of those digests that are there, verified.
    fn contents(&self, digests: Vec<Digest>) -> SourceFuture<'_, BTreeMap<Digest, Vec<u8>>>;
    /// At most `limit` events after a position, in the order of the log.
    fn events(&self, after: Position, limit: usize) -> SourceFuture<'_, Vec<Event>>;
}
