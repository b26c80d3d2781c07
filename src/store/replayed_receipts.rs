//! Answers to requests whose events were restored: the events came back, the request and its answer did not.
//!
//! A request's events follow from the request and the state before it, down to their seals. So a caller that sends the request again
//! under its key gets the answer if deciding it again, against that state and with that date, gives exactly the events that are there.
//! Claims are the exception: their tokens were drawn at random and can't be drawn again.

use projections::request::{RequestContext, decide_in_place, decide_planned};
use replay::as_of::AsOf;
use schema::answer::Answer;
use schema::change::Change;

use super::database::Error;
use super::log::Log;
use super::restore_events::fingerprint_of;
use super::submission::Submission;

impl Log {
    /// The answer to a request whose receipt was made from its events, if it is that request.
    pub(super) async fn answered_before(&self, submission: Submission) -> Result<Option<Answer>, Error> {
        let Submission { request, actor, command_id, entropy, .. } = submission;
        let events = self.reader().events_of(command_id).await?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
        if self.reader().fingerprint(command_id).await? != Some(fingerprint_of(last)) {
            return Ok(None);
        }
        let before = first.position.previous();
        let Some(state) = self.past(AsOf::Position(before)).await? else { return Ok(None) };
        let envelope = RequestContext { log_id: self.log_id(), command_id, actor, entropy, clock: first.at };
        let kept = match last.change() {
            Ok(Change::PlanKept(kept)) => Some(kept),
            _ => None,
        };
        let deciding = tokio::task::spawn_blocking(move || {
            let mut state = state;
            match kept {
                Some(kept) => decide_planned(&mut state, &envelope, &request, kept),
                None => decide_in_place(&mut state, &envelope, &request),
            }
        });
        let decided = deciding.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
        Ok(decided.ok().filter(|decided| decided.events == events).map(|decided| decided.answer))
    }
}
