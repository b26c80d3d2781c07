//! Points in time, in the resolution of PostgreSQL: microseconds.

use alloc::string::ToString;
use core::fmt;
use core::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::invalid::InputError;
use crate::text_form;

/// Microseconds from 1970-01-01, where an [`Instant`] counts from, to 2000-01-01, where PostgreSQL's binary formats do.
pub const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Microseconds since the Unix epoch; RFC 3339 in UTC with six digits of fraction on every wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    /// The instant that lies `micros` microseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since 1970-01-01T00:00:00Z; 0 before it, as a UUID of version 7 has no sign.
    #[must_use]
    pub fn unix_millis(self) -> u64 {
        u64::try_from(self.0 / 1_000).unwrap_or(0)
    }

    /// The instant so many seconds later.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds as i64 * 1_000_000))
    }
}

impl Instant {
    /// The instant that a text names, or the nearest that there is: the calendar has days on both ends that have none.
    ///
    /// # Errors
    /// If the text is no RFC 3339 time.
    pub fn parse_clamped(text: &str) -> Result<Self, InputError> {
        text.parse().or_else(|invalid| clamp(text).ok_or(invalid))
    }
}

/// The first or the last instant, if a text names one that lies beyond it.
fn clamp(text: &str) -> Option<Instant> {
    let pieces = Pieces::parse(text).ok()?;
    let (time, offset) = (pieces.time()?, pieces.to_numeric_offset()?);
    let named = DateTime::from_parts(pieces.date(), time);
    let nearest = if named.year() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    offset.to_timestamp(named).is_err().then(|| Instant(nearest.as_microsecond()))
}

/// How every text of an instant of these years looks; the digits are yet to be written.
const PATTERN: [u8; 27] = *b"0000-00-00T00:00:00.000000Z";

impl Instant {
    /// The text's bytes; `None` before the year 0 and beyond the calendar. Equal to `Display` and much faster: every event of
    /// a log passes here when it is verified.
    pub(crate) fn digits(self) -> Option<[u8; 27]> {
        let time = Offset::UTC.to_datetime(Timestamp::from_microsecond(self.0).ok()?);
        let mut text = PATTERN;
        let mut write = |from: usize, to: usize, number: u32| {
            let mut rest = number;
            for digit in text[from..to].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        };
        let part = |number: i8| u32::from(number.unsigned_abs());
        write(0, 4, u32::try_from(time.year()).ok()?);
        write(5, 7, part(time.month()));
        write(8, 10, part(time.day()));
        write(11, 13, part(time.hour()));
        write(14, 16, part(time.minute()));
        write(17, 19, part(time.second()));
        write(20, 26, time.subsec_nanosecond().unsigned_abs() / 1_000);
        Some(text)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Years beyond 9999 have no RFC 3339 form; they are shown as the last instant that has one.
        let time = Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::MAX);
        write!(f, "{time:.6}")
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Instant {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let time: Timestamp = text.parse().map_err(|_| {
            InputError::new("invalid_value", "a time is RFC 3339 with an offset, such as 2026-01-31T12:00:00Z")
        })?;
        Ok(Self(time.as_microsecond()))
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_form::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn six_digits_and_a_z_always() {
        let table = [(0, "1970-01-01T00:00:00.000000Z"), (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z")];
        for (micros, text) in table {
            assert_eq!(Instant::from_unix_micros(micros).to_string(), text);
            assert_eq!(text.parse(), Ok(Instant::from_unix_micros(micros)));
        }
        assert_eq!("2023-11-14T23:13:20+01:00".parse(), Ok(Instant::from_unix_micros(1_700_000_000_000_000)));
        assert!("2023-11-14".parse::<Instant>().is_err());
    }

    #[test]
    fn digits_are_the_text() {
        let steps = (-62_167_219_200_000_000..=Timestamp::MAX.as_microsecond()).step_by(7_777_777_777_777);
        for micros in steps.chain([-62_167_219_200_000_000, -1, 0, 1, 951_782_400_000_000, 1_709_164_799_999_999]) {
            let instant = Instant::from_unix_micros(micros);
            assert_eq!(instant.digits().map(Vec::from), Some(instant.to_string().into_bytes()), "{micros}");
        }
        for beyond in [i64::MIN, -62_167_219_200_000_001, Timestamp::MAX.as_microsecond() + 1, i64::MAX] {
            assert_eq!(Instant::from_unix_micros(beyond).digits(), None, "{beyond}");
        }
    }

    #[test]
    fn what_lies_beyond_the_calendar_is_its_edge() {
        let [first, last] = [Timestamp::MIN, Timestamp::MAX].map(|time| Instant(time.as_microsecond()));
        for (text, expected) in [
            ("9999-12-31T23:59:59.999999Z", last),
            ("9999-12-31T00:00:00+01:00", last),
            ("-009999-01-01T00:00:00Z", first),
            ("1970-01-01T00:00:00.000001Z", Instant(1)),
        ] {
            assert_eq!(Instant::parse_clamped(text), Ok(expected), "{text}");
        }
        for text in ["9999-12-31", "9999-12-31T00:00:00", "9999-12-32T00:00:00Z", "10000-01-01T00:00:00Z", "", "now"] {
            assert!(Instant::parse_clamped(text).is_err(), "{text}");
        }
    }
}
