//! Ids by their beginnings, and times by their positions.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::ask::{House, enrol, put};

/// What a search finds, as `<kind>/<id>`.
async fn found(house: &House, query: &str) -> (Vec<String>, bool) {
    let answer = house.shown(&format!("/v1/search?{query}")).await;
    let name = |item: &Value| format!("{}/{}", item["kind"].as_str().unwrap(), item["id"].as_str().unwrap());
    let items = answer["items"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(answer["position"], house.position());
    (items, answer["more"].as_bool().unwrap())
}

#[tokio::test]
async fn ids_of_all_kinds_are_found_by_their_beginning_the_exact_one_first() {
    let house = House::new();
    house
        .done(json!([
            enrol("dream-10", json!({})),
            enrol("dream-2", json!({})),
            enrol("Dream", json!({})),
            enrol("other", json!({})),
            put("dream", "a", "text", json!({"all": true})),
            put("dream-volts", "b", "text", json!({"all": true})),
            {"type": "mark", "id": "dream-day"},
            {"type": "define_control", "id": "dream-c", "title": "t"},
        ]))
        .await;
    let expected = [
        "document/dream",
        "node/dream-10",
        "mark/dream-day",
        "control/dream-c",
        "node/dream-2",
        "document/dream-volts",
    ];
    assert_eq!(found(&house, "q=dream").await, (expected.map(String::from).to_vec(), false));
    assert_eq!(
        found(&house, "q=dream&limit=2").await,
        (expected[..2].iter().map(|name| (*name).to_owned()).collect(), true)
    );
    assert_eq!(found(&house, "q=dream-v").await.0, ["document/dream-volts"]);
    for nothing in ["q=zebra", "q=-", "q=dream%20", "q=%00", "q=..%2f", "q=%C3%A5"] {
        assert_eq!(found(&house, nothing).await, (Vec::new(), false), "{nothing}");
    }
    house.done(json!([{"type": "remove_document", "id": "dream"}])).await;
    assert_eq!(found(&house, "q=dream&limit=1").await.0, ["node/dream-10"], "what is gone is not found");
    house.get("/v1/search").await.is_problem("no text", 400, "invalid_parameter", "q");
    house.get("/v1/search?q=a&limit=101").await.is_problem("limit", 400, "invalid_parameter", "limit");
}

#[tokio::test]
async fn one_kind_does_not_hide_another_however_many_there_are() {
    let house = House::new();
    let nodes: Vec<Value> = (0..300).map(|number| enrol(&format!("x-{number:03}"), json!({}))).collect();
    house.done(json!(nodes)).await;
    house.done(json!([put("x-document", "a", "text", json!({"all": true}))])).await;
    let (items, more) = found(&house, "q=x-&limit=100").await;
    assert_eq!((items.len(), more, items[1].as_str()), (100, true, "document/x-document"));
}

#[tokio::test]
async fn times_are_those_of_events_spread_over_the_log() {
    let house = House::new();
    let nodes: Vec<Value> = (0..98).map(|number| enrol(&format!("n-{number}"), json!({}))).collect();
    house.done(json!(nodes)).await;
    let positions = |shown: &Value| -> Vec<u64> {
        shown["times"].as_array().unwrap().iter().map(|time| time["position"].as_u64().unwrap()).collect()
    };
    let all = house.shown("/v1/log/times").await;
    assert_eq!((positions(&all), &all["position"]), ((1..=100).collect(), &json!(100)));
    let some = house.shown("/v1/log/times?points=4").await;
    assert_eq!(positions(&some), [1, 34, 67, 100]);
    assert_eq!(positions(&house.shown("/v1/log/times?from=40&to=44&points=3").await), [40, 42, 44]);
    assert_eq!(positions(&house.shown("/v1/log/times?from=40&to=40").await), [40]);
    let event = &house.shown("/v1/events?after=33&limit=1").await["items"][0];
    assert_eq!((&some["times"][1]["at"], &event["position"]), (&event["at"], &json!(34)));
}

#[tokio::test]
async fn times_that_are_not_there_or_not_sound_are_refused() {
    let house = House::new();
    for (query, status, code, field) in [
        ("to=3", 404, "at_in_the_future", "to"),
        ("from=3", 404, "at_in_the_future", "from"),
        ("from=2&to=1", 400, "invalid_parameter", "from"),
        ("from=0", 400, "invalid_parameter", "from"),
        ("points=1", 400, "invalid_parameter", "points"),
        ("points=1001", 400, "invalid_parameter", "points"),
    ] {
        house.get(&format!("/v1/log/times?{query}")).await.is_problem(query, status, code, field);
    }
    house.log.damaged.store(2, Ordering::Relaxed);
    house.get("/v1/log/times").await.is_problem("damaged", 500, "damaged", "");
    assert_eq!(house.get("/v1/log/times?to=1").await.status, 200, "the others are shown");
}
