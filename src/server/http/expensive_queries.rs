//! Expensive queries: a past state, `why`, `impact` and dry runs, whose answers have to be folded and rendered.
//!
//! Always: one core is left to the appender and the relay, and no such query runs on an async worker, which those two need. A
//! query that gets no turn within a short wait is refused.

use std::future::Future;
use std::sync::Arc;

use api::error_code::ErrorCode;
use program::tasks::run_blocking;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::http::auth::AuthenticatedState;
use crate::http::problem::ProblemResponse;

impl AuthenticatedState {
    /// Runs a query on a blocking thread once it has a turn. It runs to its end, and keeps its turn until then, even if the
    /// caller has gone.
    pub(super) async fn run_expensive<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ProblemResponse> {
        let own = Arc::clone(&self.caller.quota.questions).try_acquire_owned().map_err(|_| too_many())?;
        let shared = timeout(self.limits().question_wait, Arc::clone(self.questions()).acquire_owned()).await;
        let shared = shared.map_err(|_| too_many())?.expect("BUG: this semaphore is never closed");
        let runtime = Handle::current();
        let result = run_blocking(move || {
            let _permits = (own, shared);
            runtime.block_on(work)
        });
        Ok(result.await)
    }
}

fn too_many() -> ProblemResponse {
    let detail = "too many questions about past states, causes, impacts or dry runs are being worked on";
    ProblemResponse::new(ErrorCode::TooManyQuestions, detail)
}
