//! Schedules of jobs: cron with five fields, or six with seconds first, in UTC.
//!
//! A schedule is checked when a command brings it and never again: what the log holds is read for ever, whatever a later
//! version of the checker thinks of it. Absent on purpose: when it is due next, which needs a clock.

use alloc::format;
use alloc::string::{String, ToString};
use core::str::FromStr;

use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};

use crate::invalid::InputError;
use crate::limit::SCHEDULE_BYTES_MAX;

/// A schedule's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule(String);

impl Schedule {
    /// The schedule's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it says when.
    ///
    /// # Errors
    /// `invalid_schedule`.
    pub fn check(&self) -> Result<(), InputError> {
        let refused = |why: &str| Err(InputError::new("invalid_schedule", format!("`{:.64}`: {why}", self.0)));
        if self.0.len() > SCHEDULE_BYTES_MAX {
            return refused(&format!("a schedule has at most {SCHEDULE_BYTES_MAX} bytes"));
        }
        if !matches!(self.0.split_whitespace().count(), 5 | 6) {
            return refused("a schedule is cron of five fields, or six with seconds first");
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        match parser.parse(&self.0) {
            Ok(_) => Ok(()),
            Err(error) => refused(&error.to_string()),
        }
    }
}

impl FromStr for Schedule {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let schedule = Self(text.into());
        schedule.check().map(|()| schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_fields_or_six_with_seconds_first() {
        for valid in ["* * * * *", "*/5 0-6 1,15 * MON-FRI", "30 */5 * * * *", "0 0 29 2 *", "15 10 * * 0"] {
            assert!(valid.parse::<Schedule>().is_ok(), "{valid}");
        }
        let long = "0,".repeat(SCHEDULE_BYTES_MAX) + "0 * * * *";
        for refused in [
            "",
            "* * * *",
            "* * * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "61 * * * * *",
            "a b c d e",
            "5-1 * * * *",
            "*/0 * * * *",
            "@hourly",
            "é é é é é",
            long.as_str(),
        ] {
            assert_eq!(refused.parse::<Schedule>().map_err(|e| e.code), Err("invalid_schedule"), "{refused:?}");
        }
    }
}
