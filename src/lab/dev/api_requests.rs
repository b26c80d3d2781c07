//! Requests of `headwater dev` to its server: tokens for the nodes, let the auditor in, read the key.
//!
//! Each change is made only if it is missing, and under an idempotency key, so that an interrupted start is completed by the
//! next.

use std::collections::BTreeMap;
use std::path::Path;

use api::log::LogStatus;
use api::path::LOG;
use client::api_client::{ApiClient, CommandRequest};
use client::endpoint::BearerToken;
use client::error::Error;
use client::join_token::{self, JoinTokenRequest, NatsPlace};
use client::node_access::Error as AccessError;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Instruments of a neutron source: labels of the nodes in turn.
const INSTRUMENTS: [&str; 5] = ["loki", "dream", "bifrost", "odin", "nmx"];

/// How long a token that is made at the start lasts, in seconds.
const JOIN_WITHIN_S: u64 = 600;

/// A request of `dev` failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}")]
pub struct DevRequestError {
    what: String,
    source: AccessError,
}

/// A token for a node to join with, unless it is enrolled and has a seed in its folder.
pub(super) async fn join_token(
    client: &ApiClient,
    nats: &NatsPlace,
    number: u16,
    id: &str,
    dir: &Path,
) -> Result<Option<String>, DevRequestError> {
    let refused = |source| DevRequestError { what: format!("make a token for {id}"), source };
    let there = client.get_optional::<IgnoredAny>(&format!("/v1/nodes/{id}")).await;
    let there = there.map_err(|error| refused(error.into()))?;
    if there.is_some() && dir.join("node.seed").exists() {
        return Ok(None);
    }
    let labels = labels(number).into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let node = Some(id.parse().expect("BUG: the id of a node of dev is one"));
    let asked = JoinTokenRequest { node, labels, uses: 1, for_s: JOIN_WITHIN_S };
    let line = join_token::create(client, nats, asked).await;
    line.map(|line| Some(line.to_text())).map_err(refused)
}

/// Creates the auditor, unless the token is valid already.
pub(super) async fn let_in_auditor(
    client: &ApiClient,
    token: &str,
    credentials: &BearerToken,
) -> Result<(), DevRequestError> {
    let refused = |error: Error| DevRequestError { what: "let the auditor in".to_owned(), source: error.into() };
    match client.with_token(credentials.clone()).get::<IgnoredAny>(LOG).await {
        Err(Error::Refused(problem)) if problem.status == 401 => {}
        answer => return answer.map(|_| ()).map_err(refused),
    }
    let hash = hex::encode(Sha256::digest(token));
    let key = format!("dev-auditor-{}", &hash[..16]);
    let create = json!({"type": "create_principal", "name": "auditor", "role": "auditor", "token_hash": hash});
    command(client, key, create).await.map_err(refused)
}

/// The log's public key, for `--trust`.
pub(super) async fn signing_key(client: &ApiClient) -> Result<String, DevRequestError> {
    let log: Result<LogStatus, Error> = client.get(LOG).await;
    let refused = |error: Error| DevRequestError { what: "learn the log's key".to_owned(), source: error.into() };
    log.map(|log| log.signing_key).map_err(refused)
}

async fn command(client: &ApiClient, key: String, command: Value) -> Result<(), Error> {
    let request =
        CommandRequest { reason: Some("headwater dev".into()), now: false, commands: vec![command], key: Some(key) };
    client.send_commands(&request).await.map(|_| ())
}

/// The labels of a node, the same for the same number (from 1) at every start.
fn labels(number: u16) -> BTreeMap<&'static str, &'static str> {
    let turn = usize::from(number.saturating_sub(1));
    BTreeMap::from([
        ("instrument", INSTRUMENTS[turn % INSTRUMENTS.len()]),
        ("role", if turn % 3 == 2 { "monitor" } else { "daq" }),
        ("site", if turn % 2 == 0 { "lund" } else { "copenhagen" }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_differ_in_instrument_and_share_sites_and_roles() {
        let of = |name, numbers: [u16; 3]| numbers.map(|number| labels(number)[name]);
        assert_eq!(of("instrument", [1, 2, 3]), ["loki", "dream", "bifrost"]);
        assert_eq!(of("site", [1, 2, 3]), ["lund", "copenhagen", "lund"]);
        assert_eq!(of("role", [1, 2, 3]), ["daq", "daq", "monitor"]);
        assert_eq!(labels(6)["instrument"], "loki");
    }
}
