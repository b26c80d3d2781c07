//! Which state a reader sees: the newest, one that has reached a position, or a past one.

use std::str::FromStr;
use std::time::Duration;

use axum::http::StatusCode;
use projections::configuration::Configuration;
use schema::instant::Instant;
use schema::invalid::Invalid;
use schema::position::Position;
use tokio::time::timeout;

use crate::http::auth::Admitted;
use crate::http::paging::Page;
use crate::http::params::{Params, number};
use crate::http::problem::Problem;
use crate::http::room::Room;
use crate::source::At;

/// How long this server may be behind a node before the node is said to be ahead: many times what another server's
/// commit needs to come here, and little for a reader who waits.
const CATCH_UP_WAIT: Duration = Duration::from_millis(250);

/// `min_position` and `at` of a URL.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct When {
    min_position: Option<Position>,
    at: Option<At>,
}

/// A consistent state, and whether it is a past one, of which only the log tells.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The state.
    pub(super) configuration: Configuration,
    /// Whether it was asked for by `at`.
    pub(super) past: bool,
}

impl When {
    /// Reads `min_position` and `at`.
    pub(super) fn take(params: &mut Params) -> Result<Self, Problem> {
        Ok(Self { at: params.take("at", at)?, ..Self::take_present(params)? })
    }

    /// Reads `min_position` alone, for what has no past.
    pub(super) fn take_present(params: &mut Params) -> Result<Self, Problem> {
        Ok(Self { min_position: params.position("min_position")?, at: None })
    }

    /// Whether a past state is asked for.
    pub(super) fn is_past(&self) -> bool {
        self.at.is_some()
    }
}

fn at(text: &str) -> Result<At, String> {
    if let Ok(position) = number(text) {
        return Ok(At::Position(Position::from(position)));
    }
    Instant::nearest(text).map(At::Time).map_err(|_| "is a position or an RFC 3339 time".to_string())
}

impl Admitted {
    /// The thing that a URL names, and the state that is asked for.
    pub(super) async fn item<T>(&self, id: &str, mut params: Params) -> Result<(T, Configuration), Problem>
    where
        T: FromStr<Err = Invalid>,
    {
        let when = When::take(&mut params)?;
        params.done()?;
        let id = id.parse().map_err(|invalid: Invalid| Problem::parameter("id", invalid.detail))?;
        Ok((id, self.snapshot(when).await?.configuration))
    }

    /// The part of a list that is asked for, room for it, and the state.
    pub(super) async fn page(&self, mut params: Params) -> Result<(Page, Room, Configuration), Problem> {
        let page = Page::take(&mut params)?;
        let when = When::take(&mut params)?;
        params.done()?;
        let state = self.snapshot(when).await?.configuration;
        let room = self.room(page.bytes()).await?;
        Ok((page, room, state))
    }

    /// The state that is asked for.
    pub(super) async fn snapshot(&self, when: When) -> Result<Snapshot, Problem> {
        if let Some(position) = when.min_position {
            self.reach(position).await?;
        }
        let configuration = self.source().view();
        match when.at {
            None => Ok(Snapshot { configuration, past: false }),
            Some(At::Position(position)) if position == configuration.position() => {
                Ok(Snapshot { configuration, past: true })
            }
            Some(at) => {
                let door = self.clone();
                let configuration = self.costly(async move { door.source().past(at).await }).await??;
                Ok(Snapshot { configuration, past: true })
            }
        }
    }

    /// The state that is asked for, for who judges nodes by it. A node may have seen what this server has not: its record
    /// was published by another one. Only what stays unseen for a moment is taken for a position that the log lacks.
    pub(super) async fn snapshot_for_nodes(&self, when: When) -> Result<Snapshot, Problem> {
        if !when.is_past()
            && let Some(seen) = self.ears().highest_seen(self.source().log_id())
            && seen > self.source().view().position()
        {
            drop(timeout(CATCH_UP_WAIT, self.source().reached(seen)).await);
        }
        self.snapshot(when).await
    }

    async fn reach(&self, position: Position) -> Result<(), Problem> {
        if self.source().view().position() < position {
            // Whether it came in time is what the view says, not how the waiting ended.
            drop(timeout(self.limits().position_wait, self.source().reached(position)).await);
        }
        match self.source().view().position() {
            reached if reached >= position => Ok(()),
            reached => {
                let detail = format!("this server has reached position {reached}, not {position}");
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "position_not_reached", detail);
                Err(problem.at("min_position").retry_after(1))
            }
        }
    }
}
