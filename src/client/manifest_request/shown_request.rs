//! One request: decided, shown, asked about, and sent so that it does what was shown.

use api::error_code::ErrorCode;
use program::output;
use schema::answer::{Answer, CommandWarning};
use schema::terminal;

use super::error::Error;
use super::prune_limit;
use super::request_step::RequestStep;
use crate::api_client::ApiClient;
use crate::confirm::ConfirmOption;
use crate::error::Error as ClientError;
use crate::request_plan::exchange;
use crate::request_plan::outcome::PlannedOutcome;
use crate::request_plan::outcome_difference::OutcomeDifference;
use crate::request_plan::outcome_text::format_outcome;
use crate::request_plan::plan_file::PlanFileError;

/// How a request is shown and asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShowPolicy<'a> {
    pub(crate) confirm: ConfirmOption,
    /// What is asked, such as `Apply it`.
    pub(crate) question: &'a str,
    /// How many members of each bundle may be removed; half of it unless there is a number.
    pub(crate) prune_max: Option<usize>,
    /// Whether nothing but JSON is printed.
    pub(crate) json: bool,
}

/// What the step would do now. Likely mistakes are printed.
///
/// # Errors
/// If the server refuses, or can't be reached.
pub(crate) async fn decide(client: &ApiClient, step: &RequestStep) -> Result<PlannedOutcome, Error> {
    let decided = exchange::decide(client, &step.request).await.map_err(|error| at_its_place(step, error))?;
    print_warnings(step, &decided);
    Ok(decided)
}

/// Prints likely mistakes.
pub(crate) fn print_warnings(step: &RequestStep, decided: &PlannedOutcome) {
    for CommandWarning { command, code, detail } in &decided.outcome.warnings {
        let place = step.place_of(*command).map_or_else(|| format!("command {command}"), ToString::to_string);
        output::complain(&terminal::line(&format!("warning: {place}: {detail} ({code})")));
    }
}

/// Shows a decided request, asks, and sends it. It changes something.
///
/// # Errors
/// If nobody said yes, the server refuses or can't be reached, or something else would come of it now.
pub(crate) async fn show_and_send(
    client: &ApiClient,
    step: &RequestStep,
    decided: &PlannedOutcome,
    policy: ShowPolicy<'_>,
) -> Result<Answer, Error> {
    let outcome = &decided.outcome;
    if !policy.json {
        output::text(&format_outcome(outcome))?;
    }
    prune_limit::check(client, &step.request, &outcome.prunes, policy.prune_max).await?;
    if !outcome.permitted {
        return Err(Error::NotPermitted);
    }
    let plan = outcome.plan.as_deref().ok_or(PlanFileError::NotPlannable)?;
    policy.confirm.ask(policy.question, client, &outcome.log_id)?;
    match exchange::send(client, &step.request, plan, outcome.base.position).await {
        Err(ClientError::Refused(problem)) if problem.code == ErrorCode::PlanChanged.as_str() => {
            let now = exchange::decide(client, &step.request).await?;
            Err(Error::PlanChanged(OutcomeDifference::between(outcome, &now.outcome).text()))
        }
        Err(error) => Err(at_its_place(step, error)),
        Ok(answer) => {
            print_answer(&answer, policy.json)?;
            Ok(answer)
        }
    }
}

fn print_answer(answer: &Answer, json: bool) -> Result<(), Error> {
    if json {
        output::json(&serde_json::to_string(answer).expect("BUG: an answer is texts and numbers"))?;
        return Ok(());
    }
    let id = answer.command_id.map(|id| format!(" as {id}")).unwrap_or_default();
    output::text(&format!("done at position {}{id}\n", answer.position))?;
    Ok(())
}

/// The refusal of a command, with the place where it is declared.
fn at_its_place(step: &RequestStep, error: ClientError) -> Error {
    match &error {
        ClientError::Refused(problem) => match step.place_of_field(&problem.field) {
            Some(place) => Error::RefusedAt { place: place.clone(), refusal: error },
            None => error.into(),
        },
        _ => error.into(),
    }
}
