//! `headwater-replay stats`: counts of events, entities, actors and bytes.

use std::collections::BTreeMap;

use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use replay::log::OpenedEvent;
use schema::instant::Instant;
use serde_json::{Value, json};

use super::file_audit::{EventObserver, read};
use super::options::Options;
use super::output::{RunError, print, print_json, table};

/// The counts that are made event by event.
#[derive(Default)]
struct Counts {
    requests: u64,
    first: Option<Instant>,
    data_bytes: u64,
    types: BTreeMap<String, u64>,
    actors: BTreeMap<String, u64>,
}

impl EventObserver for Counts {
    fn after(&mut self, event: &OpenedEvent, _state: &Configuration, _touched: &AffectedNodes) {
        let event = event.event();
        self.requests += u64::from(event.ends_request());
        self.first.get_or_insert(event.at);
        self.data_bytes += event.data.len() as u64;
        *self.types.entry(event.event_type.clone()).or_default() += 1;
        *self.actors.entry(event.actor.to_string()).or_default() += 1;
    }
}

/// Counts, and prints the counts.
pub(crate) fn run(options: &Options) -> Result<(), RunError> {
    let mut audit = options.how.audit()?;
    let mut counts = Counts::default();
    let parts = read(&options.files, &mut audit, &mut counts)?;
    let state = audit.configuration().cloned().unwrap_or_default();
    let there = there(&state);
    let tally = audit.tally();
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    if options.how.json {
        let last = counts.first.map(|_| state.at());
        return print_json(&json!({
            "position": state.position(), "requests": counts.requests, "first": counts.first, "last": last,
            "data_bytes": counts.data_bytes, "blobs": tally.blobs, "blob_bytes": tally.blob_bytes,
            "checkpoints": tally.checkpoints, "file_bytes": bytes, "types": counts.types, "actors": counts.actors,
            "there": there.into_iter().map(|(what, count)| (what.to_owned(), json!(count))).collect::<serde_json::Map<String, Value>>(),
        }));
    }
    let line = |what: &str, count: &dyn std::fmt::Display| [what.to_owned(), count.to_string()].to_vec();
    let mut rows = vec![line("events", &state.position()), line("requests", &counts.requests)];
    if let Some(first) = counts.first {
        rows.extend([line("from", &first), line("to", &state.at())]);
    }
    rows.extend([
        line("bytes of data", &counts.data_bytes),
        line("contents", &format_args!("{} of {} bytes", tally.blobs, tally.blob_bytes)),
        line("checkpoints", &tally.checkpoints),
        line("bytes of files", &bytes),
    ]);
    rows.push(line("", &""));
    rows.extend(there.iter().map(|(what, count)| line(what, count)));
    for (title, counts) in [("by type", &counts.types), ("by actor", &counts.actors)] {
        rows.extend([line("", &""), line(title, &"")]);
        rows.extend(counts.iter().map(|(what, count)| line(&format!("  {what}"), count)));
    }
    print(&table(&rows))
}

/// The counts of the final state.
fn there(state: &Configuration) -> Vec<(&'static str, usize)> {
    let compliance = state.compliance();
    [
        ("documents", state.documents().len()),
        ("nodes", state.nodes().values().filter(|node| !node.retired).count()),
        ("retired nodes", state.nodes().values().filter(|node| node.retired).count()),
        ("principals", state.principals().values().filter(|principal| !principal.revoked).count()),
        ("controls", compliance.controls().len()),
        ("components", compliance.components().len()),
        ("assessments", compliance.assessments().len()),
        ("attestations", compliance.attestations().len()),
        ("jobs", state.jobs().all().len()),
        ("claimed jobs", state.jobs().claimed_count()),
    ]
    .to_vec()
}
