//! The reconciler: turns into commands what nodes report and request, and that they are silent or retired; and looks after rollouts. Unlike a
//! controller of Kubernetes it corrects nothing on nodes: each agent does that itself. It works only on the server whose relay follows, so
//! there is one.

mod dismissal;
mod gap_watch;
mod rollouts;
mod silence;

use std::time::Duration;

use program::clock::system_time;
use program::failpoints;
use schema::command::Command;
use schema::entity::Actor;
use schema::request::Request;
use store::log::{Log, SubmitError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::fleet::listener::ReportListener;
use crate::fleet::proposal_service::ProposalService;
use crate::fleet::report_tracker::noteworthy;
use crate::fleet::rpc_service::RpcService;
use crate::relay::{Phase, RelayStatus};

use self::gap_watch::GapWatch;
use self::rollouts::advance_rollouts;
use self::silence::SilenceTracker;

/// How often silent runtimes are looked for: short beside the shortest lease.
const SILENCE_EVERY: Duration = Duration::from_secs(1);
/// How often retired nodes are looked through.
const DISMISSAL_EVERY: Duration = Duration::from_secs(10);
/// Claims that one request ends. A claim that was released meanwhile makes the log refuse the whole request, until the next try.
const ENDED_AT_ONCE: usize = 100;

/// What nodes ask of the reconciler.
pub struct NodeServices {
    /// Answers requests.
    pub rpc: RpcService,
    /// Takes in proposals.
    pub proposals: ProposalService,
}

/// Appends what nodes run, failed at or drifted from whenever it changes, answers their requests, and ends the claims of silent
/// runtimes; while the relay of this process follows.
pub async fn run(
    log: Log,
    reports: ReportListener,
    services: NodeServices,
    mut status: watch::Receiver<RelayStatus>,
    stop: CancellationToken,
) {
    let reconciling = async {
        while status.wait_for(|status| status.phase == Phase::Following).await.is_ok() {
            let gaps = GapWatch::begin(Instant::now());
            tokio::select! {
                () = gaps.pulse() => {}
                () = append_reports(&log, &reports) => {}
                () = end_silent_claims(&log, &reports, &gaps) => {}
                () = dismiss_retired_nodes(&log, &reports) => {}
                () = advance_rollouts(&log, &reports, &gaps) => {}
                () = services.rpc.answer() => {}
                () = services.proposals.serve() => {}
                changed = status.wait_for(|status| status.phase != Phase::Following) => {
                    // The relay has ended.
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    };
    stop.run_until_cancelled(Box::pin(reconciling)).await;
}

async fn append_reports(log: &Log, reports: &ReportListener) {
    loop {
        append_next_report(log, reports).await;
    }
}

/// A server that becomes the reconciler does not know how long a node was silent, so it starts to measure here.
async fn end_silent_claims(log: &Log, reports: &ReportListener, gaps: &GapWatch) {
    let mut silence = SilenceTracker::default();
    let mut known_gaps = gaps.note(Instant::now());
    let mut due = interval(SILENCE_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        // The report of an agent that is no runtime, or no longer one, is no sign of a living runtime.
        let silence_of = |node: &_| reports.heard(node).filter(|heard| heard.report.runtime).map(|heard| heard.silence);
        let now = Instant::now();
        let gap_count = gaps.note(now);
        // What runtimes said in a gap is not read yet.
        let hears = reports.is_listening() && gap_count == known_gaps;
        known_gaps = gap_count;
        let silent = silence.due(now, hears, &log.view(), silence_of);
        for claims in silent.chunks(ENDED_AT_ONCE) {
            let commands = claims.iter().map(|(job, token)| Command::ExpireClaim(job.clone(), *token));
            let reason = Some("its runtime was silent for longer than the lease".to_string());
            let request = Request { reason, ..Request::of(commands) };
            match log.submit(request, Actor::Reconciler, None).await {
                Ok(_) => tracing::info!(claims = claims.len(), "ended the claims of silent runtimes"),
                Err(error) => tracing::warn!(%error, "can't end the claims of silent runtimes; trying again"),
            }
        }
    }
}

/// Ends the access of retired nodes once they have no more use for it.
async fn dismiss_retired_nodes(log: &Log, reports: &ReportListener) {
    let mut due = interval(DISMISSAL_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let reported = |node: &_| reports.heard(node).map(|heard| heard.report);
        let commands = dismissal::due(&log.view(), system_time(), ENDED_AT_ONCE, reported);
        if commands.is_empty() {
            continue;
        }
        let nodes = commands.len();
        let reason = Some("it was retired, and has dropped what it ran or was silent for 30 days".to_string());
        let request = Request { reason, ..Request::of(commands) };
        match log.submit(request, Actor::Reconciler, None).await {
            Ok(_) => tracing::info!(nodes, "dismissed retired nodes"),
            Err(error) => tracing::warn!(%error, "can't dismiss retired nodes; trying again"),
        }
    }
}

async fn append_next_report(log: &Log, reports: &ReportListener) {
    let (node, summary) = reports.next_change(|node, summary| noteworthy(&log.view(), node, summary)).await;
    failpoints::REPORT_HEARD.reached();
    let request = Request::of([Command::NoteReport(node.clone(), summary)]);
    match log.submit(request, Actor::Reconciler, None).await {
        Ok(_) => failpoints::REPORT_NOTED.reached(),
        // A node that is not enrolled, or no longer, may report what it likes.
        Err(SubmitError::Refused(refused)) => tracing::debug!(%node, %refused, "report refused by the log"),
        Err(error) => {
            tracing::warn!(%node, %error, "report can't be appended; trying again");
            reports.retry_change(&node);
        }
    }
}
