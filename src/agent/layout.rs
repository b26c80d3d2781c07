//! The paths in a node's folder.
//!
//! ```text
//! current -> generations/<position, 20 digits>-<first 12 hex of the digest>
//! generations/<…>/files/<path>      documents
//! generations/<…>/jobs/<id>.json    job specs
//! check/<…>                         a copy of a generation, for the operator's check to look at
//! records/<…>                       the signed record that a generation was made from
//! blobs/<sha256>                    the cache of large content
//! node.seed                         the node's secret, from which its keys are derived; it never leaves the folder
//! nats-ca.pem                       the certificates of NATS, where a join token gave some
//! state.json                        the node's state, which survives a restart
//! nats-refused.json                 that NATS refuses the node, while it does
//! lock                              the agent's lock; on a full disk also the last attempt, instead of state.json
//! runtime/                          state and specs of the assessment runtime, if the node is one
//! ```

use std::path::{Path, PathBuf};

use schema::desired::{Entry, EntryKind};
use schema::digest::Digest;
use schema::report::RecordRef;

/// Computes paths; touches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// `root` should be absolute: hooks may run in another working folder.
    #[must_use]
    pub fn of(root: PathBuf) -> Self {
        Self { root }
    }

    /// The node's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The symlink to the generation in force.
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.root.join("current")
    }

    /// The node's seed.
    #[must_use]
    pub fn seed(&self) -> PathBuf {
        self.root.join("node.seed")
    }

    /// The certificates by which NATS is verified, as the join token gave them.
    #[must_use]
    pub fn nats_ca(&self) -> PathBuf {
        self.root.join("nats-ca.pem")
    }

    /// The note that NATS refuses the node.
    #[must_use]
    pub fn nats_refused(&self) -> PathBuf {
        self.root.join("nats-refused.json")
    }

    /// All generations.
    #[must_use]
    pub fn generations(&self) -> PathBuf {
        self.root.join("generations")
    }

    /// One generation.
    #[must_use]
    pub fn generation(&self, record_ref: RecordRef) -> PathBuf {
        self.generations().join(name(record_ref))
    }

    /// Where a generation is written before it gets its name.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.generations().join(".new")
    }

    /// The copies for the operator's check.
    #[must_use]
    pub fn check_copies(&self) -> PathBuf {
        self.root.join("check")
    }

    /// A copy of one generation. `number` is 0 unless an older copy could not be removed.
    #[must_use]
    pub fn check_copy(&self, record_ref: RecordRef, number: u64) -> PathBuf {
        let name = name(record_ref);
        self.check_copies().join(if number == 0 { name } else { format!("{name}.{number}") })
    }

    /// All records.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    /// One record.
    #[must_use]
    pub fn record(&self, record_ref: RecordRef) -> PathBuf {
        self.records().join(name(record_ref))
    }

    /// The cache of large contents.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// One content in the cache.
    #[must_use]
    pub fn blob(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.to_string())
    }

    /// `state.json`.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The file of the agent's lock.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
}

/// The name of a generation and of its record. It has a part of the digest only; `state.json` has the full one.
#[must_use]
pub fn name(record_ref: RecordRef) -> String {
    format!("{:020}-{}", record_ref.position.get(), record_ref.digest.short())
}

/// The target of `current` when `record_ref` is in force.
#[must_use]
pub fn link_target(record_ref: RecordRef) -> PathBuf {
    Path::new("generations").join(name(record_ref))
}

/// The path of an entry in its generation. The plan has checked that it is relative and stays below.
#[must_use]
pub fn place(entry: &Entry) -> PathBuf {
    match entry.kind {
        EntryKind::Document => Path::new("files").join(&entry.path),
        EntryKind::Job | EntryKind::Unknown(_) => PathBuf::from(&entry.path),
    }
}
