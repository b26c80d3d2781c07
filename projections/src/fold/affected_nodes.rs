//! Whom an event concerns.
//!
//! No node is touched that was never enrolled: the fold writes the cause to every one of them.

use alloc::collections::BTreeSet;

use schema::id::NodeId;

use crate::configuration::Configuration;

/// The nodes whose desired record follows from an event.
pub type AffectedNodes = BTreeSet<NodeId>;

impl Configuration {
    /// Those of the holders of jobs that were ever enrolled.
    pub(super) fn known(&self, holders: impl IntoIterator<Item = NodeId>) -> AffectedNodes {
        holders.into_iter().filter(|holder| self.nodes.contains_key(holder)).collect()
    }
}
