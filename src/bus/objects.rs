//! Reads content from the object store by its digest: the ciphertext, or the content in plain where a server of an older program left
//! nothing else.
//!
//! Invariants: every answer has a deadline; memory holds two chunks, whatever the object's size; the bytes in the sink are valid
//! only after `Ok`, since the digest is known at the end. The client's own `get` creates a consumer for each read, of which a
//! stream allows a limited number, so the chunks are read with direct gets.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind, Stream};
use schema::address::Prefix;
use schema::digest::{Digest, Hasher};
use schema::id::LogId;
use schema::limit::CONTENT_BYTES_MAX;
use schema::object::{ObjectCipher, ObjectName, ObjectSecret};
use serde::Deserialize;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// How long one chunk may take.
const CHUNK_WITHIN: Duration = Duration::from_secs(5);

/// The object store of content.
#[derive(Clone, Debug)]
pub struct Objects {
    stream: Stream<()>,
    prefix: Prefix,
}

/// Why content can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The object or one of its chunks is missing: also for a moment while a relay puts the ciphertext in the place of a plain object.
    #[error("content {0} is not there")]
    Missing(Digest),
    /// The object has other content than its name says.
    #[error("the object of content {digest} is wrong: {why}")]
    Wrong {
        /// The digest of the content.
        digest: Digest,
        /// The difference.
        why: String,
    },
    /// No answer in time.
    #[error("NATS did not answer within {} s", CHUNK_WITHIN.as_secs())]
    Late,
    /// NATS answered with an error.
    #[error("NATS answers wrongly")]
    Nats(#[source] DirectGetError),
    /// Writing to the sink failed.
    #[error("it can't be written")]
    Sink(#[source] std::io::Error),
}

/// The parts of an object's metadata that are used here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ObjectMeta {
    /// Part of the subject of its chunks.
    #[serde(default)]
    pub nuid: String,
    /// Size in bytes.
    #[serde(default)]
    pub size: u64,
    /// Number of chunks.
    #[serde(default)]
    pub chunks: u64,
    /// A deleted object keeps its metadata.
    #[serde(default)]
    pub deleted: bool,
}

impl Objects {
    /// The object store of `prefix`. Sends nothing yet.
    ///
    /// # Panics
    /// Never: a prefix makes valid names.
    #[must_use]
    pub async fn of(jetstream: &Context, prefix: &Prefix) -> Self {
        let stream = jetstream.get_stream_no_info(prefix.blob_stream()).await.expect("BUG: a prefix makes valid names");
        Self { stream, prefix: prefix.clone() }
    }

    /// Writes the `size` bytes that have this digest to `sink`. An object that is found under its own name costs no further look.
    ///
    /// # Errors
    /// If the object is missing, differs from `digest` or `size`, does not come in time, or `sink` fails. Then the bytes in the
    /// sink are not valid.
    pub async fn read<W>(&self, log_id: LogId, digest: Digest, size: u64, sink: &mut W) -> Result<(), ReadError>
    where
        W: AsyncWrite + Unpin,
    {
        let secret = ObjectSecret::of(log_id, digest);
        let (meta, cipher) = match self.meta(digest, secret.name()).await? {
            Some(meta) => (meta, Some(secret.cipher())),
            None => (self.plain_meta(digest).await?, None),
        };
        if meta.size != size {
            return Err(ReadError::Wrong { digest, why: format!("it has {} bytes, not {size}", meta.size) });
        }
        self.copy(digest, &meta, cipher, sink).await
    }

    /// Reads content from its plain object, whatever its size is.
    ///
    /// # Errors
    /// As for [`Objects::read`].
    pub async fn read_plain(&self, digest: Digest) -> Result<Vec<u8>, ReadError> {
        let (meta, mut content) = (self.plain_meta(digest).await?, Vec::new());
        if meta.size > CONTENT_BYTES_MAX as u64 {
            return Err(ReadError::Wrong { digest, why: format!("it has {} bytes, more than any content", meta.size) });
        }
        self.copy(digest, &meta, None, &mut content).await?;
        Ok(content)
    }

    async fn plain_meta(&self, digest: Digest) -> Result<ObjectMeta, ReadError> {
        self.meta(digest, ObjectName::Plain(digest)).await?.ok_or(ReadError::Missing(digest))
    }

    /// The metadata of an object; none if it does not exist or was deleted.
    async fn meta(&self, digest: Digest, name: ObjectName) -> Result<Option<ObjectMeta>, ReadError> {
        let read = self.stream.direct_get_last_for_subject(self.prefix.blob_meta_subject(name));
        let message = match tokio::time::timeout(CHUNK_WITHIN, read).await.map_err(|_| ReadError::Late)? {
            Ok(message) => message,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ReadError::Nats(error)),
        };
        let meta: ObjectMeta = serde_json::from_slice(&message.payload)
            .map_err(|error| ReadError::Wrong { digest, why: format!("its meta can't be read: {error}") })?;
        Ok((!meta.deleted).then_some(meta))
    }

    /// Copies an object to `sink`, decrypted by `cipher`.
    async fn copy<W>(
        &self,
        digest: Digest,
        meta: &ObjectMeta,
        mut cipher: Option<ObjectCipher>,
        sink: &mut W,
    ) -> Result<(), ReadError>
    where
        W: AsyncWrite + Unpin,
    {
        let wrong = |why: String| ReadError::Wrong { digest, why };
        let subject = self.prefix.blob_chunk_subject(&meta.nuid);
        let (mut hasher, mut written, mut decrypted) = (Hasher::default(), 0, Vec::new());
        let mut next = match meta.chunks {
            0 => None,
            _ => Some(self.chunk(digest, &subject, 1).await?),
        };
        for left in (0..meta.chunks).rev() {
            let Some(chunk) = next.take() else { break };
            written += chunk.payload.len() as u64;
            if written > meta.size {
                return Err(wrong(format!("it goes on after {} bytes", meta.size)));
            }
            let following = async {
                match left {
                    0 => Ok(None),
                    _ => self.chunk(digest, &subject, chunk.sequence + 1).await.map(Some),
                }
            };
            let copying = async {
                let bytes: &[u8] = match &mut cipher {
                    None => &chunk.payload,
                    Some(cipher) => {
                        cipher.apply_to(&chunk.payload, &mut decrypted);
                        &decrypted
                    }
                };
                hasher.update(bytes);
                sink.write_all(bytes).await.map_err(ReadError::Sink)
            };
            // The next chunk is asked for first, so that it is on its way while this one is decrypted.
            let (following, copied) = tokio::join!(biased; following, copying);
            copied?;
            next = following?;
        }
        sink.flush().await.map_err(ReadError::Sink)?;
        match hasher.finish() {
            found if found == digest => Ok(()),
            _ if written < meta.size => Err(wrong(format!("it ends after {written} of {} bytes", meta.size))),
            found => Err(wrong(format!("its bytes have digest {found}"))),
        }
    }

    /// The first chunk at or after sequence `from`.
    async fn chunk(
        &self,
        digest: Digest,
        subject: &str,
        from: u64,
    ) -> Result<async_nats::jetstream::message::StreamMessage, ReadError> {
        let read = self.stream.direct_get_next_for_subject(subject, Some(from));
        match tokio::time::timeout(CHUNK_WITHIN, read).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => Err(ReadError::Missing(digest)),
            Ok(Err(error)) => Err(ReadError::Nats(error)),
            Err(_) => Err(ReadError::Late),
        }
    }
}
