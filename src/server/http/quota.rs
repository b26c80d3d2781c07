//! Limits on what callers use at once: all callers together, and each principal a part of that.
//!
//! Always: no principal uses up what the others need. A quota is kept for as long as the server runs, so that a principal can't
//! get a second one; there are at most as many quotas as principals in the log.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use schema::id::PrincipalName;
use tokio::sync::Semaphore;

/// Limits on what callers use at once, and on how long they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Requests in progress.
    pub requests: usize,
    /// Requests in progress of one principal.
    pub requests_each: usize,
    /// Live streams.
    pub streams: usize,
    /// Live streams of one principal.
    pub streams_each: usize,
    /// KiB of bodies in memory.
    pub bodies_kib: usize,
    /// KiB of answers in memory.
    pub answers_kib: usize,
    /// KiB of answers in memory for one principal.
    pub answers_each_kib: usize,
    /// How long an answer waits for memory.
    pub answer_wait: Duration,
    /// How long a request may take. Live streams have no limit.
    pub request_time: Duration,
    /// How long the body of a request may take to arrive.
    pub body_time: Duration,
    /// How long `min_position` waits.
    pub position_wait: Duration,
    /// Expensive queries in progress: by default one for each core but one.
    pub questions: usize,
    /// Expensive queries of one principal, in progress or waiting.
    pub questions_each: usize,
    /// How long an expensive query waits for its turn.
    pub question_wait: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            requests: 1_024,
            requests_each: 256,
            streams: 1_000,
            streams_each: 250,
            bodies_kib: 256 * 1_024,
            answers_kib: 256 * 1_024,
            answers_each_kib: 64 * 1_024,
            answer_wait: Duration::from_secs(2),
            request_time: Duration::from_secs(30),
            body_time: Duration::from_secs(20),
            position_wait: Duration::from_secs(5),
            questions: available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1),
            questions_each: 8,
            question_wait: Duration::from_secs(2),
        }
    }
}

/// The permits of one principal.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) requests: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
    /// Expensive queries, in progress or waiting.
    pub(super) questions: Arc<Semaphore>,
    /// KiB of answers in memory.
    pub(super) answer_kib: Arc<Semaphore>,
}

/// The quotas by principal.
#[derive(Debug, Default)]
pub(super) struct Quotas(Mutex<HashMap<PrincipalName, Arc<Quota>>>);

impl Quotas {
    /// The quota of a principal.
    pub(super) fn of(&self, name: &PrincipalName, limits: &HttpLimits) -> Arc<Quota> {
        let mut quotas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(quota) = quotas.get(name) {
            return Arc::clone(quota);
        }
        let quota = Arc::new(Quota::within(limits));
        quotas.insert(name.clone(), Arc::clone(&quota));
        quota
    }
}

impl Quota {
    fn within(limits: &HttpLimits) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        Self {
            requests: permits(limits.requests_each),
            streams: permits(limits.streams_each),
            questions: permits(limits.questions_each),
            answer_kib: permits(limits.answers_each_kib),
        }
    }
}
