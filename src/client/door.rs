//! The door, seen from outside.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder};
use schema::answer::Answer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::{Error, Problem};
use super::place::{DoorUrl, Options, Token};
use super::stream::Stream;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long a live stream may take: longer than any log is kept, and short enough for every clock to add up.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
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
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next part; none at the end.
    pub next: Option<String>,
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
        let (mut items, mut cursor) = (Vec::new(), Some(String::new()));
        while let Some(at) = cursor {
            let page: Page<T> = self.page(path, &[], &at).await?;
            items.extend(page.items);
            cursor = page.next;
        }
        Ok(items)
    }

    /// One part of the list at `path` that `query` narrows; the first has an empty cursor.
    ///
    /// # Errors
    /// As [`Door::get`].
    pub async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        cursor: &str,
    ) -> Result<Page<T>, Error> {
        let limit = PAGE_ITEMS.to_string();
        let whole = [&[("limit", limit.as_str()), ("cursor", cursor)], query].concat();
        self.get(&asked(path, &whole)).await
    }

    /// Has a request decided as [`Door::send`] would, and nothing appended.
    ///
    /// # Errors
    /// If it is refused, or no answer came.
    pub async fn try_out(&self, request: &Request) -> Result<(), Error> {
        let url = self.url.below("/v1/commands?dry_run=true");
        let post = self.client.post(&url).header(CONTENT_TYPE, "application/json").body(request.body());
        self.ask::<serde::de::IgnoredAny>(&url, post).await.map(drop)
    }

    /// Opens the live stream of events at `path`.
    ///
    /// # Errors
    /// As [`Door::get`].
    pub async fn follow(&self, path: &str) -> Result<Stream, Error> {
        let url = self.url.below(path);
        // It takes as long as it likes; whoever reads it notices when nothing comes.
        let get = self.client.get(&url).timeout(FOREVER).header(ACCEPT, "text/event-stream");
        let answer = tokio::time::timeout(ANSWER_WITHIN, get.header(AUTHORIZATION, self.token.header()).send());
        let silent = || Error::Silent { url: self.url.to_string() };
        let answer = answer.await.map_err(|_| silent())?.map_err(|source| self.unreached(source))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Stream::of(answer, self.url.to_string()));
        }
        let body = answer.bytes().await.map_err(|source| self.unreached(source))?;
        Err(Error::Refused(Problem::read(status.as_u16(), &body)))
    }

    /// Has a request decided and appended. One with a key is sent again if its answer does not come.
    ///
    /// # Errors
    /// If it is refused, or no answer came; then one without a key may have been done all the same.
    pub async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let url = self.url.below("/v1/commands");
        let body = request.body();
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
        let unreached = |source| self.unreached(source);
        let answer = request.header(AUTHORIZATION, self.token.header()).send().await.map_err(unreached)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreached)?;
        if !status.is_success() {
            return Err(Error::Refused(Problem::read(status.as_u16(), &body)));
        }
        serde_json::from_slice(&body).map_err(|source| Error::Strange { url: url.to_owned(), source })
    }
    fn unreached(&self, source: reqwest::Error) -> Error {
        // The URL is said by our own error, and its path may be long.
        Error::Unreached { url: self.url.to_string(), source: source.without_url() }
    }
}

impl Request {
    /// The request as it is sent.
    #[must_use]
    pub fn body(&self) -> String {
        json!({"reason": self.reason, "commands": self.commands}).to_string()
    }
}

/// A path with what is asked of it.
#[must_use]
pub fn asked(path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{query}")
}
