//! Reads everything that the `-f` of one command name.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::declared::{Declaration, DeclaredEntity, DeclaredSource, SourceBundle};
use super::fault::{FaultList, ManifestFault, ManifestPlace};
use super::kind::{DEFAULTS, ManifestKind};
use super::source::{self, ManifestText, STDIN, WHOLE_FILE};
use super::yaml_node::YamlNode;
use super::{document_form, entity_form, tree, yaml_reader};

/// The place of a bundle that the command line names.
const COMMAND_LINE: &str = "--bundle";

/// What is declared at `paths`; what is in no bundle by its files is in `bundle`.
///
/// # Errors
/// With every fault that was found, in order of place.
pub fn read(paths: &[PathBuf], bundle: Option<&str>) -> Result<Declaration, Vec<ManifestFault>> {
    let (mut sources, mut faults) = (Vec::new(), Vec::new());
    let mut has_stdin = false;
    for path in paths {
        if path.as_os_str() == STDIN && std::mem::replace(&mut has_stdin, true) {
            continue;
        }
        match read_source(path, bundle) {
            Ok(source) => sources.push(source),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() {
        match Declaration::join(sources) {
            Ok(declared) => return Ok(declared),
            Err(twice) => faults = twice,
        }
    }
    faults.sort();
    faults.dedup();
    Err(faults)
}

/// The texts of one `-f`, read into nodes.
struct ParsedText {
    text: ManifestText,
    nodes: Vec<YamlNode>,
}

fn read_source(path: &Path, bundle: Option<&str>) -> Result<DeclaredSource, Vec<ManifestFault>> {
    let is_folder = path.is_dir();
    let parsed = source::texts(path).into_iter().map(|mut text| {
        let nodes = yaml_reader::read(&text.text, &mut text.faults);
        text.text = String::new();
        ParsedText { text, nodes }
    });
    let mut parsed: Vec<ParsedText> = parsed.collect();
    if is_folder {
        keep_manifests(&mut parsed);
    }
    let bundle = find_bundle(&mut parsed, bundle);
    let defaults = bundle.as_ref().map(|bundle| bundle.defaults.clone()).unwrap_or_default();
    let mut entities = Vec::new();
    for ParsedText { text, nodes } in &mut parsed {
        if nodes.is_empty() && text.faults.is_empty() {
            text.faults.add(WHOLE_FILE, "empty_manifest", "nothing is declared here");
        }
        for node in nodes.iter() {
            entities.extend(read_node(node, &defaults, text).into_iter().flatten());
        }
    }
    if parsed.is_empty() {
        let mut none = FaultList::new(path.display().to_string().into());
        none.add(WHOLE_FILE, "empty_manifest", "no file in this folder is a manifest");
        return Err(none.into_faults());
    }
    let faults: Vec<ManifestFault> = parsed.into_iter().flat_map(|parsed| parsed.text.faults.into_faults()).collect();
    match faults.is_empty() {
        true => Ok(DeclaredSource { entities, bundle }),
        false => Err(faults),
    }
}

/// Leaves out what lies in a folder of manifests and is none: files that a manifest names as a content, and files without a `kind`.
fn keep_manifests(parsed: &mut Vec<ParsedText>) {
    let mut claimed: Vec<PathBuf> = Vec::new();
    let is_claimed = |claimed: &[PathBuf], path: &Option<PathBuf>| {
        path.as_ref().is_some_and(|path| claimed.iter().any(|claim| path.starts_with(claim)))
    };
    for ParsedText { text, nodes } in parsed.iter() {
        if !is_claimed(&claimed, &text.path) {
            let names = nodes.iter().filter_map(|node| match node.text_of("kind") {
                Some("tree") => node.text_of("from"),
                Some("document") => node.text_of("file"),
                _ => None,
            });
            let found = names.filter_map(|name| text.folder.resolve(name).ok());
            claimed.extend(found.filter(|claim| text.path.as_ref().is_none_or(|path| !path.starts_with(claim))));
        }
    }
    let has_kind = |parsed: &ParsedText| parsed.nodes.iter().any(|node| node.member("kind").is_some());
    parsed.retain(|parsed| {
        !is_claimed(&claimed, &parsed.text.path) && (has_kind(parsed) || !parsed.text.faults.is_empty())
    });
}

fn find_bundle(parsed: &mut [ParsedText], named: Option<&str>) -> Option<SourceBundle> {
    let mut found: Option<SourceBundle> = None;
    for ParsedText { text, nodes } in parsed {
        for node in nodes.iter().filter(|node| node.text_of("kind") == Some("bundle")) {
            let at = node.member("id").map_or(node.at, |id| id.value.at);
            let Some(bundle) = read_bundle(node, text) else { continue };
            if let Some(first) = &found {
                let detail = format!("there is a bundle already, at {}: one -f has at most one", first.at);
                text.faults.add(at, "second_bundle", detail);
            } else if named.is_some_and(|named| named != bundle.id) {
                let detail = format!("this is bundle `{}`, and {COMMAND_LINE} says another one", bundle.id);
                text.faults.add(at, "second_bundle", detail);
            } else {
                found = Some(bundle);
            }
        }
    }
    found.or_else(|| {
        let at = ManifestPlace { file: COMMAND_LINE.into(), place: WHOLE_FILE };
        Some(SourceBundle { id: named?.to_owned(), at, defaults: Map::new(), rollout: None })
    })
}

fn read_bundle(node: &YamlNode, text: &mut ManifestText) -> Option<SourceBundle> {
    let fields = entity_form::fields(node, ManifestKind::Bundle.fields(), &Map::new(), &mut text.faults)?;
    let defaults = match node.member("defaults") {
        Some(defaults) => entity_form::fields(&defaults.value, &DEFAULTS, &Map::new(), &mut text.faults)?,
        None => Map::new(),
    };
    let at = node.member("id").map_or(node.at, |id| id.value.at);
    let (id, rollout) = (fields["id"].as_str()?.to_owned(), fields.get("rollout").cloned());
    Some(SourceBundle { id, at: text.faults.place(at), defaults, rollout })
}

/// What a node declares: nothing if it is at fault, or a bundle.
fn read_node(node: &YamlNode, defaults: &Map<String, Value>, text: &mut ManifestText) -> Option<Vec<DeclaredEntity>> {
    let Some(kind) = node.member("kind") else {
        text.faults.add(node.at, "missing_field", format!("a manifest has a `kind`: one of {}", kind_names()));
        return None;
    };
    let known = kind.value.text().and_then(|kind| kind.parse::<ManifestKind>().ok());
    match known {
        None => {
            let detail = format!("this is not a kind of manifest; there are {}", kind_names());
            text.faults.add(kind.value.at, "unknown_kind", detail);
            None
        }
        Some(ManifestKind::Bundle) => None,
        Some(ManifestKind::Tree) => tree::read(node, defaults, &text.folder, &mut text.faults),
        Some(ManifestKind::Document) => {
            document_form::read(node, defaults, &text.folder, &mut text.faults).map(|document| vec![document])
        }
        Some(kind) => entity_form::read(kind, node, &mut text.faults).map(|entity| vec![entity]),
    }
}

fn kind_names() -> String {
    ManifestKind::ALL.map(ManifestKind::name).join(", ")
}
