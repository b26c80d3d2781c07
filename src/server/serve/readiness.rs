//! Whether a server can do its work, and if not, why: the reasons of `/readyz`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::connect::Link;
use projections::configuration::Configuration;
use schema::position::Position;
use store::database::Error as LogError;
use store::log::Log;
use tls::server_certificate::ServerCertificate;
use tokio::time::Instant;

use crate::fleet::listener::ReportListener;
use crate::relay::{Phase, RelayStatus};
use api::health::HealthCondition;

/// How long publishing may stand still before the server counts as not ready: longer than a busy relay takes for a batch, and
/// shorter than it takes until a frozen relay loses the slot.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Whether publishing keeps pace with the log, as far as was observed.
pub(super) struct PublishPace {
    log: Log,
    /// Whether events wait until foreign messages are removed from the event stream, which the relay does.
    strays: Arc<AtomicBool>,
    progress: Mutex<Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    published: Position,
    /// When this position was first observed, or last observed with nothing to publish.
    since: Instant,
}

impl PublishPace {
    pub(super) fn of(log: Log, strays: Arc<AtomicBool>) -> Self {
        Self { log, strays, progress: Mutex::new(Progress::begin(Instant::now())) }
    }

    /// Observes the last public event, and says how far behind the log it is if it has stood still for too long.
    pub(super) fn lag(&self, published: Option<Position>) -> Option<String> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if self.strays.load(Ordering::Relaxed) {
            *progress = Progress::begin(Instant::now());
            return None;
        }
        progress.lag(Instant::now(), self.log.view().position(), published)
    }
}

impl Progress {
    fn begin(now: Instant) -> Self {
        Self { published: Position::ZERO, since: now }
    }

    fn lag(&mut self, now: Instant, head: Position, published: Option<Position>) -> Option<String> {
        let published = published.unwrap_or(self.published);
        if published != self.published || published >= head {
            *self = Self { published, since: now };
        }
        let still = now.saturating_duration_since(self.since);
        let behind = head.get().saturating_sub(published.get());
        (still > WAIT_MAX)
            .then(|| format!("{behind} events wait to be published, and none was for {} s", still.as_secs()))
    }
}

/// What the readiness of a server depends on.
pub(super) struct ReadinessInputs {
    pub(super) log: Log,
    pub(super) reports: ReportListener,
    pub(super) link: Link,
}

impl ReadinessInputs {
    /// Why the server is not ready; none if it is. A standby relay is ready, as long as another one publishes.
    pub(super) fn reasons(&self, status: Option<RelayStatus>, lag: Option<String>) -> Vec<HealthCondition> {
        let log = self.log.health().fault().map(|fault| ("log", fault.to_owned()));
        let nats = (!self.link.is_up()).then(|| ("nats", "NATS can't be reached".to_owned()));
        let reports = (!self.reports.is_listening()).then(|| ("reports", "nodes can't be heard".to_owned()));
        let relay = status.and_then(|status| match (status.phase, status.fault) {
            (Phase::Standby | Phase::Following, None) => None,
            (_, Some(fault)) => Some(("relay", fault)),
            (phase, None) => Some(("relay", format!("the relay is {}", phase.name()))),
        });
        let pace = lag.map(|lag| ("publishing", lag));
        let reason = |(part, reason): (&str, String)| HealthCondition { part: part.to_owned(), reason };
        [log, nats, reports, relay, pace].into_iter().flatten().map(reason).collect()
    }
}

/// What an operator should know although the server is ready.
pub(super) fn warnings(
    log: &Log,
    is_password_answered: bool,
    certificate: Option<&ServerCertificate>,
) -> Vec<HealthCondition> {
    let clock = log.health().doubt().map(|doubt| ("clock", doubt.to_owned()));
    let rows = log.findings().current().map(|found| ("log", LogError::Found(found).to_string()));
    let content = log.findings().missing().map(|missing| ("content", missing.to_string()));
    let certificate = certificate.and_then(ServerCertificate::warning).map(|warning| ("certificate", warning));
    let bus = is_password_answered.then(|| open_bus(&log.view())).flatten().map(|open| ("bus", open));
    let reason = |(part, reason): (&str, String)| HealthCondition { part: part.to_owned(), reason };
    [clock, rows, content, bus, certificate].into_iter().flatten().map(reason).collect()
}

/// What is open as long as the shared password lets nodes in.
fn open_bus(state: &Configuration) -> Option<String> {
    if state.identities().is_closed() {
        return None;
    }
    let without = state.nodes().values().filter(|node| !node.retired && node.access.keys.is_none()).count();
    let next = match without {
        0 => "every node has keys: `headwater bus close` ends it".to_owned(),
        count => format!(
            "{count} nodes have no keys (access `password` in `headwater get nodes`): let them join, then `headwater bus close`"
        ),
    };
    Some(format!("the password that nodes share still opens NATS; {next}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_stands_still_with_something_to_do_is_behind() {
        let start = Instant::now();
        let mut progress = Progress::begin(start);
        let mut lag = |after: u64, head: u64, published: Option<u64>| {
            progress.lag(start + Duration::from_secs(after), head.into(), published.map(Position::from))
        };
        assert_eq!(lag(0, 5, Some(5)), None);
        assert_eq!(lag(100, 5, Some(5)), None, "nothing to do");
        assert_eq!(lag(101, 9, Some(5)), None, "it may just have come");
        assert_eq!(lag(109, 9, Some(6)), None, "it moves");
        assert_eq!(lag(119, 20, Some(6)), None);
        let behind = lag(120, 20, Some(6)).expect("it stands still");
        assert_eq!(behind, "14 events wait to be published, and none was for 11 s");
        assert!(lag(121, 20, None).is_some(), "what is not known has not moved");
        assert_eq!(lag(122, 20, Some(7)), None);
    }
}
