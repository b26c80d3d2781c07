//! The timing of a task as a cron schedule.

use super::error::OscalError;
use super::json_node::Fields;

/// The schedule of a task's `timing`, or the reason why cron can't express it.
pub(super) fn read(timing: &mut Fields<'_>) -> Result<Result<String, String>, OscalError> {
    let Some(mut frequency) = timing.object("at-frequency")? else {
        return Ok(Err("a date or a range of dates is no schedule: only `at-frequency` is".to_owned()));
    };
    let path = frequency.path.clone();
    let period = frequency.take("period").ok_or(OscalError::Missing { path, name: "period" })?.number()?;
    let unit = frequency.need("unit")?;
    Ok(cron(period, unit).ok_or_else(|| format!("cron can't say \"every {period} {unit}\"")))
}

/// The schedule for every `period` units in UTC, if those are the same times in each hour, day or year.
fn cron(period: u64, unit: &str) -> Option<String> {
    // Only a divisor of the next larger unit recurs evenly.
    let step = |of: u64| match period {
        1 => Some("*".to_owned()),
        _ if period > 0 && period < of && of.is_multiple_of(period) => Some(format!("*/{period}")),
        _ => None,
    };
    match (unit, period) {
        ("seconds", 60) => cron(1, "minutes"),
        ("seconds", _) => step(60).map(|step| format!("{step} * * * * *")),
        ("minutes", 60) => cron(1, "hours"),
        ("minutes", _) => step(60).map(|step| format!("{step} * * * *")),
        ("hours", 24) => cron(1, "days"),
        ("hours", _) => step(24).map(|step| format!("0 {step} * * *")),
        ("days", 1) => Some("0 0 * * *".to_owned()),
        ("days", 7) => Some("0 0 * * SUN".to_owned()),
        ("months", 12) => cron(1, "years"),
        ("months", _) => step(12).map(|step| format!("0 0 1 {step} *")),
        ("years", 1) => Some("0 0 1 1 *".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_is_a_schedule_where_it_comes_back_evenly() {
        for (period, unit, expected) in [
            (1, "seconds", Some("* * * * * *")),
            (15, "minutes", Some("*/15 * * * *")),
            (60, "minutes", Some("0 * * * *")),
            (6, "hours", Some("0 */6 * * *")),
            (1, "days", Some("0 0 * * *")),
            (7, "days", Some("0 0 * * SUN")),
            (3, "months", Some("0 0 1 */3 *")),
            (1, "years", Some("0 0 1 1 *")),
            (0, "minutes", None),
            (7, "minutes", None),
            (5, "days", None),
            (2, "years", None),
            (1, "fortnights", None),
        ] {
            assert_eq!(cron(period, unit).as_deref(), expected, "{period} {unit}");
        }
    }
}
