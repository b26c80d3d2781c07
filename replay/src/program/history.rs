//! `headwater-replay history`: the events of one entity or one node, and the record of the node after each change.

use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use projections::render::render;
use replay::log::OpenedEvent;
use schema::digest::Digest;
use schema::entity::{Entity, Kind};
use schema::event::Event;
use schema::id::NodeId;
use serde_json::{Value, json};

use super::file_audit::{EventObserver, read};
use super::options::Options;
use super::output::{RunError, print, print_json, table};

/// The node or the entity whose history is shown.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "whose", required = true, multiple = false, args = ["node", "entity"])]
pub(crate) struct HistoryCommand {
    /// The history of a node: all events that changed its record, and its reports in the log.
    #[arg(long, value_name = "ID")]
    node: Option<NodeId>,

    /// The history of one entity, such as `document/motd`.
    #[arg(long, value_name = "KIND/ID")]
    entity: Option<Entity>,

    #[command(flatten)]
    options: Options,
}

impl HistoryCommand {
    pub(crate) fn json(&self) -> bool {
        self.options.how.json
    }
}

/// Collects the history.
struct Chronicle<'a> {
    whose: &'a HistoryCommand,
    lines: Vec<Line>,
    digest: Option<Digest>,
}

struct Line {
    event: Event,
    /// The digest of the record of the node from here on, if it changed.
    digest: Option<Digest>,
}

impl EventObserver for Chronicle<'_> {
    fn after(&mut self, event: &OpenedEvent, state: &Configuration, affected: &AffectedNodes) {
        let event = event.event();
        let is_its = match &self.whose.node {
            Some(node) => affected.contains(node) || is_about(&event.entity, node),
            None => self.whose.entity.as_ref() == Some(&event.entity),
        };
        if is_its {
            self.lines.push(Line { event: event.clone(), digest: None });
        }
        // What stands in the midst of a request nobody ever had to hold.
        if event.ends_request()
            && let Some(node) = &self.whose.node
            && let Some(line) = self.lines.last_mut().filter(|line| line.event.command_id == event.command_id)
        {
            let digest = render(state, node).map(|manifest| manifest.digest);
            line.digest = digest.filter(|_| digest != self.digest);
            self.digest = digest;
        }
    }
}

/// Whether an entity is the node, its report or its runtime.
fn is_about(entity: &Entity, node: &NodeId) -> bool {
    [Kind::Node, Kind::Report, Kind::Runtime].contains(&entity.kind) && entity.id == *node.id()
}

/// Prints the history.
pub(crate) fn run(history: &HistoryCommand) -> Result<(), RunError> {
    let mut audit = history.options.how.audit()?;
    let mut chronicle = Chronicle { whose: history, lines: Vec::new(), digest: None };
    read(&history.options.files, &mut audit, &mut chronicle)?;
    if chronicle.lines.is_empty() {
        return Err(RunError::Nothing("nothing ever happened to it".into()));
    }
    if history.options.how.json {
        let items: Vec<Value> = chronicle.lines.iter().map(Line::to_json).collect();
        return print_json(&json!({ "items": items }));
    }
    let mut rows =
        vec![["POSITION", "AT", "ACTOR", "TYPE", "ENTITY", "VERSION", "DESIRED", "REASON"].map(String::from).to_vec()];
    rows.extend(chronicle.lines.iter().map(Line::to_row));
    print(&table(&rows))
}

impl Line {
    fn to_row(&self) -> Vec<String> {
        let event = &self.event;
        let digest = self.digest.map_or_else(|| "-".into(), |digest| digest.short());
        let reason = event.reason.clone().unwrap_or_default();
        let texts =
            [event.position.to_string(), event.at.to_string(), event.actor.to_string(), event.event_type.clone()];
        texts.into_iter().chain([event.entity.to_string(), event.version.to_string(), digest, reason]).collect()
    }

    fn to_json(&self) -> Value {
        let mut shown = json!(self.event);
        shown["data"] = serde_json::from_str(&self.event.data).unwrap_or_default();
        shown["desired"] = json!(self.digest);
        shown
    }
}
