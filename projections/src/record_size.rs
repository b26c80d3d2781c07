//! Whether the records of nodes can be published: in as many entries and bytes as one may have.
//!
//! A node that changes of a rollout are for may get them, or lose them again, at any time, and nothing may keep it from that. So its record
//! is measured with the changes and without them, before anything that makes it larger is accepted.

use alloc::vec::Vec;

use schema::id::{DocumentId, LogId, NodeId, RolloutId};
use schema::limit::{
    ENTRIES_MAX, ENTRY_FRAME_BYTES_MAX, ENTRY_OVERHEAD_BYTES_MAX, INLINE_RECORD_BYTES_MAX, RECORD_BYTES_MAX,
};

use crate::configuration::{Configuration, Document, Node};
use crate::refusal::Refusal;
use crate::render::{Manifest, render};
use crate::rollouts::{Release, RolloutStatus};

/// Bytes of entries that fit into a record with as much content inside it as ever can be.
const ENTRIES_BYTES_SAFE: usize = RECORD_BYTES_MAX - INLINE_RECORD_BYTES_MAX as usize - 4096;
/// Entries that fit into a record whatever they are, so that nothing needs rendering to know it.
const ENTRIES_SAFE: usize = ENTRIES_BYTES_SAFE / ENTRY_OVERHEAD_BYTES_MAX;
/// Rollouts of one node that are looked at in every combination. With more of them only what surely fits is accepted.
const COMBINED_MAX: usize = 6;

/// Every record of these nodes can be published. A fleet with few documents and claims is known to fit.
pub(crate) fn records_fit<'a>(
    state: &Configuration,
    log_id: LogId,
    mut nodes: impl Iterator<Item = &'a NodeId>,
) -> Result<(), Refusal> {
    let documents = state.documents().len() + state.rollouts().staged().len();
    if documents + state.jobs().claimed_count() <= ENTRIES_SAFE {
        return Ok(());
    }
    nodes.try_for_each(|id| record_fits(state, log_id, id))
}

fn record_fits(state: &Configuration, log_id: LogId, id: &NodeId) -> Result<(), Refusal> {
    let Some(node) = state.nodes().get(id) else { return Ok(()) };
    let rollouts = rollouts_of(state, id);
    let staged =
        || rollouts.iter().filter_map(|id| state.rollouts().open().get(*id)).flat_map(|all| all.changes.iter());
    let held = state.jobs().held_count(id);
    let safe = ENTRIES_SAFE.saturating_sub(held);
    if state.documents_max(id, node) + staged().count() <= safe {
        return Ok(());
    }
    let documents = possible_documents(state, id, node, staged());
    if documents.len() <= safe || (held == 0 && fit_whatever_wins(&documents)) {
        return Ok(());
    }
    if rollouts.len() > COMBINED_MAX {
        return Err(Refusal::TooManyEntries { node: id.clone(), entries: documents.len() + held });
    }
    for chosen in 0..1_u32 << rollouts.len() {
        let with = rollouts.iter().enumerate().filter(|(index, _)| chosen & (1 << index) != 0);
        let with: Vec<RolloutId> = with.map(|(_, rollout)| (*rollout).clone()).collect();
        let assumed = state.with_releases(id, |releases| {
            *releases = with.into_iter().map(|rollout| (rollout, Release::assumed())).collect();
        });
        let Some(manifest) = render(&assumed, id) else { continue };
        manifest_fits(manifest, log_id, id)?;
    }
    Ok(())
}

fn manifest_fits(manifest: Manifest, log_id: LogId, id: &NodeId) -> Result<(), Refusal> {
    if manifest.pieces.len() > ENTRIES_MAX {
        return Err(Refusal::TooManyEntries { node: id.clone(), entries: manifest.pieces.len() });
    }
    match manifest.record_bytes(log_id) {
        bytes if bytes > RECORD_BYTES_MAX => Err(Refusal::RecordTooLarge { node: id.clone(), bytes }),
        _ => Ok(()),
    }
}

/// The rollouts that were started and have changes for a node.
fn rollouts_of<'a>(state: &'a Configuration, id: &NodeId) -> Vec<&'a RolloutId> {
    let open = state.rollouts().open().iter();
    let started = open.filter(|(_, rollout)| rollout.status != RolloutStatus::Draft);
    started.filter(|(_, rollout)| state.is_member(rollout, id)).map(|(rollout, _)| rollout).collect()
}

/// Every document that a node may get, whichever of its rollouts release it.
fn possible_documents<'a>(
    state: &'a Configuration,
    id: &NodeId,
    node: &'a Node,
    staged: impl Iterator<Item = &'a DocumentId>,
) -> Vec<(&'a DocumentId, &'a Document)> {
    let proven = state.proven_documents_of(id, node).into_iter().filter_map(|id| state.documents().get_key_value(id));
    let staged = staged.filter_map(|id| Some((id, state.rollouts().staged().get(id)?.put.as_ref()?)));
    proven.chain(staged.filter(|(_, document)| document.put.target.matches(id, &node.labels))).collect()
}

/// Whether a record of all these documents fits, were each an entry of its own and as much inside it as ever can be. A
/// fleet whose nodes have many documents each would else be rendered and written out for every change of one of them.
fn fit_whatever_wins(documents: &[(&DocumentId, &Document)]) -> bool {
    let most = |(id, Document { put, .. }): &(&DocumentId, &Document)| {
        put.path.as_str().len() + put.media_type.as_str().len() + id.as_str().len() + ENTRY_FRAME_BYTES_MAX
    };
    documents.len() <= ENTRIES_MAX && documents.iter().map(most).sum::<usize>() <= ENTRIES_BYTES_SAFE
}
