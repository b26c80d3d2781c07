//! Contents that events name and table `blob` lacks, and restoring them.
//!
//! Always: a restored content hashes to its digest, wherever it came from; a stored content is never changed.

use std::collections::BTreeMap;
use std::fmt;

use schema::change::Change;
use schema::command::KnownContent;
use schema::digest::Digest;
use schema::entity::Entity;
use schema::position::Position;

use super::database::Error;
use super::reader::Reader;
use super::rows;

/// Bytes of contents that are read at once, and the last one of them beside.
const READ_BYTES: u64 = 4 * 1024 * 1024;
/// Positions that one statement searches, so that none takes long.
const PAGE_POSITIONS: u64 = 100_000;

/// A missing content, with an event that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Which.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// An event that names it.
    pub position: Position,
    /// What that event is about.
    pub entity: Entity,
}

/// Content that an event names and the database lacks. It may have been erased for legal reasons: the log is unchanged, but an export of
/// it can't be verified, and no new node can get the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first of them by its events.
    pub digest: Digest,
    /// The event that names it.
    pub position: Position,
    /// How many other events name contents that are not there either.
    pub others: usize,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, position, others } = self;
        // The whole digest opens the content in the object store, and this is shown without a token.
        write!(f, "content {}…, which the event at position {position} names, is not in the database", digest.short())?;
        if *others > 0 {
            write!(f, ", nor is what {others} other events name")?;
        }
        write!(f, ": see `headwater recover --contents`")
    }
}

impl Reader {
    /// The contents that events name and the table lacks, each with the first event that names it.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn lacking_contents(&self) -> Result<Vec<Lacking>, Error> {
        let query = "SELECT DISTINCT ON (data ->> 'digest') data ->> 'digest', (data ->> 'size')::bigint, position, entity FROM event \
                     WHERE type = ANY ($3) AND position > $1 AND position <= $2 \
                     AND NOT EXISTS (SELECT FROM blob WHERE blob.digest = decode(data ->> 'digest', 'hex')) \
                     ORDER BY data ->> 'digest', position";
        let types = Change::CONTENT_TYPES.as_slice();
        let (head, mut after, mut all) = (self.head().await?.position.get(), 0, BTreeMap::<Digest, Lacking>::new());
        while after < head {
            let up_to = after.saturating_add(PAGE_POSITIONS);
            for row in self.rows(query, &[&rows::signed(after), &rows::signed(up_to), &types]).await? {
                let position = rows::unsigned(row.get(2)).into();
                let unreadable = |why: &str| Error::Row { position, why: why.into() };
                let digest = row.get::<_, &str>(0).parse().map_err(|_| unreadable("it names no digest"))?;
                let entity = Entity::of_any_kind(row.get(3)).map_err(|_| unreadable("it names no entity"))?;
                all.entry(digest).or_insert(Lacking { digest, size: rows::unsigned(row.get(1)), position, entity });
            }
            after = up_to;
        }
        Ok(all.into_values().collect())
    }

    /// Those of these digests whose bytes are not there.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn absent(&self, digests: &[Digest]) -> Result<Vec<Digest>, Error> {
        let asked: Vec<&[u8]> = digests.iter().map(|digest| &digest.as_bytes()[..]).collect();
        let query = "SELECT digest FROM unnest($1::bytea[]) AS asked (digest) \
                     WHERE NOT EXISTS (SELECT FROM blob WHERE blob.digest = asked.digest)";
        let rows = if asked.is_empty() { Vec::new() } else { self.rows(query, &[&asked]).await? };
        Ok(rows.iter().filter_map(|row| Digest::try_from(row.get::<_, &[u8]>(0)).ok()).collect())
    }

    /// What the log knows of these contents, of those that it holds. They are read a few at a time, because all of them together may be more
    /// than fits into memory.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn known_contents(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, KnownContent>, Error> {
        let asked: Vec<&[u8]> = digests.iter().map(|digest| &digest.as_bytes()[..]).collect();
        let query = "SELECT digest, octet_length(bytes)::bigint FROM blob WHERE digest = ANY($1)";
        let rows = if asked.is_empty() { Vec::new() } else { self.rows(query, &[&asked]).await? };
        let (mut known, mut batch, mut bytes) = (BTreeMap::new(), Vec::new(), 0);
        for row in &rows {
            let Ok(digest) = Digest::try_from(row.get::<_, &[u8]>(0)) else { continue };
            batch.push(digest);
            bytes += rows::unsigned(row.get(1));
            if bytes >= READ_BYTES {
                known.append(&mut self.known_of(&std::mem::take(&mut batch)).await?);
                bytes = 0;
            }
        }
        known.append(&mut self.known_of(&batch).await?);
        Ok(known)
    }

    async fn known_of(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, KnownContent>, Error> {
        let contents = if digests.is_empty() { BTreeMap::new() } else { self.contents(digests).await? };
        Ok(contents.into_iter().map(|(digest, bytes)| (digest, KnownContent::of(digest, &bytes))).collect())
    }

    /// Puts a content back.
    ///
    /// # Errors
    /// If it can't be written.
    ///
    /// # Panics
    /// If the bytes are not what the digest says.
    pub async fn restore_content(&self, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        assert_eq!(Digest::of(bytes), digest, "BUG: whoever gives a content has hashed it");
        let insert = "INSERT INTO blob (digest, bytes) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
        self.rows(insert, &[&digest.as_bytes().as_slice(), &bytes]).await.map(drop)
    }
}
