//! `GET /v1/log/times`: when events were appended, at positions spread evenly over the log or a part of it.
//!
//! The events are read in full and checked, so that no time is shown that was not appended. Each read is bounded.

use api::error_code::ErrorCode;
use api::log::{LogTime, LogTimes, POINTS_DEFAULT, POINTS_MAX};
use schema::limit::EVENT_DATA_BYTES_MAX;
use schema::position::Position;
use serde_json::{Value, json};

use crate::http::answer::JsonAnswer;
use crate::http::operation::Asked;
use crate::http::params::{GivenParams, Parameter, RequestParameters, number};
use crate::http::problem::ProblemResponse;
use crate::http::snapshot::PresentQuery;

/// Positions of one read, whose events may have 256 KiB of data each.
const POSITIONS_READ: usize = 50;

const FROM: Parameter =
    Parameter::query("from", "The first position; if it is missing, the first of the log.", event_position_schema);
const TO: Parameter =
    Parameter::query("to", "The last position; if it is missing, the last of the log.", event_position_schema);
const POINTS: Parameter = Parameter::query(
    "points",
    "How many positions the answer has at most.",
    || json!({"type": "integer", "minimum": 2, "maximum": POINTS_MAX, "default": POINTS_DEFAULT}),
);

fn event_position_schema() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX})
}

/// `from`, `to` and `points`.
pub(super) struct TimesQuery {
    from: Option<Position>,
    to: Option<Position>,
    points: usize,
}

impl RequestParameters for TimesQuery {
    fn declared() -> Vec<Parameter> {
        vec![FROM, TO, POINTS]
    }

    fn codes() -> Vec<ErrorCode> {
        vec![ErrorCode::AtInTheFuture, ErrorCode::Damaged]
    }

    fn take(given: &GivenParams) -> Result<Self, ProblemResponse> {
        let position = |parameter: &Parameter| {
            given.query(parameter, |text| match number(text) {
                Ok(position) if position > 0 => Ok(Position::from(position)),
                _ => Err("is a position from 1".to_owned()),
            })
        };
        let points = given.query(&POINTS, |text| match number(text).map(usize::try_from) {
            Ok(Ok(points)) if (2..=POINTS_MAX).contains(&points) => Ok(points),
            _ => Err(format!("is a number from 2 to {POINTS_MAX}")),
        })?;
        Ok(Self { from: position(&FROM)?, to: position(&TO)?, points: points.unwrap_or(POINTS_DEFAULT) })
    }
}

/// `GET /v1/log/times`
pub(super) async fn show(asked: Asked<(TimesQuery, PresentQuery)>) -> Result<JsonAnswer<LogTimes>, ProblemResponse> {
    let Asked { app, params: (TimesQuery { from, to, points }, reached), .. } = asked;
    let head = app.snapshot(reached).await?.configuration.position();
    let positions = match head {
        Position::ZERO => Vec::new(),
        head => {
            let (first, last) = part(from, to, head)?;
            spread(first, last, points)
        }
    };
    let bytes = positions.len().min(POSITIONS_READ) * EVENT_DATA_BYTES_MAX;
    let memory = app.reserve_memory(bytes).await?;
    let mut times = Vec::with_capacity(positions.len());
    for read in positions.chunks(POSITIONS_READ) {
        let events = app.log().events_at(read.to_vec()).await?;
        times.extend(events.into_iter().map(|event| LogTime { position: event.position, at: event.at }));
    }
    Ok(JsonAnswer::new(head, LogTimes { position: head, times }).with_memory(memory))
}

/// The first and the last position that are asked for.
fn part(from: Option<Position>, to: Option<Position>, head: Position) -> Result<(Position, Position), ProblemResponse> {
    let (first, last) = (from.unwrap_or(Position::ZERO.next()), to.unwrap_or(head));
    let beyond = [(FROM.name, first), (TO.name, last)].into_iter().find(|(_, position)| *position > head);
    if let Some((name, _)) = beyond {
        let detail = format!("the log ends at position {head}");
        return Err(ProblemResponse::new(ErrorCode::AtInTheFuture, detail).in_field(name));
    }
    if first > last {
        return Err(ProblemResponse::invalid_parameter(FROM.name, format!("is at most {last}, the last position")));
    }
    Ok((first, last))
}

/// At most `points` positions from the first to the last, both of them included, with steps that differ by one at most.
fn spread(first: Position, last: Position, points: usize) -> Vec<Position> {
    let steps = (last.get() - first.get()).min(points as u64 - 1);
    let at = |step: u64| {
        let way = u128::from(last.get() - first.get()) * u128::from(step) / u128::from(steps.max(1));
        first.get() + u64::try_from(way).expect("BUG: it is at most the difference of two positions")
    };
    (0..=steps).map(|step| at(step).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_spread_evenly_with_both_ends_and_none_twice() {
        let spread = |first: u64, last: u64, points| -> Vec<u64> {
            spread(first.into(), last.into(), points).iter().map(|position| position.get()).collect()
        };
        assert_eq!(spread(1, 9, 3), [1, 5, 9]);
        assert_eq!(spread(1, 10, 4), [1, 4, 7, 10]);
        assert_eq!(spread(5, 5, 2), [5]);
        assert_eq!(spread(5, 6, 200), [5, 6]);
        assert_eq!(spread(1, 4, 1_000), [1, 2, 3, 4]);
        let far = spread(1, i64::MAX as u64, 1_000);
        assert!(far.len() == 1_000 && far.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((far.first(), far.last()), (Some(&1), Some(&(i64::MAX as u64))));
    }
}
