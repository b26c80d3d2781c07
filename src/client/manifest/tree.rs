//! Manifests of trees: each file of a folder is a document.

use std::path::Path;

use schema::command::Content;
use schema::path::DocumentPath;
use serde_json::{Map, Value};

use super::attached_file::{self, FileFault, FolderEntry, FolderFile, ManifestFolder};
use super::declared::DeclaredEntity;
use super::document_form::{media_type, set_mode};
use super::entity_form::{declared, fields};
use super::fault::FaultList;
use super::glob;
use super::kind::ManifestKind;
use super::tree_id;
use super::yaml_node::YamlNode;

/// The documents of a tree, in order of path.
pub(super) fn read(
    node: &YamlNode,
    defaults: &Map<String, Value>,
    folder: &ManifestFolder,
    faults: &mut FaultList,
) -> Option<Vec<DeclaredEntity>> {
    let mut fields = fields(node, ManifestKind::Tree.fields(), defaults, faults)?;
    let id = fields.remove("id")?.as_str()?.to_owned();
    let from = fields.remove("from")?.as_str()?.to_owned();
    let prefix = fields.remove("path").and_then(|path| Some(path.as_str()?.to_owned()));
    let excluded: Vec<String> =
        fields.remove("exclude").and_then(|patterns| serde_json::from_value(patterns).ok()).unwrap_or_default();
    let at = node.member("from").map_or(node.at, |entry| entry.value.at);
    let root = folder.resolve(&from).map_err(|fault| faults.add(at, fault.code, fault.detail)).ok()?;
    if !root.is_dir() {
        faults.add(at, "no_folder", format!("{} is no folder", root.display()));
        return None;
    }
    if folder.is(&root) {
        faults.add(at, "outside", "a tree is a folder below that of its manifest, which is no file of a node");
        return None;
    }
    let is_excluded = |name: &Path| {
        let name = name.to_string_lossy();
        excluded.iter().any(|pattern| glob::matches(pattern, &name))
    };
    let is_wanted = |name: &Path, entry| entry == FolderEntry::Folder || !is_excluded(name);
    let (files, unread) = attached_file::files_below(&root, &is_wanted);
    let are_all_read = unread.is_empty();
    unread.into_iter().for_each(|fault| faults.add(at, fault.code, fault.detail));
    if files.is_empty() && are_all_read {
        faults.add(at, "empty_tree", format!("there is no file in {}: take the tree away", root.display()));
        return None;
    }
    let mut documents = Vec::with_capacity(files.len());
    let mut are_valid = are_all_read;
    for file in &files {
        match document(&id, prefix.as_deref(), file, &fields) {
            Ok((fields, content)) => {
                let entity = declared(ManifestKind::Document, fields, faults, at);
                documents.push(DeclaredEntity { content: Some(content), ..entity });
            }
            Err(fault) => {
                faults.add(at, fault.code, fault.detail);
                are_valid = false;
            }
        }
    }
    are_valid.then_some(documents)
}

/// The fields and the content of the document that a file comes to.
fn document(
    tree: &str,
    prefix: Option<&str>,
    file: &FolderFile,
    common: &Map<String, Value>,
) -> Result<(Map<String, Value>, Content), FileFault> {
    let shown = file.target.display();
    let name = file
        .name
        .to_str()
        .ok_or_else(|| FileFault::new("invalid_path", format!("the name of {shown} is not UTF-8")))?;
    let path = prefix.map_or_else(|| name.to_owned(), |prefix| format!("{prefix}/{name}"));
    let checked = path.parse::<DocumentPath>().and_then(|path| path.check_visible());
    checked.map_err(|refused| FileFault::new(refused.code, format!("{shown}: {}", refused.detail)))?;
    let read = attached_file::read_content(&file.target)?;
    let media_type = media_type(name, &read.bytes);
    let content = Content::new(read.bytes).map_err(|refused| FileFault::new(refused.code, refused.detail))?;
    let mut fields = common.clone();
    for (field, value) in [("id", tree_id::of(tree, name)), ("path", path), ("media_type", media_type.to_owned())] {
        fields.insert(field.to_owned(), value.into());
    }
    set_mode(&mut fields, read.is_executable);
    Ok((fields, content))
}
