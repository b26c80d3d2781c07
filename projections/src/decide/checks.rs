//! Checks that several decisions share.

use core::ops::Bound;

use alloc::format;

use imbl::OrdSet;
use schema::command::{ContentForm, MediaType, PutContent};
use schema::id::DocumentId;
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
/// hold both.
pub(crate) fn no_file_is_a_folder(state: &Configuration, id: &DocumentId, path: &DocumentPath) -> Result<(), Refusal> {
    let other = |at: &DocumentPath, holders: &OrdSet<DocumentId>| {
        let document = holders.iter().find(|holder| *holder != id)?.clone();
        Some(Refusal::PathConflict { path: path.clone(), other: at.clone(), document })
    };
    let folder = format!("{path}/");
    // What a rollout makes of a document may come to every node, and the proven revision may stay with every node.
    for paths in [&state.paths, &state.rollouts.paths] {
        let above = path.ancestors().filter_map(|ancestor| paths.get_key_value(ancestor));
        let below = paths.range::<_, str>((Bound::Included(folder.as_str()), Bound::Unbounded));
        let below = below.take_while(|(at, _)| at.is_below(path));
        if let Some(refusal) = above.chain(below).find_map(|(at, holders)| other(at, holders)) {
            return Err(refusal);
        }
    }
    Ok(())
}
