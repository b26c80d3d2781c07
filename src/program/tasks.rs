//! Results of tasks and of blocking work: a panic there is a panic here.

use std::panic::resume_unwind;

use tokio::task::{JoinError, spawn_blocking};

/// Runs blocking work on a thread outside of the runtime's workers. Once started it runs to its end, also if this future is
/// dropped.
pub async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        // The runtime is shutting down, and will drop the task that awaits this.
        Err(error) if error.is_cancelled() => std::future::pending().await,
        joined => resume_panic(joined),
    }
}

/// The result of a task that is never aborted.
///
/// # Panics
/// As the task did, or if it was aborted after all.
pub fn resume_panic<T>(joined: Result<T, JoinError>) -> T {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(error) => panic!("BUG: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blocking_work_gives_its_result() {
        assert_eq!(run_blocking(|| 7).await, 7);
    }

    #[tokio::test]
    #[should_panic(expected = "the work's own words")]
    async fn a_panic_in_blocking_work_is_a_panic_of_its_caller() {
        run_blocking(|| panic!("the work's own words")).await
    }
}
