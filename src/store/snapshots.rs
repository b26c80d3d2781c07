//! Snapshots: folded states of the past in memory, so that the state at any position is reached by folding few events.
//!
//! Always: for each end of a request there is a snapshot fewer than [`EVERY`] events before it, or at it, as far as the log was folded.
//! Snapshots are taken while the log is folded and as it grows, and all handles of the log share them.
//!
//! Snapshots share everything that did not change between them, so one costs as much as the [`EVERY`] events before it changed, whatever
//! the size of the fleet. None is ever dropped: a log of a million events has a hundred.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use projections::configuration::Configuration;
use schema::event::Event;
use schema::position::Position;

/// Events that are folded at most to reach a past state.
pub const EVERY: u64 = 10_000;
/// Past states that were asked for lately and are kept as well: a caller that reads a past list page by page asks for the same state
/// again and again.
const ANSWERS_MAX: usize = 4;

/// Cheap to clone; all clones share the same snapshots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots(Arc<Mutex<States>>);

#[derive(Debug, Default)]
struct States {
    kept: BTreeMap<Position, Configuration>,
    answers: VecDeque<Configuration>,
}

/// Whether the state after this event becomes a snapshot: the event ends the first request that reaches the next multiple of [`EVERY`].
pub(crate) fn is_due(event: &Event) -> bool {
    let end = event.position.get();
    let before = end.saturating_sub(u64::from(event.count));
    event.ends_request() && end / EVERY > before / EVERY
}

impl Snapshots {
    /// Takes a snapshot of the state after this event, if it is due.
    pub(crate) fn pass(&self, event: &Event, state: &Configuration) {
        if is_due(event) {
            self.keep(state.clone());
        }
    }

    /// Adds a snapshot.
    pub(crate) fn keep(&self, state: Configuration) {
        self.states().kept.insert(state.position(), state);
    }

    /// Keeps a state that was asked for, in place of the oldest such state.
    pub(crate) fn keep_answer(&self, state: &Configuration) {
        let mut states = self.states();
        let mut before = std::mem::take(&mut states.answers);
        before.retain(|answer| answer.position() != state.position());
        // Freeing a state takes time, so it is freed after the lock is released.
        let _forgotten = before.split_off(before.len().min(ANSWERS_MAX - 1));
        before.push_front(state.clone());
        states.answers = before;
        drop(states);
    }

    /// Drops all states that were asked for.
    pub(crate) fn forget_answers(&self) {
        let _forgotten = std::mem::take(&mut self.states().answers);
    }

    /// The last state at or before a position; the empty state if there is none.
    pub(crate) fn nearest(&self, position: Position) -> Configuration {
        let states = self.states();
        let kept = states.kept.range(..=position).next_back().map(|(_, state)| state);
        let answers = states.answers.iter().filter(|answer| answer.position() <= position);
        answers.chain(kept).max_by_key(|state| state.position()).cloned().unwrap_or_default()
    }

    /// The positions of the snapshots.
    pub(crate) fn positions(&self) -> Vec<Position> {
        self.states().kept.keys().copied().collect()
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schema::digest::Digest;
    use schema::entity::Actor;

    fn event(position: u64, ordinal: u32, count: u32) -> Event {
        Event {
            v: 1,
            log_id: uuid::Uuid::nil().into(),
            position: position.into(),
            event_id: uuid::Uuid::nil().into(),
            command_id: uuid::Uuid::nil().into(),
            ordinal,
            count,
            entity: "node/a".parse().expect("an entity"),
            version: 1.into(),
            event_type: "NodeRetried".into(),
            actor: Actor::Install,
            reason: None,
            at: schema::instant::Instant::default(),
            data: "{}".into(),
            leaf: Digest::of(b""),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn wherever_a_request_ends_few_events_lie_between_it_and_a_kept_state(
            counts in prop::collection::vec(prop_oneof![1..5_u32, 1..10_000_u32, Just(10_000)], 1..60),
        ) {
            let (mut end, mut kept) = (0, 0);
            for count in counts {
                for ordinal in [1, count / 2, count].into_iter().filter(|ordinal| (1..count).contains(ordinal)) {
                    prop_assert!(!is_due(&event(end + u64::from(ordinal), ordinal, count)), "no state is torn");
                }
                end += u64::from(count);
                if is_due(&event(end, count, count)) {
                    kept = end;
                }
                prop_assert!(end - kept < EVERY, "{} after {}", end, kept);
            }
        }
    }
}
