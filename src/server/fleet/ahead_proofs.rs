//! What nodes prove about the log: they report signed records that are newer than those NATS holds for them.
//!
//! What always holds: only a record counts that this log's key signed for the node that reports it; a bare number proves nothing.
//! Absent on purpose: comparing a proof with the head of the log, which `continuity` does for the append gate and the relay.

use std::collections::BTreeMap;

use schema::desired::Cause;
use schema::id::{LogId, NodeId};
use schema::report::Reported;
use schema::seal::PublicKey;

/// The key and the log that a record must be signed for.
#[derive(Clone, Debug)]
pub(super) struct TrustedKey {
    pub(super) log_id: LogId,
    pub(super) key: PublicKey,
}

/// The event that the newest report of each node proves.
#[derive(Debug, Default)]
pub(super) struct AheadProofs(BTreeMap<NodeId, Cause>);

impl AheadProofs {
    /// Verifies the proof of a report, and removes it from the report, because it may be large.
    pub(super) fn take_proof(&mut self, trust: Option<&TrustedKey>, report: &mut Reported) {
        let proven = trust.and_then(|trust| report.proven_cause(trust.log_id, &trust.key));
        report.proof = None;
        match proven {
            Some(cause) => drop(self.0.insert(report.node.clone(), cause)),
            None => drop(self.0.remove(&report.node)),
        }
    }

    /// The node's report was deleted, and its proof with it.
    pub(super) fn forget(&mut self, node: &NodeId) {
        self.0.remove(node);
    }

    /// The proof of the latest event. A log that has this event has all that the others prove.
    pub(super) fn furthest(&self) -> Option<(NodeId, Cause)> {
        let furthest = self.0.iter().max_by_key(|(_, cause)| cause.position);
        furthest.map(|(node, cause)| (node.clone(), *cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::desired::{Desired, digest_of};
    use schema::position::Position;
    use schema::seal::{SecretKey, SignedRecord};
    use schema::wire::WireRecord as _;
    use uuid::Uuid;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn record(log: u128, node: &str, position: u64) -> SignedRecord {
        let uuid = Uuid::from_u128(position.into());
        let cause = Cause { position: position.into(), event_id: uuid.into(), command_id: uuid.into() };
        let (log_id, node, digest) = (Uuid::from_u128(log).into(), node.parse().expect("an id"), digest_of([]));
        let (v, position, retry, retired, entries) = (1, position.into(), Position::ZERO, false, Vec::new());
        let record = Desired { v, log_id, node, position, digest, retry, retired, entries, cause };
        key(7).seal(record.write())
    }

    /// The furthest proven position after a report of `node`.
    fn proven(proofs: &mut AheadProofs, node: &str, proof: Option<SignedRecord>) -> Option<u64> {
        let trust = TrustedKey { log_id: Uuid::from_u128(1).into(), key: key(7).public() };
        let first = include_bytes!("../../../schema/tests/golden/records/reported-first.json");
        let blank: Reported = serde_json::from_slice(first).expect("a report");
        let mut report = Reported { node: node.parse().expect("an id"), proof, ..blank };
        proofs.take_proof(Some(&trust), &mut report);
        assert_eq!(report.proof, None, "it is not kept");
        proofs.furthest().map(|(_, cause)| cause.position.get())
    }

    #[test]
    fn only_what_this_logs_key_signed_for_the_node_proves_anything() {
        let proofs = &mut AheadProofs::default();
        assert_eq!(proven(proofs, "a", None), None, "a bare number");
        assert_eq!(proven(proofs, "a", Some(record(2, "a", 9))), None, "another log's");
        assert_eq!(proven(proofs, "a", Some(record(1, "b", 9))), None, "another node's");
        assert_eq!(proven(proofs, "a", Some(key(7).seal(vec![0xc0]))), None, "no record");
        let other = key(8).seal(record(1, "a", 9).body);
        assert_eq!(proven(proofs, "a", Some(other.clone())), None, "another key's");
        let forged = SignedRecord { key_id: key(7).public().id(), ..other };
        assert_eq!(proven(proofs, "a", Some(forged)), None, "a forged one");
        assert_eq!(proven(proofs, "a", Some(record(1, "a", 9))), Some(9));
    }

    #[test]
    fn the_furthest_proof_counts_until_its_node_has_none() {
        let proofs = &mut AheadProofs::default();
        assert_eq!(proven(proofs, "a", Some(record(1, "a", 5))), Some(5));
        assert_eq!(proven(proofs, "b", Some(record(1, "b", 7))), Some(7));
        assert_eq!(proven(proofs, "c", Some(record(1, "c", 6))), Some(7));
        assert_eq!(proven(proofs, "c", None), Some(7));
        assert_eq!(proven(proofs, "b", None), Some(5));
        assert_eq!(proven(proofs, "a", None), None);
    }
}
