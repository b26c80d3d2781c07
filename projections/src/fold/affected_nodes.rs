//! The nodes that an event affects.
//!
//! Only enrolled nodes are among them, because the fold writes the cause into each.

use alloc::collections::BTreeSet;

use schema::id::NodeId;

use crate::configuration::Configuration;

/// The nodes whose desired record follows from an event.
pub type AffectedNodes = BTreeSet<NodeId>;

impl Configuration {
    /// The holders of jobs that were ever enrolled as nodes.
    pub(super) fn known(&self, holders: impl IntoIterator<Item = NodeId>) -> AffectedNodes {
        holders.into_iter().filter(|holder| self.nodes.contains_key(holder)).collect()
    }
}
