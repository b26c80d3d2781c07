//! The seed of a node: made on the node, and never sent anywhere. Its keys are derived from it.
//!
//! Each key is HKDF-SHA256 over the seed, without salt, with the name of the key as info.

use std::path::Path;

use bus::nkey::KeyKind;
use hkdf::Hkdf;
use program::secret_file::{self, SecretFileError};
use schema::node_keys::{KeyBytes, NodeKeys};
use schema::seal::SecretKey;
use sha2::Sha256;

use crate::layout::Layout;

/// The key to connect with.
const BUS: &str = "hw1/key/bus";
/// The key that signs.
const SAY: &str = "hw1/key/say";

/// The seed of a node.
#[derive(Clone)]
pub struct NodeSeed([u8; 32]);

/// The seed can't be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeSeedError {
    /// The file can't be read or written, or others may read it.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file holds something else.
    #[error("{0} does not hold 64 hex digits: if the seed is lost, move the file away, and let the node join again")]
    NoSeed(String),
}

impl NodeSeed {
    /// The seed in a node's folder, which is made if there is none.
    ///
    /// # Errors
    /// If it can't be read or written, others may read it, or the file holds something else.
    pub fn read_or_create(layout: &Layout) -> Result<Self, NodeSeedError> {
        Self::in_file(&layout.seed())
    }

    fn in_file(path: &Path) -> Result<Self, NodeSeedError> {
        let text = secret_file::read_or_create(path, |random| format!("{}\n", hex::encode(random)))?;
        let mut seed = [0; 32];
        hex::decode_to_slice(&text, &mut seed).map_err(|_| NodeSeedError::NoSeed(path.display().to_string()))?;
        Ok(Self(seed))
    }

    /// The key to connect with.
    #[must_use]
    pub fn bus(&self) -> SecretKey {
        self.key(BUS)
    }

    /// The key that signs reports, requests and proposals.
    #[must_use]
    pub fn say(&self) -> SecretKey {
        self.key(SAY)
    }

    /// The public halves, as the log holds them.
    #[must_use]
    pub fn keys(&self) -> NodeKeys {
        let public = |secret: SecretKey| KeyBytes::from(&secret.public());
        NodeKeys { bus: public(self.bus()), say: public(self.say()) }
    }

    /// The seed of the key to connect with, as tools of NATS read it.
    #[must_use]
    pub fn bus_seed_text(&self) -> String {
        KeyKind::User.seed(&self.derived(BUS))
    }

    fn key(&self, name: &str) -> SecretKey {
        SecretKey::from_seed(&self.derived(name))
    }

    fn derived(&self, name: &str) -> [u8; 32] {
        let mut seed = [0; 32];
        let derived = Hkdf::<Sha256>::new(None, &self.0).expand(name.as_bytes(), &mut seed);
        derived.expect("BUG: HKDF-SHA256 gives 32 bytes");
        seed
    }
}

impl std::fmt::Debug for NodeSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeSeed")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    #[test]
    fn a_seed_stays_the_same_and_its_keys_are_those_of_the_page() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::of(dir.path().to_owned());
        let made = NodeSeed::read_or_create(&layout).unwrap();
        assert_eq!(NodeSeed::read_or_create(&layout).unwrap().keys(), made.keys());
        // Computed with Python's `cryptography`, as docs/reference/nats.md shows it.
        let keys = NodeSeed([7; 32]).keys();
        assert_eq!(keys.bus.to_string(), "8ffb4d7679c1b53a30c074845b2475fad003a85880584d4f562796c942cf7da6");
        assert_eq!(keys.say.to_string(), "aff0f28a3557bc4e27d4ca0d32c49298ece781033bd2338c6d70c0085f3fbb05");
    }

    #[test]
    fn a_file_that_is_no_seed_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::of(dir.path().to_owned());
        secret_file::read_or_create(&layout.seed(), |_| "seed".into()).unwrap();
        assert!(matches!(NodeSeed::read_or_create(&layout), Err(NodeSeedError::NoSeed(_))));
    }
}
