//! Where everything lies in a node's folder.
//!
//! ```text
//! current -> generations/<position, 20 digits>-<first 12 hex of the digest>
//! generations/<…>/files/<path>      documents
//! generations/<…>/jobs/<id>.json    job specs
//! check/<…>                         a copy of a generation, for the operator's check to look at
//! records/<…>                       the signed record that a generation was made from
//! blobs/<sha256>                    the cache of large content
//! state.json                        what must survive a restart
//! lock                              held by the one agent, with what it can't write into state.json
//! runtime/                          the runtime's own, if the node is one
//! ```

use std::path::{Path, PathBuf};

use schema::desired::{Entry, EntryKind};
use schema::digest::Digest;
use schema::report::RecordRef;

/// The folder of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`, which should be absolute.
    #[must_use]
    pub fn of(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The link to what is in force.
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.root.join("current")
    }

    /// All generations.
    #[must_use]
    pub fn generations(&self) -> PathBuf {
        self.root.join("generations")
    }

    /// One generation.
    #[must_use]
    pub fn generation(&self, mark: RecordRef) -> PathBuf {
        self.generations().join(name(mark))
    }

    /// Where a generation grows.
    #[must_use]
    pub fn growing(&self) -> PathBuf {
        self.generations().join(".new")
    }

    /// Where the operator's check finds its copies.
    #[must_use]
    pub fn checked(&self) -> PathBuf {
        self.root.join("check")
    }

    /// A copy of one generation. There are others only where one could not be removed.
    #[must_use]
    pub fn copy(&self, mark: RecordRef, number: u64) -> PathBuf {
        let name = name(mark);
        self.checked().join(if number == 0 { name } else { format!("{name}.{number}") })
    }

    /// All records.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    /// One record.
    #[must_use]
    pub fn record(&self, mark: RecordRef) -> PathBuf {
        self.records().join(name(mark))
    }

    /// The cache.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// One content in it.
    #[must_use]
    pub fn blob(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.to_string())
    }

    /// What must survive a restart.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The lock.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
}

/// The name of a generation and of its record. The digest in it is for people; `state.json` has all of it.
#[must_use]
pub fn name(mark: RecordRef) -> String {
    format!("{:020}-{}", mark.position.get(), mark.digest.short())
}

/// What `current` says when `mark` is in force.
#[must_use]
pub fn link_to(mark: RecordRef) -> PathBuf {
    Path::new("generations").join(name(mark))
}

/// An entry's place in its generation. Its path was checked: it is relative and stays below.
#[must_use]
pub fn place(entry: &Entry) -> PathBuf {
    match entry.kind {
        EntryKind::Document => Path::new("files").join(&entry.path),
        EntryKind::Job | EntryKind::Unknown(_) => PathBuf::from(&entry.path),
    }
}
