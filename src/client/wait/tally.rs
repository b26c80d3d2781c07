//! How many nodes or jobs are how far: which are converged, which never will be by themselves, and which are still waited for.

use clap::ValueEnum;

use super::awaited_entity::AwaitedEntity;
use super::awaited_kind::AwaitedKind;

/// What to do about nodes that are offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OfflinePolicy {
    /// Wait for them.
    Wait,
    /// Go on without them, and name them at the end.
    Ignore,
    /// Fail at once.
    Fail,
}

/// The nodes, or the jobs, by what they mean for the wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) kind: AwaitedKind,
    pub(super) converged: usize,
    /// They failed or refused, or are offline and must not be.
    pub(super) failed: Vec<AwaitedEntity>,
    pub(super) pending: Vec<AwaitedEntity>,
    /// They are offline and not waited for.
    pub(super) offline: Vec<AwaitedEntity>,
    /// None was found, and there must be one.
    pub(super) is_missing_all: bool,
}

impl Tally {
    pub(super) fn count(nodes: Vec<AwaitedEntity>, offline: OfflinePolicy, needs_a_node: bool) -> Self {
        let mut tally = Self { is_missing_all: needs_a_node && nodes.is_empty(), ..Self::default() };
        for node in nodes {
            match node.state() {
                Some("converged") => tally.converged += 1,
                Some("failed" | "refused") => tally.failed.push(node),
                Some("offline") if offline == OfflinePolicy::Fail => tally.failed.push(node),
                Some("offline") if offline == OfflinePolicy::Ignore => tally.offline.push(node),
                _ => tally.pending.push(node),
            }
        }
        tally
    }

    /// The same of another kind than nodes.
    pub(super) fn of(self, kind: AwaitedKind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn total(&self) -> usize {
        self.converged + self.failed.len() + self.pending.len() + self.offline.len()
    }

    /// Whether every node is converged that is waited for.
    pub(super) fn is_done(&self) -> bool {
        self.failed.is_empty() && self.pending.is_empty() && !self.is_missing_all
    }

    /// Whether another look found the nodes in other states.
    pub(super) fn differs_from(&self, other: &Self) -> bool {
        let counts = |tally: &Self| (tally.converged, tally.pending.len(), tally.offline.len());
        let states =
            |tally: &Self| tally.pending.iter().map(|node| node.state().map(str::to_owned)).collect::<Vec<_>>();
        counts(self) != counts(other) || states(self) != states(other)
    }

    /// How many of how many are converged.
    pub(super) fn summary(&self) -> String {
        let total = self.total();
        format!(
            "{} of {total} {} converged",
            self.converged,
            if total == 1 { self.kind.singular() } else { self.kind.plural() }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::awaited_entity::NodeStatusRow;
    use serde_json::json;

    fn nodes(states: &[&str]) -> Vec<AwaitedEntity> {
        let node = |(index, state): (usize, &&str)| {
            let id = format!("n-{index}").parse().expect("an id");
            let row = json!({"id": id, "state": state});
            let status = (!state.is_empty()).then(|| serde_json::from_value::<NodeStatusRow>(row).expect("a row"));
            AwaitedEntity { id, status }
        };
        states.iter().enumerate().map(node).collect()
    }

    #[test]
    fn each_state_means_one_thing() {
        for (state, counts) in [
            ("converged", [1, 0, 0, 0]),
            ("failed", [0, 1, 0, 0]),
            ("refused", [0, 1, 0, 0]),
            ("offline", [0, 0, 0, 1]),
            ("progressing", [0, 0, 1, 0]),
            ("drifted", [0, 0, 1, 0]),
            ("duplicate", [0, 0, 1, 0]),
            ("ahead", [0, 0, 1, 0]),
            ("unknown", [0, 0, 1, 0]),
            ("a state of a newer server", [0, 0, 1, 0]),
            ("", [0, 0, 1, 0]),
        ] {
            let tally = Tally::count(nodes(&[state]), OfflinePolicy::Ignore, true);
            let found = [tally.converged, tally.failed.len(), tally.pending.len(), tally.offline.len()];
            assert_eq!((found, tally.total()), (counts, 1), "{state:?}");
            assert_eq!(tally.is_done(), ["converged", "offline"].contains(&state), "{state:?}");
        }
    }

    #[test]
    fn an_offline_node_is_what_the_caller_says() {
        let states = ["converged", "offline"];
        let count = |policy| Tally::count(nodes(&states), policy, true);
        assert!(count(OfflinePolicy::Ignore).is_done());
        let waiting = count(OfflinePolicy::Wait);
        assert!(!waiting.is_done() && waiting.failed.is_empty());
        assert_eq!(count(OfflinePolicy::Fail).failed.len(), 1);
        assert_eq!(waiting.summary(), "1 of 2 nodes converged");
    }

    #[test]
    fn nobody_is_enough_for_a_request_and_for_nothing_else() {
        assert!(Tally::count(Vec::new(), OfflinePolicy::Ignore, false).is_done());
        assert!(!Tally::count(Vec::new(), OfflinePolicy::Ignore, true).is_done());
    }

    #[test]
    fn a_look_differs_if_a_node_went_on() {
        let count = |states: &[&str]| Tally::count(nodes(states), OfflinePolicy::Ignore, true);
        let first = count(&["progressing", "unknown"]);
        assert!(!first.differs_from(&count(&["progressing", "unknown"])));
        assert!(first.differs_from(&count(&["converged", "unknown"])));
        assert!(first.differs_from(&count(&["progressing", "progressing"])));
    }
}
