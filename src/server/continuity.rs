//! Whether the log in PostgreSQL goes on from what is known of it elsewhere: the newest checkpoint outside PostgreSQL, and the
//! records that nodes hold. For the event stream, [`StreamComparison::strays`] says the same.
//!
//! What always holds: a database that was restored from a backup, or rewritten, is not appended to, signed for or published. This is
//! the one place that decides it, for the append gate, the relay, the checkpoint signer and `headwater recover`. Absent on purpose:
//! any repair, which is for a person to choose.
//!
//! [`StreamComparison::strays`]: crate::publish::stream_comparison::StreamComparison::strays

use replay::checkpoint::{Checkpoint, CheckpointError};
use replay::tree::{TreeQuery, check_consistency};
use schema::desired::Cause;
use schema::digest::Digest;
use schema::id::{EventId, NodeId};
use schema::position::Position;
use store::checkpoint::StoredCheckpoint;
use store::database::Error as LogError;
use store::reader::{EventPage, Reader};

use crate::publish::Error as PublishError;
use crate::publish::checkpoint_bucket::PublishedCheckpoint;

/// Why the log is not known to go on from what was signed or published of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContinuityError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(
        "the newest checkpoint kept outside PostgreSQL is at position {kept}, but the log ends at {head}: the database was put \
         back to an earlier state. Nothing is signed or published until this is settled"
    )]
    Ahead { kept: Position, head: Position },
    #[error(
        "the log up to position {head} does not begin with what was signed at position {kept}: an event up to there was \
         changed. Nothing is signed or published until this is settled"
    )]
    Rewritten { kept: Position, head: Position },
    #[error(
        "the newest checkpoint kept outside PostgreSQL can't be trusted: {0}. Nothing is signed or published over it, unless the \
         table keeps one that can. If no other log uses this NATS, remove it from the bucket"
    )]
    Untrusted(#[from] CheckpointError),
    #[error(
        "node {node} holds a record that was signed at position {found}, but the log ends at {head}: the database was put back \
         to an earlier state. Nothing is appended or published until this is settled"
    )]
    NodeAhead { node: NodeId, found: Position, head: Position },
    #[error(
        "node {node} holds a record that was signed for event {event} at position {position}, which is not the event that the \
         log has there: the database was put back to an earlier state and then appended to. Nothing is appended or \
         published until this is settled"
    )]
    NodeDiffers { node: NodeId, event: EventId, position: Position },
}

impl ContinuityError {
    /// Whether the comparison may succeed later without anybody's doing. All others say that the log does not go on.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Log(error) => error.is_transient(),
            Self::Publish(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether the log merely seems too short. With a synchronous standby the write-ahead log brings an event before the table shows
    /// it, so that a head that was read just now may be behind.
    pub(crate) fn is_about_length(&self) -> bool {
        matches!(self, Self::Publish(PublishError::Forked { .. }) | Self::Ahead { .. } | Self::NodeAhead { .. })
    }
}

/// Whether a log that ends at `head` has the event that a node proves it to have had.
pub(crate) async fn check_node_proof(
    table: &Reader,
    proof: Option<(NodeId, Cause)>,
    head: Position,
) -> Result<(), ContinuityError> {
    let Some((node, Cause { position, event_id: event, .. })) = proof else { return Ok(()) };
    if position > head {
        return Err(ContinuityError::NodeAhead { node, found: position, head });
    }
    let before = position.previous();
    let ours = table.events(EventPage { after: before, limit: 1, ..EventPage::default() }).await?;
    match ours.first().is_some_and(|ours| ours.event_id == event) {
        true => Ok(()),
        false => Err(ContinuityError::NodeDiffers { node, event, position }),
    }
}

/// Whether a log whose tree has this size and root goes on from the checkpoint outside PostgreSQL. Gives that checkpoint's position: 0
/// if there is none, or if it was not signed for this log while the table has one that was.
pub(crate) async fn check_checkpoint(
    table: &Reader,
    published: &PublishedCheckpoint,
    (head, root): (Position, Digest),
) -> Result<Position, ContinuityError> {
    let Some(note) = &published.note else { return Ok(Position::ZERO) };
    match check_note(table, note, (head, root)).await {
        // Anybody who may write to that bucket can replace the checkpoint. Then the table's is as good as none outside.
        Err(ContinuityError::Untrusted(_)) if trusted_checkpoint(table, (head, root)).await?.is_some() => {
            Ok(Position::ZERO)
        }
        other => other,
    }
}

/// The newest checkpoint of the table, if it is signed and the log goes on from it.
pub(crate) async fn trusted_checkpoint(
    table: &Reader,
    (head, root): (Position, Digest),
) -> Result<Option<StoredCheckpoint>, ContinuityError> {
    let Some(kept) = table.newest_checkpoint().await?.filter(|kept| kept.position <= head) else { return Ok(None) };
    match check_note(table, kept.note.as_bytes(), (head, root)).await {
        Ok(_) => Ok(Some(kept)),
        Err(ContinuityError::Log(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Whether the table's own tree has this root: all that can be checked where nothing was signed yet.
pub(crate) async fn check_root(table: &Reader, (position, root): (Position, Digest)) -> Result<(), ContinuityError> {
    match table.answer(TreeQuery::Root { size: position }).await?[..] == [root] {
        true => Ok(()),
        false => Err(LogError::OtherRoot { position }.into()),
    }
}

/// Whether a log of this size and root goes on from a signed note; gives the note's position.
pub(crate) async fn check_note(
    table: &Reader,
    note: &[u8],
    (head, root): (Position, Digest),
) -> Result<Position, ContinuityError> {
    let Checkpoint { position: kept, root: signed, .. } = Checkpoint::open(note, table.log_id(), table.public_key())?;
    if kept > head {
        return Err(ContinuityError::Ahead { kept, head });
    }
    let proof = table.answer(TreeQuery::Consistency { from: kept, to: head }).await?;
    match check_consistency(&proof, (kept, signed), (head, root)) {
        Ok(()) => Ok(kept),
        Err(_) => Err(ContinuityError::Rewritten { kept, head }),
    }
}
