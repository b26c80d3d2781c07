//! `POST /v1/reverts`: the request that takes back what one request did, or all that happened since a moment. Nothing is appended.

use std::collections::BTreeSet;

use api::error_code::ErrorCode;
use api::query::AT;
use api::revert::{LeftNode, MomentText, ONLY_MAX, RevertAnswer, RevertQuestion};
use projections::configuration::Configuration;
use projections::difference::{DifferenceScope, difference};
use projections::taking_back::{Participation, RequestTrace, changed_participation, changed_since, with_members};
use schema::entity::{Actor, Entity, Kind};
use schema::event::Event;
use schema::id::CommandId;
use schema::invalid::InputError;
use schema::json::read_json;
use schema::limit::{COMMANDS_MAX, REASON_BYTES_MAX};
use schema::position::{Position, Version};
use schema::report::truncate_text;
use schema::request::Request;

use crate::event_log::{AsOf, EventPage};
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

/// Nodes that an answer names.
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
        (None, None) => return Err(missing("`to` or `command_id` says what is taken back").into()),
        (Some(_), Some(_)) => {
            let detail = "`to` and `command_id` exclude each other";
            return Err(InputError::new("invalid_value", detail).at("command_id").into());
        }
    };
    let TakingBack { now, wanted, scope, what } = taken;
    let (to, position) = (wanted.position(), now.position());
    let (commands, left) =
        app.run_expensive(async move { (difference(&now, &wanted, &scope), left(&now, &wanted, &scope)) }).await?;
    if commands.is_empty() {
        return Ok(JsonAnswer::new(position, RevertAnswer { to, request: None, preview: None, left }));
    }
    if commands.len() > COMMANDS_MAX {
        let count = commands.len();
        let detail = format!("it takes {count} commands, and a request has at most {COMMANDS_MAX}: name a part of it");
        return Err(InputError::new("too_many", detail).at("only").into());
    }
    let mut request = Request::of(commands);
    request.reason = Some(question.reason.unwrap_or(what));
    app.resolve_contents(&mut request).await?;
    let actor = Actor::Principal(app.caller.name.clone());
    let preview = dry_run::dry_run(&app, actor, request.clone()).await?;
    let position = preview.answer.position;
    let answer = RevertAnswer { to, request: Some(request), preview: Some(preview), left };
    Ok(JsonAnswer::new(position, answer))
}

fn read(body: &[u8]) -> Result<RevertQuestion, InputError> {
    let question: RevertQuestion = read_json(body)?;
    if question.only.len() > ONLY_MAX {
        let detail = format!("a question names at most {ONLY_MAX} entities, this one {}", question.only.len());
        return Err(InputError::new("too_many", detail).at("only"));
    }
    let can_be_named =
        |entity: &&Entity| !schema::bundle::OWNED_KINDS.contains(&entity.kind) && entity.kind != Kind::Bundle;
    if let Some(other) = question.only.iter().find(can_be_named) {
        let detail = format!("documents, nodes, definitions and bundles are configured, not {other}");
        return Err(InputError::new("invalid_value", detail).at("only"));
    }
    if question.anyway && question.command_id.is_none() {
        return Err(InputError::new("invalid_value", "`anyway` is about `command_id`").at("anyway"));
    }
    match &question.reason {
        Some(reason) if reason.len() > REASON_BYTES_MAX => {
            let detail = format!("a reason has at most {REASON_BYTES_MAX} bytes, this one {}", reason.len());
            Err(InputError::new("too_large", detail).at("reason"))
        }
        Some(reason) if reason.contains('\0') => {
            Err(InputError::new("nul_in_text", "text can't hold U+0000").at("reason"))
        }
        _ => Ok(question),
    }
}

fn missing(detail: &str) -> InputError {
    InputError::new("missing_field", detail).at("to")
}

/// Nodes of which something is not taken back.
fn left(now: &Configuration, wanted: &Configuration, scope: &DifferenceScope) -> Vec<LeftNode> {
    let changed = changed_participation(now, wanted).filter(|(node, _)| scope.has(&(*node).into()));
    let shown = changed.take(LEFT_MAX);
    shown.map(|(node, how)| LeftNode { node: node.clone(), retired: how == Participation::Retired }).collect()
}

impl AuthenticatedState {
    /// All that happened since a moment is taken back, or what of it concerns some entities.
    async fn since(&self, moment: &MomentText, question: &RevertQuestion) -> Result<TakingBack, ProblemResponse> {
        let moment = parse_moment(&moment.0);
        let moment = moment.map_err(|detail| InputError::new("invalid_value", detail).at("to"))?;
        let wanted = self.snapshot(SnapshotQuery::as_of(Some(moment))).await;
        let wanted = wanted.map_err(|problem| problem.renamed(AT, "to"))?.configuration;
        let now = self.log().view();
        let what = format!("revert to {}", wanted.position());
        let scope = match question.only.is_empty() {
            true => DifferenceScope::Everything,
            false => {
                let named = with_members(&question.only, [&now, &wanted]);
                let is_there = |entity: &&Entity| {
                    [&now, &wanted].iter().all(|state| state.version_present(entity) == Version::ZERO)
                };
                if let Some(unknown) = question.only.iter().find(is_there) {
                    let detail = format!("there is no {unknown}, and there was none");
                    return Err(ProblemResponse::new(ErrorCode::UnknownEntity, detail).in_field("only"));
                }
                DifferenceScope::Entities(named)
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
        let before = self.past(first.position.previous()).await?;
        let after = self.past(last.position).await?;
        let now = self.log().view();
        let trace = RequestTrace::of(&before, &events);
        let mut entities = trace.configured.clone();
        if question.only.is_empty() {
            check_undoable(&trace)?;
        } else {
            let named = with_members(&question.only, [&before, &after]);
            if let Some(other) = question.only.iter().find(|named| !is_touched(&trace, named, [&before, &after])) {
                let detail = format!("the request did not change {other}");
                return Err(InputError::new("invalid_value", detail).at("only").into());
            }
            entities.retain(|entity| named.contains(entity));
        }
        if !question.anyway {
            let changed: Vec<Entity> = changed_since([&before, &after, &now], &entities).cloned().collect();
            if !changed.is_empty() {
                return Err(self.changed_by_others(last.position, &changed).await?);
            }
        }
        let what = reason(&events);
        Ok(TakingBack { now, wanted: before, scope: DifferenceScope::Entities(entities), what })
    }

    /// Says who changed what first.
    async fn changed_by_others(&self, since: Position, changed: &[Entity]) -> Result<ProblemResponse, ProblemResponse> {
        let mut named = Vec::new();
        for entity in changed.iter().take(NAMED_MAX) {
            let page = EventPage { after: since, limit: 1, entity: Some(entity.to_string()), ..EventPage::default() };
            let event = self.log().events(page).await?.into_iter().next();
            let by = event.map(|event| format!(" (at {} by {})", event.position, event.actor)).unwrap_or_default();
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

/// Refuses a request of which a part can't be taken back.
fn check_undoable(trace: &RequestTrace) -> Result<(), ProblemResponse> {
    if trace.lasting.is_empty() {
        return Ok(());
    }
    let named = trace.lasting.iter().take(NAMED_MAX).map(|(entity, event_type)| format!("{event_type} of {entity}"));
    let named = named.collect::<Vec<_>>().join(", ");
    let detail = format!(
        "can't be taken back: {named}; documents, definitions, labels and bundles can: name those that you want in `only`"
    );
    Err(ProblemResponse::new(ErrorCode::NotUndoable, detail).in_field("command_id"))
}

/// Whether a request configured an entity that somebody names, or something that belongs to it.
fn is_touched(trace: &RequestTrace, named: &Entity, states: [&Configuration; 2]) -> bool {
    let meant = with_members(&BTreeSet::from([named.clone()]), states);
    meant.iter().any(|entity| trace.configured.contains(entity))
}

/// A reason that says which request is undone, and why that one was sent.
fn reason(events: &[Event]) -> String {
    let Some(event) = events.first() else { return String::new() };
    let mut text = format!("undo {}", event.command_id);
    if let Some(reason) = &event.reason {
        text = format!("{text}: {reason}");
    }
    truncate_text(&text, REASON_BYTES_MAX)
}
