//! The reconciler: what nodes say and ask becomes commands, and so does their silence. Only the server that holds the slot
//! does this.

mod silence;

use std::time::Duration;

use program::failpoints;
use schema::command::Command;
use schema::entity::Actor;
use schema::request::Request;
use store::log::{Log, SubmitError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::fleet::listener::ReportListener;
use crate::fleet::report_tracker::news;
use crate::fleet::rpc_service::RpcService;
use crate::relay::{Phase, RelayStatus};

use self::silence::Silence;

/// How often it is looked for silent runtimes: little beside the shortest lease.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Claims that one request ends. One that was given back meanwhile refuses all of them, until the next look.
const ENDED_AT_ONCE: usize = 100;

/// Notes in the log what nodes run, failed at or drifted from, whenever it changes, answers what they ask, and ends the
/// claims of runtimes that are silent; for as long as this process has the slot.
pub async fn run(
    log: Log,
    reports: ReportListener,
    asking: RpcService,
    mut status: watch::Receiver<RelayStatus>,
    stop: CancellationToken,
) {
    let reconciling = async {
        while status.wait_for(|status| status.phase == Phase::Following).await.is_ok() {
            tokio::select! {
                () = note(&log, &reports) => {}
                () = end_silent(&log, &reports) => {}
                () = asking.answer() => {}
                moved = status.wait_for(|status| status.phase != Phase::Following) => {
                    // A relay that has ended leaves nobody to reconcile for.
                    if moved.is_err() {
                        return;
                    }
                }
            }
        }
    };
    stop.run_until_cancelled(reconciling).await;
}

async fn note(log: &Log, reports: &ReportListener) {
    loop {
        note_next(log, reports).await;
    }
}

/// Whoever becomes the reconciler knows nothing of how long anybody was silent, and begins to listen.
async fn end_silent(log: &Log, reports: &ReportListener) {
    let mut silence = Silence::default();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        // An agent that is no runtime, or no longer one, says nothing about whether one lives.
        let said = |node: &_| reports.heard(node).filter(|heard| heard.report.runtime).map(|heard| heard.silence);
        let due = silence.due(Instant::now(), reports.is_listening(), &log.view(), said);
        for claims in due.chunks(ENDED_AT_ONCE) {
            let commands = claims.iter().map(|(job, token)| Command::ExpireClaim(job.clone(), *token));
            let reason = Some("its runtime was silent for longer than the lease".to_string());
            let request = Request { reason, ..Request::of(commands) };
            match log.submit(request, Actor::Reconciler, None).await {
                Ok(_) => tracing::info!(claims = claims.len(), "claims of silent runtimes have ended"),
                Err(error) => tracing::warn!(%error, "claims of silent runtimes could not be ended; trying again"),
            }
        }
    }
}

async fn note_next(log: &Log, reports: &ReportListener) {
    let (node, summary) = reports.next_change(|node, summary| news(&log.view(), node, summary)).await;
    failpoints::REPORT_HEARD.reached();
    let request = Request::of([Command::NoteReport(node.clone(), summary)]);
    match log.submit(request, Actor::Reconciler, None).await {
        Ok(_) => failpoints::REPORT_NOTED.reached(),
        // A node that was never enrolled may say what it likes.
        Err(SubmitError::Refused(refused)) => tracing::debug!(%node, %refused, "a report is not noted"),
        Err(error) => {
            tracing::warn!(%node, %error, "a report could not be noted; trying again");
            reports.again(&node);
        }
    }
}
