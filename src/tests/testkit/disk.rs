//! A node's disk, walked by hand: what is in force there, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;

/// Files by their path below `current/`, with their bytes.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Whether a node has exactly this in force, and nothing else.
pub fn same(node: &Path, want: &Tree) -> Result<(), String> {
    let have = in_force(node)?;
    if have == *want {
        return Ok(());
    }
    let differs = |path: &&String| have.get(*path) != want.get(*path);
    let mut paths: Vec<&String> = have.keys().chain(want.keys()).filter(differs).collect();
    paths.dedup();
    Err(format!("{} differs at {paths:?}", node.display()))
}

/// What a node has in force; nothing if it never applied anything.
pub fn in_force(node: &Path) -> Result<Tree, String> {
    let mut tree = Tree::new();
    let current = node.join("current");
    if current.symlink_metadata().is_ok() {
        // The tree is that of one moment: the link is followed once.
        let generation = current.canonicalize().map_err(|error| error.to_string())?;
        walk(&generation, &generation, &mut tree).map_err(|error| error.to_string())?;
    }
    Ok(tree)
}

fn walk(root: &Path, dir: &Path, tree: &mut Tree) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let kind = path.symlink_metadata()?.file_type();
        if kind.is_dir() {
            walk(root, &path, tree)?;
        } else {
            assert!(kind.is_file(), "{} is neither a file nor a folder", path.display());
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            tree.insert(name, std::fs::read(&path)?);
        }
    }
    Ok(())
}
