//! Which state of the log a request is answered from: the newest, one that has reached a position, or a past one.

use std::str::FromStr;
use std::time::Duration;

use api::error_code::ErrorCode;
use api::query::{AT, MIN_POSITION};
use projections::configuration::Configuration;
use schema::instant::Instant;
use schema::invalid::InputError;
use schema::position::Position;
use tokio::time::timeout;

use crate::event_log::AsOf;
use crate::http::answer_memory::MemoryReservation;
use crate::http::auth::AuthenticatedState;
use crate::http::paging::PageQuery;
use crate::http::params::{QueryParams, number};
use crate::http::problem::ProblemResponse;

/// How long this server may be behind a node before the node counts as ahead of the log: much longer than another server's commit
/// takes to arrive here, and short for a caller that waits.
const CATCH_UP_WAIT: Duration = Duration::from_millis(250);

/// `min_position` and `at` of a URL.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SnapshotQuery {
    min_position: Option<Position>,
    at: Option<AsOf>,
}

/// A consistent state of the log.
#[derive(Clone, Debug)]
pub(super) struct ReadSnapshot {
    pub(super) configuration: Configuration,
    /// Whether the request has `at`: then only the log counts, and not what nodes report now.
    pub(super) is_past: bool,
}

impl SnapshotQuery {
    /// Reads `min_position` and `at`.
    pub(super) fn from_params(params: &mut QueryParams) -> Result<Self, ProblemResponse> {
        Ok(Self { at: params.take(AT, parse_moment)?, ..Self::present_from_params(params)? })
    }

    /// Reads `min_position` alone, for routes that show no past state.
    pub(super) fn present_from_params(params: &mut QueryParams) -> Result<Self, ProblemResponse> {
        Ok(Self { min_position: params.position(MIN_POSITION)?, at: None })
    }

    /// Whether the request has `at`.
    pub(super) fn is_past(&self) -> bool {
        self.at.is_some()
    }
}

fn parse_moment(text: &str) -> Result<AsOf, String> {
    if let Ok(position) = number(text) {
        return Ok(AsOf::Position(Position::from(position)));
    }
    Instant::parse_clamped(text).map(AsOf::Time).map_err(|_| "is a position or an RFC 3339 time".to_string())
}

impl AuthenticatedState {
    /// The id in a URL, and the state to answer from.
    pub(super) async fn item<T>(&self, id: &str, mut params: QueryParams) -> Result<(T, Configuration), ProblemResponse>
    where
        T: FromStr<Err = InputError>,
    {
        let query = SnapshotQuery::from_params(&mut params)?;
        params.done()?;
        let id = id.parse().map_err(|invalid: InputError| ProblemResponse::invalid_parameter("id", invalid.detail))?;
        Ok((id, self.snapshot(query).await?.configuration))
    }

    /// Which page the request is for, memory for it, and the state to answer from.
    pub(super) async fn page(
        &self,
        mut params: QueryParams,
    ) -> Result<(PageQuery, MemoryReservation, Configuration), ProblemResponse> {
        let page = PageQuery::from_params(&mut params)?;
        let query = SnapshotQuery::from_params(&mut params)?;
        params.done()?;
        let state = self.snapshot(query).await?.configuration;
        let memory = self.reserve_memory(page.memory_bytes()).await?;
        Ok((page, memory, state))
    }

    /// The state to answer from.
    pub(super) async fn snapshot(&self, query: SnapshotQuery) -> Result<ReadSnapshot, ProblemResponse> {
        if let Some(position) = query.min_position {
            self.wait_for(position).await?;
        }
        let configuration = self.log().view();
        match query.at {
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

    /// The state to answer from, for routes that show states of nodes. A node may have seen a position that this server has not
    /// reached yet, because another server published its record. The node counts as ahead of the log only if this server does not
    /// reach that position within a short time.
    pub(super) async fn snapshot_for_nodes(&self, query: SnapshotQuery) -> Result<ReadSnapshot, ProblemResponse> {
        if !query.is_past()
            && let Some(seen) = self.reports().highest_seen(self.log().log_id())
            && seen > self.log().view().position()
        {
            drop(timeout(CATCH_UP_WAIT, self.log().reached(seen)).await);
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
                Err(problem.in_field(MIN_POSITION).retry_after(1))
            }
        }
    }
}
