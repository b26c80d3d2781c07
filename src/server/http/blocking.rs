//! Work that takes long enough to hold up others, done where it does not.

use std::panic::resume_unwind;

/// Does `work` on a thread of its own. A panic in it is a panic here.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => panic!("the runtime shuts down"),
        },
    }
}
