//! Nodes without a folder: they have keys, and do on NATS what an agent does there. A thousand of them live in one process.

use bus::connect::{Link, connect_as};
use bus::identity::{BusIdentity, KeyHolder};
use schema::digest::Digest;
use schema::id::NodeId;
use schema::node_keys::{KeyBytes, NodeKeys};
use schema::permissions::node_inbox;
use schema::seal::SecretKey;

use crate::Result;
use crate::bench_log::node;

/// A node and its keys.
pub(crate) struct LightNode {
    pub(crate) id: NodeId,
    pub(crate) say: SecretKey,
    bus: SecretKey,
}

impl LightNode {
    /// The node `n-<number>`, always with the same keys.
    pub(crate) fn numbered(number: usize) -> Self {
        let key =
            |name: &str| SecretKey::from_seed(Digest::of(format!("figures/{number}/{name}").as_bytes()).as_bytes());
        Self { id: node(number), say: key("say"), bus: key("bus") }
    }

    /// The public halves, as the log holds them.
    pub(crate) fn keys(&self) -> NodeKeys {
        let public = |secret: &SecretKey| KeyBytes::from(&secret.public());
        NodeKeys { bus: public(&self.bus), say: public(&self.say) }
    }

    /// Starts to connect as an agent does: by its key, unless the URL names a user.
    pub(crate) async fn connect(&self, url: &str) -> Result<Link> {
        let identity = BusIdentity::of(self.bus.clone()).hearing(node_inbox(&self.id), KeyHolder::Node);
        Ok(connect_as(url, &identity, &format!("headwater-edge {}", self.id)).await?)
    }
}
