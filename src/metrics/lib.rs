//! The metrics of this process, for Prometheus.
//!
//! What always holds: a counter is raised where the event happens, once; a gauge is set when a scrape asks for it. A value that is not
//! known is NaN and not 0. Label values are words of this program and never a caller's, so the number of series is bounded. The text
//! has the metrics in the order in which they are registered, and the series of one metric in the order of their labels.
//! `docs/reference/metrics.md` says what each of them means.

mod labelled;

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use program::clock::system_time;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use schema::event::Event;
use schema::instant::Instant;
use schema::position::Position;

use self::labelled::LabelledMetrics;

/// The media type of [`open_metrics_text`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Label = [(&'static str, String); 1];
type LabelPair = [(&'static str, String); 2];
/// A value that may be unknown: NaN.
type FloatGauge = Gauge<f64, AtomicU64>;

struct Metrics {
    registry: Registry,
    ready: FloatGauge,
    head: FloatGauge,
    published: FloatGauge,
    acknowledged: FloatGauge,
    signed: FloatGauge,
    checked: FloatGauge,
    lag_events: FloatGauge,
    lag_seconds: FloatGauge,
    slot_bytes: FloatGauge,
    clock_ahead: FloatGauge,
    log_ahead: FloatGauge,
    certificates: LabelledMetrics<Label, FloatGauge>,
    nodes: LabelledMetrics<Label, FloatGauge>,
    rollouts: LabelledMetrics<Label, FloatGauge>,
    unknown_nodes: FloatGauge,
    unknown_nodes_forgotten: Counter,
    reports_passed_over: LabelledMetrics<Label, Counter>,
    proposals_open: FloatGauge,
    proposals_oldest: FloatGauge,
    proposals_refused: LabelledMetrics<Label, Counter>,
    proposals_passed_over: LabelledMetrics<Label, Counter>,
    batch_requests: Histogram,
    batch_events: Histogram,
    relayed_events: Histogram,
    publish_seconds: Histogram,
    connections: LabelledMetrics<Label, Counter>,
    failures: LabelledMetrics<Label, Counter>,
    requests: LabelledMetrics<LabelPair, Counter>,
    refusals: LabelledMetrics<Label, Counter>,
    strays: Counter,
    admissions: LabelledMetrics<Label, Counter>,
    cut: Counter,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    // From 1 to 4,096; the latencies below from half a millisecond to a minute.
    let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 13));
    let mut metrics = Metrics {
        registry: Registry::with_prefix("headwater"),
        ready: FloatGauge::default(),
        head: FloatGauge::default(),
        published: FloatGauge::default(),
        acknowledged: FloatGauge::default(),
        signed: FloatGauge::default(),
        checked: FloatGauge::default(),
        lag_events: FloatGauge::default(),
        lag_seconds: FloatGauge::default(),
        slot_bytes: FloatGauge::default(),
        clock_ahead: FloatGauge::default(),
        log_ahead: FloatGauge::default(),
        certificates: LabelledMetrics::default(),
        nodes: LabelledMetrics::default(),
        rollouts: LabelledMetrics::default(),
        unknown_nodes: FloatGauge::default(),
        unknown_nodes_forgotten: Counter::default(),
        reports_passed_over: LabelledMetrics::default(),
        proposals_open: FloatGauge::default(),
        proposals_oldest: FloatGauge::default(),
        proposals_refused: LabelledMetrics::default(),
        proposals_passed_over: LabelledMetrics::default(),
        batch_requests: sizes(),
        batch_events: sizes(),
        relayed_events: sizes(),
        publish_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 18)),
        connections: LabelledMetrics::default(),
        failures: LabelledMetrics::default(),
        requests: LabelledMetrics::default(),
        refusals: LabelledMetrics::default(),
        strays: Counter::default(),
        admissions: LabelledMetrics::default(),
        cut: Counter::default(),
    };
    // Unknown before they are first measured.
    let Metrics { acknowledged, signed, checked, slot_bytes, clock_ahead, log_ahead, .. } = &metrics;
    for gauge in [acknowledged, signed, checked, slot_bytes, clock_ahead, log_ahead] {
        gauge.set(f64::NAN);
    }
    metrics.register();
    metrics
});

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new(label("version", env!("CARGO_PKG_VERSION")));
        registry.register("build", "The program that this server runs", build);
        registry.register("ready", "Whether this server can do its work: 1 or 0", self.ready.clone());
        registry.register("head_position", "The last event of the log", self.head.clone());
        registry.register("published_position", "The last event in the event stream", self.published.clone());
        let text = "The last event that this server acknowledged to the write-ahead log";
        registry.register("acknowledged_position", text, self.acknowledged.clone());
        let text = "The last event that this server signed a checkpoint for";
        registry.register("signed_position", text, self.signed.clone());
        let text = "The last event up to which this server read the log again and found it to be what it was";
        registry.register("checked_position", text, self.checked.clone());
        registry.register("publish_lag_events", "Events that are not published yet", self.lag_events.clone());
        registry.register("publish_lag_seconds", "How old the oldest of them is", self.lag_seconds.clone());
        let text = "Write-ahead log that PostgreSQL keeps for the relay";
        registry.register("slot_retained_bytes", text, self.slot_bytes.clone());
        let text = "How far this server's clock was ahead of PostgreSQL's when that was last asked";
        registry.register("clock_ahead_seconds", text, self.clock_ahead.clone());
        let text = "How far the last event is dated ahead of PostgreSQL's and NATS's clocks";
        registry.register("log_time_ahead_seconds", text, self.log_ahead.clone());
        let text = "Seconds until this server's certificate expires, by what listens with it; below zero once it has";
        registry.register("cert_expires_seconds", text, self.certificates.clone());
        registry.register("nodes", "Nodes by state", self.nodes.clone());
        registry.register("rollouts", "Rollouts that have not ended, by status", self.rollouts.clone());
        let text = "Nodes that report at present and are not enrolled";
        registry.register("unknown_nodes", text, self.unknown_nodes.clone());
        let text = "Nodes that are not enrolled and were forgotten, because more of them reported";
        registry.register("unknown_nodes_forgotten", text, self.unknown_nodes_forgotten.clone());
        let text = "Reports that count for nothing, by the reason";
        registry.register("reports_passed_over", text, self.reports_passed_over.clone());
        let text = "Proposals of nodes that wait for a decision";
        registry.register("proposals_open", text, self.proposals_open.clone());
        let text = "How long the oldest of them has waited; 0 if there is none";
        registry.register("proposals_oldest_seconds", text, self.proposals_oldest.clone());
        let text = "Proposals that the log could not hold, by code";
        registry.register("proposals_refused", text, self.proposals_refused.clone());
        let text = "Proposals that count for nothing, by the reason";
        registry.register("proposals_passed_over", text, self.proposals_passed_over.clone());
        registry.register("append_batch_requests", "Requests of one transaction", self.batch_requests.clone());
        registry.register("append_batch_events", "Events of one transaction", self.batch_events.clone());
        registry.register("relay_batch_events", "Events published together", self.relayed_events.clone());
        let text = "From the deciding of a request until its events were published";
        registry.register("publish_latency_seconds", text, self.publish_seconds.clone());
        registry.register("connections", "Connections made, again and again", self.connections.clone());
        registry.register("failures", "What was tried and has to be tried again", self.failures.clone());
        let text = "Messages in the event stream that somebody else wrote and this server took out";
        registry.register("strays", text, self.strays.clone());
        let text = "Connections to NATS that this server was asked about, by what it answered";
        registry.register("nats_admissions", text, self.admissions.clone());
        let text = "Connections to NATS that this server cut, because the log does not let them in any more";
        registry.register("nats_connections_cut", text, self.cut.clone());
        registry.register("requests", "Requests that were answered, by route and status", self.requests.clone());
        registry.register("refusals", "What was refused, by code", self.refusals.clone());
    }
}

fn label(name: &'static str, value: &str) -> Label {
    [(name, value.to_owned())]
}

/// The appender committed a transaction.
pub fn batch_appended(events: &[Event], requests: usize) {
    METRICS.batch_requests.observe(requests as f64);
    METRICS.batch_events.observe(events.len() as f64);
}

/// The relay published events.
pub fn events_published(events: &[Event]) {
    METRICS.relayed_events.observe(events.len() as f64);
    let now = system_time().unix_micros();
    for event in events.iter().filter(|event| event.ends_request()) {
        METRICS.publish_seconds.observe(seconds(now - event.at.unix_micros()));
    }
}

/// The relay acknowledged the write-ahead log up to this event.
pub fn position_acknowledged(position: Position) {
    METRICS.acknowledged.set(position.get() as f64);
}

/// The relay signed a checkpoint of this position.
pub fn checkpoint_signed(position: Position) {
    METRICS.signed.set(position.get() as f64);
}

/// The log was checked from its first event up to this one, and found unchanged.
pub fn log_checked(position: Position) {
    METRICS.checked.set(position.get() as f64);
}

/// A connection to `service` was made.
pub fn connection_made(service: &str) {
    METRICS.connections.with(&label("to", service)).inc();
}

/// An operation failed, and is tried again.
pub fn attempt_failed(operation: &str) {
    METRICS.failures.with(&label("of", operation)).inc();
}

/// A request was answered. `route` is the pattern of its path.
pub fn request_answered(route: &str, status: u16) {
    let labels = [("route", route.to_owned()), ("status", status.to_string())];
    METRICS.requests.with(&labels).inc();
}

/// A request was refused with this stable code.
pub fn request_refused(code: &str) {
    METRICS.refusals.with(&label("code", code)).inc();
}

/// Foreign messages were removed from the event stream.
pub fn strays_removed(messages: u64) {
    METRICS.strays.inc_by(messages);
}

/// How much write-ahead log PostgreSQL retains for the slot, if that is known.
pub fn slot_retained(bytes: Option<u64>) {
    METRICS.slot_bytes.set(bytes.map_or(f64::NAN, |bytes| bytes as f64));
}

/// The times of this server and of PostgreSQL, and how far the log's time is ahead of the clocks.
pub fn clocks_compared(server: Instant, postgres: Instant, log_ahead: Duration) {
    METRICS.clock_ahead.set((server.unix_micros() - postgres.unix_micros()) as f64 / 1e6);
    METRICS.log_ahead.set(log_ahead.as_secs_f64());
}

/// The head of the log, the last public event if it is known, and the time of the first event that is not public.
pub fn progress_observed(head: Position, published: Option<Position>, oldest: Option<Instant>, is_ready: bool) {
    let head = head.get() as f64;
    let published = published.map_or(f64::NAN, |published| published.get() as f64);
    // The relay may be ahead of what this server has folded.
    let lag = if published.is_nan() { f64::NAN } else { (head - published).max(0.0) };
    METRICS.head.set(head);
    METRICS.published.set(published);
    METRICS.lag_events.set(lag);
    METRICS.lag_seconds.set(match oldest {
        Some(oldest) => seconds(system_time().unix_micros() - oldest.unix_micros()),
        None if lag == 0.0 => 0.0,
        None => f64::NAN,
    });
    METRICS.ready.set(if is_ready { 1.0 } else { 0.0 });
}

/// The certificate of this listener expires in so many seconds, or has done so.
pub fn certificate_expires(listener: &str, seconds: i64) {
    METRICS.certificates.with(&label("listener", listener)).set(seconds as f64);
}

/// How many nodes are in this state.
pub fn nodes_counted(state: &str, count: usize) {
    METRICS.nodes.with(&label("state", state)).set(count as f64);
}

/// How many rollouts have this status.
pub fn rollouts_counted(status: &str, count: usize) {
    METRICS.rollouts.with(&label("status", status)).set(count as f64);
}

/// How many nodes report at present and are not enrolled.
pub fn unknown_nodes_counted(count: usize) {
    METRICS.unknown_nodes.set(count as f64);
}

/// A node that is not enrolled was forgotten, because there are too many.
pub fn unknown_node_forgotten() {
    METRICS.unknown_nodes_forgotten.inc();
}

/// A report was ignored, for this reason.
pub fn report_ignored(why: &str) {
    METRICS.reports_passed_over.with(&label("why", why)).inc();
}

/// How many proposals wait for a decision, and when the oldest of them was made.
pub fn proposals_counted(open: usize, oldest: Option<Instant>) {
    METRICS.proposals_open.set(open as f64);
    let waited = |since: Instant| seconds(system_time().unix_micros() - since.unix_micros());
    METRICS.proposals_oldest.set(oldest.map_or(0.0, waited));
}

/// nats-server asked who a client is, and this was answered: `admitted`, or why not.
pub fn connection_judged(answer: &str) {
    METRICS.admissions.with(&label("answer", answer)).inc();
}

/// A connection to NATS was cut.
pub fn connection_cut() {
    METRICS.cut.inc();
}

/// A proposal was ignored, for this reason.
pub fn proposal_ignored(why: &str) {
    METRICS.proposals_passed_over.with(&label("why", why)).inc();
}

/// A proposal was refused with this stable code, and nothing of it was stored.
pub fn proposal_refused(code: &str) {
    METRICS.proposals_refused.with(&label("code", code)).inc();
}

/// All metrics as OpenMetrics text.
#[must_use]
pub fn open_metrics_text() -> String {
    let mut text = String::new();
    encode(&mut text, &METRICS.registry).expect("BUG: a String takes any text");
    text
}

/// Clocks of two servers may differ, so a duration may seem negative.
fn seconds(micros: i64) -> f64 {
    micros.max(0) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the series, in the order in which they are written.
    fn series(text: &str) -> Vec<&str> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').expect("a name and a value").0).collect()
    }

    #[test]
    fn series_are_written_in_the_order_of_their_labels() {
        let (some, reversed) =
            (LabelledMetrics::<Label, Counter>::default(), LabelledMetrics::<Label, Counter>::default());
        let values: Vec<String> = (0..100).map(|number| format!("value_{number:02}")).collect();
        values.iter().for_each(|value| _ = some.with(&label("code", value)).inc());
        values.iter().rev().for_each(|value| _ = reversed.with(&label("code", value)).inc());
        let [some, reversed] = [some, reversed].map(|family| {
            let mut registry = Registry::default();
            registry.register("refusals", "What was refused", family);
            let mut text = String::new();
            encode(&mut text, &registry).expect("a String takes any text");
            text
        });
        assert_eq!(some, reversed);
        let sorted: Vec<String> = values.iter().map(|value| format!("refusals_total{{code=\"{value}\"}}")).collect();
        assert_eq!(series(&some), sorted);
    }

    #[test]
    fn a_metric_is_named_before_it_has_a_value() {
        let text = open_metrics_text();
        assert!(text.contains("# TYPE headwater_connections counter\n"), "{text}");
        assert!(!text.contains("headwater_connections_total{"), "{text}");
    }

    #[test]
    fn a_server_says_which_version_it_is() {
        let text = open_metrics_text();
        let wanted = format!("headwater_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&wanted), "{text}");
    }
}
