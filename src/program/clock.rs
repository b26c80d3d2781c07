//! The wall clock of this machine.
//!
//! Code that dates events takes a [`Clock`] as an argument, so that a test can give another one. In a build with debug
//! assertions, the file that the variable [`FILE`] names can hold a number of seconds, which is added to the system clock.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use schema::instant::Instant;

/// The variable that names the file.
pub const FILE: &str = "HEADWATER_FAULT_CLOCK";

/// Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// The clock of the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(system_time))
    }

    /// A clock that calls `time`.
    #[must_use]
    pub fn of(time: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(time))
    }

    /// The present time, in whole microseconds.
    #[must_use]
    pub fn now(&self) -> Instant {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// The clock of the operating system; before 1970 it counts as 1970.
#[must_use]
pub fn system_time() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    #[cfg(debug_assertions)]
    let micros = micros.saturating_add(wrong_by_micros());
    Instant::from_unix_micros(micros)
}

#[cfg(debug_assertions)]
fn wrong_by_micros() -> i64 {
    static PLACE: std::sync::OnceLock<Option<std::path::PathBuf>> = std::sync::OnceLock::new();
    let Some(file) = PLACE.get_or_init(|| std::env::var_os(FILE).map(Into::into)) else { return 0 };
    let seconds = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<i64>().ok());
    seconds.unwrap_or(0).saturating_mul(1_000_000)
}
