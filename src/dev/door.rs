//! What `headwater dev` asks of the door: whether it is ready, and who is let in.
//!
//! Always: it says nothing twice. Each thing is looked for first, and asked for under a key of its own, so that a start
//! that was cut off is taken up by the next.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Instruments of a neutron source, given to the nodes in turn.
const INSTRUMENTS: [&str; 5] = ["loki", "dream", "bifrost", "odin", "nmx"];

/// The door did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It could not be reached.
    #[error("could not {0}")]
    Unreached(String, #[source] reqwest::Error),
    /// It said no.
    #[error("could not {what}: the door answered {status}: {body}")]
    Answered {
        /// What was asked.
        what: String,
        /// The status.
        status: StatusCode,
        /// What it said.
        body: String,
    },
}

/// The door, with a token to enter it.
#[derive(Clone, Debug)]
pub(super) struct Door {
    client: Client,
    url: String,
    token: String,
}

impl Door {
    pub(super) fn new(url: &str, token: &str) -> Result<Self, Refused> {
        // A proxy for the world outside has no business between us and ourselves.
        let client = Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
        let client = client.map_err(|error| Refused::Unreached("make a client".into(), error))?;
        let (url, token) = (url.to_owned(), token.to_owned());
        Ok(Self { client, url, token })
    }

    /// Whether all behind the door is there.
    pub(super) async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/readyz", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// Enrols a node unless it is there.
    pub(super) async fn enrol(&self, number: u16, id: &str) -> Result<(), Refused> {
        let what = format!("enrol {id}");
        let there = self.send(&what, self.request(Method::GET, &format!("/v1/nodes/{id}")));
        let there = there.await?;
        if there.status() == StatusCode::NOT_FOUND {
            let command = json!({"type": "enrol_node", "id": id, "labels": labels(number)});
            return self.command(&what, &format!("dev-enrol-{id}"), command).await;
        }
        accepted(what, there).await
    }

    /// Lets the auditor in, unless the token is good already.
    pub(super) async fn let_in_auditor(&self, token: &str) -> Result<(), Refused> {
        let what = "let the auditor in".to_owned();
        let log = format!("{}/v1/log", self.url);
        let there = self.send(&what, self.client.get(log).bearer_auth(token)).await?;
        if there.status() == StatusCode::UNAUTHORIZED {
            let hash = hex::encode(Sha256::digest(token));
            let key = format!("dev-auditor-{}", &hash[..16]);
            let command = json!({"type": "create_principal", "name": "auditor", "role": "auditor", "token_hash": hash});
            return self.command(&what, &key, command).await;
        }
        accepted(what, there).await
    }

    async fn command(&self, what: &str, key: &str, command: Value) -> Result<(), Refused> {
        let body = json!({"reason": "headwater dev", "commands": [command]});
        let request = self.request(Method::POST, "/v1/commands");
        let request = request.header("Idempotency-Key", key).json(&body);
        let answer = self.send(what, request).await?;
        accepted(what.to_owned(), answer).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.client.request(method, url).bearer_auth(&self.token)
    }

    async fn send(&self, what: &str, request: RequestBuilder) -> Result<Response, Refused> {
        let answer = request.send().await;
        answer.map_err(|error| Refused::Unreached(what.to_owned(), error))
    }
}

async fn accepted(what: String, answer: Response) -> Result<(), Refused> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = answer.text().await.unwrap_or_default();
    Err(Refused::Answered { what, status, body })
}

/// A token's text, of 32 random bytes.
pub(super) fn token(random: [u8; 32]) -> String {
    format!("hw_{}", BASE64_URL_SAFE_NO_PAD.encode(random))
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
    fn a_token_is_hw_and_43_characters() {
        assert_eq!(token([0xff; 32]), format!("hw_{}8", "_".repeat(42)));
    }

    #[test]
    fn nodes_differ_in_instrument_and_share_sites_and_roles() {
        let of = |name, numbers: [u16; 3]| numbers.map(|number| labels(number)[name]);
        assert_eq!(of("instrument", [1, 2, 3]), ["loki", "dream", "bifrost"]);
        assert_eq!(of("site", [1, 2, 3]), ["lund", "copenhagen", "lund"]);
        assert_eq!(of("role", [1, 2, 3]), ["daq", "daq", "monitor"]);
        assert_eq!(labels(6)["instrument"], "loki");
    }
}
