//! The commands about who may connect to NATS: keys of nodes, join tokens, and the end of the shared password.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::form::strict;
use crate::id::{JoinTokenId, LogId, NodeId};
use crate::invalid::InputError;
use crate::labels::Labels;
use crate::limit::{JOIN_TOKEN_S_DEFAULT, JOIN_TOKEN_S_MAX, JOIN_TOKEN_S_MIN, JOIN_TOKEN_USES_MAX};
use crate::node_keys::{KeyBytes, NodeKeys};

/// The fields of `enrol_node`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolNode {
    /// The id of the node.
    pub id: NodeId,
    /// Its labels.
    pub labels: Labels,
    /// Its public keys, as `headwater edge key` prints them; without them the node keeps the keys that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<NodeKeys>,
}

/// The fields of `set_node_keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetNodeKeys {
    /// The id of the node.
    pub id: NodeId,
    /// Its public keys, as `headwater edge key` prints them. They replace the ones it has.
    pub keys: NodeKeys,
}

/// The fields of `create_join_token`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateJoinToken {
    /// The id of the new token. The id of a token is never used again.
    pub id: JoinTokenId,
    /// The public half of the token's key. The secret half is in the line that the node reads, and never in the log.
    pub key: KeyBytes,
    /// The only node that may join with the token; without it, any id that was never enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The labels of a node that is enrolled by the token.
    #[serde(default)]
    pub labels: Labels,
    /// How many nodes may join with it: 1 to 10,000.
    #[serde(default = "one")]
    #[cfg_attr(feature = "json-schema", schemars(range(min = 1, max = JOIN_TOKEN_USES_MAX)))]
    pub uses: u32,
    /// For how many seconds nodes may join with it: a minute to 90 days.
    #[serde(default = "a_day")]
    #[cfg_attr(feature = "json-schema", schemars(range(min = JOIN_TOKEN_S_MIN, max = JOIN_TOKEN_S_MAX)))]
    pub for_s: u32,
}

const fn one() -> u32 {
    1
}

const fn a_day() -> u32 {
    JOIN_TOKEN_S_DEFAULT
}

/// What a node asks for that joins with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinNode {
    /// The token whose key signed the request.
    pub token: JoinTokenId,
    /// The id that the node wants.
    pub node: NodeId,
    /// The public keys of the node.
    pub keys: NodeKeys,
}

/// The log that a command is about, by its id.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnLog {
    /// The id of the log, as `GET /v1/log` shows it.
    pub(super) id: LogId,
}

/// Reads a command whose only field is the log.
pub(super) fn own_log<C>(fields: Map<String, Value>, command: fn(LogId) -> C) -> Result<C, InputError> {
    strict::<OwnLog>(fields).map(|log| command(log.id))
}

impl EnrolNode {
    pub(super) fn read<C>(fields: Map<String, Value>, command: fn(Self) -> C) -> Result<C, InputError> {
        let enrol: Self = strict(fields)?;
        enrol.keys.as_ref().map_or(Ok(()), check_keys)?;
        Ok(command(enrol))
    }
}

impl SetNodeKeys {
    pub(super) fn read<C>(fields: Map<String, Value>, command: fn(Self) -> C) -> Result<C, InputError> {
        let set: Self = strict(fields)?;
        check_keys(&set.keys)?;
        Ok(command(set))
    }
}

impl CreateJoinToken {
    pub(super) fn read<C>(fields: Map<String, Value>, command: fn(Self) -> C) -> Result<C, InputError> {
        let create: Self = strict(fields)?;
        check_key(&create.key).map_err(|refused| refused.at("key"))?;
        if !(1..=JOIN_TOKEN_USES_MAX).contains(&create.uses) {
            let detail = format!("a token has 1 to {JOIN_TOKEN_USES_MAX} uses");
            return Err(InputError::new("invalid_value", detail).at("uses"));
        }
        if !(JOIN_TOKEN_S_MIN..=JOIN_TOKEN_S_MAX).contains(&create.for_s) {
            let detail = format!("a token is for {JOIN_TOKEN_S_MIN} to {JOIN_TOKEN_S_MAX} seconds");
            return Err(InputError::new("invalid_value", detail).at("for_s"));
        }
        Ok(command(create))
    }
}

/// Both keys can verify signatures, and are two.
///
/// # Errors
/// `invalid_value` at the key.
pub fn check_keys(keys: &NodeKeys) -> Result<(), InputError> {
    for (key, field) in [(&keys.bus, "keys.bus"), (&keys.say, "keys.say")] {
        check_key(key).map_err(|refused| refused.at(field))?;
    }
    match keys.bus == keys.say {
        true => Err(InputError::new("invalid_value", "the two keys of a node differ").at("keys.say")),
        false => Ok(()),
    }
}

fn check_key(key: &KeyBytes) -> Result<(), InputError> {
    match key.key() {
        Some(_) => Ok(()),
        None => Err(InputError::new("invalid_value", "no Ed25519 public key with which a signature can be verified")),
    }
}
