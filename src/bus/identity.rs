//! Who a program is for NATS, where it connects with a key and not with a password.

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError, ConnectOptions};
use program::secret_file::{self, SecretFileError};
use schema::node_keys::KeyBytes;
use schema::seal::SecretKey;

use crate::nkey::KeyKind;

/// Messages that wait in one subscription of a node: others can have answers sent to it, and what waits takes memory.
const HEARD_MAX: usize = 256;

/// Whose key it is: what to do when NATS refuses it depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHolder {
    /// A program of the servers, which nats-server knows itself.
    Server,
    /// A node, which the log knows.
    Node,
    /// Whoever holds a join token.
    Joiner,
}

/// A key to connect with, and the prefix of the inboxes that its user may hear.
#[derive(Clone, Debug)]
pub struct BusIdentity {
    secret: SecretKey,
    inbox: Option<String>,
    holder: KeyHolder,
}

/// A file that should hold the seed of a user of NATS.
#[derive(Debug, thiserror::Error)]
pub enum SeedFileError {
    /// It can't be read, or others may read it.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// It holds something else.
    #[error("the file {} holds no seed of a user of NATS (SU…, 58 characters)", .0.display())]
    NoSeed(PathBuf),
}

impl BusIdentity {
    /// The user of the servers with this key.
    #[must_use]
    pub fn of(secret: SecretKey) -> Self {
        Self { secret, inbox: None, holder: KeyHolder::Server }
    }

    /// The same key as that of somebody whom the log lets in, and whose inboxes have this prefix.
    #[must_use]
    pub fn hearing(self, inbox: String, holder: KeyHolder) -> Self {
        Self { inbox: Some(inbox), holder, ..self }
    }

    /// Whose key it is.
    #[must_use]
    pub fn holder(&self) -> KeyHolder {
        self.holder
    }

    /// The user whose seed a file holds.
    ///
    /// # Errors
    /// If the file can't be read, others may read it, or it holds no seed of a user.
    pub fn load(path: &Path) -> Result<Self, SeedFileError> {
        let text = secret_file::read(path)?;
        KeyKind::User.read_seed(&text).map(Self::of).ok_or_else(|| SeedFileError::NoSeed(path.to_owned()))
    }

    /// The text of the public key.
    #[must_use]
    pub fn public(&self) -> String {
        KeyKind::User.public(&KeyBytes::from(&self.secret.public()))
    }

    /// Options of a connection that proves to have the key.
    pub(crate) fn options(&self) -> ConnectOptions {
        let (secret, public) = (self.secret.clone(), self.public());
        let options = ConnectOptions::with_auth_callback(move |nonce| {
            let mut auth = Auth::new();
            auth.nkey = Some(public.clone());
            auth.signature = Some(secret.sign(&nonce).to_vec());
            std::future::ready(Ok::<_, AuthError>(auth))
        });
        match &self.inbox {
            Some(inbox) => options.custom_inbox_prefix(inbox).subscription_capacity(HEARD_MAX),
            None => options,
        }
    }
}
