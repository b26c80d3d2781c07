//! Proposals of nodes: what waits for a decision, and what became of the others.
//!
//! The words of people are not in the state: a list reads the events in which they stand.

use std::collections::BTreeMap;

use api::error_code::ErrorCode;
use api::proposal::{ProposalContent, ProposalDecision, ProposalDetail, ProposalSummary};
use api::query::{CURSOR, NODE, STATE};
use program::tasks::run_blocking;
use projections::configuration::Configuration;
use projections::proposals::{Proposal, ProposalEnd};
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{Id, NodeId, ProposalId};
use schema::position::Position;
use schema::proposal::ProposalState;
use serde_json::{Value, json};

use crate::event_log::DamagedError;
use crate::http::answer::JsonAnswer;
use crate::http::auth::AuthenticatedState;
use crate::http::context::AppState;
use crate::http::operation::Asked;
use crate::http::paging::{PageQuery, RenderedPage};
use crate::http::params::{GivenParams, Parameter, RequestParameters, id_schema};
use crate::http::path_id::PathId;
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::SnapshotQuery;
use crate::http::text_diff::{MEMORY_BYTES, TEXT_BYTES_MAX};
use crate::proposal_end::decided_by;

const STATE_PARAMETER: Parameter = Parameter::query(STATE, "Only proposals in this state.", state_schema);
const NODE_PARAMETER: Parameter = Parameter::query(NODE, "Only proposals of this node.", id_schema);

/// Which proposals a list shows.
pub(super) struct ProposalFilter {
    state: Option<ProposalState>,
    node: Option<NodeId>,
}

impl RequestParameters for ProposalFilter {
    fn declared() -> Vec<Parameter> {
        vec![STATE_PARAMETER, NODE_PARAMETER]
    }

    fn codes() -> Vec<ErrorCode> {
        vec![ErrorCode::Damaged]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let state = given.query(&STATE_PARAMETER, |text| {
            let known = ProposalState::ALL.into_iter().find(|state| state.name() == text);
            known.ok_or_else(|| {
                format!("is one of {}", ProposalState::ALL.map(|state| state.name().to_owned()).join(", "))
            })
        })?;
        let node = given.query(&NODE_PARAMETER, |text| text.parse::<Id>().map_err(|invalid| invalid.detail))?;
        Ok(Self { state, node: node.map(NodeId::from) })
    }
}

fn state_schema() -> Value {
    json!({"type": "string", "enum": ProposalState::ALL.map(|state| state.name().to_owned())})
}

impl ProposalFilter {
    fn fits(&self, proposal: &Proposal) -> bool {
        self.state.is_none_or(|state| proposal.state() == state)
            && self.node.as_ref().is_none_or(|node| proposal.said.node == *node)
    }
}

/// `GET /v1/proposals`: the oldest first.
pub(super) async fn list(
    asked: Asked<(ProposalFilter, PageQuery, SnapshotQuery)>,
) -> Result<JsonAnswer<RenderedPage<ProposalSummary>>, ProblemResponse> {
    let Asked { app, params: (filter, page, query), .. } = asked;
    let (memory, state) = app.page(&page, query).await?;
    let after = match page.after() {
        None => Position::ZERO,
        Some(id) => {
            let last = state.proposals().get(&ProposalId::from(id.clone()));
            let other = || ProblemResponse::invalid_parameter(CURSOR, "is not a cursor of this list");
            last.map(|proposal| proposal.position).ok_or_else(other)?
        }
    };
    let (snapshot, limit) = (state.clone(), page.limit());
    // The next page begins where one more is found. There may be very many that don't fit.
    let rows: Vec<(ProposalId, Proposal)> = run_blocking(move || {
        let fitting = snapshot.proposals().after(after).filter(|(_, proposal)| filter.fits(proposal));
        fitting.take(limit + 1).map(|(id, proposal)| (id.clone(), proposal.clone())).collect()
    })
    .await;
    let events = app.events_by_position(rows.iter().take(limit).map(|(_, proposal)| proposal.position)).await?;
    let listed = page.list(rows.iter().map(|(id, proposal)| (id, proposal)), |id, proposal| {
        summary(&state, id, proposal, events.get(&proposal.position))
    });
    Ok(JsonAnswer::new(state.position(), listed).with_memory(memory))
}

/// `GET /v1/proposals/{id}`
pub(super) async fn one(
    asked: Asked<(PathId<ProposalId>, SnapshotQuery)>,
) -> Result<JsonAnswer<ProposalDetail>, ProblemResponse> {
    let Asked { app, params: (PathId(id), query), .. } = asked;
    let state = app.snapshot(query).await?.configuration;
    let Some(proposal) = state.proposals().get(&id) else {
        return Err(ProblemResponse::unknown_entity("proposal", id.as_str()));
    };
    let memory = app.reserve_memory(2 * MEMORY_BYTES).await?;
    let ended = proposal.end.map(|end| end.position);
    let events = app.events_by_position([Some(proposal.position), ended].into_iter().flatten()).await?;
    let said = &proposal.said;
    let now = state.desired_now(said);
    let before = if proposal.is_open() { now } else { said.base.digest };
    let before_text = match before {
        Some(digest) => app.text_of(digest).await?,
        None => Some(String::new()),
    };
    let after_text = app.text_of(said.digest).await?;
    let unified = match (&before_text, &after_text) {
        (Some(before), Some(after)) => Some(app.difference(said.path.as_str(), before.clone(), after.clone()).await?),
        _ => None,
    };
    let detail = ProposalDetail {
        summary: summary(&state, &id, proposal, events.get(&proposal.position)),
        uuid: said.uuid,
        media_type: said.media_type.clone(),
        base: said.base,
        now,
        mode: state.mode_in_force(&said.node, &said.path),
        decision: proposal.end.map(|end| decision(&end, &events)).transpose()?,
        before: before.map(|digest| ProposalContent { digest, text: before_text }),
        after: ProposalContent { digest: said.digest, text: after_text },
        unified,
    };
    Ok(JsonAnswer::new(state.position(), detail).with_memory(memory))
}

fn summary(state: &Configuration, id: &ProposalId, proposal: &Proposal, event: Option<&Event>) -> ProposalSummary {
    let Proposal { said, position, at, end, .. } = proposal;
    ProposalSummary {
        id: id.clone(),
        node: said.node.clone(),
        path: said.path.clone(),
        state: proposal.state(),
        code: end.and_then(|end| end.code),
        stale: state.is_stale(proposal),
        reason: event.and_then(|event| event.reason.clone()),
        at: *at,
        position: *position,
        document: (proposal.state() == ProposalState::Accepted).then(|| said.document()),
    }
}

/// Who ended a proposal, and why: as the event says that ended it.
fn decision(end: &ProposalEnd, events: &BTreeMap<Position, Event>) -> Result<ProposalDecision, ProblemResponse> {
    let missing = || DamagedError(format!("event {} is not in the log any more", end.position));
    let event = events.get(&end.position).ok_or_else(missing)?;
    let (by, reason) = decided_by(end, event);
    Ok(ProposalDecision { by, reason, position: end.position, at: end.at, command_id: event.command_id })
}

impl AppState {
    async fn events_by_position(
        &self,
        positions: impl IntoIterator<Item = Position>,
    ) -> Result<BTreeMap<Position, Event>, ProblemResponse> {
        let events = self.log().events_at(positions.into_iter().collect()).await?;
        Ok(events.into_iter().map(|event| (event.position, event)).collect())
    }
}

impl AuthenticatedState {
    /// The text that a digest names. None if the log does not have it: a node may say that it had anything. None as well if it is
    /// too large or no text.
    async fn text_of(&self, digest: Digest) -> Result<Option<String>, ProblemResponse> {
        let Some(bytes) = self.stored_content(digest).await? else { return Ok(None) };
        Ok(String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= TEXT_BYTES_MAX))
    }
}
