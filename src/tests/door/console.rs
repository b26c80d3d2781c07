//! The console's files, and what a browser is told of them.

use axum::http::{Method, StatusCode};
use tower::ServiceExt;

use crate::ask::{ADMIN, Answered, House, enrol, put, request};

const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types headwater-worker";

/// The console is no operation of the interface, so that no answer is held against its description.
async fn ask(house: &House, method: Method, uri: &str, headers: &[(&str, &str)]) -> Answered {
    let response = house.router.clone().oneshot(request(method, uri, headers, "")).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answered { status: parts.status, headers: parts.headers, body }
}

async fn get(house: &House, uri: &str) -> Answered {
    ask(house, Method::GET, uri, &[]).await
}

#[track_caller]
fn is_secured(answered: &Answered, uri: &str) {
    for (name, value) in [
        ("content-security-policy", CONTENT_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        let all: Vec<_> = answered.headers.get_all(name).iter().collect();
        assert_eq!(all, [value], "{uri}: {name}");
    }
    let foreign = answered.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
    assert_eq!(foreign, None, "{uri}: nobody else's page may read it");
}

#[tokio::test]
async fn every_file_is_served_without_a_token_and_known_again_by_its_digest() {
    let house = House::new();
    for asset in console::assets() {
        let uri = format!("/console/{}", asset.name);
        let answered = get(&house, &uri).await;
        assert_eq!((answered.status, answered.body.as_slice()), (StatusCode::OK, asset.bytes), "{uri}");
        is_secured(&answered, &uri);
        let tag = format!("\"{}\"", asset.digest);
        let told = ["content-type", "cache-control", "etag", "vary"].map(|name| answered.header(name));
        assert_eq!(told, [asset.media_type, "no-cache", &tag, "accept-encoding"], "{uri}");
        let packed = ask(&house, Method::GET, &uri, &[("accept-encoding", "gzip")]).await;
        let weak = packed.header("etag").to_owned();
        assert_eq!((packed.header("content-encoding"), weak.as_str()), ("gzip", format!("W/{tag}").as_str()), "{uri}");
        for known in [&tag, &weak] {
            let known = ask(&house, Method::GET, &uri, &[("if-none-match", known), ("accept-encoding", "gzip")]).await;
            assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0), "{uri}");
            is_secured(&known, &uri);
        }
        let other = ask(&house, Method::GET, &uri, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(other.status, StatusCode::OK, "{uri}");
        let head = ask(&house, Method::HEAD, &uri, &[]).await;
        assert_eq!((head.status, head.body.len(), head.header("etag")), (StatusCode::OK, 0, tag.as_str()), "{uri}");
        assert_eq!(head.header("content-length"), asset.bytes.len().to_string(), "{uri}");
    }
}

#[tokio::test]
async fn the_front_page_is_at_the_root_and_with_a_slash() {
    let house = House::new();
    for uri in ["/", "/console"] {
        let moved = get(&house, uri).await;
        assert_eq!((moved.status, moved.header("location")), (StatusCode::SEE_OTHER, "/console/"), "{uri}");
        is_secured(&moved, uri);
    }
    let front = get(&house, "/console/").await;
    let file = console::assets().iter().find(|asset| asset.name == "index.html").unwrap();
    assert_eq!((front.status, front.body.as_slice()), (StatusCode::OK, file.bytes));
    assert_eq!(front.header("content-type"), "text/html; charset=utf-8");
    is_secured(&front, "/console/");
}

#[tokio::test]
async fn no_path_leads_to_another_file() {
    let house = House::new();
    for uri in [
        "/console/nothing.js",
        "/console/index.html/",
        "/console//index.html",
        "/console/./index.html",
        "/console/..%2findex.html",
        "/console/..%2f..%2fCargo.toml",
        "/console/%2e%2e/lib.rs",
        "/console/../lib.rs",
        "/console/%2fetc%2fpasswd",
        "/console/..%5c..%5clib.rs",
        "/console/index.html%00.js",
        "/console/INDEX.HTML",
    ] {
        let refused = get(&house, uri).await;
        refused.is_problem(uri, 404, "unknown_route", "");
        is_secured(&refused, uri);
    }
    let refused = get(&house, "/console/%ff").await;
    refused.is_problem("not UTF-8", 400, "bad_request", "");
    is_secured(&refused, "not UTF-8");
}

#[tokio::test]
async fn the_console_only_reads() {
    let house = House::new();
    for uri in ["/", "/console", "/console/", "/console/index.html"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let refused = ask(&house, method.clone(), uri, &[]).await;
            refused.is_problem(uri, 405, "method_not_allowed", "");
            assert_eq!(refused.header("allow"), "GET,HEAD", "{method} {uri}");
            is_secured(&refused, uri);
        }
    }
}

#[tokio::test]
async fn a_console_that_is_turned_off_is_not_there_for_anybody() {
    let house = House::without_console();
    let bearer = format!("Bearer {ADMIN}");
    for uri in ["/", "/console", "/console/", "/console/index.html"] {
        for headers in [&[][..], &[("authorization", bearer.as_str())]] {
            let refused = ask(&house, Method::GET, uri, headers).await;
            refused.is_problem(uri, 404, "unknown_route", "");
        }
    }
    assert_eq!(house.shown("/v1/fleet").await["nodes"], 0, "the rest is");
}

#[tokio::test]
async fn a_file_of_a_node_is_never_shown_as_a_page_of_this_server() {
    let house = House::new();
    let mut page = put("d", "d.html", "<script>alert(1)</script>", serde_json::json!({"all": true}));
    page["media_type"] = "text/html".into();
    house.done(serde_json::json!([page, enrol("n-1", serde_json::json!({}))])).await;
    for uri in ["/v1/nodes/n-1/files/d.html", "/v1/documents/d/content"] {
        let answered = house.get(uri).await;
        let told = ["content-type", "content-security-policy", "x-content-type-options", "content-disposition"];
        let told = told.map(|name| answered.header(name));
        assert_eq!(told, ["text/html", "sandbox", "nosniff", "attachment"], "{uri}");
    }
}
