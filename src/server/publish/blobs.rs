//! Content in the object store: each object is named by its SHA-256 and never overwritten.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{ObjectInfo, ObjectMetadata};
use async_nats::jetstream::stream::Stream;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures::{StreamExt as _, TryStreamExt as _};
use schema::address::Prefix;
use schema::digest::Digest;

use super::error::SourceError;
use super::{Error, latest_messages, streams};

/// Objects that are put at once: at 4 MiB each, 32 MiB in memory.
const PUTS_AT_ONCE: usize = 8;

/// The object store as its publisher left it.
#[derive(Debug)]
pub struct Blobs {
    jetstream: Context,
    prefix: Prefix,
    present: BTreeSet<Digest>,
    /// The store's number of messages and its last sequence, when they were last read.
    state: (u64, u64),
}

impl Blobs {
    /// Nothing is read yet: [`Blobs::recover`] comes first.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix) -> Self {
        Self { jetstream, prefix, present: BTreeSet::new(), state: (0, 0) }
    }

    /// Reads back which objects the store has. An object counts only if its meta and all of its chunks are there, and its meta has the
    /// digest that is its name: somebody else may have put something in its place.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn recover(&mut self) -> Result<(), Error> {
        self.present.clear();
        let stream = streams::get(&self.jetstream, &self.prefix.blob_stream()).await?;
        self.state = state_of(&stream);
        let [chunks, metas] = self.prefix.blob_subjects();
        let failed = |error: &dyn std::fmt::Display| Error::nats("reading the object store", error);
        let counts = stream.info_with_subjects(chunks).await.map_err(|error| failed(&error))?;
        let counts: BTreeMap<String, usize> = counts.try_collect().await.map_err(|error| failed(&error))?;
        for meta in latest_messages::of(&stream, &metas).await? {
            // A meta that can't be read is no object: the content is put again when it is needed.
            let Ok(info) = serde_json::from_slice::<ObjectInfo>(&meta.payload) else { continue };
            let there = counts.get(&self.prefix.blob_chunk_subject(&info.nuid)).copied().unwrap_or(0);
            if let Ok(digest) = info.name.parse::<Digest>()
                && !info.deleted
                && there == info.chunks
                && claims(&info, digest)
            {
                self.present.insert(digest);
            }
        }
        Ok(())
    }

    /// Puts those of `wanted` that the store lacks, with the bytes that `content` gives.
    ///
    /// # Errors
    /// If NATS does not take one, or `content` has none.
    pub async fn ensure<F>(&mut self, wanted: BTreeSet<Digest>, content: impl Fn(Digest) -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<Vec<u8>, SourceError>>,
    {
        let missing: Vec<Digest> = wanted.difference(&self.present).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let bucket = self.prefix.blobs();
        let store = self.jetstream.get_object_store(&bucket).await;
        let store = store.map_err(|error| Error::nats(format!("bucket {bucket}"), error))?;
        let put = |digest: Digest| {
            let (store, content) = (&store, content(digest));
            async move {
                let bytes = content.await.map_err(Error::Source)?;
                let meta = ObjectMetadata { name: digest.to_string(), ..ObjectMetadata::default() };
                let put = store.put(meta, &mut bytes.as_slice()).await;
                put.map_err(|error| Error::nats(format!("putting object {digest}"), error))?;
                Ok::<_, Error>(digest)
            }
        };
        let mut puts = futures::stream::iter(missing.into_iter().map(put)).buffer_unordered(PUTS_AT_ONCE);
        while let Some(digest) = puts.next().await {
            self.present.insert(digest?);
        }
        drop(puts);
        self.state = state_of(&streams::get(&self.jetstream, &self.prefix.blob_stream()).await?);
        Ok(())
    }

    /// Whether the store is as this publisher read or left it.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn is_undisturbed(&self) -> Result<bool, Error> {
        let stream = streams::get(&self.jetstream, &self.prefix.blob_stream()).await?;
        Ok(state_of(&stream) == self.state)
    }
}

fn state_of(stream: &Stream) -> (u64, u64) {
    let state = &stream.cached_info().state;
    (state.messages, state.last_sequence)
}

/// Whether an object's meta claims the content that `digest` names.
fn claims(info: &ObjectInfo, digest: Digest) -> bool {
    let claimed = info.digest.as_deref().and_then(|claimed| claimed.strip_prefix("SHA-256="));
    claimed.and_then(|claimed| URL_SAFE.decode(claimed).ok()).is_some_and(|claimed| claimed == digest.as_bytes())
}
