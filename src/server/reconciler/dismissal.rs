//! Retired nodes that have dropped what they ran, or were silent for long: their access to NATS ends.

use projections::configuration::Configuration;
use schema::command::Command;
use schema::desired::digest_of;
use schema::id::NodeId;
use schema::instant::Instant;
use schema::report::Reported;

/// The commands that end the access of retired nodes, at most `max`. `reported` gives the newest report of a node.
pub(super) fn due<R>(
    state: &Configuration,
    now: Instant,
    max: usize,
    reported: impl Fn(&NodeId) -> Option<R>,
) -> Vec<Command>
where
    R: AsRef<Reported>,
{
    let empty = digest_of([]);
    let retired = state.nodes().iter().filter(|(_, node)| node.retired && node.access.keys.is_some());
    let due = retired.filter(|(id, node)| {
        let good = reported(id).and_then(|report| report.as_ref().good());
        let has_dropped = good.is_some_and(|good| good.digest == empty && good.position >= node.cause.position);
        node.access.is_to_be_dismissed(has_dropped, now)
    });
    due.map(|(id, _)| Command::DismissNode(id.clone())).take(max).collect()
}
