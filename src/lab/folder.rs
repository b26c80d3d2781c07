//! The folder of one `headwater dev`.
//!
//! Invariants: one process at a time has it open; once it is open, no process of an earlier holder runs any more.
//!
//! ```text
//! lock          held by the process that has it open
//! run/          a file for each running child
//! log/          a log for each child
//! secrets/      mode 0700: keys, passwords and tokens, a file each
//! ports.json    the ports of the last run, used again if they are free
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dir_lock::DirLock;
use super::{Error, identity, private_file};

/// The ports of the last run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Of the HTTP server.
    pub http: Option<u16>,
    /// Of PostgreSQL.
    pub postgres: Option<u16>,
    /// Of nats-server.
    pub nats: Option<u16>,
}

/// A folder that this process has locked.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: DirLock,
}

impl Folder {
    /// Creates the folder if needed, locks it, and ends processes that a killed holder left running. Blocks meanwhile.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let made = fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
        let path = made.map_err(|error| Error::file("make", dir, error))?;
        let lock = DirLock::acquire(&path)?;
        let folder = Self { path, _lock: lock };
        for inner in [folder.run(), folder.logs(), folder.path.join("secrets")] {
            private_file::folder(&inner, None)?;
        }
        identity::end_leftovers(&folder.run())?;
        Ok(folder)
    }

    /// Absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder with a file for each running child.
    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// The folder with a log for each child.
    pub fn logs(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The path of a secret.
    pub fn secret_file(&self, name: &str) -> PathBuf {
        self.path.join("secrets").join(name)
    }

    /// Reads a secret, or creates it with `make`.
    pub fn secret(&self, name: &str, make: impl FnOnce() -> Result<String, Error>) -> Result<String, Error> {
        private_file::secret(&self.secret_file(name), make)
    }

    /// Reads a secret, if it exists.
    pub fn read_secret(&self, name: &str) -> Result<Option<String>, Error> {
        private_file::read_secret(&self.secret_file(name))
    }

    /// The ports of the last run; none if the file is damaged, as any free ports will do.
    pub fn ports(&self) -> Ports {
        let text = fs::read(self.path.join("ports.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Stores the ports for the next run.
    pub fn store_ports(&self, ports: Ports) -> Result<(), Error> {
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
        folder.store_ports(ports).unwrap();
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
