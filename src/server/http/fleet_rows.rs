//! The fleet at one moment, row by row: how it is shown as a table, and what differs from an earlier moment.

use std::collections::{BTreeMap, HashMap};

use api::fleet_table::{FleetChange, FleetRow, FleetTable};
use api::node::StatusReason;
use schema::convergence::ConvergenceState;
use schema::id::NodeId;
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::Position;

/// A silence is measured anew each time, to the millisecond; what differs by less began at the same moment.
const SAME_SILENCE_MICROS: u64 = 1_000_000;

/// A node of the table.
#[derive(Clone, Debug)]
pub(super) struct NodeRow {
    pub(super) id: NodeId,
    pub(super) retired: bool,
    pub(super) state: ConvergenceState,
    pub(super) labels: Labels,
    pub(super) desired: Position,
    pub(super) running: Position,
    pub(super) silent_since: Option<Instant>,
    pub(super) reason: Option<StatusReason>,
}

/// All nodes at one moment, sorted by id.
#[derive(Debug)]
pub(super) struct FleetRows {
    pub(super) position: Position,
    pub(super) at: Instant,
    pub(super) is_past: bool,
    pub(super) rows: Vec<NodeRow>,
}

impl NodeRow {
    fn differs(&self, earlier: &Self) -> bool {
        let what = |row: &Self| (row.retired, row.state, row.desired, row.running);
        what(self) != what(earlier)
            || self.reason != earlier.reason
            || self.labels != earlier.labels
            || !is_same_silence(self.silent_since, earlier.silent_since)
    }

    fn shown(&self) -> FleetRow {
        FleetRow {
            id: self.id.clone(),
            retired: self.retired,
            state: self.state,
            labels: self.labels.clone(),
            desired: self.desired,
            running: self.running,
            silent_since: self.silent_since,
            reason: self.reason.clone(),
        }
    }
}

fn is_same_silence(one: Option<Instant>, other: Option<Instant>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.unix_micros().abs_diff(other.unix_micros()) < SAME_SILENCE_MICROS,
        (one, other) => one == other,
    }
}

impl FleetRows {
    /// The rows as columns.
    pub(super) fn table(&self) -> FleetTable {
        let mut table = FleetTable {
            position: self.position,
            past: self.is_past,
            at: (self.position > Position::ZERO).then_some(self.at),
            state_names: ConvergenceState::ALL.map(|state| state.name().to_owned()).to_vec(),
            label_sets: Vec::new(),
            ids: self.rows.iter().map(|row| row.id.clone()).collect(),
            retired: Vec::new(),
            states: self.rows.iter().map(|row| state_index(row.state)).collect(),
            labels: Vec::with_capacity(self.rows.len()),
            desired: self.rows.iter().map(|row| row.desired).collect(),
            running: self.rows.iter().map(|row| row.running).collect(),
            silent_since: BTreeMap::new(),
            reasons: BTreeMap::new(),
            counts: self.counts(),
        };
        let mut sets = HashMap::<&Labels, u32>::new();
        for (index, row) in (0..).zip(&self.rows) {
            let next = index_of(table.label_sets.len());
            table.labels.push(*sets.entry(&row.labels).or_insert_with(|| {
                table.label_sets.push(row.labels.clone());
                next
            }));
            if row.retired {
                table.retired.push(index);
            }
            table.silent_since.extend(row.silent_since.map(|since| (index, since)));
            table.reasons.extend(row.reason.clone().map(|reason| (index, reason)));
        }
        table
    }

    /// What differs from an earlier moment; none if nothing does, not even the position.
    pub(super) fn change_since(&self, earlier: &Self) -> Option<FleetChange> {
        let mut before = earlier.rows.iter().peekable();
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        for row in &self.rows {
            while let Some(left) = before.next_if(|other| other.id < row.id) {
                gone.push(left.id.clone());
            }
            match before.next_if(|other| other.id == row.id) {
                Some(other) if !row.differs(other) => {}
                _ => rows.push(row.shown()),
            }
        }
        gone.extend(before.map(|left| left.id.clone()));
        let is_same = rows.is_empty() && gone.is_empty() && self.position == earlier.position;
        (!is_same).then(|| FleetChange { position: self.position, counts: self.counts(), rows, gone })
    }

    /// How many of the nodes that are not retired are in each state.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = [0; ConvergenceState::ALL.len()];
        for row in self.rows.iter().filter(|row| !row.retired) {
            counts[state_index(row.state) as usize] += 1;
        }
        ConvergenceState::ALL.iter().zip(counts).map(|(state, count)| (state.name().to_owned(), count)).collect()
    }
}

fn state_index(state: ConvergenceState) -> u32 {
    let index = ConvergenceState::ALL.iter().position(|known| *known == state);
    index_of(index.expect("BUG: the list has every state"))
}

/// Memory is full long before a table has 2^32 rows.
fn index_of(length: usize) -> u32 {
    u32::try_from(length).expect("BUG: a table in memory has fewer rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, state: ConvergenceState) -> NodeRow {
        NodeRow {
            id: id.parse().expect("an id"),
            retired: false,
            state,
            labels: Labels::new(),
            desired: 3.into(),
            running: 3.into(),
            silent_since: None,
            reason: None,
        }
    }

    fn fleet(position: u64, rows: Vec<NodeRow>) -> FleetRows {
        FleetRows { position: position.into(), at: Instant::from_unix_micros(1), is_past: false, rows }
    }

    #[test]
    fn columns_have_what_the_rows_have_and_equal_labels_once() {
        let lund = || Labels::from([("site", "lund")]);
        let reason = StatusReason { code: "drift".into(), detail: "files/a".into() };
        let since = Instant::from_unix_micros(5);
        let rows = vec![
            NodeRow { labels: lund(), ..row("a", ConvergenceState::Converged) },
            NodeRow { retired: true, ..row("b", ConvergenceState::Converged) },
            NodeRow { labels: lund(), reason: Some(reason.clone()), ..row("c", ConvergenceState::Drifted) },
            NodeRow { silent_since: Some(since), running: 2.into(), ..row("d", ConvergenceState::Offline) },
        ];
        let table = fleet(7, rows).table();
        assert_eq!((table.label_sets.len(), table.labels), (2, vec![0, 1, 0, 1]));
        assert_eq!((table.retired, table.states), (vec![1], vec![0, 0, 4, 5]));
        assert_eq!((table.desired[3], table.running[3]), (3.into(), 2.into()));
        assert_eq!(table.silent_since, BTreeMap::from([(3, since)]));
        assert_eq!(table.reasons, BTreeMap::from([(2, reason)]));
        let counted: BTreeMap<&str, usize> =
            table.counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(counted, BTreeMap::from([("converged", 1), ("drifted", 1), ("offline", 1)]));
    }

    #[test]
    fn a_change_has_the_rows_that_are_new_or_differ_and_the_ids_that_are_gone() {
        let before = fleet(7, ["a", "c", "d", "e"].map(|id| row(id, ConvergenceState::Converged)).into());
        let after = fleet(
            8,
            vec![
                row("b", ConvergenceState::Unknown),
                row("c", ConvergenceState::Converged),
                row("d", ConvergenceState::Failed),
            ],
        );
        let change = after.change_since(&before).expect("they differ");
        let ids: Vec<&str> = change.rows.iter().map(|row| row.id.as_str()).collect();
        let gone: Vec<&str> = change.gone.iter().map(NodeId::as_str).collect();
        assert_eq!((ids, gone, change.position), (vec!["b", "d"], vec!["a", "e"], 8.into()));
        assert_eq!(change.counts["failed"], 1);
        assert_eq!(before.change_since(&before), None);
        let later = fleet(8, before.rows.clone());
        assert_eq!(later.change_since(&before).map(|change| (change.rows.len(), change.gone.len())), Some((0, 0)));
    }

    #[test]
    fn a_silence_that_goes_on_is_no_change_and_another_one_is() {
        let silent = |micros| {
            let silent_since = Some(Instant::from_unix_micros(micros));
            fleet(7, vec![NodeRow { silent_since, ..row("a", ConvergenceState::Offline) }])
        };
        assert_eq!(silent(10_000_000).change_since(&silent(10_000_900)), None);
        assert!(silent(10_000_000).change_since(&silent(40_000_000)).is_some());
    }
}
