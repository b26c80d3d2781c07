//! What a node must remember over a restart: `state.json`.

use schema::digest::Digest;
use schema::id::{LogId, NodeId};
use schema::instant::Instant;
use schema::position::Position;
use schema::report::{Attempt, REJECTED_MAX, RecordRef, ReportWarning};
use schema::seal::PublicKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The newest format, and the one that is written.
pub const FORMAT: u16 = 1;
/// Rejections that are remembered; the oldest give way.
pub const REJECTIONS_MAX: usize = REJECTED_MAX;

/// A node's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// The format of this file.
    pub v: u16,
    /// Whose folder this is.
    pub node: NodeId,
    /// How often an agent was started here: a report says it, so that an older boot is known from a newer one whatever the clock.
    #[serde(default)]
    pub boot_no: u64,
    /// The key that every record must be signed with.
    #[serde(default)]
    pub key: Option<PinnedKey>,
    /// The log that every record must follow from.
    #[serde(default)]
    pub log_id: Option<LogId>,
    /// Logs that were followed before, and are not again once a record of the present one was accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftLog>,
    /// The newest record that was accepted; older ones are refused.
    #[serde(default)]
    pub floor: Option<RecordRef>,
    /// What was last put in force. The link `current` is the truth; this has all of the digest.
    #[serde(default)]
    pub running: Option<RecordRef>,
    /// What was last in force and good.
    #[serde(default)]
    pub last_good: Option<RecordRef>,
    /// What the operator's check or hook said no to, oldest first.
    #[serde(default)]
    pub rejected: Vec<RejectedDigest>,
    /// What became of the last attempt that came to an end, for somebody who looks while no agent runs.
    #[serde(default)]
    pub attempt: Option<Attempt>,
    /// What the operator should know of what was last good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ReportWarning>,
}

/// A log that a node has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftLog {
    /// Which.
    pub log_id: LogId,
    /// How far it was followed.
    pub floor: Option<RecordRef>,
}

/// A digest that is not tried again, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RejectedDigest {
    /// The record's position when it was tried.
    pub position: Position,
    /// What was rejected.
    pub digest: Digest,
    /// The record's `retry` then.
    pub retry: Position,
    /// The stable code.
    pub code: String,
    /// What the check or hook said.
    pub detail: String,
    /// When, by the node's clock.
    pub at: Instant,
}

impl NodeState {
    /// The memory of a node that never had a record.
    #[must_use]
    pub fn blank(node: NodeId) -> Self {
        let (key, log_id, floor, running, last_good) = (None, None, None, None, None);
        let (left, rejected, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            v: FORMAT,
            node,
            boot_no: 0,
            key,
            log_id,
            left,
            floor,
            running,
            last_good,
            rejected,
            attempt: None,
            warnings,
        }
    }

    /// Leaves the log that was followed for another: what runs stays, and any position of the other one is new. One that was
    /// left before is taken up again only while no other was begun to be followed, and where it was left: somebody told the
    /// node a wrong id. False if its records would take the node back.
    #[must_use]
    pub fn turn_to(&mut self, log_id: LogId) -> bool {
        if self.log_id == Some(log_id) {
            return true;
        }
        let before = self.left.iter().position(|left| left.log_id == log_id);
        if before.is_some() && self.floor.is_some() {
            return false;
        }
        let floor = before.and_then(|before| self.left.remove(before).floor);
        let present = self.log_id.replace(log_id).map(|log_id| LeftLog { log_id, floor: self.floor });
        self.left.extend(present);
        self.floor = floor;
        true
    }

    /// Whether somebody else than the agent changed what `current` points to, if `found` is what it points to, when it
    /// pointed to what was good. What is wanted is no stranger there: a full disk may have come between the switch and the
    /// memory of it.
    #[must_use]
    pub fn is_relinked(&self, found: Option<RecordRef>) -> bool {
        let is_wanted = found.is_some() && found == self.floor;
        self.running.is_some() && self.running == self.last_good && found != self.running && !is_wanted
    }

    /// Remembers a rejection, in the place of an older one of the same digest.
    pub fn reject(&mut self, rejected: RejectedDigest) {
        self.forgive(rejected.digest);
        self.rejected.push(rejected);
        let surplus = self.rejected.len().saturating_sub(REJECTIONS_MAX);
        self.rejected.drain(..surplus);
    }

    /// Forgets that a digest was rejected.
    pub fn forgive(&mut self, digest: Digest) {
        self.rejected.retain(|rejected| rejected.digest != digest);
    }

    /// Why a digest was rejected, if it was.
    #[must_use]
    pub fn rejection(&self, digest: Digest) -> Option<&RejectedDigest> {
        self.rejected.iter().find(|rejected| rejected.digest == digest)
    }
}

/// A public key as 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedKey(pub PublicKey);

impl PinnedKey {
    /// The 64 hex digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0.as_bytes())
    }
}

impl std::str::FromStr for PinnedKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "a key is 64 hex digits".to_owned())?;
        PublicKey::from_bytes(&bytes).map(Self).map_err(|fault| fault.detail)
    }
}

impl Serialize for PinnedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for PinnedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_turns_to_another_log_with_what_it_runs_and_never_back() {
        let log = |number: u128| LogId::from(uuid::Uuid::from_u128(number));
        let mark = Some(RecordRef { position: 9.into(), digest: Digest::of(b"x") });
        let mut state = NodeState::blank("a".parse().expect("an id"));
        (state.log_id, state.floor, state.running, state.last_good) = (Some(log(1)), mark, mark, mark);
        assert!(state.turn_to(log(1)), "it follows that one already");
        assert_eq!(state.floor, mark);
        assert!(state.turn_to(log(2)));
        assert_eq!((state.log_id, state.floor), (Some(log(2)), None));
        assert_eq!((state.running, state.last_good), (mark, mark), "what runs stays");
        assert!(state.turn_to(log(1)), "the id was a wrong one, and nothing of it was accepted");
        assert_eq!((state.log_id, state.floor), (Some(log(1)), mark), "it is where it was");
        assert!(state.turn_to(log(3)));
        state.floor = mark;
        let before = state.clone();
        assert!(!state.turn_to(log(1)));
        assert_eq!(state, before, "nothing is changed by what is refused");
    }
}
