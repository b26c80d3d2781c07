//! Positions of events in the log, and versions of entities.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The place of an event in its log: gapless from 1, equal to commit order. 0 is the empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

/// How many events an entity has had. 0 says that it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

macro_rules! counter {
    ($name:ident) => {
        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// The number itself.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

counter!(Position);
counter!(Version);

impl Position {
    /// The position before this one: [`Position::ZERO`], the empty log, before the first event and before itself. It is also
    /// the index of this event's leaf in the log's tree, which counts from 0.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_after_its_previous_one_and_nothing_comes_before_the_empty_log() {
        for number in [1_u64, 2, 7, u64::MAX] {
            assert_eq!(Position::from(number).previous().next(), Position::from(number));
        }
        assert_eq!(Position::ZERO.previous(), Position::ZERO);
    }
}
