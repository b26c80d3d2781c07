//! Which events are shown: the last, those since a time, those that nobody but a person caused.

use serde_json::{Value, json};

use crate::server::{Server, log_status};

/// Events of a log in which every tenth is no report; one a second.
const EVENTS: u64 = 3_000;

fn event(position: u64) -> Value {
    let (kind, entity) = match position % 10 {
        0 => ("NodeLabelled", "node/a"),
        _ => ("ReportChanged", "report/a"),
    };
    let at = schema::instant::Instant::from_unix_micros(i64::try_from(position).unwrap() * 1_000_000);
    json!({"position": position, "type": kind, "entity": entity, "at": at, "data": {}})
}

/// A server with such a log.
fn server() -> Server {
    Server::new(|first, _, reply| {
        let query = |name: &str| {
            let (_, rest) = first.split_once(&format!("{name}="))?;
            rest.split('&').next().map(str::to_owned)
        };
        if first.contains("/v1/log") {
            return reply.whole("200 OK", &log_status(EVENTS).to_string());
        }
        let number = |name: &str| query(name).unwrap().parse::<u64>().unwrap();
        let (after, limit) = (number("cursor"), number("limit"));
        let wanted = (after + 1..=EVENTS).map(event);
        let wanted = wanted.filter(|event| query("type").is_none_or(|kind| event["type"] == kind.as_str()));
        let items: Vec<Value> = wanted.take(usize::try_from(limit).unwrap()).collect();
        let last = items.last().map_or(EVENTS, |event| event["position"].as_u64().unwrap());
        let next = (last < EVENTS && !items.is_empty()).then(|| last.to_string());
        reply.whole("200 OK", &json!({"items": items, "next": next}).to_string())
    })
}

fn positions(server: &Server, arguments: &[&str]) -> Vec<u64> {
    let (code, said, complaint) = server.run(&[&["events", "--json"], arguments].concat());
    assert_eq!(code, 0, "{arguments:?}: {complaint}");
    said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap()).collect()
}

#[test]
fn the_last_events_are_those_that_are_to_be_shown() {
    let server = server();
    assert_eq!(positions(&server, &["--last", "3"]), [2_998, 2_999, 3_000]);
    assert_eq!(positions(&server, &["--last", "0"]), Vec::<u64>::new());
    assert_eq!(positions(&server, &["--last", "3", "--after", "2999"]), [3_000]);
    assert_eq!(positions(&server, &["--last", "2", "--type", "NodeLabelled"]), [2_990, 3_000]);
    let changes: Vec<u64> = (1..=EVENTS / 10).map(|tenth| tenth * 10).collect();
    assert_eq!(positions(&server, &["--last", "200", "--no-reports"]), changes[100..]);
    assert_eq!(positions(&server, &["--last", "4000"]), (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!(positions(&server, &["--no-reports"]), changes);
}

#[test]
fn since_a_time_means_at_it_or_after_it() {
    let server = server();
    assert_eq!(positions(&server, &["--since", "1970-01-01T00:49:58Z"]), [2_998, 2_999, 3_000]);
    assert_eq!(positions(&server, &["--since", "1970-01-01T00:49:58.1Z"]), [2_999, 3_000]);
    assert_eq!(positions(&server, &["--since", "1970-01-01T00:49:58Z", "--no-reports"]), [3_000]);
    assert_eq!(positions(&server, &["--since", "1970-01-01T00:00:00Z"]).len(), 3_000);
    assert_eq!(positions(&server, &["--since", "10m"]), Vec::<u64>::new());
    let (code, _, complaint) = server.run(&["events", "--since", "yesterday"]);
    assert!(code == 2 && complaint.contains("10m"), "{complaint}");
}
