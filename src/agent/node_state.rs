//! `state.json`: what a node must remember over a restart.

use schema::digest::Digest;
use schema::id::{LogId, NodeId};
use schema::instant::Instant;
use schema::position::Position;
use schema::report::{Attempt, REJECTED_MAX, RecordRef, ReportWarning};
use schema::seal::PublicKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The format that is written, and the newest that is read.
pub const FORMAT: u16 = 1;
/// How many rejections are kept; the oldest are dropped.
pub const REJECTIONS_MAX: usize = REJECTED_MAX;

/// The content of `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// The format of this file.
    pub v: u16,
    /// The node that this folder belongs to.
    pub node: NodeId,
    /// How often an agent was started here. Reports carry it, so that boots are ordered without a clock.
    #[serde(default)]
    pub boot_no: u64,
    /// The key that every record must be signed with.
    #[serde(default)]
    pub key: Option<PinnedKey>,
    /// The log that every record must follow from.
    #[serde(default)]
    pub log_id: Option<LogId>,
    /// Logs that the node followed before. It never goes back to one after it accepted a record of the present log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftLog>,
    /// The newest accepted record; older ones are refused.
    #[serde(default)]
    pub floor: Option<RecordRef>,
    /// The generation that was last put in force. The symlink `current` decides; this has the full digest.
    #[serde(default)]
    pub running: Option<RecordRef>,
    /// The last generation whose apply hook succeeded.
    #[serde(default)]
    pub last_good: Option<RecordRef>,
    /// Rejections by the operator's check or hook, oldest first.
    #[serde(default)]
    pub rejected: Vec<RejectedDigest>,
    /// The last attempt that ended, for `edge status`.
    #[serde(default)]
    pub attempt: Option<Attempt>,
    /// Warnings about the last good generation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ReportWarning>,
}

/// A log that the node followed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftLog {
    /// Its id.
    pub log_id: LogId,
    /// The floor in that log.
    pub floor: Option<RecordRef>,
}

/// A digest that the operator's check or hook rejected: it is not tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RejectedDigest {
    /// The record's position when it was tried.
    pub position: Position,
    /// Of the rejected tree.
    pub digest: Digest,
    /// The record's `retry` then.
    pub retry: Position,
    /// The stable code.
    pub code: String,
    /// The output of the check or hook.
    pub detail: String,
    /// By the node's clock.
    pub at: Instant,
}

impl NodeState {
    /// The state of a node that never had a record.
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

    /// Follows another log: what runs stays, and the floor of the new log applies. False if the node has left that log before,
    /// and has accepted a record since: it must not go back. (Before that the operator may correct a wrong id.)
    #[must_use]
    pub fn switch_log(&mut self, log_id: LogId) -> bool {
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

    /// Whether another program than the agent changed the target of `current`, which is `found` now, after it pointed to a good
    /// generation. The wanted generation is no such change: a full disk may have kept the agent from storing its switch.
    #[must_use]
    pub fn is_relinked(&self, found: Option<RecordRef>) -> bool {
        let is_wanted = found.is_some() && found == self.floor;
        self.running.is_some() && self.running == self.last_good && found != self.running && !is_wanted
    }

    /// Adds a rejection, in the place of an older one of the same digest.
    pub fn reject(&mut self, rejected: RejectedDigest) {
        self.clear_rejection(rejected.digest);
        self.rejected.push(rejected);
        let surplus = self.rejected.len().saturating_sub(REJECTIONS_MAX);
        self.rejected.drain(..surplus);
    }

    /// Removes the rejection of a digest.
    pub fn clear_rejection(&mut self, digest: Digest) {
        self.rejected.retain(|rejected| rejected.digest != digest);
    }

    /// The rejection of a digest, if there is one.
    #[must_use]
    pub fn rejection(&self, digest: Digest) -> Option<&RejectedDigest> {
        self.rejected.iter().find(|rejected| rejected.digest == digest)
    }
}

/// A public key; its text is 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedKey(pub PublicKey);

impl PinnedKey {
    #[must_use]
    pub(crate) fn hex(&self) -> String {
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
        let record_ref = Some(RecordRef { position: 9.into(), digest: Digest::of(b"x") });
        let mut state = NodeState::blank("a".parse().expect("an id"));
        (state.log_id, state.floor, state.running, state.last_good) =
            (Some(log(1)), record_ref, record_ref, record_ref);
        assert!(state.switch_log(log(1)), "it follows that one already");
        assert_eq!(state.floor, record_ref);
        assert!(state.switch_log(log(2)));
        assert_eq!((state.log_id, state.floor), (Some(log(2)), None));
        assert_eq!((state.running, state.last_good), (record_ref, record_ref), "what runs stays");
        assert!(state.switch_log(log(1)), "the id was a wrong one, and nothing of it was accepted");
        assert_eq!((state.log_id, state.floor), (Some(log(1)), record_ref), "it is where it was");
        assert!(state.switch_log(log(3)));
        state.floor = record_ref;
        let before = state.clone();
        assert!(!state.switch_log(log(1)));
        assert_eq!(state, before, "nothing is changed by what is refused");
    }
}
