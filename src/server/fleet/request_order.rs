//! The order of the requests of nodes: what NATS or somebody held back is old, and not new.
//!
//! A node numbers its requests by its boot and within it. Requests of one boot may overtake each other a little; one of an earlier boot, or
//! far behind the newest, is not answered. A server that has just begun to answer knows no numbers: then the log's last report counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use schema::id::NodeId;
use schema::node_keys::KeyBytes;
use schema::report::SentNumber;

/// How far a request may be behind the newest of its boot: more than a runtime has under way.
const BEHIND_MAX: u64 = 1_024;

/// The highest number of each node, and the key that signed it: with other keys a node may count anew.
#[derive(Debug, Default)]
pub struct RequestOrder(Mutex<BTreeMap<NodeId, (KeyBytes, SentNumber)>>);

impl RequestOrder {
    /// Whether a request is not old. `reported` is the number of the node's last report in the log.
    pub(super) fn takes(
        &self,
        node: &NodeId,
        signer: KeyBytes,
        sent: SentNumber,
        reported: Option<SentNumber>,
    ) -> bool {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.get(node).filter(|(key, _)| *key == signer).map(|(_, known)| *known);
        let boot_no = known.into_iter().chain(reported).map(|number| number.boot_no).max().unwrap_or(0);
        let is_behind =
            known.is_some_and(|known| known.boot_no == sent.boot_no && sent.seq.saturating_add(BEHIND_MAX) < known.seq);
        if sent.boot_no < boot_no || is_behind {
            return false;
        }
        if known < Some(sent) {
            newest.insert(node.clone(), (signer, sent));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_an_earlier_boot_or_far_behind_are_old() {
        let (order, node): (_, NodeId) = (RequestOrder::default(), "n-1".parse().expect("an id"));
        let key = KeyBytes::from([7; 32]);
        let sent = |boot_no, seq| SentNumber { boot_no, seq };
        assert!(order.takes(&node, key, sent(3, 1), None));
        assert!(
            order.takes(&node, key, sent(3, 5), None) && order.takes(&node, key, sent(3, 2), None),
            "they overtake each other"
        );
        assert!(order.takes(&node, key, sent(4, 1), None));
        assert!(!order.takes(&node, key, sent(3, 6), None), "an earlier boot");
        assert!(order.takes(&node, key, sent(4, 2_000), None));
        assert!(!order.takes(&node, key, sent(4, 3), None), "far behind");
        let fresh = RequestOrder::default();
        assert!(!fresh.takes(&node, key, sent(4, 2_001), Some(sent(5, 1))), "the log has heard a later boot");
        assert!(order.takes(&node, KeyBytes::from([8; 32]), sent(1, 1), None), "other keys");
    }
}
