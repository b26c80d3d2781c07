//! What a door is made of: brought by whoever opens it, and shared by all requests that pass.

use std::sync::Arc;

use schema::id::PrincipalName;
use schema::position::Position;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::fleet::listener::ReportListener;
use crate::http::account::{Account, Accounts, Limits};
use crate::http::record_digests::Digests;
use crate::source::LogSource;

/// A part that is not ready, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Which part.
    pub part: String,
    /// One sentence.
    pub reason: String,
}

/// What a door is made of. Whoever opens it brings all of these.
#[derive(Clone)]
pub struct Fittings {
    /// The log.
    pub source: Arc<dyn LogSource>,
    /// What nodes say.
    pub ears: ReportListener,
    /// What is not ready; nothing if all is.
    pub readiness: Arc<dyn Fn() -> Vec<Reason> + Send + Sync>,
    /// What an operator should know although all is ready.
    pub warnings: Arc<dyn Fn() -> Vec<Reason> + Send + Sync>,
    /// The last position that is published, if that is known.
    pub published: Arc<dyn Fn() -> Option<Position> + Send + Sync>,
    /// What this server's relay does, in one word; nothing if it has none.
    pub relay: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
    /// What callers may spend.
    pub limits: Limits,
    /// Cancelled when the door closes: live streams end then.
    pub closing: CancellationToken,
}

/// An open door. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Inside>);

struct Inside {
    fittings: Fittings,
    digests: Digests,
    requests: Semaphore,
    streams: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    accounts: Accounts,
    questions: Arc<Semaphore>,
}

impl From<Fittings> for Door {
    fn from(fittings: Fittings) -> Self {
        let limits = fittings.limits;
        Self(Arc::new(Inside {
            fittings,
            digests: Digests::default(),
            requests: Semaphore::new(limits.requests),
            streams: Arc::new(Semaphore::new(limits.streams)),
            bodies: Arc::new(Semaphore::new(limits.bodies_kib)),
            answers: Arc::new(Semaphore::new(limits.answers_kib)),
            accounts: Accounts::default(),
            questions: Arc::new(Semaphore::new(limits.questions)),
        }))
    }
}

impl Door {
    /// The log.
    pub(super) fn source(&self) -> &dyn LogSource {
        &*self.0.fittings.source
    }

    /// What nodes say.
    pub(super) fn ears(&self) -> &ReportListener {
        &self.0.fittings.ears
    }

    /// What is not ready.
    pub(super) fn readiness(&self) -> Vec<Reason> {
        (self.0.fittings.readiness)()
    }

    /// What an operator should know although all is ready.
    pub(super) fn warnings(&self) -> Vec<Reason> {
        (self.0.fittings.warnings)()
    }

    /// The last position that is published.
    pub(super) fn published(&self) -> Option<Position> {
        (self.0.fittings.published)()
    }

    /// What this server's relay does.
    pub(super) fn relay(&self) -> Option<&'static str> {
        (self.0.fittings.relay)()
    }

    /// What callers may spend.
    pub(super) fn limits(&self) -> &Limits {
        &self.0.fittings.limits
    }

    /// Cancelled when the door closes.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.0.fittings.closing
    }

    /// Digests of desired records.
    pub(super) fn digests(&self) -> &Digests {
        &self.0.digests
    }

    /// Places for requests.
    pub(super) fn requests(&self) -> &Semaphore {
        &self.0.requests
    }

    /// Places for live streams.
    pub(super) fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    /// Places for costly questions.
    pub(super) fn questions(&self) -> &Arc<Semaphore> {
        &self.0.questions
    }

    /// Kibibytes for answers.
    pub(super) fn answers(&self) -> &Arc<Semaphore> {
        &self.0.answers
    }

    /// What one principal may use.
    pub(super) fn account(&self, name: &PrincipalName) -> Arc<Account> {
        self.0.accounts.of(name, self.limits())
    }

    /// Kibibytes for bodies.
    pub(super) fn bodies(&self) -> &Arc<Semaphore> {
        &self.0.bodies
    }
}
