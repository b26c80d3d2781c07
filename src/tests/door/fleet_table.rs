//! The fleet as a table, once and live.

use std::time::Duration;

use axum::http::Method;
use schema::report::{Attempt, AttemptState, Reported};
use serde_json::{Value, json};

use crate::ask::{ADMIN, House, enrol, put, request};
use crate::states::report;

const TABLE: &str = "/v1/fleet/table";

/// A fleet with nodes in several states, one of them retired.
async fn mixed() -> House {
    let house = House::new();
    let lund = || json!({"site": "lund"});
    house
        .done(json!([
            put("d", "d", "1", json!({"all": true})),
            enrol("n-4", lund()),
            enrol("n-1", lund()),
            enrol("n-2", json!({"site": "copenhagen", "note": "<b onclick=\"x\">"})),
            enrol("n-3", lund()),
            enrol("n-5", json!({})),
            {"type": "retire_node", "id": "n-5"},
        ]))
        .await;
    let mark = house.desired("n-1").await;
    house.hear(report("n-1", Some(mark)), Duration::ZERO);
    let attempt = Attempt {
        position: mark.position,
        digest: house.desired("n-2").await.digest,
        state: AttemptState::Failed,
        code: Some("check_failed".into()),
        detail: Some(format!("too\nhigh {}", "å".repeat(200))),
        at: schema::instant::Instant::default(),
    };
    house.hear(Reported { attempt: Some(attempt), ..report("n-2", None) }, Duration::ZERO);
    house.hear(report("n-3", Some(mark)), Duration::from_secs(60));
    house
}

/// The rows of a table, as `GET /v1/nodes` would show them.
fn rows(table: &Value) -> Vec<Value> {
    let at = |column: &str, row: usize| table[column][row].clone();
    let index = |column: &str, row: usize| usize::try_from(table[column][row].as_u64().unwrap()).unwrap();
    let row = |row: usize| {
        json!({
            "id": at("ids", row),
            "retired": table["retired"].as_array().unwrap().contains(&json!(row)),
            "state": table["state_names"][index("states", row)],
            "labels": table["label_sets"][index("labels", row)],
            "desired": at("desired", row),
            "running": at("running", row),
        })
    };
    (0..table["ids"].as_array().unwrap().len()).map(row).collect()
}

fn listed(nodes: &Value) -> Vec<Value> {
    let items = nodes["items"].as_array().unwrap().iter();
    let row = |node: &Value| {
        let running = node["running"]["position"].as_u64().unwrap_or(0);
        json!({"id": node["id"], "retired": node["retired"], "state": node["state"], "labels": node["labels"],
            "desired": node["desired"]["position"], "running": running})
    };
    items.map(row).collect()
}

#[tokio::test]
async fn columns_say_what_the_list_of_nodes_says() {
    let house = mixed().await;
    let (table, nodes, fleet) =
        (house.shown(TABLE).await, house.shown("/v1/nodes").await, house.shown("/v1/fleet").await);
    assert_eq!(rows(&table), listed(&nodes));
    assert_eq!(
        (&table["counts"], &table["position"], &table["at"]),
        (&fleet["states"], &fleet["position"], &fleet["at"])
    );
    assert_eq!((&table["past"], &table["retired"]), (&json!(false), &json!([4])));
    assert_eq!(table["label_sets"].as_array().unwrap().len(), 3, "equal labels stand there once");
    let reasons = table["reasons"].as_object().unwrap();
    assert_eq!(
        reasons.keys().collect::<Vec<_>>(),
        ["1"],
        "the state itself says why of those that are silent: {table}"
    );
    assert_eq!(reasons["1"]["code"], "check_failed");
    let detail = reasons["1"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("too high å") && detail.len() <= 160, "{detail}");
    let silent = table["silent_since"].as_object().unwrap();
    assert_eq!(silent.keys().collect::<Vec<_>>(), ["2"]);
    let since: schema::instant::Instant = silent["2"].as_str().unwrap().parse().unwrap();
    let age_s = (program::clock::system_time().unix_micros() - since.unix_micros()) / 1_000_000;
    assert!((60..120).contains(&age_s), "{age_s}");
}

#[tokio::test]
async fn the_past_is_a_table_too_and_is_known_again() {
    let house = mixed().await;
    let at = house.get("/v1/fleet/table?at=5").await;
    let table = at.json();
    assert_eq!(
        (&table["past"], &table["position"], &table["ids"]),
        (&json!(true), &json!(9), &json!(["n-1", "n-2", "n-3", "n-4", "n-5"])),
        "the end of the request"
    );
    assert_eq!(rows(&table), listed(&house.shown("/v1/nodes?at=5").await));
    let bearer = format!("Bearer {ADMIN}");
    let known = [("authorization", bearer.as_str()), ("if-none-match", at.header("etag"))];
    assert_eq!(house.send(request(Method::GET, "/v1/fleet/table?at=5", &known, "")).await.status, 304);
    house.get("/v1/fleet/table?at=99").await.is_problem("beyond", 404, "at_in_the_future", "at");
}

#[tokio::test]
async fn a_live_table_shows_a_change_to_all_of_its_viewers() {
    let house = mixed().await;
    let mut first = house.listen(TABLE, &[]).await;
    let mut second = house.listen(TABLE, &[]).await;
    let shown = house.shown(TABLE).await;
    for stream in [&mut first, &mut second] {
        let (id, name, table) = stream.next().await.unwrap();
        assert_eq!((id, name.as_str(), rows(&table)), (house.position(), "table", rows(&shown)));
    }
    let mark = house.desired("n-4").await;
    house.hear(report("n-4", Some(mark)), Duration::ZERO);
    for stream in [&mut first, &mut second] {
        let (_, name, change) = stream.next().await.unwrap();
        assert_eq!(name, "change");
        let [row] = change["rows"].as_array().unwrap().as_slice() else { panic!("one row: {change}") };
        let expected = json!({"id": "n-4", "retired": false, "state": "converged", "labels": {"site": "lund"},
            "desired": mark.position, "running": mark.position});
        assert_eq!((row, &change["counts"]["converged"], &change["gone"]), (&expected, &json!(2), &json!([])));
    }
    house.done(json!([enrol("n-6", json!({"site": "oslo"}))])).await;
    let (id, _, change) = first.next().await.unwrap();
    assert_eq!(
        (id, &change["rows"][0]["id"], &change["position"]),
        (house.position(), &json!("n-6"), &json!(house.position()))
    );
    drop(second);
    house.done(json!([{"type": "mark", "id": "m"}])).await;
    let (id, _, change) = first.next().await.unwrap();
    assert_eq!((id, &change["rows"]), (house.position(), &json!([])), "the log went on, and no node differs");
}

#[tokio::test]
async fn a_live_table_ends_with_the_token_or_the_server() {
    let house = House::new();
    let hash = schema::digest::Digest::of(b"eve-token");
    house.done(json!([{"type": "create_principal", "name": "eve", "role": "auditor", "token_hash": hash}])).await;
    let mut hers = house.listen_as("eve-token", TABLE, &[]).await;
    let mut ours = house.listen(TABLE, &[]).await;
    assert_eq!(hers.next().await.map(|(_, name, _)| name), Some("table".to_owned()));
    assert_eq!(ours.next().await.map(|(_, name, _)| name), Some("table".to_owned()));
    house.done(json!([{"type": "revoke_principal", "name": "eve"}])).await;
    assert_eq!(hers.next().await, None, "she learns nothing more, not even that");
    assert_eq!(ours.next().await.map(|(id, ..)| id), Some(house.position()));
    house.closing.cancel();
    assert_eq!(ours.next().await, None);
}

#[tokio::test]
async fn a_change_of_very_many_nodes_is_a_whole_table() {
    let house = House::new();
    let mut stream = house.listen(TABLE, &[]).await;
    stream.next().await.unwrap();
    let nodes =
        |from: u32| (from..from + 999).map(|number| enrol(&format!("n-{number}"), json!({}))).collect::<Vec<_>>();
    for from in [0, 1_000, 2_000] {
        house.done(json!(nodes(from))).await;
    }
    // They may have come in several tables; the last one has them all.
    let mut shown = 0;
    while shown < house.position() {
        let (id, name, data) = stream.next().await.unwrap();
        let is_whole = data["ids"].as_array().is_some_and(|ids| ids.len() > 2_000);
        assert!(name == "change" && data["rows"].as_array().unwrap().len() <= 2_000 || name == "table" && is_whole);
        shown = id;
    }
    assert_eq!(house.shown(TABLE).await["ids"].as_array().unwrap().len(), 2_997);
}

#[tokio::test(start_paused = true)]
async fn a_live_table_says_from_time_to_time_that_it_is_there() {
    let house = House::new();
    let mut stream = house.listen(TABLE, &[]).await;
    stream.next().await.unwrap();
    assert_eq!(stream.chunk().await, ":\n\n");
}

#[tokio::test]
async fn a_live_table_has_no_past_and_counts_as_a_stream() {
    let house = House::with(server::http::router::HttpLimits { streams: 1, ..Default::default() });
    let bearer = format!("Bearer {ADMIN}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let ask = async |uri: &str| house.send(request(Method::GET, uri, &headers, "")).await;
    ask("/v1/fleet/table?at=1").await.is_problem("past", 400, "invalid_parameter", "at");
    let open = house.listen("/v1/events", &[]).await;
    ask(TABLE).await.is_problem("second", 503, "too_many_streams", "");
    drop(open);
    house.listen(TABLE, &[]).await.next().await.unwrap();
}

/// Reads nothing while the table changes again and again, and then catches up with one whole table.
#[tokio::test(start_paused = true)]
async fn a_viewer_that_does_not_read_gets_a_whole_table_when_it_does() {
    let house = House::new();
    let mut slow = house.listen(TABLE, &[]).await;
    let mut quick = house.listen(TABLE, &[]).await;
    slow.next().await.unwrap();
    quick.next().await.unwrap();
    for number in 0..40 {
        house.done(json!([enrol(&format!("n-{number}"), json!({}))])).await;
        while quick.next().await.unwrap().0 < house.position() {}
    }
    let (id, name, table) = slow.next().await.unwrap();
    assert_eq!((id, name.as_str()), (house.position(), "table"));
    assert_eq!(table["ids"].as_array().unwrap().len(), 40);
}
