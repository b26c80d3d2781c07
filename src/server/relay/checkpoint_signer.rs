//! Signs checkpoints: what the root of the log's tree is, for others to hold the log to.
//!
//! The signer signs what the relay folded itself, up to an event that is durable and public, and only where the log goes on from the
//! newest checkpoint outside PostgreSQL ([`crate::continuity`]): the proof from there to here is made from the database and checked
//! against what was folded. A database that was put back ends before that checkpoint, and one that was rewritten has no such proof.

use replay::checkpoint::Checkpoint;
use replay::tree::{Frontier, TreeQueryError};
use schema::id::LogId;
use schema::position::Position;
use schema::seal::SecretKey;
use store::database::Error as LogError;
use store::reader::Reader;

use crate::continuity::{ContinuityError, check_checkpoint, check_note, check_root, trusted_checkpoint};
use crate::publish::checkpoint_bucket::{CheckpointBucket, PublishedCheckpoint};
use crate::publish::publisher::PublishSettings;

pub(super) struct CheckpointSigner {
    key: SecretKey,
    log_id: LogId,
    table: Reader,
    bucket: CheckpointBucket,
    signed: Position,
}

impl CheckpointSigner {
    pub(super) fn new(settings: &PublishSettings, table: Reader) -> Self {
        let PublishSettings { jetstream, prefix, key, log_id, .. } = settings.clone();
        Self { key, log_id, table, bucket: CheckpointBucket::new(jetstream, prefix), signed: Position::ZERO }
    }

    /// Whether the log that was folded to this frontier goes on from what was signed.
    pub(super) async fn check(&self, frontier: &Frontier) -> Result<(), ContinuityError> {
        self.published_checkpoint(frontier).await?;
        self.replace_forgery(frontier).await
    }

    /// Signs for the log up to this frontier, which is durable and public.
    pub(super) async fn sign(&mut self, frontier: &Frontier) -> Result<(), ContinuityError> {
        let position = frontier.size();
        if position <= self.signed {
            return self.replace_forgery(frontier).await;
        }
        let (published, kept) = match self.published_checkpoint(frontier).await {
            Ok(published) => published,
            // With a synchronous standby an event may be here before the table shows it. The next signature covers it.
            Err(ContinuityError::Log(LogError::Unanswerable(TreeQueryError::Missing))) => return Ok(()),
            Err(error) => return Err(error),
        };
        let note = Checkpoint { log_id: self.log_id, position, root: frontier.root() }.sign(&self.key);
        if kept < position {
            self.bucket.replace(&published, &note).await?;
        }
        self.table.keep_checkpoint(position, &note).await?;
        self.signed = position;
        metrics::checkpoint_signed(position);
        Ok(())
    }

    /// Puts the table's newest checkpoint in the place of one outside that was not signed for this log.
    async fn replace_forgery(&self, frontier: &Frontier) -> Result<(), ContinuityError> {
        let published = self.bucket.read().await?;
        let is_signed = |note: &[u8]| Checkpoint::open(note, self.log_id, &self.key.public()).is_ok();
        if published.note.as_ref().is_none_or(|note| is_signed(note)) {
            return Ok(());
        }
        if let Some(kept) = trusted_checkpoint(&self.table, (frontier.size(), frontier.root())).await? {
            let position = kept.position;
            tracing::warn!(%position, "checkpoint outside PostgreSQL was not signed for this log; it is replaced");
            self.bucket.replace(&published, &kept.note).await?;
        }
        Ok(())
    }

    /// The checkpoint outside PostgreSQL and its position, once the log is proven to go on from it. Where the table has a later one,
    /// or nothing was signed at all, the table is asked as well.
    async fn published_checkpoint(
        &self,
        frontier: &Frontier,
    ) -> Result<(PublishedCheckpoint, Position), ContinuityError> {
        let (published, head) = (self.bucket.read().await?, (frontier.size(), frontier.root()));
        let kept = check_checkpoint(&self.table, &published, head).await?;
        let inside = self.table.newest_checkpoint().await?;
        match inside.filter(|inside| inside.position > kept && inside.position <= head.0) {
            Some(inside) => drop(check_note(&self.table, inside.note.as_bytes(), head).await?),
            None if kept == Position::ZERO => check_root(&self.table, head).await?,
            None => {}
        }
        Ok((published, kept))
    }
}
