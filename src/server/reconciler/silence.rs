//! How long runtimes have been silent, on this process's monotonic clock: the log has no such clock.
//!
//! A claim is due to end when its holder neither reported nor claimed, renewed or completed for a whole lease, and this process
//! listened all that time. Listening begins anew whenever this process becomes the reconciler and whenever NATS returns, and every
//! runtime has a full lease from then on. Absent on purpose: ending the claim, which the log decides.

use std::collections::BTreeMap;
use std::time::Duration;

use projections::configuration::Configuration;
use schema::id::{JobId, NodeId};
use schema::lease::LeaseToken;
use schema::position::Position;
use tokio::time::Instant;

/// The last signs of life of runtimes that hold jobs.
#[derive(Debug, Default)]
pub(super) struct SilenceTracker {
    /// Since when this process listens without a break.
    listening: Option<Instant>,
    /// For each holder the position of its last command in the log, and when that was first observed.
    signs: BTreeMap<NodeId, (Position, Instant)>,
}

impl SilenceTracker {
    /// The claims whose holders are silent for too long at `now`. `silence` gives how long ago a node last reported.
    pub(super) fn due(
        &mut self,
        now: Instant,
        is_listening: bool,
        state: &Configuration,
        silence: impl Fn(&NodeId) -> Option<Duration>,
    ) -> Vec<(JobId, LeaseToken)> {
        if !is_listening {
            *self = Self::default();
            return Vec::new();
        }
        let listening = *self.listening.get_or_insert(now);
        let jobs = state.jobs();
        self.signs.retain(|node, _| jobs.held_count(node) > 0);
        let mut due = Vec::new();
        for node in jobs.holders() {
            let sign = jobs.last_active_at(node);
            let seen = self.signs.entry(node.clone()).or_insert((sign, now));
            if seen.0 != sign {
                *seen = (sign, now);
            }
            let heard = silence(node).and_then(|silence| now.checked_sub(silence));
            let last = heard.into_iter().chain([listening, seen.1]).max().unwrap_or(now);
            let silent = now.saturating_duration_since(last);
            let claims = jobs.held_by(node).filter_map(|(id, job)| Some((id, job.claim.as_deref()?)));
            let over = claims.filter(|(_, claim)| silent > Duration::from_secs(claim.lease_s.into()));
            due.extend(over.map(|(id, claim)| (id.clone(), claim.token)));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use projections::request::{RequestContext, decide_request};
    use schema::entity::Actor;
    use schema::id::CommandId;
    use schema::request::Request;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    /// The state after these commands.
    fn asked(state: &Configuration, commands: Value) -> Configuration {
        let request = Request::read(json!({ "commands": commands }).to_string().as_bytes()).expect("it is read");
        let envelope = RequestContext {
            log_id: Uuid::nil().into(),
            command_id: CommandId::from(Uuid::now_v7()),
            actor: Actor::Install,
            entropy: [7; 16],
            clock: schema::instant::Instant::from_unix_micros(0),
        };
        decide_request(state, &envelope, &request).expect("it is accepted").configuration
    }

    /// Two runtimes with a job each; the lease of the first is 10 s, of the second 60 s.
    fn claimed() -> Configuration {
        let attestation = |id: &str| json!({"type": "define_attestation", "id": id, "assessment": "as", "title": "t", "provider": {"name": "p"}});
        asked(
            &Configuration::default(),
            json!([
                {"type": "enrol_node", "id": "n1", "labels": {}}, {"type": "enrol_node", "id": "n2", "labels": {}},
                {"type": "define_control", "id": "c", "title": "t"},
                {"type": "define_assessment", "id": "as", "title": "t", "control": "c", "component_selector": {},
                    "schedule": "* * * * *"},
                attestation("a"), attestation("b"),
                {"type": "claim_jobs", "runtime": "n1", "limit": 1, "lease_s": 10},
                {"type": "claim_jobs", "runtime": "n2", "limit": 1, "lease_s": 60},
            ]),
        )
    }

    fn unheard(_: &NodeId) -> Option<Duration> {
        None
    }

    #[test]
    fn who_is_silent_for_a_whole_lease_loses_its_claims() {
        let (state, mut silence, start) = (claimed(), SilenceTracker::default(), Instant::now());
        let mut due = |after: u64| silence.due(start + Duration::from_secs(after), true, &state, unheard).len();
        assert_eq!([due(0), due(10), due(11), due(60), due(61)], [0, 0, 1, 1, 2]);
    }

    #[test]
    fn a_report_and_a_sign_in_the_log_are_signs_of_life() {
        let (mut state, mut silence, start) = (claimed(), SilenceTracker::default(), Instant::now());
        let at = |after: u64| start + Duration::from_secs(after);
        assert!(silence.due(at(0), true, &state, unheard).is_empty());
        assert!(silence.due(at(11), true, &state, |_| Some(Duration::from_secs(10))).is_empty(), "it reported");
        assert_eq!(silence.due(at(12), true, &state, |_| Some(Duration::from_secs(11))).len(), 1, "too long ago");
        state = asked(&state, json!([{"type": "renew_claims", "runtime": "n1"}]));
        assert!(silence.due(at(12), true, &state, unheard).is_empty(), "it renewed");
        assert!(silence.due(at(22), true, &state, unheard).is_empty());
        assert_eq!(silence.due(at(23), true, &state, unheard).len(), 1);
    }

    #[test]
    fn everybody_has_a_full_lease_from_when_listening_begins() {
        let (state, mut silence, start) = (claimed(), SilenceTracker::default(), Instant::now());
        let at = |after: u64| start + Duration::from_secs(after);
        assert!(silence.due(at(0), true, &state, unheard).is_empty());
        assert!(silence.due(at(100), false, &state, unheard).is_empty(), "nobody could be heard");
        let old = |_: &NodeId| Some(Duration::from_secs(100));
        assert!(silence.due(at(101), true, &state, old).is_empty());
        assert!(silence.due(at(111), true, &state, old).is_empty());
        assert_eq!(silence.due(at(112), true, &state, old).len(), 1);
    }
}
