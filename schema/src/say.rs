//! Signatures of nodes, by their key `say`: on reports, requests, proposals, and on the request to join.
//!
//! The signature travels in a header of the message, so that the message itself stays as an older program reads it. What is
//! signed begins with what it is, so that nothing signed for one purpose counts for another.

use alloc::string::String;
use alloc::vec::Vec;

use crate::rpc::RpcVerb;
use crate::seal::{PublicKey, SecretKey};

/// The header of a signed message: 128 hex digits.
pub const SIGNATURE_HEADER: &str = "Headwater-Signature";

/// What a message is for that a node signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A report, in bucket `cfg_reported`.
    Report,
    /// A request of a runtime.
    Request(RpcVerb),
    /// A proposal, in bucket `cfg_proposed`.
    Proposal,
    /// A request to join, signed by the key of the token as well.
    Join,
}

impl Statement {
    /// The text that is signed before the message, with a zero byte between them.
    #[must_use]
    pub fn context(self) -> &'static str {
        match self {
            Self::Report => "hw1/report",
            Self::Request(RpcVerb::Claim) => "hw1/rpc/claim",
            Self::Request(RpcVerb::Renew) => "hw1/rpc/renew",
            Self::Request(RpcVerb::Release) => "hw1/rpc/release",
            Self::Request(RpcVerb::Complete) => "hw1/rpc/complete",
            Self::Request(RpcVerb::ListClaims) => "hw1/rpc/mine",
            Self::Proposal => "hw1/proposal",
            Self::Join => "hw1/join",
        }
    }

    /// The header's value for a message.
    #[must_use]
    pub fn sign(self, key: &SecretKey, message: &[u8]) -> String {
        hex::encode(key.sign(&self.signed(message)))
    }

    /// Whether `key` made the signature of the header over the message.
    #[must_use]
    pub fn is_signed(self, key: &PublicKey, message: &[u8], header: &str) -> bool {
        let mut signature = [0; 64];
        hex::decode_to_slice(header, &mut signature).is_ok() && key.has_signed(&self.signed(message), &signature)
    }

    fn signed(self, message: &[u8]) -> Vec<u8> {
        [self.context().as_bytes(), &[0], message].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_for_one_purpose_one_message_and_one_key() {
        let (key, other) = (SecretKey::from_seed(&[7; 32]), SecretKey::from_seed(&[8; 32]));
        let all = RpcVerb::ALL.map(Statement::Request).into_iter();
        let all: Vec<Statement> = all.chain([Statement::Report, Statement::Proposal, Statement::Join]).collect();
        for statement in &all {
            let header = statement.sign(&key, b"message");
            for asked in &all {
                assert_eq!(asked.is_signed(&key.public(), b"message", &header), asked == statement, "{asked:?}");
            }
            assert!(!statement.is_signed(&key.public(), b"messagE", &header));
            assert!(!statement.is_signed(&other.public(), b"message", &header));
            assert!(!statement.is_signed(&key.public(), b"message", &header[1..]));
        }
    }
}
