//! Deciding a whole request: each command is decided against the state after the one before it. Either all events are
//! numbered, dated and sealed, or the request is refused as a whole.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use schema::answer::{Answer, AppendedEvent, CommandOutcome};
use schema::bundle::PlanKept;
use schema::change::Change;
use schema::command::{Command, PutDocument};
use schema::digest::Digest;
use schema::entity::{Actor, Entity};
use schema::event::Event;
use schema::id::{AttestationId, CommandId, DocumentId, EventId, JobId, LogId, NodeId};
use schema::instant::Instant;
use schema::lease::{Entropy, LeasedJob};
use schema::limit::{EVENTS_MAX, SPEC_BYTES_MAX};
use schema::request::Request;

use crate::configuration::Configuration;
use crate::decide::{Assignments, DecisionContext, EntityChange, TokenSeed, decide, no_file_is_a_folder};
use crate::document::Document;
use crate::guard::GuardedChange;
use crate::record_size::records_fit;
use crate::refusal::{Refusal, RequestRefusal};
use crate::warning::Warnings;

/// The context of a request: the log, the actor, the request's id, random bytes and the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// The id of the log, which its events carry.
    pub log_id: LogId,
    /// The id of the request, which its events carry.
    pub command_id: CommandId,
    /// The actor that sends the request.
    pub actor: Actor,
    /// Random bytes for this request, from which lease tokens are derived.
    pub entropy: Entropy,
    /// The present time; an event is never dated before the one that precedes it.
    pub clock: Instant,
}

/// A decision and the state after it.
#[derive(Clone, Debug)]
pub struct DecisionWithState {
    /// The state after the events.
    pub configuration: Configuration,
    /// The events of the request, sealed.
    pub events: Vec<Event>,
    /// The nodes whose records may change.
    pub affected: BTreeSet<NodeId>,
    /// The answer, to be sent once the events are appended.
    pub answer: Answer,
}

/// The decision on a request: its events and its answer.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The events of the request, sealed.
    pub events: Vec<Event>,
    /// The nodes whose records may change.
    pub affected: BTreeSet<NodeId>,
    /// The answer, to be sent once the events are appended.
    pub answer: Answer,
}

/// Decides a request against the state at the head of the log, which stays as it is.
///
/// # Errors
/// With the first command that is refused, or the node that could not be served.
pub fn decide_request(
    state: &Configuration,
    envelope: &RequestContext,
    request: &Request,
) -> Result<DecisionWithState, RequestRefusal> {
    let mut configuration = state.clone();
    let Decision { events, affected, answer } = decide_in_place(&mut configuration, envelope, request)?;
    Ok(DecisionWithState { configuration, events, affected, answer })
}

/// Decides a request as a dry run, without checking the sender's permission: for principals who may only read.
///
/// # Errors
/// As [`decide_request`], but that nobody is refused for who they are.
pub fn preview_request(
    state: &Configuration,
    envelope: &RequestContext,
    request: &Request,
) -> Result<DecisionWithState, RequestRefusal> {
    let mut configuration = state.clone();
    let decision = decide_for(DecisionPurpose::Preview, &mut configuration, envelope, request)?;
    let Decision { events, affected, answer } = decision;
    Ok(DecisionWithState { configuration, events, affected, answer })
}

/// Decides a request against the state at the head of the log, which becomes the state after it. Where nobody else holds
/// that state nothing of it is copied, so that a writer who decides many requests in a row saves most of the work.
///
/// # Errors
/// As [`decide_request`]. If `state` has moved on from its position then, it has seen a part of the request and is spoiled.
pub fn decide_in_place(
    state: &mut Configuration,
    envelope: &RequestContext,
    request: &Request,
) -> Result<Decision, RequestRefusal> {
    decide_for(DecisionPurpose::Append, state, envelope, request)
}

/// As [`decide_in_place`], for a sender who was shown the plan of the request. An event says so, if there are others. Whether the request
/// comes out as planned is for the caller to compare: see [`crate::outcome`].
///
/// # Errors
/// As [`decide_in_place`].
pub fn decide_planned(
    state: &mut Configuration,
    envelope: &RequestContext,
    request: &Request,
    kept: PlanKept,
) -> Result<Decision, RequestRefusal> {
    decide_for(DecisionPurpose::Planned(kept), state, envelope, request)
}

/// Whether an actor may send every command of a request.
#[must_use]
pub fn may_send(state: &Configuration, actor: &Actor, request: &Request) -> bool {
    request.commands.iter().all(|ask| state.may_command(actor, &ask.command))
}

/// What a decision is made for.
#[derive(Clone, Copy, Debug)]
enum DecisionPurpose {
    /// Its events are appended.
    Append,
    /// It is shown and forgotten.
    Preview,
    /// Its events are appended if it comes out as this plan.
    Planned(PlanKept),
}

fn decide_for(
    purpose: DecisionPurpose,
    state: &mut Configuration,
    envelope: &RequestContext,
    request: &Request,
) -> Result<Decision, RequestRefusal> {
    if !matches!(purpose, DecisionPurpose::Preview) && !may_send(state, &envelope.actor, request) {
        return Err(RequestRefusal { command: None, refusal: Refusal::NotPermitted(envelope.actor.clone()) });
    }
    let may_remove = !matches!(purpose, DecisionPurpose::Append);
    let mut guarded = GuardedChange::of(state, request);
    let assignments = Assignments::of(&request.commands);
    // With a plan there is one event more.
    let events_max = EVENTS_MAX - usize::from(may_remove);
    let mut drafts = Vec::new();
    let mut affected = BTreeSet::new();
    let mut warnings = Warnings::default();
    let mut results = Vec::with_capacity(request.commands.len());
    for (index, ask) in request.commands.iter().enumerate() {
        let refused = |refusal| RequestRefusal { command: Some(index), refusal };
        let seed = TokenSeed::new(envelope.entropy, envelope.command_id, ordinal(&drafts));
        warnings.of_command(state, index, &ask.command);
        let at = envelope.clock.max(state.at());
        let entity = ask.command.entity();
        let owned_by = state.bundles().owner(&entity).filter(|owner| !assignments.has(owner)).cloned();
        let (log_id, now) = (envelope.log_id, request.now);
        let context = DecisionContext { log_id, at, seed, assignments: &assignments, now, may_remove };
        let changes = decide(state, ask, &context).map_err(refused)?;
        if drafts.len() + changes.len() > events_max {
            return Err(refused(Refusal::TooManyEvents));
        }
        let first = drafts.len();
        for EntityChange { entity, change, data } in changes {
            let draft = draft(state, envelope, request.reason.clone(), ordinal(&drafts), entity, &change, data);
            let touched = state.fold(&draft, &change);
            guarded.note(&ask.command, &touched);
            affected.extend(touched);
            drafts.push(draft);
        }
        results.push(CommandOutcome { owned_by, ..outcome(state, &ask.command, &drafts[first..]) });
    }
    if let DecisionPurpose::Planned(kept) = purpose
        && !drafts.is_empty()
    {
        let (entity, change) = (Entity::plan(&kept.plan), Change::PlanKept(kept));
        let draft = draft(state, envelope, request.reason.clone(), ordinal(&drafts), entity, &change, change.data());
        state.fold(&draft, &change);
        drafts.push(draft);
    }
    paths_fit(state, request)?;
    let whole = |refusal| RequestRefusal { command: None, refusal };
    specs_fit(state, &drafts).map_err(whole)?;
    records_fit(state, envelope.log_id, affected.iter().chain(started_members(state, request))).map_err(whole)?;
    match (guarded.check(state), purpose) {
        // A dry run shows what it would do, and says that it would be refused.
        (checked, DecisionPurpose::Preview) => warnings.of_guard(&checked),
        (checked, _) => checked.map_err(whole)?,
    }
    let events = seal(drafts);
    let answer = Answer {
        log_id: envelope.log_id,
        command_id: Some(envelope.command_id),
        position: state.position(),
        events: events.iter().map(appended).collect(),
        results,
        warnings: warnings.of_request(state, &request.commands),
    };
    Ok(Decision { events, affected, answer })
}

/// The place in the request of the event after these.
fn ordinal(drafts: &[Event]) -> u32 {
    u32::try_from(drafts.len() + 1).expect("BUG: a request has at most 10000 events")
}

/// What became of a command. A runtime is told which jobs it was given, or still has.
fn outcome(state: &Configuration, command: &Command, drafts: &[Event]) -> CommandOutcome {
    let entity = command.entity();
    let jobs: Option<Vec<LeasedJob>> = match command {
        Command::ClaimJobs(_) => {
            let claimed = drafts.iter().map(|draft| draft.entity.id.clone().into());
            Some(claimed.filter_map(|job| state.leased(&job, true)).collect())
        }
        Command::RenewClaims(runtime) => {
            let held = state.jobs().held_by(runtime);
            Some(held.filter_map(|(job, _)| state.leased(job, false)).collect())
        }
        _ => None,
    };
    CommandOutcome { version: state.version(&entity), entity, changed: !drafts.is_empty(), jobs, owned_by: None }
}

/// An event that still lacks the request's count, and with it its leaf.
fn draft(
    state: &Configuration,
    envelope: &RequestContext,
    reason: Option<String>,
    ordinal: u32,
    entity: Entity,
    change: &Change,
    data: String,
) -> Event {
    let at = envelope.clock.max(state.at());
    Event {
        v: change.format(),
        log_id: envelope.log_id,
        position: state.position().next(),
        event_id: EventId::derived(envelope.command_id, ordinal, at),
        command_id: envelope.command_id,
        ordinal,
        count: 0,
        version: state.version(&entity).next(),
        entity,
        event_type: change.event_type().to_string(),
        actor: envelope.actor.clone(),
        reason,
        at,
        data,
        leaf: Digest::from_bytes([0; Digest::BYTES]),
    }
}

fn seal(drafts: Vec<Event>) -> Vec<Event> {
    let count = u32::try_from(drafts.len()).expect("BUG: a request has at most 10000 events");
    drafts.into_iter().map(|draft| Event { count, ..draft }.sealed()).collect()
}

fn appended(event: &Event) -> AppendedEvent {
    AppendedEvent {
        position: event.position,
        event_type: event.event_type.clone(),
        entity: event.entity.clone(),
        version: event.version,
    }
}

/// No document that the request puts, or begins to roll out, has a path that is a folder of another one's. Judged at the end, so that documents
/// may change their places.
fn paths_fit(state: &Configuration, request: &Request) -> Result<(), RequestRefusal> {
    let staged = |id: &DocumentId| state.rollouts().staged().get(id)?.put.as_ref();
    for (index, ask) in request.commands.iter().enumerate().rev() {
        let fits = match &ask.command {
            Command::PutDocument(PutDocument { id, rollout, .. }) => {
                let document = if rollout.is_some() { staged(id) } else { state.documents().get(id) };
                document.map_or(Ok(()), |document| no_file_is_a_folder(state, id, &document.put.path, rollout.as_ref()))
            }
            // As a draft it was in nobody's way, so that others may have come into its own.
            Command::StartRollout(id) => {
                let changes = state.rollouts().open().get(id).into_iter().flat_map(|rollout| rollout.changes.iter());
                let mut changes = changes.filter_map(|document| Some((document, staged(document)?)));
                changes.try_for_each(|(document, Document { put, .. })| {
                    no_file_is_a_folder(state, document, &put.path, Some(id)).map_err(|refusal| refusal.in_field("id"))
                })
            }
            _ => Ok(()),
        };
        fits.map_err(|refusal| RequestRefusal { command: Some(index), refusal })?;
    }
    Ok(())
}

/// The nodes of the rollouts that the request starts: from then on each of them may get the changes, and nothing may keep it from that.
fn started_members<'a>(state: &'a Configuration, request: &Request) -> BTreeSet<&'a NodeId> {
    let started = request.commands.iter().filter_map(|ask| match &ask.command {
        Command::StartRollout(id) => state.rollouts().open().get(id),
        _ => None,
    });
    started.flat_map(|rollout| state.members(rollout)).collect()
}

/// Every job spec that the request changes can be published.
fn specs_fit(state: &Configuration, drafts: &[Event]) -> Result<(), Refusal> {
    let entities: BTreeSet<&Entity> = drafts.iter().map(|draft| &draft.entity).collect();
    let affected: BTreeSet<AttestationId> =
        entities.into_iter().flat_map(|entity| state.compliance().attestations_with(entity)).collect();
    for attestation in affected {
        match state.spec(&JobId::derived(&attestation)).map(|spec| spec.bytes.len()) {
            Some(bytes) if bytes > SPEC_BYTES_MAX => return Err(Refusal::SpecTooLarge { attestation, bytes }),
            _ => {}
        }
    }
    Ok(())
}
