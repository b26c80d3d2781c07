//! Checks that several decisions share.

use core::ops::Bound;

use alloc::format;

use imbl::{OrdMap, OrdSet};
use schema::command::{ContentForm, MediaType, PutContent};
use schema::id::{DocumentId, RolloutId};
use schema::path::DocumentPath;

use crate::configuration::Configuration;
use crate::refusal::Refusal;

/// Content under `application/json` is JSON.
pub(super) fn is_json(media_type: &MediaType, content: &PutContent) -> Result<(), Refusal> {
    if !media_type.is_json() || content.known().is_some_and(|known| known.form == ContentForm::Json) {
        return Ok(());
    }
    Err(Refusal::NotJson { why: content.json_fault() })
}

/// No document's path may be a segment-wise prefix of another's, whatever their targets: a relabelled node would have to
/// hold both. Of what rollouts make of documents those count that were started, and `own`: a draft is in nobody's way.
pub(crate) fn no_file_is_a_folder(
    state: &Configuration,
    id: &DocumentId,
    path: &DocumentPath,
    own: Option<&RolloutId>,
) -> Result<(), Refusal> {
    let conflict = |at: &DocumentPath, document: &DocumentId| Refusal::PathConflict {
        field: "path",
        path: path.clone(),
        other: at.clone(),
        document: document.clone(),
    };
    let is_in_the_way = |document: &DocumentId| {
        let staged = state.rollouts.staged().get(document);
        staged.is_some_and(|staged| Some(&staged.rollout) == own) || state.rollouts.underway(document).is_some()
    };
    let mut proven = around(&state.paths, path).filter(|(_, document)| *document != id);
    // What a rollout makes of a document may come to every node, and the proven revision may stay with every node.
    let mut staged =
        around(&state.rollouts.paths, path).filter(|(_, document)| *document != id && is_in_the_way(document));
    match proven.next().or_else(|| staged.next()) {
        Some((at, document)) => Err(conflict(at, document)),
        None => Ok(()),
    }
}

/// The documents whose paths are folders of a path, or below it.
fn around<'a>(
    paths: &'a OrdMap<DocumentPath, OrdSet<DocumentId>>,
    path: &'a DocumentPath,
) -> impl Iterator<Item = (&'a DocumentPath, &'a DocumentId)> {
    let folder = format!("{path}/");
    let above = path.ancestors().filter_map(|ancestor| paths.get_key_value(ancestor));
    let below = paths.range::<_, str>((Bound::Included(folder.as_str()), Bound::Unbounded));
    let below = below.take_while(|(at, _)| at.is_below(path));
    above.chain(below).flat_map(|(at, holders)| holders.iter().map(move |holder| (at, holder)))
}
