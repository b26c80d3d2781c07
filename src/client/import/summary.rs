//! The summary of an import.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schema::answer::Answer;
use schema::position::Position;
use schema::terminal;
use serde::Serialize;

use crate::oscal::definition::DefinitionKind;
use crate::oscal::skip_list::SkippedItem;

use super::compare::{ComparedDefinition, DefinitionChange};

/// What was imported; `--json` prints it like this.
#[derive(Debug, Serialize)]
pub(super) struct ImportSummary {
    dry_run: bool,
    /// The position of the log after the import.
    position: Position,
    /// Events that were appended.
    events: usize,
    requests: usize,
    /// By the name of the list of each kind.
    counts: BTreeMap<&'static str, ChangeCounts>,
    definitions: Vec<DefinitionOutcome>,
    skipped: Vec<SkippedItem>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct ChangeCounts {
    created: usize,
    updated: usize,
    unchanged: usize,
}

#[derive(Debug, Serialize)]
struct DefinitionOutcome {
    kind: &'static str,
    id: String,
    oscal_id: String,
    outcome: DefinitionChange,
}

impl ImportSummary {
    /// What the import is about to do, compared with the log at a position.
    pub(super) fn new(
        items: &[ComparedDefinition],
        skipped: Vec<SkippedItem>,
        dry_run: bool,
        position: Position,
    ) -> Self {
        let mut counts: BTreeMap<&'static str, ChangeCounts> =
            DefinitionKind::ALL.map(|kind| (kind.list(), ChangeCounts::default())).into();
        let definition = |compared: &ComparedDefinition| {
            *counts.entry(compared.item.kind.list()).or_default().of(compared.change) += 1;
            let (kind, id) = (compared.item.kind.name(), compared.item.id.clone());
            DefinitionOutcome { kind, id, oscal_id: compared.item.original.clone(), outcome: compared.change }
        };
        let definitions = items.iter().map(definition).collect();
        Self { dry_run, position, events: 0, requests: 0, counts, definitions, skipped }
    }

    /// Adds the answer to a request. A definition that the server found to be the same already counts as unchanged.
    pub(super) fn add(&mut self, items: &[&ComparedDefinition], answer: &Answer) {
        self.requests += 1;
        self.position = answer.position;
        self.events += answer.events.len();
        for (compared, result) in items.iter().zip(&answer.results).filter(|(_, result)| !result.changed) {
            let counts = self.counts.entry(compared.item.kind.list()).or_default();
            *counts.of(compared.change) -= 1;
            counts.unchanged += 1;
            let is_same = |definition: &&mut DefinitionOutcome| {
                definition.kind == compared.item.kind.name() && definition.id == compared.item.id
            };
            if let Some(definition) = self.definitions.iter_mut().find(is_same) {
                definition.outcome = DefinitionChange::Unchanged;
            }
            debug_assert_eq!(result.entity.id.as_str(), compared.item.id, "results come in the order of commands");
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("BUG: texts and numbers can be written as JSON")
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{:14}{:>9}{:>9}{:>11}\n", "", "CREATED", "UPDATED", "UNCHANGED");
        for kind in DefinitionKind::ALL {
            let ChangeCounts { created, updated, unchanged } =
                self.counts.get(kind.list()).copied().unwrap_or_default();
            writeln!(text, "{:14}{created:>9}{updated:>9}{unchanged:>11}", kind.list()).expect(INFALLIBLE);
        }
        let (events, position) = (self.events, self.position);
        match self.dry_run {
            true => writeln!(text, "\nNothing was written; this is what would be, compared with position {position}."),
            false => writeln!(text, "\n{events} events; the log is at position {position}."),
        }
        .expect(INFALLIBLE);
        self.write_skipped(&mut text);
        text
    }

    /// The kinds of skipped items, with their number and the place of the first of each.
    fn write_skipped(&self, text: &mut String) {
        if self.skipped.is_empty() {
            return;
        }
        let mut groups: BTreeMap<(&str, &str), (usize, &SkippedItem)> = BTreeMap::new();
        for skipped in &self.skipped {
            groups.entry((skipped.kind, &skipped.reason)).or_insert((0, skipped)).0 += 1;
        }
        let count = self.skipped.len();
        writeln!(text, "\nSkipped: {count}, by sort with the first of each (--json names every one):")
            .expect(INFALLIBLE);
        for ((kind, reason), (count, first)) in groups {
            let SkippedItem { id, file, path, .. } = first;
            let (what, place) = (format!("{kind}: {reason}"), format!("{id} in {file} at {path}"));
            writeln!(text, "{count:>6}  {}\n        {}", terminal::line(&what), terminal::line(&place))
                .expect(INFALLIBLE);
        }
    }
}

const INFALLIBLE: &str = "BUG: a String takes any text";

impl ChangeCounts {
    fn of(&mut self, change: DefinitionChange) -> &mut usize {
        match change {
            DefinitionChange::Created => &mut self.created,
            DefinitionChange::Updated => &mut self.updated,
            DefinitionChange::Unchanged => &mut self.unchanged,
        }
    }
}
