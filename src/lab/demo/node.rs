//! A node as the demo sees it: the server's answer, and the files on its disk.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use api::node::NodeDetail;
use client::api_client::ApiClient;
use client::error::Error;
use schema::id::NodeId;
use schema::instant::Instant;
use schema::labels::Labels;
use schema::report::{AttemptState, RecordRef, Reported};

use super::fleet::Files;

/// What the demo needs of a node.
#[derive(Clone, Debug)]
pub(super) struct DemoNode {
    pub(super) id: NodeId,
    pub(super) labels: Labels,
    pub(super) state: &'static str,
    pub(super) desired: RecordRef,
    reported: Option<Reported>,
    dir: PathBuf,
}

/// What must not change on a node that a change does not concern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeSnapshot {
    desired: RecordRef,
    running: Option<RecordRef>,
    generation: Option<PathBuf>,
}

impl DemoNode {
    /// Fetches the node from the server.
    pub(super) async fn fetch(client: &ApiClient, id: &str, dir: &Path) -> Result<Self, Error> {
        let node: NodeDetail = client.get(&format!("/v1/nodes/{id}")).await?;
        Ok(Self {
            id: node.id,
            labels: node.labels,
            state: node.status.state.name(),
            desired: node.desired.record_ref,
            reported: node.reported.map(|reported| reported.report),
            dir: dir.to_owned(),
        })
    }

    pub(super) fn running(&self) -> Option<RecordRef> {
        self.reported.as_ref()?.running
    }

    pub(super) fn is_converged(&self) -> bool {
        self.state == "converged"
    }

    /// Whether it has also reported `applied`: the running digest is reported a moment before.
    pub(super) fn is_done(&self) -> bool {
        self.is_converged() && self.applied_at().is_some()
    }

    /// When it applied its desired record, by its own clock.
    pub(super) fn applied_at(&self) -> Option<Instant> {
        let attempt = self.reported.as_ref()?.attempt.as_ref()?;
        let is_it = attempt.state == AttemptState::Applied && attempt.position == self.desired.position;
        is_it.then_some(attempt.at)
    }

    /// Why the desired record does not run: a code, and text.
    pub(super) fn failure(&self) -> Option<(&str, &str)> {
        let attempt = self.reported.as_ref()?.attempt.as_ref()?;
        Some((attempt.code.as_deref()?, attempt.detail.as_deref().unwrap_or_default()))
    }

    pub(super) fn snapshot(&self) -> NodeSnapshot {
        let generation = fs::read_link(self.dir.join("current")).ok();
        NodeSnapshot { desired: self.desired, running: self.running(), generation }
    }

    /// The files in force on its disk.
    pub(super) fn files(&self) -> std::io::Result<Files> {
        let mut files = Files::new();
        collect(&self.dir.join("current/files"), "", &mut files)?;
        Ok(files)
    }

    pub(super) fn file_count(&self) -> usize {
        // During a switch a file may be missing; the next poll counts again.
        self.files().map_or(0, |files| files.len())
    }
}

fn collect(dir: &Path, prefix: &str, files: &mut Files) -> std::io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => collect(&entry.path(), &format!("{name}/"), files)?,
            false => drop(files.insert(name, fs::read(entry.path())?)),
        }
    }
    Ok(())
}

/// The first difference in words; none if all files are equal, byte for byte.
pub(super) fn difference(wanted: &Files, found: &Files) -> Option<String> {
    let missing = wanted.keys().find(|path| !found.contains_key(*path)).map(|path| format!("{path} is missing"));
    let surplus = || found.keys().find(|path| !wanted.contains_key(*path)).map(|path| format!("{path} is too many"));
    let other =
        || wanted.iter().find(|(path, bytes)| found[*path] != **bytes).map(|(path, _)| format!("{path} differs"));
    missing.or_else(surplus).or_else(other)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn every_way_to_differ_is_seen() {
        let files = |files: &[(&str, &str)]| -> Files {
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
        };
        let wanted = files(&[("a/b.json", "1"), ("c.json", "2")]);
        assert_eq!(difference(&wanted, &wanted.clone()), None);
        for (found, said) in [
            (files(&[("c.json", "2")]), "a/b.json is missing"),
            (files(&[("a/b.json", "1"), ("c.json", "2"), ("d", "")]), "d is too many"),
            (files(&[("a/b.json", "1"), ("c.json", "3")]), "c.json differs"),
        ] {
            assert_eq!(difference(&wanted, &found).as_deref(), Some(said));
        }
    }

    #[test]
    fn files_are_found_by_their_paths_and_none_where_nothing_is_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new();
        collect(&dir.path().join("current/files"), "", &mut files).unwrap();
        assert!(files.is_empty());
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c.json"), "x").unwrap();
        collect(dir.path(), "", &mut files).unwrap();
        assert_eq!(files, Files::from([("a/b/c.json".to_owned(), b"x".to_vec())]));
    }
}
