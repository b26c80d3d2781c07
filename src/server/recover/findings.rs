//! What a restored database lacks and who has it, for a person and as JSON.

use std::collections::BTreeMap;

use program::output::{self, StdoutError};
use replay::stray::StrayError;
use schema::desired::Cause;
use schema::entity::Kind;
use schema::event::Event;
use schema::id::NodeId;
use schema::position::Position;
use serde_json::{Value, json};
use store::contents::Lacking;

use crate::publish::recovery_scan::SeenByNode;

const GIVE_UP: &str = "what can't be had back can be given up: end every server, then `--new-log`, as the database's owner, \
                       begins a new log with what is left, which nodes take after `headwater edge accept-log`";

/// What the log lacks, and who has it.
#[derive(Debug)]
pub struct RecoveryFindings {
    pub(super) head: Position,
    pub(super) stream: Position,
    pub(super) checkpoint: Option<Position>,
    /// Events that the stream has and the log lacks; where the two have parted, events that differ from the log's.
    pub(super) missing: Vec<Event>,
    /// The first position at which log and stream have different events.
    pub(super) parted: Option<Position>,
    /// The position of the first foreign message in the stream, and why it can't be the log's.
    pub(super) stray: Option<(Position, StrayError)>,
    /// Nodes that claim or prove to have seen more than the log has.
    pub(super) nodes: BTreeMap<NodeId, SeenByNode>,
    pub(super) adopted: usize,
    /// Contents that events of the log name and the database lacks.
    pub(super) lacking: Vec<Lacking>,
    /// How many such contents were put back.
    pub(super) restored: usize,
}

impl RecoveryFindings {
    /// How many of the missing events the newest checkpoint covers.
    pub(super) fn signed(&self) -> usize {
        if self.parted.is_some() {
            return 0;
        }
        let signed = self.checkpoint.unwrap_or_default();
        self.missing.partition_point(|event| event.position <= signed)
    }

    /// Prints the findings. True if nothing is missing any more.
    ///
    /// # Errors
    /// If standard output can't be written.
    pub fn print(&self, json: bool) -> Result<bool, StdoutError> {
        if json { output::json(&format!("{:#}", self.json())) } else { output::text(&format!("{}\n", self.text())) }?;
        Ok(!self.lacks_anything() && self.lacking.is_empty())
    }

    /// Whether NATS or a node holds more of the log than the database has by now.
    pub(super) fn lacks_anything(&self) -> bool {
        let is_whole = self.adopted > 0 || self.checkpoint.is_none_or(|kept| kept <= self.head);
        !is_whole || self.parted.is_some() || self.adopted < self.missing.len() || self.proven().next().is_some()
    }

    /// The events that nodes prove and the log lacks.
    fn proven(&self) -> impl Iterator<Item = (&NodeId, Cause)> {
        let head = self.head.max(self.missing[..self.adopted].last().map_or(Position::ZERO, |last| last.position));
        let proven = self.nodes.iter().filter_map(|(node, seen)| Some((node, seen.proven?)));
        proven.filter(move |(_, cause)| cause.position > head)
    }

    fn json(&self) -> Value {
        let event = |event: &Event| json!({"position": event.position, "event_id": event.event_id, "command_id": event.command_id, "type": event.event_type, "entity": event.entity, "actor": event.actor, "at": event.at, "reason": event.reason});
        let lacking = |one: &Lacking| json!({"digest": one.digest, "size": one.size, "position": one.position, "entity": one.entity});
        let seen: BTreeMap<_, _> = self.nodes.iter().filter_map(|(node, seen)| Some((node, seen.position?))).collect();
        let proven = self.proven().map(|(node, Cause { position, event_id, command_id })| {
            (node, json!({"position": position, "event_id": event_id, "command_id": command_id}))
        });
        json!({
            "head": self.head,
            "stream": self.stream,
            "checkpoint": self.checkpoint,
            "missing": self.missing.iter().map(event).collect::<Vec<_>>(),
            "signed": self.signed(),
            "parted": self.parted,
            "stray": self.stray.as_ref().map(|(position, why)| json!({"position": position, "why": why.to_string()})),
            "nodes": seen,
            "proven": proven.collect::<BTreeMap<_, _>>(),
            "adopted": self.adopted,
            "contents_restored": self.restored,
            "contents_missing": self.lacking.iter().map(lacking).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("the log ends at {}, the event stream at {}", self.head, self.stream)];
        if let Some(kept) = self.checkpoint {
            lines.push(format!("the newest checkpoint kept outside PostgreSQL is at {kept}"));
        }
        lines.extend(self.nodes.iter().map(|(node, seen)| match (seen.proven, seen.position) {
            (Some(Cause { position, event_id, .. }), _) => {
                format!("node {node} holds a record that was signed for event {event_id} at position {position}")
            }
            (None, seen) => {
                format!("node {node} says that it has seen {}, and proves nothing", seen.unwrap_or_default())
            }
        }));
        let (signed, missing) = (self.signed(), self.missing.len());
        let line = |(index, event): (usize, &Event)| {
            let signed = match self.parted {
                Some(_) => ", another than the log's",
                None if index < signed => "",
                None => ", unsigned",
            };
            let Event { position, event_id, event_type, entity, actor, .. } = event;
            format!("{position} {event_id} {event_type} {entity} by {actor} (in the event stream{signed})")
        };
        // These events decide who may command the fleet, so an operator should check them first.
        let is_first = |event: &Event| event.entity.kind == Kind::Principal;
        let (first, others): (Vec<_>, Vec<_>) = self.missing.iter().enumerate().partition(|(_, event)| is_first(event));
        if !first.is_empty() {
            lines.push("events that say who may command, to be looked at before all others:".to_owned());
            lines.extend(first.into_iter().map(line));
            lines.push(format!("the other events ({}):", others.len()));
        }
        lines.extend(others.into_iter().map(line));
        lines.extend(self.stray.iter().map(|(position, why)| {
            format!(
                "from position {position} on somebody else wrote to the event stream, which can't be this log's: {why}. The relay \
                 takes it out by itself and keeps a copy in the stream of strays, at most once in 10 minutes"
            )
        }));
        lines.extend(self.advice(signed, missing));
        lines.extend(self.contents());
        lines.join("\n")
    }

    /// The lines about contents.
    fn contents(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.restored > 0 {
            lines.push(format!("{} contents were put back", self.restored));
        }
        lines.extend(self.lacking.iter().map(|Lacking { digest, size, position, entity }| {
            format!("content {digest} ({size} bytes), which event {position} of {entity} names, is not in the database")
        }));
        if !self.lacking.is_empty() {
            lines.push(
                "until they are there, `headwater-replay verify` refuses an export of this log: `--contents DIR` takes them from files \
                 below DIR, such as a copy of a node's folder (its generations and blobs) or an export; a put_document of the same \
                 bytes that changes its document puts them back, too"
                    .to_owned(),
            );
        }
        lines
    }

    /// The lines about what to do.
    fn advice(&self, signed: usize, missing: usize) -> Vec<String> {
        if let Some(parted) = self.parted {
            return vec![
                format!("the log and the event stream have different events from position {parted} on"),
                "`--put-aside` keeps a copy of the stream's in the stream of strays and goes on with the log, if nobody signed for them: \
                 that is right if somebody else wrote them"
                    .to_owned(),
                GIVE_UP.to_owned(),
            ];
        }
        let mut lines = vec![match (missing, self.adopted) {
            (0, _) => "the event stream holds nothing that the log lacks".to_owned(),
            (_, 0) => {
                format!(
                    "{missing} events are missing; `--adopt-stream` takes back from the event stream what was signed"
                )
            }
            (_, adopted) => format!("{adopted} events were taken back from the event stream"),
        }];
        if missing > self.adopted.max(signed) {
            lines.push(format!(
                "nobody signed for the last {} of them, so that whoever may publish could have put them there: \
                 `--adopt-stream --unsigned-too` takes them back all the same, which is right if the database was put back or failed over \
                 to a standby that was behind; if you do not know them, `--put-aside` keeps a copy in the stream of strays and goes on \
                 without them",
                missing - self.adopted.max(signed)
            ));
        }
        if self.lacks_anything() {
            lines.push(GIVE_UP.to_owned());
        }
        lines
    }
}
