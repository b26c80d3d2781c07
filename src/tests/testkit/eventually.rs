//! Waiting for something to come true: a condition and a deadline, never a fixed time.

use std::time::{Duration, Instant};

/// How often one looks.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Looks until it finds, and gives what it found. `look` says why it found nothing, and a test that ends here says what it
/// was that it last saw.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < deadline, "not within {within:?}: {what}: {why}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
