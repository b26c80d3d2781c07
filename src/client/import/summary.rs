//! What an import came to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schema::answer::Answer;
use schema::position::Position;
use schema::terminal;
use serde::Serialize;

use crate::oscal::definition::Kind;
use crate::oscal::skipped::Skipped;

use super::compare::{Change, Compared};

/// All of it, as JSON shows it.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    dry_run: bool,
    /// The log's position after it.
    position: Position,
    /// How many events were appended.
    events: usize,
    requests: usize,
    /// By the door's names of the lists.
    counts: BTreeMap<&'static str, Counts>,
    definitions: Vec<Definition>,
    skipped: Vec<Skipped>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    created: usize,
    updated: usize,
    unchanged: usize,
}

#[derive(Debug, Serialize)]
struct Definition {
    kind: &'static str,
    id: String,
    oscal_id: String,
    outcome: Change,
}

impl Summary {
    /// What is expected of it, as of a position.
    pub(super) fn new(items: &[Compared], skipped: Vec<Skipped>, dry_run: bool, position: Position) -> Self {
        let mut counts: BTreeMap<&'static str, Counts> = Kind::ALL.map(|kind| (kind.list(), Counts::default())).into();
        let definition = |compared: &Compared| {
            *counts.entry(compared.item.kind.list()).or_default().of(compared.change) += 1;
            let (kind, id) = (compared.item.kind.name(), compared.item.id.clone());
            Definition { kind, id, oscal_id: compared.item.original.clone(), outcome: compared.change }
        };
        let definitions = items.iter().map(definition).collect();
        Self { dry_run, position, events: 0, requests: 0, counts, definitions, skipped }
    }

    /// Adds what the door made of a request: what it found to be the same already is unchanged.
    pub(super) fn note(&mut self, items: &[&Compared], answer: &Answer) {
        self.requests += 1;
        self.position = answer.position;
        self.events += answer.events.len();
        for (compared, result) in items.iter().zip(&answer.results).filter(|(_, result)| !result.changed) {
            let counts = self.counts.entry(compared.item.kind.list()).or_default();
            *counts.of(compared.change) -= 1;
            counts.unchanged += 1;
            let is_it = |made: &&mut Definition| made.kind == compared.item.kind.name() && made.id == compared.item.id;
            if let Some(made) = self.definitions.iter_mut().find(is_it) {
                made.outcome = Change::Unchanged;
            }
            debug_assert_eq!(result.entity.id.as_str(), compared.item.id, "results come in the order of commands");
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("BUG: texts and numbers can be written as JSON")
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{:14}{:>9}{:>9}{:>11}\n", "", "CREATED", "UPDATED", "UNCHANGED");
        for kind in Kind::ALL {
            let Counts { created, updated, unchanged } = self.counts.get(kind.list()).copied().unwrap_or_default();
            writeln!(text, "{:14}{created:>9}{updated:>9}{unchanged:>11}", kind.list()).expect(TEXT);
        }
        let (events, position) = (self.events, self.position);
        match self.dry_run {
            true => writeln!(text, "\nNothing was written; this is what would be, compared with position {position}."),
            false => writeln!(text, "\n{events} events; the log is at position {position}."),
        }
        .expect(TEXT);
        self.tell_skipped(&mut text);
        text
    }

    /// The sorts of what was left out, with how many there are of each and where the first is.
    fn tell_skipped(&self, text: &mut String) {
        if self.skipped.is_empty() {
            return;
        }
        let mut sorts: BTreeMap<(&str, &str), (usize, &Skipped)> = BTreeMap::new();
        for skipped in &self.skipped {
            sorts.entry((skipped.kind, &skipped.reason)).or_insert((0, skipped)).0 += 1;
        }
        let count = self.skipped.len();
        writeln!(text, "\nSkipped: {count}, by sort with the first of each (--json names every one):").expect(TEXT);
        for ((kind, reason), (count, first)) in sorts {
            let Skipped { id, file, path, .. } = first;
            let (what, place) = (format!("{kind}: {reason}"), format!("{id} in {file} at {path}"));
            writeln!(text, "{count:>6}  {}\n        {}", terminal::line(&what), terminal::line(&place)).expect(TEXT);
        }
    }
}

const TEXT: &str = "BUG: a String takes any text";

impl Counts {
    fn of(&mut self, change: Change) -> &mut usize {
        match change {
            Change::Created => &mut self.created,
            Change::Updated => &mut self.updated,
            Change::Unchanged => &mut self.unchanged,
        }
    }
}
