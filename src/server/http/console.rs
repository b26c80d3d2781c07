//! The console's files, below `/console/`. Nobody needs a token for them: they are the same for everybody, and a page asks for a token
//! before it asks for anything else.
//!
//! Always: an answer below these paths has the headers of [`SECURITY`], a refusal too, and no CORS header; a file is found by its whole name, so
//! that no path leads to another file.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use console::ConsoleAsset;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::http::compression::accepts_gzip;
use crate::http::context::AppState;
use crate::http::entity_tag::{has_tag, not_modified};

/// The paths, the first of which are the same page.
const PATHS: [&str; 4] = ["/", "/console", FRONT, "/console/{*file}"];
const FRONT: &str = "/console/";
/// What is served at [`FRONT`].
const FRONT_FILE: &str = "index.html";

/// What the pages may do: nothing but what this server sends them. The one policy for trusted types is for the address of the worker,
/// whose constructor counts as a place where text becomes code.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types headwater-worker";

const SECURITY: [(HeaderName, HeaderValue); 5] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY)),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// A file as it is served: anybody may ask for it, so that it is compressed once.
struct ServedFile {
    asset: &'static ConsoleAsset,
    compressed: Vec<u8>,
    tag: String,
}

static FILES: LazyLock<BTreeMap<&str, ServedFile>> = LazyLock::new(|| {
    let files = console::assets().iter();
    files.map(|asset| (asset.name, ServedFile::new(asset))).collect()
});

impl ServedFile {
    fn new(asset: &'static ConsoleAsset) -> Self {
        let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
        compressed.write_all(asset.bytes).expect("BUG: memory takes all bytes");
        let compressed = compressed.finish().expect("BUG: memory takes all bytes");
        Self { asset, compressed, tag: format!("\"{}\"", asset.digest) }
    }

    fn answer(&'static self, headers: &HeaderMap) -> Response {
        let described = [
            (CONTENT_TYPE, self.asset.media_type),
            (CACHE_CONTROL, "no-cache"),
            (ETAG, self.tag.as_str()),
            (VARY, "accept-encoding"),
        ];
        let response = match accepts_gzip(headers) {
            true => (described, [(CONTENT_ENCODING, "gzip")], self.compressed.as_slice()).into_response(),
            false => (described, self.asset.bytes).into_response(),
        };
        if has_tag(headers, &self.tag) { not_modified(response) } else { response }
    }
}

/// The routes of the console, or refusals in their place where it is turned off.
pub(super) fn routes(is_on: bool) -> Router<AppState> {
    let routes = match is_on {
        true => {
            let [root, bare, front, file] = PATHS;
            let moved = async || Redirect::to(FRONT);
            Router::new()
                .route(root, get(moved))
                .route(bare, get(moved))
                .route(front, get(show_front))
                .route(file, get(show))
        }
        false => PATHS
            .into_iter()
            .fold(Router::new(), |router, path| router.route(path, any(async || StatusCode::NOT_FOUND))),
    };
    routes.layer(from_fn(add_security))
}

async fn show_front(headers: HeaderMap) -> Response {
    answer(FRONT_FILE, &headers)
}

async fn show(Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(&name, &headers)
}

fn answer(name: &str, headers: &HeaderMap) -> Response {
    FILES.get(name).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |file| file.answer(headers))
}

async fn add_security(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().extend(SECURITY);
    response
}
