//! What callers may use of the door at once: all of them together, and each principal its part of that.
//!
//! Always: no principal uses up what the others need, and an account outlives everything that was taken from it, so that
//! nobody gets a second one by asking again. There are at most as many accounts as principals in the log.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use schema::id::PrincipalName;
use tokio::sync::Semaphore;

/// What callers may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests that are worked on at once.
    pub requests: usize,
    /// Those of one principal.
    pub requests_each: usize,
    /// Live streams at once.
    pub streams: usize,
    /// Those of one principal.
    pub streams_each: usize,
    /// Kibibytes of bodies that are held at once.
    pub bodies_kib: usize,
    /// Kibibytes of answers that are in memory at once.
    pub answers_kib: usize,
    /// Those for one principal.
    pub answers_each_kib: usize,
    /// How long an answer waits for room in memory.
    pub answer_wait: Duration,
    /// How long a request may take. Live streams take as long as they like.
    pub request_time: Duration,
    /// How long its body may take to come in.
    pub body_time: Duration,
    /// How long `min_position` waits.
    pub position_wait: Duration,
    /// Costly questions that are worked on at once: all cores but one, and at least one.
    pub questions: usize,
    /// Those of one principal that are worked on or wait.
    pub questions_each: usize,
    /// How long a costly question waits for its place.
    pub question_wait: Duration,
}

impl Default for Limits {
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

/// The places of one principal.
#[derive(Debug)]
pub(super) struct Account {
    /// Requests that are worked on.
    pub(super) requests: Arc<Semaphore>,
    /// Live streams.
    pub(super) streams: Arc<Semaphore>,
    /// Costly questions that are worked on or wait for a place.
    pub(super) questions: Arc<Semaphore>,
    /// Kibibytes of answers in memory.
    pub(super) answers: Arc<Semaphore>,
}

/// The accounts by principal.
#[derive(Debug, Default)]
pub(super) struct Accounts(Mutex<HashMap<PrincipalName, Arc<Account>>>);

impl Accounts {
    /// The account of a principal.
    pub(super) fn of(&self, name: &PrincipalName, limits: &Limits) -> Arc<Account> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(name) {
            return Arc::clone(account);
        }
        let account = Arc::new(Account::within(limits));
        accounts.insert(name.clone(), Arc::clone(&account));
        account
    }
}

impl Account {
    fn within(limits: &Limits) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            requests: places(limits.requests_each),
            streams: places(limits.streams_each),
            questions: places(limits.questions_each),
            answers: places(limits.answers_each_kib),
        }
    }
}
