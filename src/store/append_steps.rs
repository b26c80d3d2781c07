//! The steps between the states of a batch, one for each state: see the table in [`super::append_state`].

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use schema::id::CommandId;
use schema::instant;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use program::{failpoints, telemetry};

use super::append_session::{AppendSession as _, AppendStore, StoreFailure};
use super::append_state::{AppendState, HeadGuard, InFlight, Locked, StepFailure, Stepped};
use super::batch::{DecidedBatch, RequestReceipt};
use super::database::Error;
use super::queue::{PendingRequest, RequestQueue, bytes_of};
use super::speculation::{SpeculativeBatch, is_quick};
use super::submission::Submission;
use super::writer::LogWriter;

/// How often PostgreSQL is told that the lock's holder is alive: well within `idle_in_transaction_session_timeout`.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

impl<S: AppendStore> LogWriter<S> {
    /// One step of a batch. Requests that arrive while it is in flight are decided speculatively and put back into the queue as its
    /// next batch.
    pub(crate) async fn step(
        &mut self,
        state: AppendState<S::Session>,
        requests: &[PendingRequest],
        queue: &mut RequestQueue,
    ) -> Stepped<S::Session> {
        match state {
            AppendState::Queued => {
                self.check_open()?;
                let session = self.session().await?;
                self.lock(session, None, requests).await
            }
            AppendState::Speculated(batch) => {
                self.check_open()?;
                self.send_speculated(batch, requests).await
            }
            AppendState::Locked(locked) => self.decide(*locked, requests).await,
            AppendState::InFlight(in_flight) => self.store(in_flight, requests, queue).await,
            AppendState::Unknown(batch) => match self.is_stored(&batch, requests).await {
                Ok(true) => Ok(AppendState::Answered(batch.verdicts)),
                Ok(false) => Ok(AppendState::RuledOut),
                Err(error) => Err(StepFailure { error, state: AppendState::Unknown(batch) }),
            },
            AppendState::RuledOut | AppendState::Answered(_) => Ok(state),
        }
    }

    /// From `Speculated`: sends the batch without a lock if nothing has to be read first.
    async fn send_speculated(&mut self, batch: Box<DecidedBatch>, requests: &[PendingRequest]) -> Stepped<S::Session> {
        let session = self.session().await?;
        let speculated = Some(batch).filter(|batch| batch.holds_for(requests.len(), self.follower.configuration()));
        match (self.known_epoch, speculated) {
            // A batch of refusals stores nothing, so no statement would tell that the state it rests on has passed.
            (Some(epoch), Some(batch)) if keyed(requests).is_empty() && !batch.events.is_empty() => {
                Ok(AppendState::InFlight(InFlight { session, batch, guard: HeadGuard::Expected(epoch) }))
            }
            (_, speculated) => self.lock(session, speculated, requests).await,
        }
    }

    /// From `Queued` and `Speculated`: locks the head row.
    async fn lock(
        &mut self,
        session: S::Session,
        speculated: Option<Box<DecidedBatch>>,
        requests: &[PendingRequest],
    ) -> Stepped<S::Session> {
        let server_clock = self.clock.now();
        let head = self.lock_head(&session, &keyed(requests)).await?;
        Ok(AppendState::Locked(Box::new(Locked { session, head, server_clock, speculated })))
    }

    /// From `Locked`: decides the batch at the head.
    async fn decide(&mut self, locked: Locked<S::Session>, requests: &[PendingRequest]) -> Stepped<S::Session> {
        let Locked { session, head, server_clock, speculated } = locked;
        let latest = match self.check_clocks(server_clock, head.clock, &head.head) {
            Ok(dating) => dating.latest,
            Err(ahead) => {
                session.roll_back().await?;
                self.idle_session = Some(session);
                return Err(Error::from(ahead).into());
            }
        };
        let is_dated = |batch: &DecidedBatch| batch.clock().is_none_or(|clock| clock <= latest);
        let holds =
            |batch: &DecidedBatch| batch.holds_for(requests.len(), self.follower.configuration()) && is_dated(batch);
        let batch = match speculated.filter(|batch| head.receipts.is_empty() && holds(batch)) {
            Some(batch) => batch,
            None => self.decide_all(&session, requests, head.receipts, self.clock.now().min(latest)).await?,
        };
        failpoints::APPEND_DECIDED.reached();
        if batch.is_empty() {
            session.roll_back().await?;
            self.idle_session = Some(session);
            return Ok(AppendState::Answered(batch.verdicts));
        }
        Ok(AppendState::InFlight(InFlight { session, batch, guard: HeadGuard::Locked(head.epoch) }))
    }

    /// Decides the requests while the head row is locked. A request about many nodes takes long: it is decided on another thread, and
    /// PostgreSQL is told meanwhile that the lock's holder is alive.
    async fn decide_all(
        &self,
        session: &S::Session,
        requests: &[PendingRequest],
        receipts: Vec<RequestReceipt>,
        clock: instant::Instant,
    ) -> Result<Box<DecidedBatch>, Error> {
        let submissions: Vec<Arc<Submission>> =
            requests.iter().map(|pending| Arc::clone(&pending.submission)).collect();
        let (log_id, state) = (self.log_id, self.follower.configuration().clone());
        let frontier = self.follower.frontier().clone();
        let quick = is_quick(submissions.iter().map(|submission| &**submission), &state);
        let decide = move || {
            let mut batch = Box::new(DecidedBatch::new(log_id, (state, frontier), receipts));
            submissions.into_iter().for_each(|submission| batch.decide_next(submission, clock));
            batch
        };
        if quick {
            return Ok(decide());
        }
        let mut deciding = tokio::task::spawn_blocking(decide);
        loop {
            match timeout(ALIVE_EVERY, &mut deciding).await {
                Ok(Ok(batch)) => return Ok(batch),
                Ok(Err(ended)) => std::panic::resume_unwind(ended.into_panic()),
                Err(_) => session.keep_alive().await?,
            }
        }
    }

    /// From `InFlight`: stores the batch and waits for the answer.
    async fn store(
        &mut self,
        in_flight: InFlight<S::Session>,
        requests: &[PendingRequest],
        queue: &mut RequestQueue,
    ) -> Stepped<S::Session> {
        let (bytes, since) = (bytes_of(requests), Instant::now());
        let stored = self.store_and_speculate(&in_flight, queue).await;
        match &stored {
            Ok(_) => queue.size().stored(bytes, since.elapsed()),
            Err(StoreFailure::Unknown(_)) => queue.size().lost(bytes),
            Err(StoreFailure::Refused(_)) => {}
        }
        let InFlight { session, batch, .. } = in_flight;
        match stored {
            Ok(true) => {
                failpoints::APPEND_COMMITTED.reached();
                metrics::batch_appended(&batch.events, requests.len());
                log_stored(requests);
                self.idle_session = Some(session);
                Ok(AppendState::Answered(self.fold_stored(*batch)))
            }
            Ok(false) => {
                self.known_epoch = None;
                // The statement was a transaction of its own, and has ended.
                self.idle_session = Some(session);
                Ok(AppendState::Queued)
            }
            Err(failure) => {
                self.known_epoch = None;
                Err(match failure {
                    StoreFailure::Refused(error) => error.into(),
                    StoreFailure::Unknown(error) => StepFailure { error, state: AppendState::Unknown(batch) },
                })
            }
        }
    }

    /// Stores a batch; false if the head had moved. Requests that arrive meanwhile are decided against the state after the batch.
    async fn store_and_speculate(
        &self,
        in_flight: &InFlight<S::Session>,
        queue: &mut RequestQueue,
    ) -> Result<bool, StoreFailure> {
        let InFlight { session, batch, guard } = in_flight;
        let mut next = SpeculativeBatch::after(self.log_id, batch, queue.empty_batch());
        let mut stored = pin!(async {
            match *guard {
                HeadGuard::Locked(epoch) => session.commit(self.log_id, batch, epoch).await.map(|()| true),
                HeadGuard::Expected(epoch) => session.append(self.log_id, batch, epoch).await,
            }
        });
        // Once the batch is sent, the callers of the batch before it are answered first: see `Appender::run`.
        let (mut answering, mut is_answering) = (pin!(yield_now()), true);
        let stored = loop {
            tokio::select! {
                biased;
                stored = &mut stored => break stored,
                () = &mut answering, if is_answering => is_answering = false,
                Some(request) = queue.receive(), if !is_answering && queue.is_drained() => {
                    if let Err(request) = next.add(request, self.clock.now()) {
                        queue.put_first(request);
                    }
                    failpoints::APPEND_AHEAD.reached();
                }
            }
        };
        let (pending, decided) = next.into_parts();
        queue.put_batch(pending, matches!(stored, Ok(true)).then_some(decided));
        stored
    }

    /// From `Unknown`: whether the batch is stored. If not, it can't be stored later either.
    async fn is_stored(&mut self, batch: &DecidedBatch, requests: &[PendingRequest]) -> Result<bool, Error> {
        let session = self.session().await?;
        // Until this session has the lock, the transaction may still commit.
        let head = self.lock_head(&session, &keyed(requests)).await?;
        let is_stored = match batch.events.first() {
            Some(event) => session.contains(event.event_id).await?,
            None => batch.receipts.iter().all(|receipt| head.receipts.contains(receipt)),
        };
        self.known_epoch = None;
        match is_stored {
            // What is known does not depend on how the session ends.
            true if session.roll_back().await.is_err() => return Ok(true),
            true => {}
            // A statement that needs no lock may still be on its way.
            false => session.fence().await?,
        }
        self.idle_session = Some(session);
        Ok(is_stored)
    }
}

/// The requests with a key. A request without one has an identity of its own, so there is no receipt to look for.
fn keyed(requests: &[PendingRequest]) -> Vec<CommandId> {
    let keyed = requests.iter().filter(|pending| pending.submission.keyed);
    keyed.map(|pending| pending.submission.command_id).collect()
}

fn log_stored(requests: &[PendingRequest]) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let requests = requests.iter().map(|pending| telemetry::request(pending.submission.command_id));
        requests.for_each(|request| request.in_scope(|| tracing::debug!("decided and stored")));
    }
}
