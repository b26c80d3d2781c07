//! Whether what came in a node's name counts: signed by the key that the log has for the node.
//!
//! A node without keys may say what it likes under its own name, as long as the shared password opens NATS.

use async_nats::{HeaderMap, HeaderValue};
use projections::configuration::Configuration;
use schema::id::NodeId;
use schema::node_keys::KeyBytes;
use schema::report::SentNumber;
use schema::say::{SIGNATURE_HEADER, Statement};

/// What the log says of a node that was ever enrolled. The default is a node without keys on an open bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The key that signs for the node.
    say: Option<KeyBytes>,
    is_barred: bool,
    /// It was retired, and its keys were taken away.
    is_dismissed: bool,
    /// Nobody may do without a signature.
    is_closed: bool,
    /// The number of the last report that the log has, by the present keys.
    pub(super) reported: Option<SentNumber>,
}

/// Why something said in a node's name does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsaid {
    /// The node is shut out.
    #[error("the node is barred")]
    Barred,
    /// The node was retired, and dismissed.
    #[error("the node was retired and dismissed")]
    Dismissed,
    /// The node has keys, or nobody may do without them any more.
    #[error("it is not signed, and the node has keys, or the bus is closed")]
    Unsigned,
    /// The signature is not by the key that the log has for the node.
    #[error("its signature is not by the key that the log has for the node")]
    BadSignature,
    /// It is signed and has no number, so that nobody can say whether it is old.
    #[error("it is signed and has no number")]
    Unnumbered,
    /// A later one was heard before.
    #[error("the node has said something later")]
    Old,
}

impl Unsaid {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Barred => "node_barred",
            Self::Dismissed => "node_dismissed",
            Self::Unsigned => "unsigned",
            Self::BadSignature => "bad_signature",
            Self::Unnumbered => "unnumbered",
            Self::Old => "old",
        }
    }
}

impl Standing {
    /// The standing of a node; none if it was never enrolled.
    #[must_use]
    pub fn of(state: &Configuration, node: &NodeId) -> Option<Self> {
        let known = state.nodes().get(node)?;
        let say = known.access.keys.as_deref().map(|keys| keys.say);
        let last = state.reports().get(node).filter(|last| last.position > known.access.keyed);
        Some(Self {
            say,
            is_barred: known.access.is_barred(),
            is_dismissed: known.retired && say.is_none() && known.access.keyed.get() > 0,
            is_closed: state.identities().is_closed(),
            reported: last.and_then(|last| last.summary.sent),
        })
    }

    /// Whether only what the node signs counts.
    #[must_use]
    pub(super) fn has_keys(&self) -> bool {
        self.say.is_some()
    }

    /// Checks what was said in the node's name. Returns the key that signed it, if one did.
    ///
    /// # Errors
    /// If it does not count.
    pub fn check(
        &self,
        statement: Statement,
        message: &[u8],
        headers: Option<&HeaderMap>,
    ) -> Result<Option<KeyBytes>, Unsaid> {
        if self.is_barred {
            return Err(Unsaid::Barred);
        }
        let signature = headers.and_then(|headers| headers.get(SIGNATURE_HEADER)).map(HeaderValue::as_str);
        match (self.say, signature) {
            (Some(say), Some(signature)) => {
                let is_signed = say.key().is_some_and(|key| statement.is_signed(&key, message, signature));
                if is_signed { Ok(Some(say)) } else { Err(Unsaid::BadSignature) }
            }
            (Some(_), None) => Err(Unsaid::Unsigned),
            (None, _) if self.is_dismissed => Err(Unsaid::Dismissed),
            (None, _) if self.is_closed => Err(Unsaid::Unsigned),
            (None, _) => Ok(None),
        }
    }
}
