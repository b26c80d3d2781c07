//! Answering again what was answered before the database was put back: the events came back, and not what was asked.
//!
//! A request's events follow from it and from the state that it met, down to their seals. So whoever sends it again under its key
//! is believed if deciding it again, against that state and dated as it was, comes to the very events that are there; then the
//! answer follows as well. Claims are the exception: their tokens were drawn at random, and nobody can draw them again.

use projections::request::{Envelope, decide_request};
use schema::answer::Answer;
use schema::position::Position;

use super::adopt::mark;
use super::database::Error;
use super::handle::{Log, Moment};
use super::submission::Submission;

impl Log {
    /// The answer to a request whose receipt was made from its events, if it is that request.
    pub(super) async fn answered_before(&self, submission: Submission) -> Result<Option<Answer>, Error> {
        let Submission { request, actor, command_id, entropy, .. } = submission;
        let events = self.reader().events_of(command_id).await?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
        if self.reader().fingerprint(command_id).await? != Some(mark(last)) {
            return Ok(None);
        }
        let before = Position::from(first.position.get() - 1);
        let Some(state) = self.past(Moment::Position(before)).await? else { return Ok(None) };
        let envelope = Envelope { log_id: self.log_id(), command_id, actor, entropy, clock: first.at };
        let deciding = tokio::task::spawn_blocking(move || decide_request(&state, &envelope, &request));
        let decided = deciding.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
        Ok(decided.ok().filter(|decided| decided.events == events).map(|decided| decided.answer))
    }
}
