//! Checkpoints and proofs at the door: they convince who knows only the key, and senseless questions are named.

use std::sync::atomic::Ordering;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use replay::checkpoint::Checkpoint;
use replay::tree::{check_consistency, check_inclusion};
use schema::digest::Digest;
use schema::position::Position;
use schema::seal::SecretKey;
use serde_json::{Value, json};

use crate::ask::{AUDITOR, House, enrol, request};

async fn furnished() -> House {
    let house = House::new();
    for number in 0..5 {
        house.done(json!([enrol(&format!("n-{number}"), json!({}))])).await;
    }
    house.published.store(7, Ordering::Relaxed);
    house
}

fn at(value: &Value) -> Position {
    value.as_u64().unwrap().into()
}

fn digest(value: &Value) -> Digest {
    value.as_str().unwrap().parse().unwrap()
}

fn hashes(answer: &Value) -> Vec<Digest> {
    answer["hashes"].as_array().unwrap().iter().map(digest).collect()
}

#[tokio::test]
async fn what_is_proven_leads_to_what_was_signed() {
    let house = furnished().await;
    let shown = house.shown("/v1/log/checkpoint").await;
    let log_id = shown["log_id"].as_str().unwrap().parse().unwrap();
    let key = SecretKey::from_seed(&[7; 32]).public();
    let signed = Checkpoint::open(shown["note"].as_str().unwrap().as_bytes(), log_id, &key).unwrap();
    assert_eq!((signed.position, signed.root), (at(&shown["position"]), digest(&shown["root"])));
    assert_eq!(signed.position, Position::from(7));

    let bearer = format!("Bearer {AUDITOR}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/plain")];
    let plain = house.send(request(Method::GET, "/v1/log/checkpoint", &headers, "")).await;
    assert_eq!(plain.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(plain.body, shown["note"].as_str().unwrap().as_bytes(), "the same note");

    for position in 1..=7 {
        let proof = house.shown(&format!("/v1/log/proof/inclusion/{position}")).await;
        assert_eq!((at(&proof["size"]), digest(&proof["root"])), (signed.position, signed.root));
        let leaf = (Position::from(position), digest(&proof["leaf"]));
        check_inclusion(&hashes(&proof), (signed.position, signed.root), leaf).unwrap();
        let event = house.shown(&format!("/v1/events?after={}&limit=1", position - 1)).await;
        assert_eq!(event["items"][0]["leaf"], proof["leaf"]);

        let proof = house.shown(&format!("/v1/log/proof/consistency?from={position}")).await;
        let from = (at(&proof["from"]), digest(&proof["from_root"]));
        assert_eq!(from.0, Position::from(position));
        assert_eq!((at(&proof["to"]), digest(&proof["to_root"])), (signed.position, signed.root));
        check_consistency(&hashes(&proof), from, (signed.position, signed.root)).unwrap();
    }
    let smaller = house.shown("/v1/log/proof/inclusion/2?size=5").await;
    let root = (at(&smaller["size"]), digest(&smaller["root"]));
    check_inclusion(&hashes(&smaller), root, (2.into(), digest(&smaller["leaf"]))).unwrap();
}

#[tokio::test]
async fn what_makes_no_sense_is_named() {
    let house = furnished().await;
    for (status, code, field, uri) in [
        (400, "invalid_parameter", "position", "/v1/log/proof/inclusion/0"),
        (400, "invalid_parameter", "position", "/v1/log/proof/inclusion/one"),
        (400, "invalid_parameter", "position", "/v1/log/proof/inclusion/99999999999999999999"),
        (404, "unknown_entity", "position", "/v1/log/proof/inclusion/8"),
        (404, "unknown_entity", "position", "/v1/log/proof/inclusion/5?size=4"),
        (404, "not_published", "size", "/v1/log/proof/inclusion/1?size=8"),
        (400, "invalid_parameter", "size", "/v1/log/proof/inclusion/1?size=-1"),
        (400, "unknown_parameter", "to", "/v1/log/proof/inclusion/1?to=3"),
        (400, "invalid_parameter", "from", "/v1/log/proof/consistency"),
        (400, "invalid_parameter", "from", "/v1/log/proof/consistency?from=0&to=3"),
        (400, "invalid_parameter", "from", "/v1/log/proof/consistency?from=4&to=3"),
        (404, "not_published", "to", "/v1/log/proof/consistency?from=4&to=8"),
        (400, "unknown_parameter", "at", "/v1/log/checkpoint?at=3"),
    ] {
        house.get(uri).await.is_problem(uri, status, code, field);
    }
    let stranger = house.send(request(Method::GET, "/v1/log/checkpoint", &[], "")).await;
    stranger.is_problem("without a token", 401, "missing_token", "Authorization");
}

#[tokio::test]
async fn a_proof_as_text_has_the_signed_checkpoint_of_its_tree() {
    let house = furnished().await;
    let bearer = format!("Bearer {AUDITOR}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/plain")];
    let text = house.send(request(Method::GET, "/v1/log/proof/inclusion/3", &headers, "")).await;
    let text = String::from_utf8(text.body).unwrap();
    let (proof, note) = text.split_once("\n\n").unwrap();
    let checkpoint = house.shown("/v1/log/checkpoint").await;
    assert_eq!(note, checkpoint["note"].as_str().unwrap());
    let mut lines = proof.lines();
    assert_eq!((lines.next(), lines.next()), (Some("c2sp.org/tlog-proof@v1"), Some("index 2")));
    let hashes: Vec<Digest> =
        lines.map(|line| Digest::try_from(STANDARD.decode(line).unwrap().as_slice()).unwrap()).collect();
    let event = house.shown("/v1/events?after=2&limit=1").await;
    let tree = (at(&checkpoint["position"]), digest(&checkpoint["root"]));
    check_inclusion(&hashes, tree, (3.into(), digest(&event["items"][0]["leaf"]))).unwrap();
    // No checkpoint of another tree is kept.
    let other = house.send(request(Method::GET, "/v1/log/proof/inclusion/3?size=5", &headers, "")).await;
    other.is_problem("another size", 400, "invalid_parameter", "size");
}

#[tokio::test]
async fn a_leaf_can_be_computed_from_an_event_as_it_is_shown() {
    let house = furnished().await;
    let listed = house.shown("/v1/events?data_text=true").await;
    for item in listed["items"].as_array().unwrap() {
        let text = item["data_text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), item["data"]);
        let mut event = item.clone();
        event["data"] = json!(text);
        event.as_object_mut().unwrap().remove("data_text");
        let event: schema::event::Event = serde_json::from_value(event).unwrap();
        assert_eq!(schema::canonical::leaf(&event), digest(&item["leaf"]));
    }
    assert!(house.shown("/v1/events").await["items"][0].get("data_text").is_none());
}
