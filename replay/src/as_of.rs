//! A point in the past of a log, by position or by time.
//!
//! A request is atomic, so a point within one means its end.

use alloc::string::ToString as _;
use core::fmt;
use core::str::FromStr;

use schema::event::Event;
use schema::instant::Instant;
use schema::invalid::InputError;
use schema::position::Position;

/// The point as of which a past state is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// The end of the request of the event at this position.
    Position(Position),
    /// The end of the last request that was appended by this time.
    Time(Instant),
}

impl AsOf {
    /// Whether this event lies after the point.
    #[must_use]
    pub fn is_before(self, event: &Event) -> bool {
        // The rest of a request is no later than its first event.
        event.ordinal == 1
            && match self {
                Self::Position(position) => event.position > position,
                Self::Time(time) => event.at > time,
            }
    }
}

impl FromStr for AsOf {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        match text.parse::<u64>() {
            Ok(position) => Ok(Self::Position(position.into())),
            Err(_) => text.parse().map(Self::Time),
        }
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => write!(f, "position {position}"),
            Self::Time(time) => f.write_str(&time.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_position_and_all_else_a_time() {
        assert_eq!("12".parse(), Ok(AsOf::Position(12.into())));
        let time = Instant::from_unix_micros(1_700_000_000_000_000);
        assert_eq!("2023-11-14T22:13:20Z".parse(), Ok(AsOf::Time(time)));
        for refused in ["", "-1", "yesterday", "2023-11-14"] {
            assert!(refused.parse::<AsOf>().is_err(), "{refused}");
        }
    }
}
