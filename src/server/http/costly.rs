//! Costly questions: those about a past state, `why`, `impact` and dry runs, whose answers are folded and rendered anew.
//!
//! Always: at most as many are worked on at once as leave one core to the appender and the relay, and none is on an async
//! worker, which those two need. Whoever finds no place within a short wait is refused.

use std::future::Future;
use std::sync::Arc;

use axum::http::StatusCode;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::http::auth::Admitted;
use crate::http::blocking::apart;
use crate::http::problem::Problem;

impl Admitted {
    /// Answers a costly question on a blocking thread, once there is a place for it. It is worked on to its end even if the
    /// caller has gone, and keeps its place until then.
    pub(super) async fn costly<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let own = Arc::clone(&self.caller.account.questions).try_acquire_owned().map_err(|_| too_many())?;
        let place = timeout(self.limits().question_wait, Arc::clone(self.questions()).acquire_owned()).await;
        let place = place.map_err(|_| too_many())?.expect("BUG: the places for questions are never closed");
        let runtime = Handle::current();
        let answered = apart(move || {
            let _places = (own, place);
            runtime.block_on(work)
        });
        Ok(answered.await)
    }
}

fn too_many() -> Problem {
    let detail = "too many questions about past states, causes, impacts or dry runs are being worked on";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_questions", detail).retry_after(1)
}
