//! Resyncs NATS with the log: folds the log up to its head, verifies that it goes on from what was signed and from what nodes prove, and
//! repairs blobs, records and events.

use std::time::Duration;

use schema::position::Position;
use store::database::Error as LogError;
use tokio::time::{Instant, sleep_until};

use crate::backend::Error as BackendError;
use crate::continuity::{self, ContinuityError};
use crate::publish::Error as PublishError;

use super::error::Error;
use super::{Phase, Relay};

/// The shortest time from one resync to the next: whoever keeps writing to our part of NATS costs no more than this.
const RESYNC_EVERY: Duration = Duration::from_millis(500);
impl Relay {
    /// Resyncs NATS because of this error, once it can be reached.
    pub(super) async fn resync_after(&mut self, error: &PublishError) -> Result<(), Error> {
        metrics::attempt_failed("publish");
        tracing::warn!(%error, "publishing failed; NATS is resynced with the log");
        self.show(Phase::Repairing, Some(error.to_string()));
        self.link.up().await;
        if let Some(resynced) = self.resynced {
            sleep_until(resynced + RESYNC_EVERY).await;
        }
        self.resync().await
    }

    /// Brings NATS to where the log is. Where the log is found changed, the error names the first event that was, if it can be told.
    pub(super) async fn resync(&mut self) -> Result<(), Error> {
        use LogError::{Diverged, OtherRoot, Row};
        match self.verify_and_repair().await {
            Err(
                error @ Error::Backend(
                    BackendError::Log(OtherRoot { .. } | Diverged(_) | Row { .. })
                    | BackendError::Publish(PublishError::Source(_)),
                ),
            ) => {
                self.check.check_whole_log().await?;
                Err(error)
            }
            Err(Error::Unsignable { error: error @ ContinuityError::Rewritten { head, .. }, .. }) => {
                self.check.check_whole_log().await?;
                let first = self.check.first_changed(Position::ZERO, head).await?;
                Err(Error::Unsignable { error, first })
            }
            other => other,
        }
    }

    async fn verify_and_repair(&mut self) -> Result<(), Error> {
        // A fault stays shown until it is gone.
        let fault = self.status.borrow().fault.clone();
        self.show(Phase::Repairing, fault);
        let head = self.reader.head_at_rest().await?;
        if head.position < self.follower.position() {
            return Err(LogError::WentBack { head: head.position, folded: self.follower.position() }.into());
        }
        self.reader.follow(&mut self.follower, head.position).await?;
        head.is_over(&self.follower)?;
        self.signer.check(self.follower.frontier()).await?;
        continuity::check_node_proof(&self.reader, self.reports.furthest_proof(), head.position).await?;
        self.publisher.repair(self.follower.configuration()).await?;
        self.resynced = Some(Instant::now());
        self.show(Phase::Following, None);
        Ok(())
    }
}
