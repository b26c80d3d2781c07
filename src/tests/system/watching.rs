//! What an operator can see: figures, readiness, and one request followed from the server to a node.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use testkit::backends::TestBackends;
use testkit::eventually::eventually;
use testkit::fleet::{Fleet, Ways};
use testkit::http_api::HttpApi;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(30);

/// The figures of a server by their names with their labels, and no comments.
async fn figures(api: &HttpApi) -> Result<BTreeMap<String, f64>, String> {
    let answer = api.get("/metrics").await?;
    let text = answer.body.as_str().filter(|_| answer.status == 200).ok_or_else(|| format!("{answer:?}"))?;
    assert!(text.ends_with("# EOF\n"), "it is whole");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect())
}

fn retry() -> serde_json::Value {
    json!({"commands": [{"type": "retry_node", "id": "a"}]})
}

#[tokio::test]
async fn figures_say_how_far_everything_has_come() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    for _ in 0..10 {
        fleet.api().accepted(retry()).await;
    }
    assert_eq!(fleet.api().post(&json!({"commands": []}), None).await.unwrap().status, 422);
    eventually("the figures are those of a system at rest", SOON, async || {
        let figures = figures(fleet.api()).await?;
        let is = |name: &str, value: f64| figures.get(name) == Some(&value);
        let head = figures["headwater_head_position"];
        let at_rest = is("headwater_ready", 1.0)
            && is("headwater_published_position", head)
            && is("headwater_acknowledged_position", head)
            && is("headwater_signed_position", head)
            && is("headwater_checked_position", head)
            && is("headwater_publish_lag_events", 0.0)
            && is("headwater_publish_lag_seconds", 0.0)
            && is("headwater_nodes{state=\"converged\"}", 1.0)
            && figures["headwater_slot_retained_bytes"] >= 0.0;
        if at_rest { Ok(()) } else { Err(format!("{figures:?}")) }
    })
    .await;
    let figures = figures(fleet.api()).await.unwrap();
    let refused: Vec<_> = figures.keys().filter(|name| name.starts_with("headwater_refusals_total")).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(figures["headwater_publish_latency_seconds_count"] >= 10.0);
    assert!(figures["headwater_append_batch_requests_count"] >= 10.0);
    assert!(figures["headwater_connections_total{to=\"nats\"}"] >= 1.0);

    let nobody = fleet.api().with_token("").get("/metrics").await.unwrap();
    assert_eq!((nobody.status, nobody.code()), (401, "missing_token"));
}

#[tokio::test]
async fn a_node_whose_id_was_mistyped_is_seen_by_its_operator_and_by_the_servers() {
    let mut fleet = Fleet::start().await;
    fleet.node("web-1", json!({})).await;
    fleet.start_agent("wbe-1");
    eventually("one is converged and the other unknown", SOON, async || {
        let figures = figures(fleet.api()).await?;
        let is = |name: &str| figures.get(name) == Some(&1.0);
        match is("headwater_unknown_nodes") && is("headwater_nodes{state=\"converged\"}") {
            true => Ok(()),
            false => Err(format!("{figures:?}")),
        }
    })
    .await;
    for (log, said) in [("serve-0.log", "not enrolled"), ("edge-wbe-1.log", "not enrolled")] {
        let file = fleet.backends.dir.path().join(log);
        eventually(&format!("{log} names it"), SOON, async || {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
            match text.lines().any(|line| line.contains(said) && line.contains("wbe-1") && line.contains("enrol_node"))
            {
                true => Ok(()),
                false => Err(text),
            }
        })
        .await;
    }
    let right = std::fs::read_to_string(fleet.backends.dir.path().join("edge-web-1.log")).unwrap();
    assert!(!right.contains("not enrolled"), "{right}");
}

#[tokio::test]
async fn a_reconciler_without_a_door_says_how_it_is() {
    let mut fleet = Fleet::start().await;
    fleet.serve("reconciler").await;
    let api = &fleet.servers[1].api;
    assert_eq!(api.get("/healthz").await.unwrap().status, 200);
    assert_eq!(api.get("/readyz").await.unwrap().status, 200);
    assert!(figures(api).await.unwrap().contains_key("headwater_head_position"));
    let command = api.post(&retry(), None).await.unwrap();
    assert_eq!((command.status, command.code()), (404, "unknown_route"), "it takes no commands");
    fleet.backends.nats.kill();
    eventually("it says that NATS is gone", SOON, async || match api.get("/readyz").await? {
        answer if answer.status == 503 && answer.body.to_string().contains("NATS") => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_request_is_followed_by_its_command_id_from_the_door_to_a_node() {
    let ways = Ways { env: vec![("HEADWATER_LOG", "headwater=debug".to_owned())], ..Ways::default() };
    let mut fleet = Fleet::on(TestBackends::start().await, ways).await;
    fleet.serve("all").await;
    fleet.node("a", json!({})).await;
    let answer = fleet.api().accepted(retry()).await;
    let url = format!("/v1/events?after={}&limit=1", answer["position"].as_u64().unwrap() - 1);
    let events = fleet.api().get(&url).await.unwrap().body;
    let command_id = events["items"][0]["command_id"].as_str().unwrap();
    let span = format!("request{{command_id={command_id}}}");
    for (log, said) in [
        ("serve-0.log", "taken in"),
        ("serve-0.log", "decided and stored"),
        ("serve-0.log", "answered"),
        ("serve-0.log", "published"),
        ("edge-a.log", "accepted"),
    ] {
        let file = fleet.backends.dir.path().join(log);
        eventually(&format!("{log} says that it was {said}"), SOON, async || {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
            match text.lines().any(|line| line.contains(&span) && line.contains(said)) {
                true => Ok(()),
                false => Err(span.clone()),
            }
        })
        .await;
    }
    let line =
        format!("INFO request appended command_id={command_id} actor=admin events=1 position={}", answer["position"]);
    let log = std::fs::read_to_string(fleet.backends.dir.path().join("serve-0.log")).unwrap();
    assert_eq!(log.lines().filter(|said| said.contains(&line)).count(), 1, "{line}");
}
