//! Rendering: from the state to the desired record of a node.
//!
//! A record is a pure function of the log: its position and cause come from the fold, so it does not depend on how events
//! were batched or when it is rendered. The state has sizes and digests of documents but not their content, which
//! [`Manifest::fill`] gets from its caller. Job specs are rendered from the state, content included.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use schema::desired::{Cause, Desired, Entry, EntryKind, Source, digest_of, format_of};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::entity::Entity;
use schema::id::{JobId, LogId, NodeId};
use schema::limit::{INLINE_ENTRY_BYTES_MAX, INLINE_RECORD_BYTES_MAX};
use schema::position::Position;
use schema::wire::WireRecord;

use crate::configuration::Configuration;
use crate::jobs::Job;
use crate::spec;

/// A node's desired record without the content that travels inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The node that the record is for.
    pub node: NodeId,
    /// The digest of all entries: see [`schema::desired::digest_of`].
    pub digest: Digest,
    /// The position of the last `retry_node`, or 0.
    pub retry: Position,
    /// Whether the node is retired; then there are no entries.
    pub retired: bool,
    /// The last event that names the node or changes something that selects it.
    pub cause: Cause,
    /// The files that the node must hold, sorted by path.
    pub pieces: Vec<ManifestEntry>,
}

/// An entry, and whether its content travels inside the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// The entry, without content.
    pub entry: Entry,
    /// Whether the record holds the content itself.
    pub inline: bool,
    /// The content of a job spec, which is rendered from the state; a document has none here.
    pub content: Option<Arc<[u8]>>,
}

/// Renders a node's desired record; nothing if the node was never enrolled.
#[must_use]
pub fn render(state: &Configuration, id: &NodeId) -> Option<Manifest> {
    let node = state.nodes().get(id)?;
    let mut pieces: Vec<ManifestEntry> = state
        .layers(id, node)
        .into_iter()
        .map(|(path, (document_id, document))| Entry {
            path: path.to_string(),
            kind: EntryKind::Document,
            media_type: document.put.media_type.as_str().to_string(),
            size: document.put.size,
            digest: document.put.digest,
            inline: None,
            source: Source {
                entity: Entity::from(document_id),
                version: document.version,
                position: document.position,
            },
            mode: document.put.mode,
        })
        .map(|entry| ManifestEntry { entry, inline: false, content: None })
        .collect();
    pieces.extend(state.jobs().held_by(id).map(|(id, job)| job_piece(state, id, job)));
    pieces.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
    choose_inline(&mut pieces);
    let digest = digest_of(pieces.iter().map(|piece| piece.entry.digested()));
    Some(Manifest { node: id.clone(), digest, retry: node.retry, retired: node.retired, cause: node.cause, pieces })
}

/// A claimed job.
fn job_piece(state: &Configuration, id: &JobId, job: &Job) -> ManifestEntry {
    let spec = state.spec(id).expect("BUG: a job of the state has a spec");
    let entry = Entry {
        path: format!("jobs/{id}.json"),
        kind: EntryKind::Job,
        media_type: spec::MEDIA_TYPE.to_string(),
        size: spec.bytes.len() as u64,
        digest: spec.digest,
        inline: None,
        source: job.source.clone(),
        mode: DocumentMode::Plain,
    };
    ManifestEntry { entry, inline: false, content: Some(Arc::clone(&spec.bytes)) }
}

/// Small content travels inside the record: the smallest first, then by path, as long as it fits.
fn choose_inline(pieces: &mut [ManifestEntry]) {
    let mut small: Vec<&mut ManifestEntry> =
        pieces.iter_mut().filter(|piece| piece.entry.size <= INLINE_ENTRY_BYTES_MAX).collect();
    small.sort_by(|a, b| (a.entry.size, &a.entry.path).cmp(&(b.entry.size, &b.entry.path)));
    let mut room = INLINE_RECORD_BYTES_MAX;
    for piece in small {
        let Some(left) = room.checked_sub(piece.entry.size) else { break };
        room = left;
        piece.inline = true;
    }
}

impl Manifest {
    /// The digests whose content travels inside the record and is somewhere else.
    pub fn inline(&self) -> impl Iterator<Item = Digest> {
        self.pieces.iter().filter(|piece| piece.inline && piece.content.is_none()).map(|piece| piece.entry.digest)
    }

    /// The rendered content that a node fetches from the object store. It has to be uploaded, because only the state has it.
    #[must_use]
    pub fn rendered_content(&self) -> BTreeMap<Digest, Arc<[u8]>> {
        let fetched = self.pieces.iter().filter(|piece| !piece.inline);
        fetched.filter_map(|piece| Some((piece.entry.digest, piece.content.clone()?))).collect()
    }

    /// The digests whose content the node fetches by itself.
    pub fn fetched(&self) -> impl Iterator<Item = Digest> {
        self.pieces.iter().filter(|piece| !piece.inline).map(|piece| piece.entry.digest)
    }

    /// The record, with content taken from `content`.
    ///
    /// # Errors
    /// With the first digest that `content` does not have.
    pub fn fill(self, log_id: LogId, content: impl Fn(Digest) -> Option<Vec<u8>>) -> Result<Desired, Digest> {
        let filled = |piece: ManifestEntry| {
            let inline = match piece.inline {
                true => {
                    let own = piece.content.map(|content| content.to_vec());
                    Some(own.or_else(|| content(piece.entry.digest)).ok_or(piece.entry.digest)?)
                }
                false => None,
            };
            Ok(Entry { inline, ..piece.entry })
        };
        Ok(Desired {
            v: format_of(self.pieces.iter().map(|piece| piece.entry.mode)),
            log_id,
            node: self.node,
            position: self.cause.position,
            digest: self.digest,
            retry: self.retry,
            retired: self.retired,
            entries: self.pieces.into_iter().map(filled).collect::<Result<_, Digest>>()?,
            cause: self.cause,
        })
    }

    /// Bytes of the signed record, without making its content available.
    #[must_use]
    pub fn record_bytes(&self, log_id: LogId) -> usize {
        /// The envelope: two numbers, a key id, a signature, the names of five fields and the frames around them.
        const ENVELOPE_BYTES_MAX: usize = 192;
        let sizes: BTreeMap<Digest, u64> =
            self.pieces.iter().map(|piece| (piece.entry.digest, piece.entry.size)).collect();
        let blank = |digest| usize::try_from(*sizes.get(&digest)?).ok().map(|size| alloc::vec![0; size]);
        let body = self.clone().fill(log_id, blank).map(|desired| desired.write().len());
        ENVELOPE_BYTES_MAX + body.expect("BUG: every piece has a size")
    }
}
