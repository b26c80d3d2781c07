//! The reconciler: what nodes say becomes commands. Only the server that holds the slot does this.

use schema::command::Command;
use schema::entity::Actor;
use schema::request::Request;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::door::hearing::Ears;
use crate::door::notebook::is_news;
use crate::log::handle::{Log, SubmitError};
use crate::project::{Phase, Standing};

/// Notes in the log what nodes run, failed at or drifted from, whenever it changes; for as long as this process has the
/// slot.
pub async fn run(log: Log, ears: Ears, mut standing: watch::Receiver<Standing>, stop: CancellationToken) {
    let noting = async {
        while standing.wait_for(|standing| standing.phase == Phase::Following).await.is_ok() {
            tokio::select! {
                () = note_next(&log, &ears) => {}
                _ = standing.wait_for(|standing| standing.phase != Phase::Following) => {}
            }
        }
    };
    stop.run_until_cancelled(noting).await;
}

async fn note_next(log: &Log, ears: &Ears) {
    let (node, summary) = ears.next_change(|node, summary| is_news(&log.view(), node, summary)).await;
    let request = Request::of([Command::NoteReport(node.clone(), summary)]);
    match log.submit(request, Actor::Reconciler, None).await {
        Ok(_) => {}
        // A node that was never enrolled may say what it likes.
        Err(SubmitError::Refused(refused)) => tracing::debug!(%node, %refused, "a report is not noted"),
        Err(error) => {
            tracing::warn!(%node, %error, "a report could not be noted; trying again");
            ears.again(&node);
        }
    }
}
