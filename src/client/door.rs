//! The door, seen from outside.
//!
//! Always: what is read is never older than what was written or read before, also when several servers answer in turn.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Response};
use schema::answer::{Answer, CommandWarning};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{self, BODY_BYTES_MAX};
use super::error::Error;
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
/// Bytes of all pages of a list, which are held together.
const LIST_BYTES_MAX: usize = 16 * BODY_BYTES_MAX;
/// The header that says for which position an answer holds.
const POSITION: &str = "headwater-position";

/// The door, with a token to enter it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    client: Client,
    url: DoorUrl,
    token: Token,
    /// The highest position that was written or read: another server may not have come so far yet.
    reached: Arc<AtomicU64>,
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
        let client = answer::client(ANSWER_WITHIN);
        let client = client.map_err(|source| Error::Unreached { url: url.to_string(), source })?;
        Ok(Self { client, url, token, reached: Arc::default() })
    }

    /// The door that a person names.
    ///
    /// # Errors
    /// As [`Door::new`].
    pub fn of(options: &Options) -> Result<Self, Error> {
        let door = Self::new(options.url.clone(), options.token.clone())?;
        door.has_reached(options.min_position);
        Ok(door)
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
        read(&self.url.below(path), &self.bytes(path).await?)
    }

    /// The body of what is at `path`, at or after the highest position that is known.
    async fn bytes(&self, path: &str) -> Result<Vec<u8>, Error> {
        let url = self.fresh(path);
        let answer = self.ask(self.client.get(&url)).await?;
        if let Some(position) = answer.headers().get(POSITION).and_then(|position| position.to_str().ok()?.parse().ok())
        {
            self.has_reached(position);
        }
        answer::body(answer, &url).await
    }

    /// The URL of `path`, with the position that the answer must hold for.
    fn fresh(&self, path: &str) -> String {
        match self.reached.load(Ordering::Relaxed) {
            0 => self.url.below(path),
            position => {
                let mark = if path.contains('?') { '&' } else { '?' };
                self.url.below(&format!("{path}{mark}min_position={position}"))
            }
        }
    }

    fn has_reached(&self, position: u64) {
        self.reached.fetch_max(position, Ordering::Relaxed);
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

    /// All items of the list at `path` that `query` narrows, page after page.
    ///
    /// # Errors
    /// As [`Door::get`]; if the list has no end.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<T>, Error> {
        let (mut items, mut cursor, mut bytes) = (Vec::new(), String::new(), 0);
        let mut passed = BTreeSet::new();
        loop {
            let asked = page_of(path, query, &cursor, PAGE_ITEMS);
            let body = self.bytes(&asked).await?;
            bytes += body.len();
            if bytes > LIST_BYTES_MAX {
                let url = self.url.below(path);
                return Err(Error::TooLarge { url, what: "a list", bytes_max: LIST_BYTES_MAX });
            }
            let page: Page<T> = read(&self.url.below(&asked), &body)?;
            items.extend(page.items);
            let Some(next) = page.next else { return Ok(items) };
            if next.is_empty() || !passed.insert(next.clone()) {
                return Err(self.no_progress(path, next));
            }
            cursor = next;
        }
    }

    /// One part of the list at `path` that `query` narrows; the first has an empty cursor. Whoever asks for the next sees to
    /// it that its cursor is another.
    ///
    /// # Errors
    /// As [`Door::get`].
    pub async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        cursor: &str,
        limit: usize,
    ) -> Result<Page<T>, Error> {
        self.get(&page_of(path, query, cursor, limit)).await
    }

    /// What is at `path` comes again to where it was.
    #[must_use]
    pub fn no_progress(&self, path: &str, cursor: String) -> Error {
        Error::NoProgress { url: self.url.below(path), cursor }
    }

    /// Has a request decided as [`Door::send`] would, and nothing appended. Gives what the door warns of.
    ///
    /// # Errors
    /// If it is refused, or no answer came.
    pub async fn try_out(&self, request: &Request) -> Result<Vec<CommandWarning>, Error> {
        /// What of the answer is of use here; an older door does not warn.
        #[derive(Deserialize)]
        struct Tried {
            #[serde(default)]
            warnings: Vec<CommandWarning>,
        }
        let url = self.url.below("/v1/commands?dry_run=true");
        let post = self.client.post(&url).header(CONTENT_TYPE, "application/json").body(request.body());
        let tried: Tried = read(&url, &answer::body(self.ask(post).await?, &url).await?)?;
        Ok(tried.warnings)
    }

    /// Opens the live stream of events at `path`.
    ///
    /// # Errors
    /// As [`Door::get`].
    pub async fn follow(&self, path: &str) -> Result<Stream, Error> {
        let url = self.fresh(path);
        // It takes as long as it likes; whoever reads it notices when nothing comes.
        let get = self.client.get(&url).timeout(FOREVER).header(ACCEPT, "text/event-stream");
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.ask(get)).await;
        let answer = answer.map_err(|_| Error::Silent { url: self.url.to_string() })??;
        Ok(Stream::of(answer, self.url.to_string()))
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
            match self.answered(&url, post).await {
                Err(error) if error.is_unreachable() && sent < sent_max => {
                    tokio::time::sleep(REST * 2_u32.pow(sent - 1)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn answered(&self, url: &str, post: RequestBuilder) -> Result<Answer, Error> {
        let answer: Answer = read(url, &answer::body(self.ask(post).await?, url).await?)?;
        self.has_reached(answer.position.get());
        Ok(answer)
    }

    /// An answer that is no refusal; its body is still to come.
    async fn ask(&self, request: RequestBuilder) -> Result<Response, Error> {
        // The URL is said by our own error, and its path may be long.
        let unreached =
            |source: reqwest::Error| Error::Unreached { url: self.url.to_string(), source: source.without_url() };
        let answer = request.header(AUTHORIZATION, self.token.header()).send().await.map_err(unreached)?;
        answer::accepted(answer, &self.url.to_string()).await
    }
}

fn read<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|source| Error::Strange { url: url.to_owned(), source })
}

fn page_of(path: &str, query: &[(&str, &str)], cursor: &str, limit: usize) -> String {
    let limit = limit.to_string();
    asked(path, &[&[("limit", limit.as_str()), ("cursor", cursor)], query].concat())
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
