//! `headwater-replay rebuild`: every node's tree as it lies under `current/` on its disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use projections::configuration::Configuration;
use projections::render::render;
use schema::desired::{Entry, EntryKind};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::id::NodeId;
use serde_json::json;

use super::content;
use super::output::{RunError, print, print_json};
use super::state_at::StateOptions;

/// The state to rebuild, and the folder.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RebuildCommand {
    /// A folder that is empty or not there yet: it gets one folder for each node.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    #[command(flatten)]
    past: StateOptions,
}

impl RebuildCommand {
    pub(crate) fn json(&self) -> bool {
        self.past.options.how.json
    }
}

/// The paths of each content, and the modes of the files there.
type Places = BTreeMap<Digest, Vec<(PathBuf, DocumentMode)>>;

/// Writes the trees.
pub(crate) fn run(rebuild: &RebuildCommand) -> Result<(), RunError> {
    if fs::read_dir(&rebuild.to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(RunError::Usage(format!("{} is not empty", rebuild.to.display())));
    }
    let state = rebuild.past.state()?;
    let mut places = Places::new();
    for node in state.nodes().keys() {
        grow(&state, node, &rebuild.to, &mut places)?;
    }
    let wanted: BTreeSet<Digest> = places.keys().copied().collect();
    let files = &rebuild.past.options.files;
    content::bring(files, wanted, |digest, bytes| {
        places[&digest].iter().try_for_each(|(place, mode)| write(place, bytes, *mode))
    })?;
    let (nodes, position) = (state.nodes().len(), state.position());
    match rebuild.json() {
        true => print_json(&json!({"ok": true, "position": position, "nodes": nodes, "to": rebuild.to})),
        false => print(&format!("{nodes} nodes as of position {position} in {}\n", rebuild.to.display())),
    }
}

/// A node's folders and job specs; what its documents are is noted.
fn grow(state: &Configuration, node: &NodeId, to: &Path, places: &mut Places) -> Result<(), RunError> {
    let root = to.join(node.as_str());
    for folder in ["files", "jobs"] {
        make(&root.join(folder))?;
    }
    for piece in render(state, node).into_iter().flat_map(|manifest| manifest.pieces) {
        let place = root.join(place(&piece.entry));
        place.parent().map_or(Ok(()), make)?;
        match &piece.content {
            Some(content) => write(&place, content, piece.entry.mode)?,
            None => places.entry(piece.entry.digest).or_default().push((place, piece.entry.mode)),
        }
    }
    Ok(())
}

/// An entry's place in a node's tree. Its path was checked when it was read: it is relative and stays below.
fn place(entry: &Entry) -> PathBuf {
    match entry.kind {
        EntryKind::Document => Path::new("files").join(&entry.path),
        EntryKind::Job | EntryKind::Unknown(_) => PathBuf::from(&entry.path),
    }
}

fn make(folder: &Path) -> Result<(), RunError> {
    fs::create_dir_all(folder).map_err(|error| RunError::Unreachable(format!("{}: {error}", folder.display())))
}

fn write(place: &Path, bytes: &[u8], mode: DocumentMode) -> Result<(), RunError> {
    let written =
        fs::write(place, bytes).and_then(|()| fs::set_permissions(place, Permissions::from_mode(mode.bits())));
    written.map_err(|error| RunError::Unreachable(format!("{}: {error}", place.display())))
}
