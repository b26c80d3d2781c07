//! The door, seen from outside.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder};
use schema::answer::Answer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::{Error, Problem};
use super::place::{DoorUrl, Options, Token};

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How often a request that has a key is sent before it counts as lost.
const SENT_MAX: u32 = 3;
/// The rest before a request is sent again; doubled with each that follows.
const REST: Duration = Duration::from_millis(200);
/// Items on a page of a list: as many as the door gives.
const PAGE_ITEMS: usize = 1_000;

/// The door, with a token to enter it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    client: Client,
    url: DoorUrl,
    token: Token,
}

/// One atomic request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Why, for whoever reads the log.
    pub reason: Option<String>,
    /// The commands, each an object with its `type`.
    pub commands: Vec<Value>,
    /// Under the same key the same request is done once, however often it is sent.
    pub key: Option<String>,
}

/// A part of a list.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl Door {
    /// The door at `url`; whether anybody is there shows when it is asked something.
    ///
    /// # Errors
    /// If this machine can't make a client.
    pub fn new(url: DoorUrl, token: Token) -> Result<Self, Error> {
        // A proxy for the world outside has no business between the two of us.
        let client = Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
        let client = client.map_err(|source| Error::Unreached { url: url.to_string(), source })?;
        Ok(Self { client, url, token })
    }

    /// The door that a person names.
    ///
    /// # Errors
    /// As [`Door::new`].
    pub fn of(options: &Options) -> Result<Self, Error> {
        Self::new(options.url.clone(), options.token.clone())
    }

    /// The same door, entered with another token.
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        Self { token, ..self.clone() }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &DoorUrl {
        &self.url
    }

    /// Whether all behind the door is there.
    pub async fn is_ready(&self) -> bool {
        let answer = self.client.get(self.url.below("/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// If the door says no or does not answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let url = self.url.below(path);
        self.ask(&url, self.client.get(&url)).await
    }

    /// What is at `path`, if there is anything.
    ///
    /// # Errors
    /// As [`Door::get`].
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::Refused(problem)) if problem.code == "unknown_entity" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All items of the list at `path`, page after page.
    ///
    /// # Errors
    /// As [`Door::get`].
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Error> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<T> = self.get(&format!("{path}?limit={PAGE_ITEMS}&cursor={cursor}")).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(items),
            }
        }
    }

    /// Has a request decided and appended. One with a key is sent again if its answer does not come.
    ///
    /// # Errors
    /// If it is refused, or no answer came; then one without a key may have been done all the same.
    pub async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let url = self.url.below("/v1/commands");
        let body = json!({"reason": request.reason, "commands": request.commands}).to_string();
        let sent_max = if request.key.is_some() { SENT_MAX } else { 1 };
        let mut sent = 0;
        loop {
            let mut post = self.client.post(&url).header(CONTENT_TYPE, "application/json").body(body.clone());
            if let Some(key) = &request.key {
                post = post.header("Idempotency-Key", key);
            }
            sent += 1;
            match self.ask(&url, post).await {
                Err(error) if error.is_unreachable() && sent < sent_max => {
                    tokio::time::sleep(REST * 2_u32.pow(sent - 1)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn ask<T: DeserializeOwned>(&self, url: &str, request: RequestBuilder) -> Result<T, Error> {
        // The URL is said by our own error, and its path may be long.
        let unreached =
            |source: reqwest::Error| Error::Unreached { url: self.url.to_string(), source: source.without_url() };
        let answer = request.header(AUTHORIZATION, self.token.header()).send().await.map_err(unreached)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreached)?;
        if !status.is_success() {
            return Err(Error::Refused(Problem::read(status.as_u16(), &body)));
        }
        serde_json::from_slice(&body).map_err(|source| Error::Strange { url: url.to_owned(), source })
    }
}
