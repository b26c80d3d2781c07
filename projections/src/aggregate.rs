//! The write side in the vocabulary of the `eventually` project.
//!
//! `fold` and `decide` are plain functions; this wraps them as `apply` and `handle`. The executor that batches, numbers
//! and stores is Headwater's own, because the crate's store knows no position, no metadata and no batch.

use alloc::boxed::Box;
use alloc::vec::Vec;

use eventually::aggregate::Aggregate;
use futures::future::BoxFuture;
use schema::change::ChangeError;
use schema::event::Event;
use schema::id::LogId;
use schema::position::Position;
use schema::request::Request;

use crate::configuration::Configuration;
use crate::refusal::RequestRefusal;
use crate::request::{RequestContext, decide_request};

/// The configuration of one log, as one aggregate: a decision may depend on any part of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FleetAggregate;

/// A refused request, or an event that can't be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// A request was refused.
    #[error(transparent)]
    Refused(#[from] RequestRefusal),
    /// This program can't read the change of an event.
    #[error(transparent)]
    ChangeError(#[from] ChangeError),
    /// An event is missing or repeated.
    #[error("event {found} came where {expected} was next")]
    Gap {
        /// The position after the last folded event.
        expected: Position,
        /// The position of the event.
        found: Position,
    },
}

impl Aggregate for FleetAggregate {
    type Id = LogId;
    type State = Configuration;
    type Event = Event;
    type Command = (RequestContext, Request);
    type Error = AggregateError;

    fn apply(mut state: Configuration, event: Event) -> Result<Configuration, AggregateError> {
        let expected = state.position().next();
        if event.position != expected {
            return Err(AggregateError::Gap { expected, found: event.position });
        }
        let change = event.change()?;
        state.fold(&event, &change);
        Ok(state)
    }

    fn handle<'a, 's: 'a>(
        &'a self,
        _id: &'s LogId,
        state: &'s Configuration,
        (envelope, request): (RequestContext, Request),
    ) -> BoxFuture<'a, Result<Option<Vec<Event>>, AggregateError>> {
        Box::pin(async move {
            let events = decide_request(state, &envelope, &request)?.events;
            Ok((!events.is_empty()).then_some(events))
        })
    }
}
