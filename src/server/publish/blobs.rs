//! Content in the object store: as ciphertext for everybody, and in plain for programs that read nothing else.
//!
//! What always holds: a plain object is removed only after its ciphertext stands, also if no record names the content any more, since
//! `headwater recover` may need it. No object is ever overwritten with other content.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{ObjectInfo, ObjectMetadata, ObjectStore};
use async_nats::jetstream::stream::Stream;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bus::objects::{Objects, ReadError};
use futures::{StreamExt as _, TryStreamExt as _};
use projections::plain_contents::PlainContents;
use schema::address::Prefix;
use schema::digest::Digest;
use schema::id::LogId;
use schema::object::{MARK_MEMBER, ObjectName, ObjectSecret};

use super::error::SourceError;
use super::{Error, latest_messages, streams};

/// Contents that are put at once: at 4 MiB each, 32 MiB in memory.
const PUTS_AT_ONCE: usize = 8;
/// Objects that are removed in one step, between which the relay handles transactions.
const REMOVED_AT_ONCE: usize = 32;

/// The object store as its publisher left it.
#[derive(Debug)]
pub struct Blobs {
    jetstream: Context,
    prefix: Prefix,
    log_id: LogId,
    /// Whole ciphertext objects, as they were read, by name. Whose content each is shows when somebody names the content.
    found: BTreeMap<ObjectName, SealedObject>,
    /// Contents whose ciphertext stands.
    sealed: BTreeSet<Digest>,
    /// What stands under plain names, whole or not.
    plain: BTreeMap<Digest, PlainObject>,
    /// Plain objects that nobody needs.
    unneeded: Vec<Digest>,
    /// Names under which something lies that is no whole object, with the part of the subject of its chunks, if it has any.
    damaged: BTreeMap<ObjectName, Option<String>>,
    /// Subjects of chunks that belong to no object: a server ended while it put or removed one.
    orphans: Vec<String>,
    /// The store's number of messages and its last sequence, when they were last read.
    state: (u64, u64),
}

/// What a ciphertext object says of itself.
#[derive(Debug)]
struct SealedObject {
    ciphertext: Digest,
    mark: String,
    /// Part of the subject of its chunks.
    nuid: Option<String>,
}

#[derive(Debug)]
struct PlainObject {
    /// Part of the subject of its chunks, if its meta can be read.
    nuid: Option<String>,
    /// Its meta and all of its chunks are there, and the meta has the digest that is its name.
    is_whole: bool,
}

impl Blobs {
    /// Nothing is read yet: [`Blobs::recover`] comes first.
    #[must_use]
    pub fn new(jetstream: Context, prefix: Prefix, log_id: LogId) -> Self {
        Self {
            jetstream,
            prefix,
            log_id,
            found: BTreeMap::new(),
            sealed: BTreeSet::new(),
            plain: BTreeMap::new(),
            unneeded: Vec::new(),
            damaged: BTreeMap::new(),
            orphans: Vec::new(),
            state: (0, 0),
        }
    }

    /// Reads back which objects the store has. An object counts only if its meta and all of its chunks are there, and its meta fits
    /// the content: somebody else may have put something in its place.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn recover(&mut self) -> Result<(), Error> {
        let (jetstream, prefix) = (self.jetstream.clone(), self.prefix.clone());
        *self = Self::new(jetstream, prefix, self.log_id);
        let stream = streams::get(&self.jetstream, &self.prefix.blob_stream()).await?;
        self.state = state_of(&stream);
        let [chunks, metas] = self.prefix.blob_subjects();
        let failed = |error: &dyn std::fmt::Display| Error::nats("reading the object store", error);
        let counts = stream.info_with_subjects(chunks).await.map_err(|error| failed(&error))?;
        let mut counts: BTreeMap<String, usize> = counts.try_collect().await.map_err(|error| failed(&error))?;
        for meta in latest_messages::of(&stream, &metas).await? {
            // A meta that can't be read is no object: the content is put again when it is needed.
            let info = serde_json::from_slice::<ObjectInfo>(&meta.payload).ok();
            let there = info.as_ref().and_then(|info| counts.remove(&self.prefix.blob_chunk_subject(&info.nuid)));
            let whole = info.as_ref().filter(|info| !info.deleted && there.unwrap_or(0) == info.chunks);
            let mark = whole.and_then(|info| info.metadata.get(MARK_MEMBER).cloned());
            let stored = whole.and_then(stored_digest);
            // Chunks that another object names are not this one's: somebody else wrote the meta.
            let nuid = info.filter(|_| there.is_some()).map(|info| info.nuid).filter(|nuid| is_token(nuid));
            match (self.prefix.parse_blob_meta_subject(&meta.subject), stored, mark) {
                (Some(ObjectName::Plain(digest)), _, _) => {
                    let is_whole = stored == Some(digest);
                    if !is_whole {
                        self.damaged.insert(ObjectName::Plain(digest), nuid.clone());
                    }
                    self.plain.insert(digest, PlainObject { nuid, is_whole });
                }
                (Some(name), Some(ciphertext), Some(mark)) => {
                    self.found.insert(name, SealedObject { ciphertext, mark, nuid });
                }
                (Some(name), _, _) => drop(self.damaged.insert(name, nuid)),
                (None, _, _) => {}
            }
        }
        // A subject that somebody else made up may stand for many.
        let is_one = |subject: &String| subject.rsplit('.').next().is_some_and(is_token);
        self.orphans = counts.into_keys().filter(is_one).collect();
        Ok(())
    }

    /// Puts the ciphertext of those of `wanted` that the store lacks, with the bytes that the store has in plain or `content` gives; and
    /// the content itself of those that are needed `in_plain` as well.
    ///
    /// # Errors
    /// If NATS does not take one, somebody else wrote to the store, or nobody has a content.
    pub async fn ensure<F>(
        &mut self,
        wanted: &BTreeSet<Digest>,
        in_plain: &BTreeSet<Digest>,
        content: impl Fn(Digest) -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = Result<Vec<u8>, SourceError>>,
    {
        let unsealed: BTreeSet<Digest> = wanted.iter().copied().filter(|digest| !self.is_sealed(*digest)).collect();
        let stands = |digest: &&Digest| self.plain.get(digest).is_some_and(|plain| plain.is_whole);
        let unplain: BTreeSet<Digest> = in_plain.iter().filter(|digest| !stands(digest)).copied().collect();
        let missing: Vec<Digest> = unsealed.union(&unplain).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.check_undisturbed().await?;
        self.remove_damaged(&missing).await?;
        let (objects, store) = (Objects::of(&self.jetstream, &self.prefix).await, self.store().await?);
        let is_whole = |digest: &&Digest| self.plain.get(digest).is_some_and(|plain| plain.is_whole);
        let (in_store, log_id): (BTreeSet<Digest>, _) =
            (missing.iter().filter(is_whole).copied().collect(), self.log_id);
        let put = |digest: Digest| {
            let (store, content) = (&store, content(digest));
            let objects = in_store.contains(&digest).then_some(&objects);
            let (seals, shows) = (unsealed.contains(&digest), unplain.contains(&digest));
            async move {
                let bytes = match objects {
                    Some(objects) => objects.read_plain(digest).await.ok(),
                    None => None,
                };
                let bytes = match bytes {
                    Some(bytes) => bytes,
                    None => content.await.map_err(Error::Source)?,
                };
                let plain = if shows { Some(put_plain(store, digest, &bytes).await?) } else { None };
                if seals {
                    put_sealed(store, log_id, digest, bytes).await?;
                }
                Ok::<_, Error>((digest, plain))
            }
        };
        let mut puts = futures::stream::iter(missing.into_iter().map(put)).buffer_unordered(PUTS_AT_ONCE);
        while let Some(put) = puts.next().await {
            let (digest, plain) = put?;
            self.sealed.insert(digest);
            self.plain.extend(plain.map(|plain| (digest, plain)));
        }
        drop(puts);
        self.note_state().await
    }

    /// Notes which plain objects nobody needs.
    pub fn note_unneeded(&mut self, needed: &PlainContents) {
        self.unneeded = self.plain.keys().copied().filter(|digest| !needed.contains(digest)).collect();
    }

    /// Whether [`Blobs::sweep`] has something to remove.
    #[must_use]
    pub fn has_unneeded(&self) -> bool {
        !self.unneeded.is_empty() || !self.orphans.is_empty()
    }

    /// Removes some of the plain objects that nobody needs, each after its ciphertext stands, and chunks that belong to no object.
    ///
    /// # Errors
    /// If NATS does not answer or refuses.
    pub async fn sweep(&mut self) -> Result<(), Error> {
        self.check_undisturbed().await?;
        let of = |count: usize| count - count.min(REMOVED_AT_ONCE);
        let digests = self.unneeded.split_off(of(self.unneeded.len()));
        let orphans = self.orphans.split_off(of(self.orphans.len()));
        let digests = self.seal_what_is_left(digests).await?;
        let chunks = |digest: &Digest| {
            let nuid = self.plain.get(digest)?.nuid.as_deref()?;
            Some(self.prefix.blob_chunk_subject(nuid))
        };
        // The meta goes first: who still finds it misses a chunk, and looks for the ciphertext.
        let metas = digests.iter().map(|digest| self.prefix.blob_meta_subject(ObjectName::Plain(*digest)));
        for subjects in [metas.collect::<Vec<_>>(), digests.iter().filter_map(chunks).chain(orphans).collect()] {
            self.purge(subjects).await?;
        }
        tracing::info!(plain = digests.len(), left = self.unneeded.len(), "plain objects removed");
        for digest in digests {
            self.plain.remove(&digest);
        }
        self.note_state().await
    }

    /// Whether the store is as this publisher read or left it.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn is_undisturbed(&self) -> Result<bool, Error> {
        let stream = streams::get(&self.jetstream, &self.prefix.blob_stream()).await?;
        Ok(state_of(&stream) == self.state)
    }

    /// What is there already is compared before more is written: the state that is noted afterwards is taken for this publisher's.
    async fn check_undisturbed(&self) -> Result<(), Error> {
        match self.is_undisturbed().await? {
            true => Ok(()),
            false => Err(Error::Disturbed(self.prefix.blobs())),
        }
    }

    /// Removes what lies under the names of these contents and is no whole object. The client library removes the chunks that a meta
    /// names before it puts another object in its place, and somebody else's meta may name any.
    async fn remove_damaged(&mut self, contents: &[Digest]) -> Result<(), Error> {
        let mut damaged: Vec<(ObjectName, Option<String>)> = Vec::new();
        for digest in contents {
            let (plain, sealed) = (ObjectName::Plain(*digest), ObjectSecret::of(self.log_id, *digest).name());
            damaged.extend(self.damaged.remove(&plain).map(|nuid| (plain, nuid)));
            if !self.is_sealed(*digest) {
                // A whole object whose mark is another content's, too.
                let nuid = self.damaged.remove(&sealed).or_else(|| Some(self.found.remove(&sealed)?.nuid));
                damaged.extend(nuid.map(|nuid| (sealed, nuid)));
            }
        }
        let meta = |(name, _): &(ObjectName, _)| self.prefix.blob_meta_subject(*name);
        let chunks = |(_, nuid): &(_, Option<String>)| Some(self.prefix.blob_chunk_subject(nuid.as_deref()?));
        self.purge(damaged.iter().map(meta).collect()).await?;
        self.purge(damaged.iter().filter_map(chunks).collect()).await
    }

    async fn purge(&self, subjects: Vec<String>) -> Result<(), Error> {
        if subjects.is_empty() {
            return Ok(());
        }
        let stream = self.jetstream.get_stream_no_info(self.prefix.blob_stream()).await;
        let stream = stream.map_err(|error| Error::nats("the object store", error))?;
        let purge = |subject: String| {
            let purge = stream.purge().filter(subject);
            async move { purge.await.map(drop).map_err(|error| Error::nats("removing from the object store", error)) }
        };
        futures::stream::iter(subjects.into_iter().map(purge)).buffer_unordered(PUTS_AT_ONCE).try_collect().await
    }

    /// Whether the ciphertext of a content stands.
    fn is_sealed(&mut self, digest: Digest) -> bool {
        if self.sealed.contains(&digest) {
            return true;
        }
        let secret = ObjectSecret::of(self.log_id, digest);
        let found = self.found.get(&secret.name());
        let stands = found.is_some_and(|found| found.mark == secret.mark(found.ciphertext));
        if stands {
            self.sealed.insert(digest);
        }
        stands
    }

    /// Puts the ciphertext of these plain objects, except where it stands, or where the plain object has no content. Gives those that can
    /// be removed.
    async fn seal_what_is_left(&mut self, digests: Vec<Digest>) -> Result<Vec<Digest>, Error> {
        let is_whole = |digest: &Digest| self.plain.get(digest).is_some_and(|plain| plain.is_whole);
        let mut left: Vec<Digest> = digests.iter().copied().filter(is_whole).collect();
        left.retain(|digest| !self.is_sealed(*digest));
        if left.is_empty() {
            return Ok(digests);
        }
        self.remove_damaged(&left).await?;
        let (objects, store) = (Objects::of(&self.jetstream, &self.prefix).await, self.store().await?);
        let (objects, store, log_id) = (&objects, &store, self.log_id);
        let seal = |digest: Digest| async move {
            match objects.read_plain(digest).await {
                Ok(content) => put_sealed(store, log_id, digest, content).await.map(|()| (digest, Some(true))),
                // What is no content, nobody needs.
                Err(ReadError::Wrong { .. }) => Ok((digest, Some(false))),
                // A replica of the stream may lag: the next repair looks again.
                Err(ReadError::Missing(_)) => Ok((digest, None)),
                Err(error) => Err(Error::nats(format!("reading plain object {}", digest.short()), error)),
            }
        };
        let seals = futures::stream::iter(left.into_iter().map(seal)).buffer_unordered(PUTS_AT_ONCE);
        let seals: BTreeMap<Digest, Option<bool>> = seals.try_collect().await?;
        self.sealed.extend(seals.iter().filter(|(_, sealed)| **sealed == Some(true)).map(|(digest, _)| *digest));
        Ok(digests.into_iter().filter(|digest| seals.get(digest).is_none_or(Option::is_some)).collect())
    }

    async fn store(&self) -> Result<ObjectStore, Error> {
        let bucket = self.prefix.blobs();
        let store = self.jetstream.get_object_store(&bucket).await;
        store.map_err(|error| Error::nats(format!("bucket {bucket}"), error))
    }

    async fn note_state(&mut self) -> Result<(), Error> {
        self.state = state_of(&streams::get(&self.jetstream, &self.prefix.blob_stream()).await?);
        Ok(())
    }
}

async fn put_sealed(store: &ObjectStore, log_id: LogId, digest: Digest, mut content: Vec<u8>) -> Result<(), Error> {
    let secret = ObjectSecret::of(log_id, digest);
    secret.cipher().apply(&mut content);
    let mark = secret.mark(Digest::of(&content));
    let metadata = [(MARK_MEMBER.to_owned(), mark)].into();
    let meta = ObjectMetadata { name: secret.name().to_string(), metadata, ..ObjectMetadata::default() };
    let put = store.put(meta, &mut content.as_slice()).await;
    put.map(drop).map_err(|error| Error::nats(format!("putting the object of content {}", digest.short()), error))
}

async fn put_plain(store: &ObjectStore, digest: Digest, mut content: &[u8]) -> Result<PlainObject, Error> {
    let put = store.put(digest.to_string().as_str(), &mut content).await;
    let info = put.map_err(|error| Error::nats(format!("putting plain object {}", digest.short()), error))?;
    Ok(PlainObject { nuid: Some(info.nuid), is_whole: true })
}

fn state_of(stream: &Stream) -> (u64, u64) {
    let state = &stream.cached_info().state;
    (state.messages, state.last_sequence)
}

/// Whether a NUID names the chunks of one object only: somebody else may have written another one.
fn is_token(nuid: &str) -> bool {
    !nuid.is_empty() && nuid.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The SHA-256 that an object's meta says of what is stored.
fn stored_digest(info: &ObjectInfo) -> Option<Digest> {
    let digest = URL_SAFE.decode(info.digest.as_deref()?.strip_prefix("SHA-256=")?).ok()?;
    Digest::try_from(digest.as_slice()).ok()
}
