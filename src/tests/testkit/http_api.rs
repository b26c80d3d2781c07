//! The HTTP API as its callers use it: HTTP and JSON.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;

use crate::certificates::http_client;
use crate::eventually::eventually;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a server may take from its start until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The HTTP API of one server, called with a token.
#[derive(Clone)]
pub struct HttpApi {
    url: String,
    token: String,
    client: Client,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// After how many seconds to come again, if it says that.
    pub retry_after: Option<u32>,
}

impl Answer {
    /// Whether it can't be done now, and when to come again.
    pub fn is_for_later(&self) -> bool {
        self.status == 503 && self.retry_after.is_some()
    }

    /// The stable code of a refusal.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl HttpApi {
    pub fn new(address: &str, token: &str) -> Self {
        let client = http_client(None).timeout(ANSWER_WITHIN).build().unwrap();
        Self { url: format!("http://{address}"), token: token.to_owned(), client }
    }

    /// The same server with another token; without one if it is empty.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until the server says that it is ready.
    pub async fn ready(&self) {
        eventually("the server is ready", READY_WITHIN, async || match self.get("/readyz").await? {
            ready if ready.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// Asks. What failed is said in words.
    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        self.ask(Method::GET, path, Vec::new(), None).await
    }

    /// Sends a request, under a key if one is given.
    pub async fn post(&self, body: &Value, key: Option<&str>) -> Result<Answer, String> {
        self.post_bytes(body.to_string().into_bytes(), key).await
    }

    /// Sends whatever it is.
    pub async fn post_bytes(&self, body: Vec<u8>, key: Option<&str>) -> Result<Answer, String> {
        self.ask(Method::POST, "/v1/commands", body, key).await
    }

    /// Sends a request that has to be accepted, and gives its answer.
    pub async fn accepted(&self, body: Value) -> Value {
        let answer = self.post(&body, None).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Where the log ends.
    pub async fn position(&self) -> u64 {
        let log = self.get("/v1/log").await.unwrap();
        log.body["position"].as_u64().unwrap()
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>, key: Option<&str>) -> Result<Answer, String> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if method == Method::POST {
            request = request.header("content-type", "application/json").body(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after");
        let retry_after = after.and_then(|after| after.to_str().ok()?.parse().ok());
        let bytes = response.bytes().await.map_err(|error| format!("{error:?}"))?;
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer { status, body, retry_after })
    }
}
