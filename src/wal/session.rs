//! A session beside the stream, whose answers have a deadline.

use std::time::Duration;

use tokio::time::timeout;

use super::Error;

/// How long PostgreSQL may take to answer.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The answer, unless it takes too long.
pub(crate) async fn answered<T>(answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
    Ok(timeout(ANSWER_WITHIN, answer).await.map_err(|_| Error::Unanswered)??)
}
