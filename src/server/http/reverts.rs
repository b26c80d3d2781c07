//! `POST /v1/reverts`: the request that takes back what one request did, or all that happened since a moment. Nothing is appended.

use std::collections::BTreeSet;

use api::error_code::ErrorCode;
use api::query::AT;
use api::revert::{LeftEntity, MomentText, ONLY_MAX, RevertAnswer, RevertQuestion};
use projections::configuration::Configuration;
use projections::difference::{DifferenceParts, DifferenceScope, difference};
use projections::taking_back::{RequestTrace, changed_since, lasting, with_members};
use schema::bundle::OWNED_KINDS;
use schema::command::Command;
use schema::entity::{Actor, Entity, Kind};
use schema::event::Event;
use schema::id::{CommandId, RolloutId};
use schema::invalid::InputError;
use schema::json::read_json;
use schema::limit::{BODY_BYTES_MAX, COMMANDS_MAX, REASON_BYTES_MAX};
use schema::position::{Position, Version};
use schema::report::truncate_text;
use schema::request::{Request, check_reason};

use crate::event_log::AsOf;
use crate::http::answer::JsonAnswer;
use crate::http::auth::AuthenticatedState;
use crate::http::dry_run;
use crate::http::operation::Asked;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::{SnapshotQuery, parse_moment};

/// What a question is refused with, beside what the request is that answers it.
pub(super) const CODES: [ErrorCode; 5] = [
    ErrorCode::AtInTheFuture,
    ErrorCode::ChangedSince,
    ErrorCode::Damaged,
    ErrorCode::NotUndoable,
    ErrorCode::UnknownCommand,
];

/// Entities that an answer names of those that stay as they are.
const LEFT_MAX: usize = 1_000;
/// Entities that a refusal names; more are only counted.
const NAMED_MAX: usize = 10;

/// Two states, and what of the one is to become as it was in the other.
struct TakingBack {
    now: Configuration,
    wanted: Configuration,
    scope: DifferenceScope,
    /// What is taken back, in words.
    what: String,
}

/// `POST /v1/reverts`
pub(super) async fn post(asked: Asked<()>) -> Result<JsonAnswer<RevertAnswer>, ProblemResponse> {
    let Asked { app, headers, body, .. } = asked;
    let received = app.read_body(&headers, body).await?;
    let question = read(&received.bytes)?;
    // The request may be one that another server took a moment ago.
    app.log().reached_head().await?;
    let taken = match (&question.to, question.command_id) {
        (Some(moment), None) => app.since(moment, &question).await?,
        (None, Some(id)) => app.undone(id, &question).await?,
        (None, None) => return Err(refused("missing_field", "`to` or `command_id` says what is taken back", "to")),
        (Some(_), Some(_)) => {
            return Err(refused("invalid_value", "`to` and `command_id` exclude each other", "command_id"));
        }
    };
    let TakingBack { now, wanted, scope, what } = taken;
    let to = wanted.position();
    let before = now.clone();
    let reason = question.reason.unwrap_or(what);
    let made = app.run_expensive(async move {
        let (left, more) = left(&now, &wanted, &scope);
        (request_of(difference(&now, &wanted, &scope), reason), left, more)
    });
    let (request, left, more) = made.await?;
    let Some(mut request) = request? else {
        let answer = RevertAnswer { to, request: None, preview: None, left, more };
        return Ok(JsonAnswer::new(before.position(), answer));
    };
    // The answer has the request, and what it would do, which is about as much again.
    let memory = app.reserve_memory(2 * request.bytes).await?;
    app.resolve_contents(&mut request).await?;
    let actor = Actor::Principal(app.caller.name.clone());
    // Decided against the very state that it was made for: what somebody changes meanwhile makes its plan another one.
    let decided = dry_run::dry_run(&app, before, actor, request.clone()).await;
    let preview = decided.map_err(|problem| about_its_entity(problem, &request))?;
    let answer = RevertAnswer { to, request: Some(request), preview: Some(preview), left, more };
    Ok(JsonAnswer::new(answer.preview.as_ref().map_or(to, |preview| preview.answer.position), answer)
        .with_memory(memory))
}

fn refused(code: &'static str, detail: &str, field: &str) -> ProblemResponse {
    InputError::new(code, detail).at(field).into()
}

fn read(body: &[u8]) -> Result<RevertQuestion, InputError> {
    let question: RevertQuestion = read_json(body)?;
    if question.only.len() > ONLY_MAX {
        let detail = format!("a question names at most {ONLY_MAX} entities, this one {}", question.only.len());
        return Err(InputError::new("too_many", detail).at("only"));
    }
    let is_not_configured = |entity: &&Entity| !OWNED_KINDS.contains(&entity.kind) && entity.kind != Kind::Bundle;
    if let Some(other) = question.only.iter().find(is_not_configured) {
        let detail = format!("documents, nodes, definitions and bundles are configured, not {other}");
        return Err(InputError::new("invalid_value", detail).at("only"));
    }
    if question.anyway && question.command_id.is_none() {
        return Err(InputError::new("invalid_value", "`anyway` is about `command_id`").at("anyway"));
    }
    question.reason.as_deref().map_or(Ok(()), check_reason)?;
    Ok(question)
}

/// The request of these commands as a client sends it; none if there is nothing to do.
fn request_of(commands: Vec<Command>, reason: String) -> Result<Option<Request>, ProblemResponse> {
    let too_much = |detail: String| refused("too_many", &format!("{detail}: name a part of it"), "only");
    match commands.len() {
        0 => return Ok(None),
        1..=COMMANDS_MAX => {}
        count => return Err(too_much(format!("it takes {count} commands, and a request has at most {COMMANDS_MAX}"))),
    }
    let request = Request { reason: Some(reason), ..Request::of(commands) };
    let text = serde_json::to_vec(&request).expect("BUG: commands of a difference can be written as JSON");
    if text.len() > BODY_BYTES_MAX {
        return Err(too_much(format!("it takes {} bytes, and a request has at most {BODY_BYTES_MAX}", text.len())));
    }
    // Rules for what is sent may be newer than what is in the log.
    Request::read(&text).map(Some).map_err(|refused| about_its_entity(refused.into(), &request))
}

/// The problem, with the entity that it is about: nobody has seen the request whose place it names.
fn about_its_entity(problem: ProblemResponse, request: &Request) -> ProblemResponse {
    let index =
        problem.field().strip_prefix("commands[").and_then(|rest| rest.split_once(']')?.0.parse::<usize>().ok());
    match index.and_then(|index| request.commands.get(index)) {
        Some(item) => problem.about(&item.command.entity().to_string()),
        None => problem,
    }
}

/// What is not taken back, as far as an answer names it, and how much more there is.
fn left(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope) -> (Vec<LeftEntity>, usize) {
    let mut all = lasting(now, wanted).filter(|(entity, _)| scope.has(entity));
    let shown = all.by_ref().take(LEFT_MAX).map(|(entity, why)| LeftEntity { entity, why: why.name().to_owned() });
    let shown = shown.collect();
    (shown, all.count())
}

impl AuthenticatedState {
    /// All that happened since a moment is taken back, or what of it concerns some entities.
    async fn since(&self, moment: &MomentText, question: &RevertQuestion) -> Result<TakingBack, ProblemResponse> {
        let moment =
            parse_moment(&moment.0).map_err(|why| InputError::new("invalid_value", format!("`to` {why}")).at("to"))?;
        let wanted = self.snapshot(SnapshotQuery::as_of(Some(moment))).await;
        let wanted = wanted.map_err(|problem| problem.renamed(AT, "to"))?.configuration;
        let now = self.log().view();
        let what = format!("revert to {}", wanted.position());
        let is_in_neither =
            |entity: &&Entity| [&now, &wanted].iter().all(|state| state.version_present(entity) == Version::ZERO);
        if let Some(unknown) = question.only.iter().find(is_in_neither) {
            let detail = format!("there is no {unknown}, neither now nor then");
            return Err(ProblemResponse::new(ErrorCode::UnknownEntity, detail).in_field("only"));
        }
        let scope = match question.only.is_empty() {
            true => DifferenceScope::Everything,
            false => {
                let named = with_members(&question.only, [&now, &wanted]);
                DifferenceScope::Parts(DifferenceParts { configured: named.clone(), members: named })
            }
        };
        Ok(TakingBack { now, wanted, scope, what })
    }

    /// What one request did is taken back.
    async fn undone(&self, id: CommandId, question: &RevertQuestion) -> Result<TakingBack, ProblemResponse> {
        let events = self.log().events_of(id).await?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            let detail = format!("the log has no event of request {id}: it changed nothing, or never was");
            return Err(ProblemResponse::new(ErrorCode::UnknownCommand, detail).in_field("command_id"));
        };
        let (what, since) = (undo_reason(first), last.position);
        let before = self.past(first.position.previous()).await?;
        let after = self.past(last.position).await?;
        let now = self.log().view();
        let (only, anyway) = (question.only.clone(), question.anyway);
        let states = [before.clone(), after.clone(), now.clone()];
        let judged = self.run_expensive(async move {
            let [before, after, now] = &states;
            let parts = parts_of([before, after, now], &events, &only)?;
            let changed = if anyway { BTreeSet::new() } else { changed_since([before, after, now], &parts) };
            Ok::<_, ProblemResponse>((parts, changed))
        });
        let (parts, changed) = judged.await??;
        if !changed.is_empty() {
            return Err(self.changed_by_others(since, &changed, [&after, &now]).await?);
        }
        Ok(TakingBack { now, wanted: before, scope: DifferenceScope::Parts(parts), what })
    }

    /// Says who changed what.
    async fn changed_by_others(
        &self,
        since: Position,
        changed: &BTreeSet<Entity>,
        states: [&Configuration; 2],
    ) -> Result<ProblemResponse, ProblemResponse> {
        let mut named = Vec::new();
        for entity in changed.iter().take(NAMED_MAX) {
            let by = self.first_change(since, entity, states).await?;
            let by = by.map(|event| format!(" (at {} by {})", event.position, event.actor)).unwrap_or_default();
            named.push(format!("{entity}{by}"));
        }
        let more = match changed.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let detail = format!(
            "changed since: {}{more}; name the others in `only`, or say `anyway` to take it back all the same",
            named.join(", ")
        );
        Ok(ProblemResponse::new(ErrorCode::ChangedSince, detail).in_field("command_id"))
    }

    async fn past(&self, position: Position) -> Result<Configuration, ProblemResponse> {
        let app = self.clone();
        Ok(self.run_expensive(async move { app.log().past(AsOf::Position(position)).await }).await??)
    }
}

/// What of a request is to be taken back.
fn parts_of(
    [before, after, now]: [&Configuration; 3],
    events: &[Event],
    only: &BTreeSet<Entity>,
) -> Result<DifferenceParts, ProblemResponse> {
    let RequestTrace { mut parts, lasting } = RequestTrace::of(before, events);
    let named = with_members(only, [before, after]);
    let is_named = |entity: &Entity| only.is_empty() || named.contains(entity);
    let stays: Vec<_> = lasting.iter().filter(|(entity, _)| only.is_empty() || only.contains(*entity)).collect();
    if !stays.is_empty() {
        let is_open = |entity: &&Entity| {
            entity.kind == Kind::Rollout && now.rollouts().open().contains_key(&RolloutId::from(entity.id.clone()))
        };
        let rollout = stays.iter().map(|(entity, _)| *entity).find(is_open);
        let named = stays.iter().take(NAMED_MAX).map(|(entity, event_type)| format!("{event_type} of {entity}"));
        let named: Vec<String> = named.collect();
        let abort =
            rollout.map(|rollout| format!("; `abort_rollout` takes back what {rollout} changes")).unwrap_or_default();
        let detail = format!(
            "can't be taken back: {}{abort}; documents, definitions, labels and bundles can: name those that you want in `only`",
            named.join(", ")
        );
        return Err(ProblemResponse::new(ErrorCode::NotUndoable, detail).in_field("command_id"));
    }
    let is_touched = |entity: &Entity| {
        let meant = with_members(&BTreeSet::from([entity.clone()]), [before, after]);
        meant.iter().any(|entity| parts.configured.contains(entity) || parts.members.contains(entity))
    };
    if let Some(other) = only.iter().find(|entity| !is_touched(entity)) {
        return Err(refused("invalid_value", &format!("the request did not change {other}"), "only"));
    }
    parts.configured.retain(is_named);
    parts.members.retain(is_named);
    Ok(parts)
}

/// A reason that says which request is undone, and why that one was sent.
fn undo_reason(event: &Event) -> String {
    let text = match &event.reason {
        Some(reason) => format!("undo {}: {reason}", event.command_id),
        None => format!("undo {}", event.command_id),
    };
    truncate_text(&text, REASON_BYTES_MAX)
}
