//! The client of a server's HTTP interface.
//!
//! Always: no answer is older than what this client has written or read before, also where several servers share one URL.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use api::error_code::ErrorCode;
use api::header::{IDEMPOTENCY_KEY, POSITION};
use api::log::LogStatus;
use api::media_type::{EVENT_STREAM, JSON};
use api::page::{ITEMS_MAX, ListPage};
use api::path::{COMMANDS, LOG, READY};
use api::query::{CURSOR, DRY_RUN, LIMIT, MIN_POSITION};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use reqwest::{Client, RequestBuilder, Response};
use schema::answer::{Answer, CommandWarning};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tls::authorities::Authorities;

use super::endpoint::{BearerToken, Options, ServerUrl};
use super::error::Error;
use super::http_answer::{BODY_BYTES_MAX, expect_success, http_client, read_body};
use super::server_access::{PinnedLog, ServerAccess};
use super::server_sent_events::ServerSentEvents;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a live stream may take. reqwest has no way to switch its timeout off for one request; a hundred years is longer
/// than any stream, and does not overflow any clock.
const STREAM_TIMEOUT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// How often a request with a key is sent before it counts as lost.
const ATTEMPTS_MAX: u32 = 3;
/// The pause before a request is sent again; doubled each time.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of all pages of a list together.
const LIST_BYTES_MAX: usize = 16 * BODY_BYTES_MAX;

/// A server's URL and a token for it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiClient {
    http: Client,
    url: ServerUrl,
    token: BearerToken,
    /// The highest position that was written or read: another server may not have reached it yet.
    reached: Arc<AtomicU64>,
    /// The log that the server must have.
    pinned: Option<PinnedLog>,
    /// Whether the server was seen to have that log.
    is_checked: Arc<AtomicBool>,
}

/// The body and the key of `POST /v1/commands`.
#[derive(Clone, Debug, Default)]
pub struct CommandRequest {
    /// The reason that each of its events carries.
    pub reason: Option<String>,
    /// Whether it may change what a guard, or the end of a rollout, keeps from being changed by mistake.
    pub now: bool,
    /// The commands, each an object with its `type`.
    pub commands: Vec<Value>,
    /// Under the same key the same request is appended once, however often it is sent.
    pub key: Option<String>,
}

impl ApiClient {
    /// A client for the server at `url`. Whether there is a server shows with the first request.
    ///
    /// # Errors
    /// If this machine can't make a client.
    pub fn new(url: ServerUrl, token: BearerToken) -> Result<Self, Error> {
        Self::trusting(&Authorities::System, url, token)
    }

    /// The same, where one of `authorities` has signed the server's certificate.
    ///
    /// # Errors
    /// If the CA can't be used, or this machine can't make a client.
    pub fn trusting(authorities: &Authorities, url: ServerUrl, token: BearerToken) -> Result<Self, Error> {
        let http = http_client(&url.to_string(), authorities, ANSWER_TIMEOUT)?;
        Ok(Self { http, url, token, reached: Arc::default(), pinned: None, is_checked: Arc::default() })
    }

    /// The client for the server that a command line means, which may run the command that gives a context's token. If a context says
    /// which log the server has, that is checked before the first request.
    ///
    /// # Errors
    /// As [`ApiClient::new`]; if the context can't be used, there is no token, or it would be sent to another machine in the clear.
    pub fn from_options(options: &Options) -> Result<Self, Error> {
        let ServerAccess { url, token, authorities, pinned } = ServerAccess::of(options)?;
        let client = Self::trusting(&Authorities::from(authorities.ca_file.as_deref()), url, token)?;
        client.has_reached(options.min_position);
        Ok(Self { pinned, ..client })
    }

    /// The server as a question to a person names it: its URL, and the context if there is one.
    pub(crate) fn place(&self) -> String {
        match &self.pinned {
            Some(pinned) => format!("context {}, {}", pinned.context, self.url),
            None => self.url.to_string(),
        }
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: BearerToken) -> Self {
        Self { token, ..self.clone() }
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// The link with which a browser signs in to the server's console as this client does.
    pub(crate) fn console_link(&self) -> String {
        self.url.sign_in_link(&self.token)
    }

    /// Whether the server says that it can do its work.
    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(self.url.join(READY)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The answer to `GET path`.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(&self.url.join(path), &self.get_bytes(path).await?)
    }

    /// The bytes that are the answer to `GET path`, such as the content of a document.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub(crate) async fn get_content(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.get_bytes(path).await
    }

    /// The body of the answer to `GET path`, at or after the highest position that is known.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub(crate) async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Error> {
        let url = self.fresh_url(path);
        let answer = self.send(self.http.get(&url)).await?;
        if let Some(position) = answer.headers().get(POSITION).and_then(|position| position.to_str().ok()?.parse().ok())
        {
            self.has_reached(position);
        }
        read_body(answer, &url).await
    }

    /// The URL of `path`, with the position that the answer must have reached.
    fn fresh_url(&self, path: &str) -> String {
        match self.reached() {
            0 => self.url.join(path),
            position => {
                let separator = if path.contains('?') { '&' } else { '?' };
                self.url.join(&format!("{path}{separator}{MIN_POSITION}={position}"))
            }
        }
    }

    /// No answer from now on is older than this position.
    pub(crate) fn has_reached(&self, position: u64) {
        self.reached.fetch_max(position, Ordering::Relaxed);
    }

    /// The position that the next answer has reached at least.
    pub(crate) fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    /// The answer to a question that is sent with `POST`, and changes nothing.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: String) -> Result<T, Error> {
        let url = self.url.join(path);
        let post = self.http.post(&url).header(CONTENT_TYPE, JSON).body(body);
        parse(&url, &read_body(self.send(post).await?, &url).await?)
    }

    /// The answer to `GET path`, or none if there is no such entity.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn get_optional<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::Refused(problem)) if problem.code == ErrorCode::UnknownEntity.as_str() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All items of a list, page after page.
    ///
    /// # Errors
    /// As [`ApiClient::get`]; if the list is too large, or its pages do not go on.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<T>, Error> {
        let (mut items, mut cursor, mut bytes) = (Vec::new(), String::new(), 0);
        let mut seen = BTreeSet::new();
        loop {
            let page_path = page_path(path, query, &cursor, ITEMS_MAX);
            let body = self.get_bytes(&page_path).await?;
            bytes += body.len();
            if bytes > LIST_BYTES_MAX {
                let url = self.url.join(path);
                return Err(Error::TooLarge { url, what: "a list", bytes_max: LIST_BYTES_MAX });
            }
            let page: ListPage<T> = parse(&self.url.join(&page_path), &body)?;
            items.extend(page.items);
            let Some(next) = page.next else { return Ok(items) };
            if next.is_empty() || !seen.insert(next.clone()) {
                return Err(self.no_progress(path, next));
            }
            cursor = next;
        }
    }

    /// One page of a list; an empty cursor gives the first. The caller checks that the cursors go on.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn get_page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        cursor: &str,
        limit: usize,
    ) -> Result<ListPage<T>, Error> {
        self.get(&page_path(path, query, cursor, limit)).await
    }

    /// The error for a list or stream at `path` that repeats a cursor or position.
    #[must_use]
    pub fn no_progress(&self, path: &str, cursor: String) -> Error {
        Error::NoProgress { url: self.url.join(path), cursor }
    }

    /// Lets the server decide a request and append nothing. Gives the server's warnings.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    pub async fn dry_run(&self, request: &CommandRequest) -> Result<Vec<CommandWarning>, Error> {
        /// The part of the answer that is used here; an older server has no warnings.
        #[derive(Deserialize)]
        struct Decided {
            #[serde(default)]
            warnings: Vec<CommandWarning>,
        }
        let url = self.url.join(&format!("{COMMANDS}?{DRY_RUN}=true"));
        let post = self.http.post(&url).header(CONTENT_TYPE, JSON).body(request.body());
        let decided: Decided = parse(&url, &read_body(self.send(post).await?, &url).await?)?;
        Ok(decided.warnings)
    }

    /// Opens the live stream of events at `path`.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn open_stream(&self, path: &str) -> Result<ServerSentEvents, Error> {
        let url = self.fresh_url(path);
        // The reader of the stream notices when it goes silent.
        let get = self.http.get(&url).timeout(STREAM_TIMEOUT).header(ACCEPT, EVENT_STREAM);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.send(get)).await;
        let answer = answer.map_err(|_| Error::Silent { url: self.url.to_string() })??;
        Ok(ServerSentEvents::new(answer, self.url.to_string()))
    }

    /// Sends commands, to be decided and appended together. A request with a key is sent again if its answer does not come.
    ///
    /// # Errors
    /// If the server refuses or does not answer. Without an answer, the request may have been appended all the same.
    pub async fn send_commands(&self, request: &CommandRequest) -> Result<Answer, Error> {
        self.send_planned(request, None).await
    }

    /// The same for a request that was shown: with the digest of its plan it does what was shown, or is refused.
    ///
    /// # Errors
    /// As [`ApiClient::send_commands`].
    pub(crate) async fn send_planned(&self, request: &CommandRequest, plan: Option<&str>) -> Result<Answer, Error> {
        let url = self.url.join(COMMANDS);
        let body = request.body();
        let attempts_max = if request.key.is_some() { ATTEMPTS_MAX } else { 1 };
        let mut attempts = 0;
        loop {
            let mut post = self.http.post(&url).header(CONTENT_TYPE, JSON).body(body.clone());
            if let Some(key) = &request.key {
                post = post.header(IDEMPOTENCY_KEY, key);
            }
            if let Some(plan) = plan {
                post = post.header(IF_MATCH, format!("\"{plan}\""));
            }
            attempts += 1;
            match self.send_once(&url, post).await {
                Err(error) if error.is_unreachable() && attempts < attempts_max => {
                    tokio::time::sleep(RETRY_PAUSE * 2_u32.pow(attempts - 1)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn send_once(&self, url: &str, post: RequestBuilder) -> Result<Answer, Error> {
        let answer: Answer = parse(url, &read_body(self.send(post).await?, url).await?)?;
        self.has_reached(answer.position.get());
        Ok(answer)
    }

    /// Sends a request with the token. The answer is a success; its body is not read yet.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        if let Some(pinned) = self.pinned.as_ref().filter(|_| !self.is_checked.load(Ordering::Relaxed)) {
            self.check_log(pinned).await?;
        }
        self.send_unchecked(request).await
    }

    async fn check_log(&self, pinned: &PinnedLog) -> Result<(), Error> {
        let url = self.url.join(LOG);
        let answer = self.send_unchecked(self.http.get(&url)).await?;
        let log: LogStatus = parse(&url, &read_body(answer, &url).await?)?;
        if log.log_id != pinned.log_id {
            let (context, pinned) = (pinned.context.clone(), pinned.log_id);
            return Err(Error::OtherLog { url: self.url.to_string(), context, pinned, found: log.log_id });
        }
        self.is_checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn send_unchecked(&self, request: RequestBuilder) -> Result<Response, Error> {
        let unreachable = |error| Error::unreachable(&self.url.to_string(), error);
        let answer = request.header(AUTHORIZATION, self.token.header()).send().await.map_err(unreachable)?;
        expect_success(answer, &self.url.to_string()).await
    }
}

fn parse<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|source| Error::UnreadableAnswer { url: url.to_owned(), source })
}

fn page_path(path: &str, query: &[(&str, &str)], cursor: &str, limit: usize) -> String {
    let limit = limit.to_string();
    with_query(path, &[&[(LIMIT, limit.as_str()), (CURSOR, cursor)], query].concat())
}

impl CommandRequest {
    /// The JSON body.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = json!({"reason": self.reason, "commands": self.commands});
        // Servers of before know no such member.
        if self.now {
            body["now"] = true.into();
        }
        body.to_string()
    }
}

/// A path with its query parameters.
#[must_use]
pub fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{query}")
}
