//! What a node sends that joins with a token, and the line that holds a token.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::id::{JoinTokenId, LogId, NodeId};
use crate::invalid::InputError;
use crate::node_keys::{KeyBytes, NodeKeys};
use crate::wire::WireRecord;

/// The header of a request to join with the signature by the key of the token: 128 hex digits.
pub const TOKEN_SIGNATURE_HEADER: &str = "Headwater-Token-Signature";
/// What the line of a token begins with; the number is its format.
const LINE_PREFIX: &str = "hwj1_";

/// A request to join, on `<prefix>.join.<token>`, signed by the key of the token and by the node's key `say`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The format of the request.
    pub v: u16,
    /// The id of the request, which the reply repeats.
    pub id: String,
    /// The token.
    pub token: JoinTokenId,
    /// The id that the node wants.
    pub node: NodeId,
    /// The public keys of the node.
    pub keys: NodeKeys,
}

impl WireRecord for JoinRequest {
    const WHAT: &'static str = "request to join";
}

/// All that a node needs to join, as one line of text: `hwj1_` and base64url of a MessagePack map.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinLine {
    /// The format of the line.
    pub v: u16,
    /// The id of the token.
    pub token: JoinTokenId,
    /// The seed of the token's key: a secret.
    #[serde(with = "serde_bytes")]
    pub seed: [u8; 32],
    /// The only node that may join with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// Where NATS is, without credentials; several separated by commas.
    pub nats: String,
    /// What the names in NATS begin with.
    pub prefix: String,
    /// The certificates in PEM by which NATS is verified, if it speaks TLS by a CA of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The key that desired records are signed with.
    pub trust: KeyBytes,
    /// The log that the node is to follow.
    pub log_id: LogId,
}

impl WireRecord for JoinLine {
    const WHAT: &'static str = "join token";
}

impl JoinLine {
    /// The line.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{LINE_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.write()))
    }

    /// Reads a line; white space around it does no harm.
    ///
    /// # Errors
    /// `invalid_value`, if it is no line of a token, or a newer program made it.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        let no_token = |why: String| InputError::new("invalid_value", format!("this is no join token: {why}"));
        let line = text.trim().strip_prefix(LINE_PREFIX);
        let line = line.ok_or_else(|| no_token(format!("it does not begin with {LINE_PREFIX}")))?;
        let bytes: Vec<u8> = URL_SAFE_NO_PAD.decode(line).map_err(|error| no_token(format!("{error}")))?;
        Self::read(&bytes).map_err(|error| no_token(format!("{error}")))
    }
}

impl core::fmt::Debug for JoinLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("JoinLine").field("token", &self.token).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SecretKey;

    #[test]
    fn a_line_is_read_as_it_is_written_and_shows_no_secret_by_mistake() {
        let trust = KeyBytes::from(&SecretKey::from_seed(&[9; 32]).public());
        let line = JoinLine {
            v: JoinLine::NEWEST,
            token: "t-1".parse().expect("an id"),
            seed: [7; 32],
            node: None,
            nats: "tls://nats:4222".into(),
            prefix: "cfg".into(),
            ca: Some("PEM".into()),
            trust,
            log_id: "0197f3a0-0000-7000-8000-0000000000a1".parse().expect("an id"),
        };
        let text = line.to_text();
        assert_eq!(JoinLine::parse(&format!("  {text}\n")), Ok(line.clone()));
        assert!(!format!("{line:?}").contains("07"));
        for refused in ["", "hwj1_", "hwj2_gA", &text[..text.len() - 5], &text[1..]] {
            assert_eq!(JoinLine::parse(refused).map_err(|refused| refused.code), Err("invalid_value"), "{refused}");
        }
    }
}
