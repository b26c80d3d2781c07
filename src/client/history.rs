//! `headwater history`: the requests that changed an entity, or what belongs to a bundle, with who sent them and why.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use api::query::ENTITY;
use clap::Args;
use program::output;
use schema::entity::{Entity, Kind};
use schema::terminal;
use serde_json::Value;

use crate::api_client::{ApiClient, with_query};
use crate::endpoint::Options as Endpoint;
use crate::events::event_reader::{EventReader, ReceivedEvent};
use crate::get::Error;
use crate::get::table::format_value;
use crate::manifest_request::owned_members;

/// Whose history to show, and how.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The newest request stands last. `headwater undo` takes one back.\n\n\
Examples:\n  \
headwater history document/motd --diff          each version, line by line\n  \
headwater history node/node-1                   enrolment, labels, keys\n  \
headwater history bundle/loki --last 5          a bundle and its members")]
pub struct Options {
    /// The entity. Of a bundle: its own history, and that of all that belongs to it now.
    #[arg(value_name = "KIND/ID")]
    entity: Entity,

    /// Only the last N requests.
    #[arg(long, value_name = "N")]
    last: Option<usize>,

    /// Show what each request changed in the texts of documents.
    #[arg(long, conflicts_with = "json")]
    diff: bool,

    /// Print the events as JSON, one line for each.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    endpoint: Endpoint,
}

/// The events of one request, by position.
type RequestEvents = BTreeMap<u64, ReceivedEvent>;

/// Prints the history.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let client = ApiClient::from_options(&options.endpoint)?;
    let mut requests = requests(&client, &options.entity).await?;
    if requests.is_empty() && !options.json {
        output::text(&format!("nothing ever happened to {}\n", options.entity))?;
    }
    let skipped = options.last.map_or(0, |last| requests.len().saturating_sub(last));
    for request in requests.drain(..).skip(skipped) {
        if options.json {
            for event in request.values() {
                if output::json(&event.json)? == output::PipeState::Closed {
                    return Ok(());
                }
            }
            continue;
        }
        let mut text = request_text(&request);
        if options.diff {
            text += &differences(&client, &request).await?;
        }
        if output::text(&text)? == output::PipeState::Closed {
            return Ok(());
        }
    }
    Ok(())
}

/// The requests with an event of the entity, or of a member of the bundle, in the order of the log.
async fn requests(client: &ApiClient, entity: &Entity) -> Result<Vec<RequestEvents>, Error> {
    let mut entities = vec![entity.to_string()];
    if entity.kind == Kind::Bundle {
        entities.extend(owned_members::read(client, entity.id.as_str()).await?);
    }
    let mut events = RequestEvents::new();
    for entity in entities {
        let reader = EventReader { client: client.clone(), filter: vec![(ENTITY, entity)], no_reports: false };
        let take = |event: ReceivedEvent| {
            events.insert(event.position, event);
            Ok(ControlFlow::Continue(()))
        };
        reader.for_each(0, u64::MAX, take).await?;
    }
    let mut requests: Vec<RequestEvents> = Vec::new();
    let mut last = Value::Null;
    // The events of a request follow each other, so that those of one stand together.
    for (position, event) in events {
        let id = event.value["command_id"].clone();
        match requests.last_mut() {
            Some(request) if id == last => drop(request.insert(position, event)),
            _ => requests.push(RequestEvents::from([(position, event)])),
        }
        last = id;
    }
    Ok(requests)
}

/// Who sent the request and why, and a line for each event.
fn request_text(request: &RequestEvents) -> String {
    let Some(first) = request.values().next() else { return String::new() };
    let text = |name: &str| format_value(&first.value[name]);
    let reason = match first.value["reason"].as_str() {
        Some(reason) => format!("    {}\n", terminal::line(reason)),
        None => String::new(),
    };
    let line = |event: &ReceivedEvent| {
        let text = |name: &str| format_value(&event.value[name]);
        format!("    {:>8}  {} {} v{}\n", event.position, text("type"), text("entity"), text("version"))
    };
    let lines: String = request.values().map(line).collect();
    format!("request {}  {}  by {}\n{reason}{lines}", text("command_id"), text("at"), text("actor"))
}

/// What the request changed in the texts of documents.
async fn differences(client: &ApiClient, request: &RequestEvents) -> Result<String, Error> {
    let documents: BTreeMap<&str, &ReceivedEvent> = request
        .values()
        .filter_map(|event| Some((event.value["entity"].as_str()?.strip_prefix("document/")?, event)))
        .collect();
    let mut text = String::new();
    for (id, event) in documents {
        // The states before and after the whole request, whose events are numbered from 1.
        let before = event.position.saturating_sub(event.value["ordinal"].as_u64().unwrap_or(1));
        let (from, to) = (before.to_string(), event.position.to_string());
        let path = with_query(&format!("/v1/diff/documents/{id}"), &[("from", &from), ("to", &to)]);
        // What came and went in one request is in neither state.
        let Some(compared) = client.get_optional::<Value>(&path).await? else { continue };
        text += &match compared["unified"].as_str() {
            Some("") => format!("document {id} has the same text; its path, nodes, priority or mode changed\n"),
            Some(unified) => unified.to_owned(),
            None => format!("document {id} is too large to compare, or no text\n"),
        };
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_is_told_with_its_events_and_without_control_characters() {
        let event = |position: u64, entity: &str| {
            let value = json!({"position": position, "at": "2026-01-01T00:00:00.000000Z", "type": "DocumentPut", "entity": entity,
                "version": 2, "actor": "ann", "reason": "faster\u{1b}[2J", "command_id": "0198f7a2-7c7b-7def-8000-000000000001"});
            (position, ReceivedEvent { json: value.to_string(), value, position })
        };
        let request = RequestEvents::from([event(12, "document/a"), event(13, "document/b")]);
        let expected = "request 0198f7a2-7c7b-7def-8000-000000000001  2026-01-01T00:00:00.000000Z  by ann\n    faster\u{fffd}[2J\n          \
                        12  DocumentPut document/a v2\n          13  DocumentPut document/b v2\n";
        assert_eq!(request_text(&request), expected);
    }
}
