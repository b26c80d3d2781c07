//! The folder with the seeds of those who are known to nats-server itself, and with `bus.conf`.

use std::io;
use std::path::{Path, PathBuf};

use program::durable_file::{self, FileMode};
use program::secret_file::{self, SecretFileError};
use schema::address::Prefix;
use schema::node_keys::KeyBytes;
use schema::seal::SecretKey;

use crate::accounts::{CentreKeys, bus_conf};
use crate::identity::BusIdentity;
use crate::nkey::KeyKind;

/// The file that nats-server includes.
pub const BUS_CONF: &str = "bus.conf";
/// The file with the user and the password that nodes without keys share, as `user:password`.
const OPEN_PASSWORD: &str = "open-password";

/// The users of the servers, and the key that signs who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CentreUser {
    /// A server with a relay.
    Relay,
    /// A server with role `door`.
    Door,
    /// A program that only consumes the event stream.
    Reader,
    /// Who answers nats-server.
    Answerer,
    /// Who cuts connections.
    Warden,
    /// Signs the answers.
    Issuer,
}

impl CentreUser {
    /// The name of the file with the seed.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Relay => "relay.nk",
            Self::Door => "door.nk",
            Self::Reader => "reader.nk",
            Self::Answerer => "answerer.nk",
            Self::Warden => "warden.nk",
            Self::Issuer => "issuer.nk",
        }
    }

    const fn kind(self) -> KeyKind {
        match self {
            Self::Issuer => KeyKind::Account,
            _ => KeyKind::User,
        }
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub struct BusFolder {
    dir: PathBuf,
}

/// Why the folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BusFolderError {
    /// A seed can't be read or written, or others may read it.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// A file holds something else.
    #[error("the file {} holds no seed of this user of NATS", .0.display())]
    NoSeed(PathBuf),
    /// A file or the folder can't be written.
    #[error("can't write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The password is not given as `user:password`.
    #[error("the file {} does not hold user:password in one line", .0.display())]
    NoPassword(PathBuf),
}

impl BusFolder {
    /// The folder `dir`, which may not exist yet.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Makes the seeds that are missing, and writes `bus.conf` unless it is there already. Gives the names of the files that were written.
    ///
    /// # Errors
    /// If a file can't be read or written, or holds something else.
    pub fn make(&self, prefix: &Prefix) -> Result<Vec<&'static str>, BusFolderError> {
        std::fs::create_dir_all(&self.dir).map_err(|error| BusFolderError::Write(self.dir.clone(), error))?;
        let mut written = Vec::new();
        let mut key = |user: CentreUser| {
            let path = self.path(user.file());
            let text = secret_file::read_or_create(&path, |seed| {
                written.push(user.file());
                user.kind().seed(&seed)
            })?;
            let secret = user.kind().read_seed(&text).ok_or(BusFolderError::NoSeed(path))?;
            Ok::<_, BusFolderError>(KeyBytes::from(&secret.public()))
        };
        let keys = CentreKeys {
            relay: key(CentreUser::Relay)?,
            door: key(CentreUser::Door)?,
            reader: key(CentreUser::Reader)?,
            answerer: key(CentreUser::Answerer)?,
            warden: key(CentreUser::Warden)?,
            issuer: key(CentreUser::Issuer)?,
        };
        written.extend(self.write(BUS_CONF, bus_conf(prefix, &keys).as_bytes(), FileMode::Exact(0o644))?);
        Ok(written)
    }

    /// Keeps the password that nodes without keys share. Gives the name of the file if it was written.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn keep_open_password(&self, user_and_password: &str) -> Result<Option<&'static str>, BusFolderError> {
        self.write(OPEN_PASSWORD, user_and_password.as_bytes(), FileMode::Exact(0o600))
    }

    /// The user and the password that nodes without keys share, if there is one.
    ///
    /// # Errors
    /// If the file can't be read, others may read it, or it holds something else.
    pub fn open_password(&self) -> Result<Option<(String, String)>, BusFolderError> {
        let path = self.path(OPEN_PASSWORD);
        if !path.exists() {
            return Ok(None);
        }
        let text = secret_file::read(&path)?;
        let (user, password) = text.split_once(':').ok_or(BusFolderError::NoPassword(path))?;
        Ok(Some((user.to_owned(), password.to_owned())))
    }

    /// The secret key of a user, if its seed is in the folder.
    ///
    /// # Errors
    /// If the file can't be read, others may read it, or it holds something else.
    pub fn secret(&self, user: CentreUser) -> Result<Option<SecretKey>, BusFolderError> {
        let path = self.path(user.file());
        if !path.exists() {
            return Ok(None);
        }
        let text = secret_file::read(&path)?;
        user.kind().read_seed(&text).map(Some).ok_or(BusFolderError::NoSeed(path))
    }

    /// The identity of a user, if its seed is in the folder.
    ///
    /// # Errors
    /// As [`BusFolder::secret`].
    pub fn identity(&self, user: CentreUser) -> Result<Option<BusIdentity>, BusFolderError> {
        Ok(self.secret(user)?.map(BusIdentity::of))
    }

    /// The path of a file in it.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Writes a file, unless it has these bytes already. Gives its name if it was written.
    fn write(&self, file: &'static str, bytes: &[u8], mode: FileMode) -> Result<Option<&'static str>, BusFolderError> {
        let path = self.path(file);
        if std::fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(None);
        }
        durable_file::replace(&path, bytes, mode).map_err(|error| BusFolderError::Write(path, error))?;
        Ok(Some(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_what_is_missing_is_made_and_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = BusFolder::at(dir.path());
        let make = |prefix: &str| folder.make(&prefix.parse().expect("a prefix")).expect("it is made");
        let all = ["relay.nk", "door.nk", "reader.nk", "answerer.nk", "warden.nk", "issuer.nk", BUS_CONF];
        assert_eq!(make("cfg"), all);
        let relay = std::fs::read(folder.path("relay.nk")).expect("a seed");
        assert!(make("cfg").is_empty());
        assert_eq!(make("other"), [BUS_CONF]);
        std::fs::remove_file(folder.path("door.nk")).expect("it was there");
        assert_eq!(make("other"), ["door.nk", BUS_CONF]);
        assert_eq!(std::fs::read(folder.path("relay.nk")).expect("a seed"), relay);
        assert_eq!(folder.keep_open_password("ann:secret").expect("it is written"), Some(OPEN_PASSWORD));
        assert_eq!(folder.keep_open_password("ann:secret").expect("it is there"), None);
    }
}
