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

    /// Makes the seeds that are missing, and writes `bus.conf`.
    ///
    /// # Errors
    /// If a file can't be read or written, or holds something else.
    pub fn make(&self, prefix: &Prefix) -> Result<CentreKeys, BusFolderError> {
        std::fs::create_dir_all(&self.dir).map_err(|error| BusFolderError::Write(self.dir.clone(), error))?;
        let key = |user: CentreUser| {
            let path = self.path(user.file());
            let text = secret_file::read_or_create(&path, |seed| user.kind().seed(&seed))?;
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
        self.write(BUS_CONF, bus_conf(prefix, &keys).as_bytes(), FileMode::Exact(0o644))?;
        Ok(keys)
    }

    /// Keeps the password that nodes without keys share.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn keep_open_password(&self, user_and_password: &str) -> Result<(), BusFolderError> {
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

    fn write(&self, file: &str, bytes: &[u8], mode: FileMode) -> Result<(), BusFolderError> {
        let path = self.path(file);
        durable_file::replace(&path, bytes, mode).map_err(|error| BusFolderError::Write(path, error))
    }
}
