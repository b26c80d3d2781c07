//! Applies a plan in a file: it does what was planned, or nothing, however often it is sent.

use std::path::Path;

use api::log::LogStatus;
use api::path::LOG;
use program::backoff::Backoff;
use program::output;
use schema::answer::Answer;
use schema::bundle::PlanBase;
use schema::terminal;

use super::error::Error;
use super::request_step::RequestStep;
use super::shown_request::{ShowPolicy, decide, show_and_send};
use crate::api_client::ApiClient;
use crate::request_plan::exchange;
use crate::request_plan::kept_plan::{self, FoundEvent};
use crate::request_plan::outcome::{PlannedOutcome, RequestOutcome};
use crate::request_plan::outcome_difference::OutcomeDifference;
use crate::request_plan::plan_file::{PlanFile, PlanFileError};

/// How often a server is asked that is behind what it shows.
const LOOKS_MAX: usize = 5;

/// Shows what the plan does, asks, and sends it. None if it was applied before, or changes nothing.
///
/// # Errors
/// If the file is no plan of this log; if something else would come of it now; as [`show_and_send`].
pub(crate) async fn run(client: &ApiClient, path: &Path, policy: ShowPolicy<'_>) -> Result<Option<Answer>, Error> {
    let file = PlanFile::read(path)?;
    let not_a_plan = |source| PlanFileError::NotAPlan { path: path.to_owned(), source };
    let shown = file.outcome().map_err(not_a_plan)?;
    let log: LogStatus = client.get(LOG).await?;
    client_has_log(client, &file, &shown.base, &log).await?;
    let mut request = file.request();
    let step = RequestStep::of(std::mem::take(&mut request.commands), request.reason);
    // What is shown is what the server says now, so that nobody has to trust the file.
    let now = decide(client, &step).await?;
    let kept = kept_plan::find(client, &file.plan, &shown.base).await?;
    match kept {
        Some(kept) => {
            // It may have been applied between the two looks.
            match decide_behind(client, &step, kept.position).await? {
                Some(now) if now.outcome.changes() => Err(undone(client, &now.outcome, &kept).await?),
                // A server that is still behind can't tell; the plan was applied all the same.
                _ => say_applied(policy, &kept),
            }
        }
        None if !now.outcome.changes() => {
            say(policy, "there is nothing to change\n")?;
            Ok(None)
        }
        None if now.outcome.plan.as_deref() != Some(file.plan.as_str()) => {
            Err(Error::PlanChanged(OutcomeDifference::between(&shown, &now.outcome).text()))
        }
        None => {
            // Under the key of the file, whoever sends it and however often.
            let mut planned = now;
            planned.outcome.base = shown.base;
            match show_and_send(client, &step, &planned, policy).await {
                Err(Error::PlanChanged(what)) => {
                    match kept_plan::find(client, &file.plan, &planned.outcome.base).await? {
                        // Somebody else was quicker with the same plan.
                        Some(kept) => say_applied(policy, &kept),
                        None => Err(Error::PlanChanged(what)),
                    }
                }
                sent => sent.map(Some),
            }
        }
    }
}

async fn client_has_log(client: &ApiClient, file: &PlanFile, base: &PlanBase, log: &LogStatus) -> Result<(), Error> {
    let is_same = log.log_id.to_string() == file.log_id;
    match is_same && kept_plan::has_base(client, base).await? {
        true => Ok(()),
        false => Err(Error::OtherLog),
    }
}

/// What the step would do once the server has come as far as an event that it shows; none if it does not.
async fn decide_behind(client: &ApiClient, step: &RequestStep, position: u64) -> Result<Option<PlannedOutcome>, Error> {
    let mut backoff = Backoff::default();
    for _ in 0..LOOKS_MAX {
        let decided = exchange::decide(client, &step.request).await?;
        if decided.outcome.base.position.get() >= position {
            return Ok(Some(decided));
        }
        tokio::time::sleep(backoff.failed()).await;
    }
    Ok(None)
}

async fn undone(client: &ApiClient, now: &RequestOutcome, kept: &FoundEvent) -> Result<Error, Error> {
    let what = match kept_plan::first_change(client, now, kept.position).await? {
        Some(event) => format!("{} was changed at {}", terminal::line(&event.entity), event.position),
        None => "something of it was changed".to_owned(),
    };
    Ok(Error::Undone { applied: kept.position, what })
}

fn say_applied(policy: ShowPolicy<'_>, kept: &FoundEvent) -> Result<Option<Answer>, Error> {
    let id = terminal::line(&kept.command_id);
    say(policy, &format!("already applied at position {} as {id}\n", kept.position))?;
    Ok(None)
}

fn say(policy: ShowPolicy<'_>, text: &str) -> Result<(), Error> {
    if !policy.json {
        output::text(text)?;
    }
    Ok(())
}
