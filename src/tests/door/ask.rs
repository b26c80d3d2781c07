//! A house with a door, people with tokens, and what they get for asking.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use api::health::HealthCondition;
use api::path::COMMANDS;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use schema::command::{Command, CreatePrincipal, Role};
use schema::digest::Digest;
use schema::entity::Actor;
use serde_json::{Value, json};
use server::event_log::EventLog;
use server::fleet::listener::ReportListener;
use server::http::router::{AppDependencies, AppState, HttpLimits, router};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::contract;
use crate::memory::Memory;

pub(crate) const ADMIN: &str = "admin-token";
pub(crate) const AUDITOR: &str = "auditor-token";

/// A door and all that is behind it.
pub(crate) struct House {
    pub(crate) log: Arc<Memory>,
    pub(crate) ears: ReportListener,
    pub(crate) reasons: Arc<Mutex<Vec<HealthCondition>>>,
    pub(crate) warnings: Arc<Mutex<Vec<HealthCondition>>>,
    pub(crate) published: Arc<AtomicU64>,
    pub(crate) closing: CancellationToken,
    pub(crate) router: Router,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(HttpLimits::default())
    }

    /// A house of two people: `ann`, who may all, at position 1, and `otto`, who may look, at position 2.
    pub(crate) fn with(limits: HttpLimits) -> Self {
        Self::of(limits, true)
    }

    /// A house whose server was told to serve no console.
    pub(crate) fn without_console() -> Self {
        Self::of(HttpLimits::default(), false)
    }

    fn of(limits: HttpLimits, console: bool) -> Self {
        let log = Arc::new(Memory::new());
        let person = |name: &str, role, token: &str| {
            let create =
                CreatePrincipal { name: name.parse().unwrap(), role, token_hash: Digest::of(token.as_bytes()) };
            let request = schema::request::Request::of([Command::CreatePrincipal(create)]);
            log.append(&request, &Actor::Install, None).unwrap();
        };
        person("ann", Role::Admin, ADMIN);
        person("otto", Role::Auditor, AUDITOR);
        let (ears, closing) = (ReportListener::default(), CancellationToken::new());
        let (reasons, published) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let (given, sequence) = (Arc::clone(&reasons), Arc::clone(&published));
        let warnings = Arc::<Mutex<Vec<HealthCondition>>>::default();
        let warned = Arc::clone(&warnings);
        let app = AppState::from(AppDependencies {
            log: log.clone(),
            reports: ears.clone(),
            readiness: Arc::new(move || given.lock().unwrap().clone()),
            warnings: Arc::new(move || warned.lock().unwrap().clone()),
            published: Arc::new(move || Some(sequence.load(Ordering::Relaxed).into())),
            relay: Arc::new(|| Some("following")),
            certificate: None,
            console,
            limits,
            closing: closing.clone(),
        });
        Self { log, ears, reasons, warnings, published, closing, router: router(app) }
    }

    pub(crate) fn position(&self) -> u64 {
        self.log.view().position().get()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        let answered = Answered { status: parts.status, headers: parts.headers, body };
        contract::check(&method, &path, &answered);
        answered
    }

    /// GET as the auditor.
    pub(crate) async fn get(&self, uri: &str) -> Answered {
        self.send(request(Method::GET, uri, &[("authorization", &format!("Bearer {AUDITOR}"))], "")).await
    }

    /// GET that must go well.
    pub(crate) async fn shown(&self, uri: &str) -> Value {
        let answered = self.get(uri).await;
        assert_eq!(answered.status, StatusCode::OK, "{uri}: {answered}");
        answered.json()
    }

    /// POST as the administrator.
    pub(crate) async fn post(&self, uri: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let bearer = format!("Bearer {ADMIN}");
        let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        all.extend(headers);
        let answered = self.send(request(Method::POST, uri, &all, body.to_string())).await;
        if answered.status.is_success() && uri.starts_with(COMMANDS) {
            contract::check_commands(body.as_bytes());
        }
        answered
    }

    /// Commands of the administrator.
    pub(crate) async fn ask(&self, commands: Value) -> Answered {
        self.post("/v1/commands", &[], &json!({"commands": commands}).to_string()).await
    }

    /// Commands that must be accepted.
    pub(crate) async fn done(&self, commands: Value) -> Value {
        let answered = self.ask(commands).await;
        assert_eq!(answered.status, StatusCode::OK, "{answered}");
        answered.json()
    }
}

pub(crate) fn request(method: Method, uri: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The answer is a problem as RFC 9457 has it, of this status, code and field.
    #[track_caller]
    pub(crate) fn is_problem(&self, what: &str, status: u16, code: &str, field: &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{what}: {self}");
        let body = self.json();
        let found = (self.status.as_u16(), body["code"].as_str(), body["field"].as_str().unwrap_or_default());
        assert_eq!(found, (status, Some(code), field), "{what}: {self}");
        assert_eq!((&body["status"], &body["type"]), (&json!(status), &json!("about:blank")), "{what}");
        assert!(body["title"].is_string() && body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
    }
}

impl std::fmt::Display for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.body);
        write!(f, "{} {}", self.status, text.chars().take(500).collect::<String>())
    }
}

/// A `put_document` of text.
pub(crate) fn put(id: &str, path: &str, content: &str, target: Value) -> Value {
    json!({"type": "put_document", "id": id, "path": path, "media_type": "text/plain", "content": content,
        "target": target, "priority": 0})
}

/// An `enrol_node`.
pub(crate) fn enrol(id: &str, labels: Value) -> Value {
    json!({"type": "enrol_node", "id": id, "labels": labels})
}
