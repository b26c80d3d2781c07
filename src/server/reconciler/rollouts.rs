//! Looks after the rollouts: says what was seen of their nodes whenever something follows from it.
//!
//! What follows is decided at the head of the log. It is worked out here first, by the same function against the newest known state, so that
//! only looks are sent from which something follows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use program::clock::system_time;
use projections::configuration::Configuration;
use projections::convergence::OFFLINE_AFTER;
use projections::decide::{advance, in_order};
use projections::fold::is_unwell;
use projections::rollouts::{Rollout, RolloutStatus};
use schema::command::{AdvanceRollout, Command};
use schema::entity::Actor;
use schema::id::{NodeId, RolloutId};
use schema::instant::Instant as LogInstant;
use schema::limit::IN_FLIGHT_MAX;
use schema::position::Position;
use schema::report::{RecordRef, ReportSummary, Reported};
use schema::request::Request;
use store::log::Log;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::fleet::listener::ReportListener;
use crate::reconciler::gap_watch::GapWatch;

/// How often each rollout is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a rollout is looked at where the log has nothing new.
const LOOK_IN_QUIET_EVERY: Duration = Duration::from_secs(1);

/// Advances every rollout that was started, as long as it is polled.
pub(super) async fn advance_rollouts(log: &Log, reports: &ReportListener, gaps: &GapWatch) {
    let (mut presence, mut patience) = (PresenceTracker::default(), RolloutPatience::default());
    let mut known_gaps = gaps.note(Instant::now());
    let mut looked: BTreeMap<RolloutId, (Position, Instant)> = BTreeMap::new();
    let mut due = interval(LOOK_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let now = Instant::now();
        let gap_count = gaps.note(now);
        let hears = reports.is_listening() && gap_count == known_gaps;
        known_gaps = gap_count;
        let state = log.view();
        presence.look(now, hears);
        patience.look(now, hears, &state);
        looked.retain(|id, _| state.rollouts().open().contains_key(id));
        let started = state.rollouts().open().iter();
        for (id, rollout) in started.filter(|(_, rollout)| rollout.status != RolloutStatus::Draft) {
            // Nothing new in the log: only time and silence can make a difference, and these are slow.
            let last = looked.get(id).filter(|(position, _)| *position == state.position());
            if last.is_some_and(|(_, at)| now.saturating_duration_since(*at) < LOOK_IN_QUIET_EVERY) {
                continue;
            }
            looked.insert(id.clone(), (state.position(), now));
            // Reports are read, and the pulse noted, between two rollouts: to look at many takes time.
            yield_now().await;
            let seen = presence.seen(now, &state, id, rollout, reports, &patience);
            if advance(&state, &seen, system_time().max(state.at())).is_empty() {
                continue;
            }
            // Nodes seem silent after a gap until their reports are read. The next pass begins to measure anew.
            if gaps.note(Instant::now()) != known_gaps || !reports.is_listening() {
                break;
            }
            match log.submit(Request::of([Command::AdvanceRollout(seen)]), Actor::Reconciler, None).await {
                Ok(answer) => tracing::info!(rollout = %id, position = %answer.position, "advanced a rollout"),
                Err(error) => tracing::warn!(rollout = %id, %error, "can't advance a rollout; trying again"),
            }
        }
    }
}

/// Since when this process listens to nodes without a break. Nobody is called silent before a full term of it.
#[derive(Debug, Default)]
struct PresenceTracker {
    listening: Option<Instant>,
}

impl PresenceTracker {
    /// Notes a look. `hears` says whether this process has listened since the look before, without a break or a gap in which it did not run.
    fn look(&mut self, now: Instant, hears: bool) {
        self.listening = hears.then(|| self.listening.unwrap_or(now));
    }

    /// Whether this process has listened for so long that who was not heard is silent.
    fn can_tell_silence(&self, now: Instant) -> bool {
        self.listening.is_some_and(|since| now.saturating_duration_since(since) > OFFLINE_AFTER)
    }

    /// What there is to say of the nodes of a rollout.
    fn seen(
        &self,
        now: Instant,
        state: &Configuration,
        id: &RolloutId,
        rollout: &Rollout,
        reports: &ReportListener,
        patience: &RolloutPatience,
    ) -> AdvanceRollout {
        let is_heard = |node: &&NodeId| reports.is_heard(node);
        let overdue = patience.overdue(now, id, rollout);
        let mut silent = BTreeSet::new();
        if self.can_tell_silence(now) {
            silent.extend(overdue.iter().filter(|node| !is_heard(node)).cloned());
            // Who is left of a stage matters only once everybody else has settled.
            if rollout.in_flight.is_empty() && rollout.status == RolloutStatus::Running {
                let left = state.left_in_stage(rollout).into_iter();
                silent.extend(left.filter(|node| !is_heard(node)).cloned());
            }
        }
        let mut heard = BTreeSet::new();
        if self.listening.is_some() && rollout.status == RolloutStatus::Running && rollout.free_slots() > 0 {
            let ready = state.releasable(rollout, state.members(rollout).into_iter()).filter(|node| is_heard(node));
            let idle = ready.filter(|node| reports.heard(node).is_some_and(|heard| has_caught_up(&heard.report)));
            heard.extend(in_order(id, idle).into_iter().take(IN_FLIGHT_MAX as usize).cloned());
        }
        AdvanceRollout { id: id.clone(), heard, silent, overdue, baked: patience.is_baked(now, id, rollout) }
    }
}

/// Whether a node runs what it has seen last, or rejected it, by its own word: the others are busy, and would take the places of those that
/// are not.
fn has_caught_up(report: &Reported) -> bool {
    let digest = |record: Option<RecordRef>| record.map(|record| record.digest);
    let is_idle = report.seen.is_none() || digest(report.seen) == digest(report.running);
    is_idle || is_unwell(&ReportSummary::from(report))
}

/// How long rollouts have waited, on this process's monotonic clock: a clock that is set forward shortens no bake. Whoever becomes the
/// reconciler begins to measure anew, and so does whoever could not hear nodes: they may have confirmed, or failed, meanwhile.
#[derive(Debug, Default)]
struct RolloutPatience {
    /// For each rollout since when its stage bakes by the log, and when that was first seen.
    settled: BTreeMap<RolloutId, (LogInstant, Instant)>,
    /// For each node in flight the position of its release, and when that was first seen.
    released: BTreeMap<(RolloutId, NodeId), (Position, Instant)>,
}

impl RolloutPatience {
    fn look(&mut self, now: Instant, hears: bool, state: &Configuration) {
        if !hears {
            *self = Self::default();
        }
        let open = state.rollouts().open();
        self.settled.retain(|id, _| open.contains_key(id));
        self.released.retain(|(id, node), _| open.get(id).is_some_and(|rollout| rollout.in_flight.contains(node)));
        for (id, rollout) in open {
            let settled = self.settled.entry(id.clone()).or_insert((rollout.settled_at, now));
            if settled.0 != rollout.settled_at {
                *settled = (rollout.settled_at, now);
            }
            for node in &rollout.in_flight {
                let Some(release) = state.rollouts().release(id, node) else { continue };
                let first = self.released.entry((id.clone(), node.clone())).or_insert((release.position, now));
                if first.0 != release.position {
                    *first = (release.position, now);
                }
            }
        }
    }

    fn is_baked(&self, now: Instant, id: &RolloutId, rollout: &Rollout) -> bool {
        let bake = rollout.stage_policy().map_or(0, |stage| stage.bake_s);
        let waited = self.settled.get(id).map(|(_, since)| now.saturating_duration_since(*since));
        waited.is_some_and(|waited| waited >= Duration::from_secs(bake.into()))
    }

    fn overdue(&self, now: Instant, id: &RolloutId, rollout: &Rollout) -> BTreeSet<NodeId> {
        let settle = Duration::from_secs(rollout.opened.settle_s.into());
        let is_over = |node: &&NodeId| {
            let released = self.released.get(&(id.clone(), (*node).clone()));
            released.is_some_and(|(_, since)| now.saturating_duration_since(*since) >= settle)
        };
        rollout.in_flight.iter().filter(is_over).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use projections::request::{RequestContext, decide_request};
    use schema::id::CommandId;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    /// A rollout that has one node in flight, which has 30 s to confirm.
    fn started() -> Configuration {
        let put = json!({"type": "put_document", "id": "d", "path": "d", "media_type": "text/plain", "content": "x",
            "target": {"all": true}, "priority": 0, "rollout": "r"});
        let commands = json!([
            {"type": "enrol_node", "id": "n", "labels": {}},
            {"type": "open_rollout", "id": "r", "max_in_flight": 1, "settle_s": 30,
                "stages": [{"name": "rest", "bake_s": 20}]},
            put, {"type": "start_rollout", "id": "r"},
        ]);
        let state = asked(&Configuration::default(), &Request::read(&body(&commands)).expect("it is read"));
        let heard = ["n".parse().expect("an id")].into();
        let (silent, overdue) = (BTreeSet::new(), BTreeSet::new());
        let seen = AdvanceRollout { id: rollout_id(), heard, silent, overdue, baked: true };
        asked(&state, &Request::of([Command::AdvanceRollout(seen)]))
    }

    fn body(commands: &Value) -> Vec<u8> {
        json!({ "commands": commands }).to_string().into_bytes()
    }

    fn rollout_id() -> RolloutId {
        "r".parse().expect("an id")
    }

    fn asked(state: &Configuration, request: &Request) -> Configuration {
        let envelope = RequestContext {
            log_id: Uuid::nil().into(),
            command_id: CommandId::from(Uuid::now_v7()),
            actor: Actor::Install,
            entropy: [7; 16],
            clock: LogInstant::from_unix_micros(0),
        };
        decide_request(state, &envelope, request).expect("it is accepted").configuration
    }

    #[test]
    fn nobody_is_called_silent_before_a_full_term_without_a_gap() {
        let (mut presence, start) = (PresenceTracker::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut look = |seconds: u64, hears: bool| {
            presence.look(at(seconds), hears);
            presence.can_tell_silence(at(seconds))
        };
        assert!((0..=30).all(|second| !look(second, true)), "who just began to listen knows nothing");
        assert!(look(31, true));
        assert!(!look(32, false) && (33..=63).all(|second| !look(second, true)), "NATS was away");
        assert!(look(64, true));
    }

    #[test]
    fn time_in_which_nobody_could_be_heard_does_not_count() {
        let (state, mut patience, start) = (started(), RolloutPatience::default(), Instant::now());
        let (id, rollout) = (rollout_id(), &state.rollouts().open()[&rollout_id()]);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut counts = |seconds: u64, hears: bool| {
            patience.look(at(seconds), hears, &state);
            (patience.is_baked(at(seconds), &id, rollout), patience.overdue(at(seconds), &id, rollout).len())
        };
        assert_eq!([counts(0, true), counts(19, true)], [(false, 0), (false, 0)]);
        assert_eq!(
            [counts(60, false), counts(79, true)],
            [(false, 0), (false, 0)],
            "NATS was away, or this process frozen"
        );
        assert_eq!([counts(80, true), counts(89, true), counts(90, true)], [(true, 0), (true, 0), (true, 1)]);
    }

    #[test]
    fn time_goes_by_on_a_clock_that_nobody_can_set() {
        let (state, mut patience, start) = (started(), RolloutPatience::default(), Instant::now());
        let (id, rollout) = (rollout_id(), &state.rollouts().open()[&rollout_id()]);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(rollout.in_flight.len(), 1);
        patience.look(at(0), true, &state);
        assert!(!patience.is_baked(at(19), &id, rollout) && patience.is_baked(at(20), &id, rollout));
        assert!(patience.overdue(at(29), &id, rollout).is_empty());
        assert_eq!(patience.overdue(at(30), &id, rollout).len(), 1);
        // Another server begins to measure when it becomes the reconciler.
        let mut other = RolloutPatience::default();
        other.look(at(100), true, &state);
        assert!(other.overdue(at(129), &id, rollout).is_empty() && !other.is_baked(at(119), &id, rollout));
        // What has ended is forgotten.
        other.look(at(130), true, &Configuration::default());
        assert!(other.settled.is_empty() && other.released.is_empty());
    }
}
