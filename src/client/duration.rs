//! Durations on a command line, such as `90s`, `10m`, `2h` and `7d`.

use std::time::Duration;

/// Seconds of each unit.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];

/// A whole number of one unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (_, each) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
    let digits = &text[..text.len() - 1];
    let count: u64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    count.checked_mul(each).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("10m", 600), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "s", "10", "10 s", "-1s", "+1s", "1.5h", "10min", "1w", "99999999999999999999s", "999999999999999999d"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
