//! The newest checkpoint, kept outside PostgreSQL: restoring or rewriting the database does not change it.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use schema::address::{Bucket, NEWEST_CHECKPOINT, Prefix};

use super::{Error, streams};

/// The bucket of the newest checkpoint.
#[derive(Clone, Debug)]
pub struct CheckpointBucket {
    jetstream: Context,
    prefix: Prefix,
}

/// What the bucket held when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedCheckpoint {
    /// The signed note, if there is one.
    pub note: Option<Bytes>,
    revision: u64,
}

impl CheckpointBucket {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix) -> Self {
        Self { jetstream, prefix }
    }

    /// Reads the newest checkpoint.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn read(&self) -> Result<PublishedCheckpoint, Error> {
        let stream = self.prefix.bucket_stream(Bucket::Checkpoint);
        let Some(stream) = streams::find(&self.jetstream, &stream).await? else {
            return Ok(PublishedCheckpoint::default());
        };
        match stream.get_last_raw_message_by_subject(&self.subject()).await {
            Ok(message) => {
                let is_deleted = message.headers.get("KV-Operation").is_some();
                Ok(PublishedCheckpoint { note: (!is_deleted).then_some(message.payload), revision: message.sequence })
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(PublishedCheckpoint::default()),
            Err(error) => Err(Error::nats("reading the newest checkpoint", error)),
        }
    }

    /// Puts a note in the place of the one that was read.
    ///
    /// # Errors
    /// If NATS does not take it, or somebody else wrote meanwhile.
    pub async fn replace(&self, read: &PublishedCheckpoint, note: &str) -> Result<(), Error> {
        let message = PublishMessage::build().payload(note.to_owned().into());
        let message = message.expected_last_subject_sequence(read.revision);
        let sent = self.jetstream.send_publish(self.subject(), message).await.map_err(|error| self.refused(&error))?;
        sent.await.map(drop).map_err(|error| self.refused(&error))
    }

    fn subject(&self) -> String {
        self.prefix.bucket_subject(Bucket::Checkpoint, NEWEST_CHECKPOINT)
    }

    fn refused(&self, error: &async_nats::jetstream::context::PublishError) -> Error {
        match error.kind() {
            PublishErrorKind::WrongLastSequence => Error::Disturbed(self.prefix.bucket(Bucket::Checkpoint)),
            _ => Error::nats("keeping the newest checkpoint", error),
        }
    }
}
