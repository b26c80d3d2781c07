//! Signed checkpoints in table `checkpoint`.

use schema::instant::Instant;
use schema::position::Position;
use tokio_postgres::Row;

use super::database::Error;
use super::reader::Reader;
use super::rows;

/// A checkpoint that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The position that it is about.
    pub position: Position,
    /// When it was signed.
    pub at: Instant,
    /// The signed note: see [`replay::checkpoint`].
    pub note: String,
}

impl Reader {
    /// The first checkpoints after a position and up to another, in their order.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn checkpoints(
        &self,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<StoredCheckpoint>, Error> {
        let query = "SELECT position, at, note FROM checkpoint WHERE position > $1 AND position <= $2 \
                     ORDER BY position LIMIT $3";
        let (after, up_to) = (rows::signed(after.get()), rows::signed(up_to.get()));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.rows(query, &[&after, &up_to, &limit]).await?.iter().map(kept).collect())
    }

    /// The newest checkpoint, if there is any.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn newest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, Error> {
        let query = "SELECT position, at, note FROM checkpoint ORDER BY position DESC LIMIT 1";
        Ok(self.rows(query, &[]).await?.first().map(kept))
    }

    /// Keeps a checkpoint, unless there is one of its position.
    ///
    /// # Errors
    /// If PostgreSQL does not take it.
    pub async fn keep_checkpoint(&self, position: Position, note: &str) -> Result<(), Error> {
        let insert = "INSERT INTO checkpoint (position, note) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.rows(insert, &[&rows::signed(position.get()), &note]).await.map(drop)
    }
}

fn kept(row: &Row) -> StoredCheckpoint {
    StoredCheckpoint { position: rows::unsigned(row.get(0)).into(), at: rows::instant(row.get(1)), note: row.get(2) }
}
