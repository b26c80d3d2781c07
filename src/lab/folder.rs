//! The folder that everything of one `headwater dev` lives in.
//!
//! Always: one process at a time has it; when it is open, nothing that an earlier holder started still runs.
//!
//! ```text
//! lock          who has it
//! run/          a file for each running child
//! log/          a log for each child
//! secrets/      mode 0700: keys, passwords and tokens, a file each
//! ports.json    the ports of last time, taken again while they are free
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dir_lock::DirLock;
use super::{Error, identity, private_file};

/// The ports of last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// The door's.
    pub http: Option<u16>,
    /// PostgreSQL's.
    pub postgres: Option<u16>,
    /// nats-server's.
    pub nats: Option<u16>,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: DirLock,
}

impl Folder {
    /// Makes the folder unless it is there, takes it, and ends what a killed holder left running. Blocks for as long
    /// as that takes.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let made = fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
        let path = made.map_err(|error| Error::file("make", dir, error))?;
        let lock = DirLock::take(&path)?;
        let folder = Self { path, _lock: lock };
        for inner in [folder.run(), folder.logs(), folder.path.join("secrets")] {
            private_file::folder(&inner, None)?;
        }
        identity::clear(&folder.run())?;
        Ok(folder)
    }

    /// Where it is, absolutely.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where running children are written down.
    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// Where logs are.
    pub fn logs(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The file of a secret.
    pub fn secret_file(&self, name: &str) -> PathBuf {
        self.path.join("secrets").join(name)
    }

    /// A secret, made the first time.
    pub fn secret(&self, name: &str, make: impl FnOnce() -> Result<String, Error>) -> Result<String, Error> {
        private_file::secret(&self.secret_file(name), make)
    }

    /// A secret, if it is there.
    pub fn kept_secret(&self, name: &str) -> Result<Option<String>, Error> {
        private_file::kept_secret(&self.secret_file(name))
    }

    /// The ports of last time. What can't be read is no port: others do as well.
    pub fn ports(&self) -> Ports {
        let text = fs::read(self.path.join("ports.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Keeps the ports for next time.
    pub fn remember(&self, ports: Ports) -> Result<(), Error> {
        let text = serde_json::to_vec(&ports).expect("BUG: numbers can be written as JSON");
        private_file::write(&self.path.join("ports.json"), &text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn ports_are_remembered_and_nonsense_is_no_port() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("a/b")).unwrap();
        assert_eq!(folder.ports(), Ports::default());
        let ports = Ports { nats: Some(4222), ..Ports::default() };
        folder.remember(ports).unwrap();
        assert_eq!(folder.ports(), ports);
        fs::write(folder.path().join("ports.json"), "{\"nats\": 70000}").unwrap();
        assert_eq!(folder.ports(), Ports::default());
    }

    #[test]
    fn a_folder_is_had_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Folder::open(dir.path()).unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(Error::Locked(_))));
    }
}
