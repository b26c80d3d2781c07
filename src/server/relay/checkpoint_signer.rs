//! The relay vouches for the log: it signs what the root of its tree is, for others to hold it to.
//!
//! It signs what it folded itself, up to an event that is durable, and only what the newest checkpoint kept outside
//! PostgreSQL leads to: the proof from there to here is made from the database and checked against what was folded. A
//! database that was put back ends before that checkpoint, and one that was rewritten has no such proof. Neither is signed,
//! and nothing of it is published.

use replay::checkpoint::{BadCheckpoint, Checkpoint};
use replay::tree::{Edge, Question, Unanswerable, check_consistency};
use schema::desired::Cause;
use schema::digest::Digest;
use schema::id::{EventId, LogId, NodeId};
use schema::position::Position;
use schema::seal::SecretKey;
use store::checkpoint::StoredCheckpoint;
use store::database::Error as LogError;
use store::reader::{EventPage, Reader};

use crate::publish::Error as PublishError;
use crate::publish::checkpoint_bucket::{CheckpointBucket, PublishedCheckpoint};
use crate::publish::publisher::PublishSettings;

/// Why the log is not vouched for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
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
    Untrusted(#[from] BadCheckpoint),
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

/// Whether a log that ends at `head` has the event that a node proves it to have had.
pub(crate) async fn has_proven(table: &Reader, furthest: Option<(NodeId, Cause)>, head: Position) -> Result<(), Error> {
    let Some((node, Cause { position, event_id: event, .. })) = furthest else { return Ok(()) };
    if position > head {
        return Err(Error::NodeAhead { node, found: position, head });
    }
    let before = Position::from(position.get().saturating_sub(1));
    let ours = table.events(EventPage { after: before, limit: 1, ..EventPage::default() }).await?;
    match ours.first().is_some_and(|ours| ours.event_id == event) {
        true => Ok(()),
        false => Err(Error::NodeDiffers { node, event, position }),
    }
}

/// Who signs for a log.
pub(super) struct CheckpointSigner {
    key: SecretKey,
    log_id: LogId,
    table: Reader,
    outside: CheckpointBucket,
    signed: Position,
}

impl CheckpointSigner {
    pub(super) fn new(settings: &PublishSettings, table: Reader) -> Self {
        let PublishSettings { jetstream, prefix, key, log_id, .. } = settings.clone();
        Self { key, log_id, table, outside: CheckpointBucket::new(jetstream, prefix), signed: Position::ZERO }
    }

    /// Whether the log that was folded to this edge goes on from what was signed.
    pub(super) async fn check(&self, edge: &Edge) -> Result<(), Error> {
        self.proven(edge).await?;
        self.restore(edge).await
    }

    /// Puts the newest checkpoint of the table in the place of what is kept outside and was never signed for this log.
    async fn restore(&self, edge: &Edge) -> Result<(), Error> {
        let held = self.outside.read().await?;
        let is_signed = |note: &[u8]| Checkpoint::open(note, self.log_id, &self.key.public()).is_ok();
        if held.note.as_ref().is_none_or(|note| is_signed(note)) {
            return Ok(());
        }
        if let Some(kept) = good_checkpoint(&self.table, (edge.size(), edge.root())).await? {
            tracing::warn!(position = %kept.position, "the checkpoint kept outside was no checkpoint of this log; replacing it");
            self.outside.replace(&held, &kept.note).await?;
        }
        Ok(())
    }

    /// Signs for the log up to this edge, which is durable and public.
    pub(super) async fn sign(&mut self, edge: &Edge) -> Result<(), Error> {
        let position = edge.size();
        if position <= self.signed {
            return self.restore(edge).await;
        }
        let (held, kept) = match self.proven(edge).await {
            Ok(proven) => proven,
            // With a synchronous standby an event may be here before the table shows it. There is a next time.
            Err(Error::Log(LogError::Unanswerable(Unanswerable::Missing))) => return Ok(()),
            Err(error) => return Err(error),
        };
        let note = Checkpoint { log_id: self.log_id, position, root: edge.root() }.sign(&self.key);
        if kept < position {
            self.outside.replace(&held, &note).await?;
        }
        self.table.keep_checkpoint(position, &note).await?;
        self.signed = position;
        metrics::signed(position);
        Ok(())
    }

    /// What is kept outside, once it is proven that the log goes on from there; its position is 0 if nothing is kept. Where
    /// that says less than what was signed before, what the table keeps and the table itself are asked.
    async fn proven(&self, edge: &Edge) -> Result<(PublishedCheckpoint, Position), Error> {
        let (held, head) = (self.outside.read().await?, (edge.size(), edge.root()));
        let kept = goes_on_from(&self.table, &held, head).await?;
        let inside = self.table.newest_checkpoint().await?;
        match inside.filter(|inside| inside.position > kept && inside.position <= head.0) {
            Some(inside) => drop(leads_to(&self.table, inside.note.as_bytes(), head).await?),
            None if kept == Position::ZERO => has_root(&self.table, head).await?,
            None => {}
        }
        Ok((held, kept))
    }
}

/// Whether a log whose tree has this size and root goes on from what is kept outside; gives the position of that, which
/// is 0 if nothing is kept, or what is kept was never signed for this log and the table keeps what was.
pub(crate) async fn goes_on_from(
    table: &Reader,
    held: &PublishedCheckpoint,
    (head, root): (Position, Digest),
) -> Result<Position, Error> {
    let Some(note) = &held.note else { return Ok(Position::ZERO) };
    match leads_to(table, note, (head, root)).await {
        // Whoever may write there can put anything in its place. The table has one as well, which says no less than none outside.
        Err(Error::Untrusted(_)) if good_checkpoint(table, (head, root)).await?.is_some() => Ok(Position::ZERO),
        other => other,
    }
}

/// The newest checkpoint that the table keeps, if it is signed and the log goes on from it.
async fn good_checkpoint(table: &Reader, (head, root): (Position, Digest)) -> Result<Option<StoredCheckpoint>, Error> {
    let Some(kept) = table.newest_checkpoint().await?.filter(|kept| kept.position <= head) else { return Ok(None) };
    match leads_to(table, kept.note.as_bytes(), (head, root)).await {
        Ok(_) => Ok(Some(kept)),
        Err(Error::Log(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Whether the table has this tree, where nothing was signed that would lead to it.
async fn has_root(table: &Reader, (position, root): (Position, Digest)) -> Result<(), Error> {
    match table.answer(Question::Root { size: position }).await?[..] == [root] {
        true => Ok(()),
        false => Err(LogError::OtherRoot { position }.into()),
    }
}

async fn leads_to(table: &Reader, note: &[u8], (head, root): (Position, Digest)) -> Result<Position, Error> {
    let Checkpoint { position: kept, root: signed, .. } = Checkpoint::open(note, table.log_id(), table.public_key())?;
    if kept > head {
        return Err(Error::Ahead { kept, head });
    }
    let proof = table.answer(Question::Consistency { from: kept, to: head }).await?;
    match check_consistency(&proof, (kept, signed), (head, root)) {
        Ok(()) => Ok(kept),
        Err(_) => Err(Error::Rewritten { kept, head }),
    }
}
