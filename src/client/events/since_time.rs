//! The value of `--since`: a time, or a duration before now.

use std::str::FromStr;
use std::time::SystemTime;

use schema::instant::Instant;

use crate::duration::parse_duration;

/// An RFC 3339 time, or a duration such as `10m` that ends now, by this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SinceTime(pub(super) Instant);

impl FromStr for SinceTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(instant) = Instant::parse_clamped(text) {
            return Ok(Self(instant));
        }
        let micros = micros(text).ok_or("is an RFC 3339 time, or a whole number of s, m, h or d, such as 10m")?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        Ok(Self(Instant::from_unix_micros(now.saturating_sub(micros))))
    }
}

fn micros(text: &str) -> Option<i64> {
    i64::try_from(parse_duration(text)?.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_taken_as_it_is_and_a_duration_ends_now() {
        let at = |text: &str| text.parse::<SinceTime>().map(|since| since.0);
        assert_eq!(at("2026-01-31T12:00:00+01:00"), Ok("2026-01-31T11:00:00Z".parse().expect("a time")));
        for (text, micros) in [("0s", 0), ("90s", 90_000_000), ("10m", 600_000_000), ("2d", 172_800_000_000)] {
            let (before, now) = (at(text).expect(text), at("0s").expect("now"));
            let ago = now.unix_micros() - before.unix_micros();
            assert!((micros..micros + 60_000_000).contains(&ago), "{text}: {ago}");
        }
        for text in ["", "m", "10", "-1m", "+1m", "1.5h", "10min", "99999999999999d", "yesterday"] {
            assert!(at(text).is_err(), "{text}");
        }
    }
}
