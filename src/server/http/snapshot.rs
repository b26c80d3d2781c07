//! Which state of the log a request is answered from: the newest, one that has reached a position, or a past one.

use std::time::Duration;

use api::error_code::ErrorCode;
use api::query::{AT, MIN_POSITION};
use api::revert::MomentText;
use projections::configuration::Configuration;
use schema::id::{Id, MarkId};
use schema::instant::Instant;
use schema::position::Position;
use schemars::{JsonSchema as _, SchemaGenerator};
use serde_json::Value;
use tokio::time::timeout;

use crate::event_log::AsOf;
use crate::http::answer_memory::MemoryReservation;
use crate::http::auth::AuthenticatedState;
use crate::http::context::AppState;
use crate::http::paging::PageQuery;
use crate::http::params::{GivenParams, Parameter, RequestParameters, number, position_schema};
use crate::http::problem::ProblemResponse;

/// How long this server may be behind a node before the node counts as ahead of the log: much longer than another server's commit
/// takes to arrive here, and short for a caller that waits.
const CATCH_UP_WAIT: Duration = Duration::from_millis(250);

const MIN_POSITION_PARAMETER: Parameter = Parameter::query(
    MIN_POSITION,
    "Answer from a state that has reached this position. The server waits up to 5 s for it.",
    position_schema,
);
const AT_PARAMETER: Parameter = Parameter::query(
    AT,
    "Answer from the state as of this position, RFC 3339 time or mark (`mark:NAME`). A position inside a request means the request's end, a time the \
     last event at or before it.",
    moment_schema,
);

/// `min_position` and `at` of a URL.
#[derive(Clone, Debug, Default)]
pub(super) struct SnapshotQuery {
    min_position: Option<Position>,
    at: Option<Moment>,
}

/// A moment as a caller names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// By a position or a time.
    AsOf(AsOf),
    /// By a mark, which names a position.
    Mark(MarkId),
}

/// `min_position` alone, for routes that show no past state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PresentQuery {
    min_position: Option<Position>,
}

/// A consistent state of the log.
#[derive(Clone, Debug)]
pub(super) struct ReadSnapshot {
    pub(super) configuration: Configuration,
    /// Whether the request has `at`: then only the log counts, and not what nodes report now.
    pub(super) is_past: bool,
}

impl Moment {
    /// A state at a position never changes. One at a time may: events before that time may still come. A mark may be moved.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::AsOf(AsOf::Position(_)))
    }
}

impl RequestParameters for SnapshotQuery {
    const CAN_BE_FIXED: bool = true;

    fn declared() -> Vec<Parameter> {
        vec![MIN_POSITION_PARAMETER, AT_PARAMETER]
    }

    fn codes() -> Vec<ErrorCode> {
        let past = [
            ErrorCode::AtInTheFuture,
            ErrorCode::Damaged,
            ErrorCode::TooManyQuestions,
            // There is no such mark.
            ErrorCode::UnknownEntity,
        ];
        [PresentQuery::codes(), past.to_vec()].concat()
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let PresentQuery { min_position } = PresentQuery::take(given)?;
        Ok(Self { min_position, at: given.query(&AT_PARAMETER, parse_moment)? })
    }

    fn is_fixed(&self) -> bool {
        self.at.as_ref().is_some_and(Moment::is_fixed)
    }
}

impl RequestParameters for PresentQuery {
    fn declared() -> Vec<Parameter> {
        vec![MIN_POSITION_PARAMETER]
    }

    fn codes() -> Vec<ErrorCode> {
        vec![ErrorCode::PositionNotReached]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        Ok(Self { min_position: given.position(&MIN_POSITION_PARAMETER)? })
    }
}

impl From<PresentQuery> for SnapshotQuery {
    fn from(PresentQuery { min_position }: PresentQuery) -> Self {
        Self { min_position, at: None }
    }
}

impl SnapshotQuery {
    /// The state as of a moment, or the newest one.
    pub(super) fn as_of(at: Option<Moment>) -> Self {
        Self { min_position: None, at }
    }

    /// Whether the request has `at`.
    pub(super) fn is_past(&self) -> bool {
        self.at.is_some()
    }
}

/// The schema of a position, a time or a mark.
pub(super) fn moment_schema() -> Value {
    MomentText::json_schema(&mut SchemaGenerator::default()).into()
}

/// What stands before the id of a mark.
const MARK_PREFIX: &str = "mark:";

/// Reads a position, a time or a mark.
pub(super) fn parse_moment(text: &str) -> Result<Moment, String> {
    if let Some(mark) = text.strip_prefix(MARK_PREFIX) {
        let mark = mark.parse::<Id>().map_err(|invalid| format!("names no mark: {}", invalid.detail))?;
        return Ok(Moment::Mark(mark.into()));
    }
    if let Ok(position) = number(text) {
        return Ok(Moment::AsOf(AsOf::Position(Position::from(position))));
    }
    let time = Instant::parse_clamped(text).map(|time| Moment::AsOf(AsOf::Time(time)));
    time.map_err(|_| "is a position, an RFC 3339 time, or `mark:` and the id of a mark".to_string())
}

impl AuthenticatedState {
    /// The state to answer a list from, and memory for a page of it.
    pub(super) async fn page(
        &self,
        page: &PageQuery,
        query: SnapshotQuery,
    ) -> Result<(MemoryReservation, Configuration), ProblemResponse> {
        let state = self.snapshot(query).await?.configuration;
        Ok((self.reserve_memory(page.memory_bytes()).await?, state))
    }

    /// The state to answer from.
    pub(super) async fn snapshot(&self, query: impl Into<SnapshotQuery>) -> Result<ReadSnapshot, ProblemResponse> {
        let query = query.into();
        if let Some(position) = query.min_position {
            self.wait_for(position).await?;
        }
        let configuration = self.log().view();
        match query.at.map(|moment| resolve(&configuration, moment)).transpose()? {
            None => Ok(ReadSnapshot { configuration, is_past: false }),
            Some(AsOf::Position(position)) if position == configuration.position() => {
                Ok(ReadSnapshot { configuration, is_past: true })
            }
            Some(moment) => {
                let app = self.clone();
                let configuration = self.run_expensive(async move { app.log().past(moment).await }).await??;
                Ok(ReadSnapshot { configuration, is_past: true })
            }
        }
    }

    /// The state to answer from, for routes that show states of nodes.
    pub(super) async fn snapshot_for_nodes(&self, query: SnapshotQuery) -> Result<ReadSnapshot, ProblemResponse> {
        if !query.is_past() {
            self.catch_up_with_nodes().await;
        }
        self.snapshot(query).await
    }

    async fn wait_for(&self, position: Position) -> Result<(), ProblemResponse> {
        if self.log().view().position() < position {
            // The view below tells whether the position came in time.
            drop(timeout(self.limits().position_wait, self.log().reached(position)).await);
        }
        match self.log().view().position() {
            reached if reached >= position => Ok(()),
            reached => {
                let detail = format!("this server has reached position {reached}, not {position}");
                let problem = ProblemResponse::new(ErrorCode::PositionNotReached, detail);
                Err(problem.in_field(MIN_POSITION))
            }
        }
    }
}

impl AppState {
    /// The present state, for what shows states of nodes without a request.
    pub(super) async fn present_for_nodes(&self) -> ReadSnapshot {
        self.catch_up_with_nodes().await;
        ReadSnapshot { configuration: self.log().view(), is_past: false }
    }

    /// Waits a short time where a node has seen a position that this server has not reached yet, because another server published its
    /// record. The node counts as ahead of the log only if this server does not reach that position within this time.
    async fn catch_up_with_nodes(&self) {
        if let Some(seen) = self.reports().highest_seen(self.log().log_id())
            && seen > self.log().view().position()
        {
            drop(timeout(CATCH_UP_WAIT, self.log().reached(seen)).await);
        }
    }
}

/// The moment that a caller names. A mark is looked up in the present state, also where a past one is asked for.
fn resolve(present: &Configuration, moment: Moment) -> Result<AsOf, ProblemResponse> {
    match moment {
        Moment::AsOf(at) => Ok(at),
        Moment::Mark(mark) => match present.marks().get(&mark) {
            Some(known) => Ok(AsOf::Position(known.names)),
            None => Err(ProblemResponse::unknown_entity("mark", mark.as_str()).in_field(AT)),
        },
    }
}
