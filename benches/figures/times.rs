//! What many measurements of one thing come to.

use std::time::Duration;

/// The time that `of_hundred` of a hundred do not exceed. Sorts them.
pub(crate) fn percentile(times: &mut [Duration], of_hundred: usize) -> Duration {
    times.sort();
    times[(times.len() * of_hundred / 100).min(times.len() - 1)]
}

/// The middle one of a few values. Sorts them.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The least and the greatest of some values, for people.
pub(crate) fn range(values: &[f64], digits: usize) -> String {
    let (least, greatest) =
        values.iter().fold((f64::MAX, f64::MIN), |(least, greatest), value| (least.min(*value), greatest.max(*value)));
    format!("{least:.digits$} to {greatest:.digits$}")
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
