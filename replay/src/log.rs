//! The follower of a log: it checks and folds events one by one and names the first that does not follow.

use alloc::boxed::Box;

use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use schema::change::Change;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::position::Position;

use crate::event_error::EventError;
use crate::references;
use crate::tree::Frontier;

/// A log that is being folded from its first event on.
#[derive(Clone, Debug)]
pub struct Follower {
    log_id: LogId,
    configuration: Configuration,
    /// `None` if the follower does not maintain the tree.
    frontier: Option<Frontier>,
    next: Next,
}

/// Which event of which request comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Any event: a resumed state does not say whether it lies within a request.
    Any,
    /// The first event of a request.
    First,
    /// The next event of a request that has begun.
    Within {
        /// The id of the request.
        command_id: CommandId,
        /// The place of the event in the request.
        ordinal: u32,
        /// The number of events in the request.
        count: u32,
    },
}

/// The first event that is not what the log before it requires, and its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at position {position}: {fault}")]
pub struct DivergenceError {
    /// The first position that is wrong.
    pub position: Position,
    /// The error of the event there.
    pub fault: EventError,
}

/// An event whose seal was checked and whose change was read: all checks that need no other event, so that they can run in any
/// order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedEvent {
    event: Event,
    change: Change,
    /// Whether it begins a request that may have come with a plan. Then an auditor remembers the state before it.
    may_be_planned: bool,
}

impl OpenedEvent {
    /// Opens an event.
    ///
    /// # Errors
    /// If its seal is broken or its change can't be read. The error has the event, because its place in the log may tell more.
    pub fn new(event: Event) -> Result<Self, Box<(Event, EventError)>> {
        match event.is_intact().then(|| change_of(&event)) {
            Some(Ok(change)) => Ok(Self { may_be_planned: event.ordinal == 1 && event.count > 1, event, change }),
            Some(Err(fault)) => Err(Box::new((event, fault))),
            None => Err(Box::new((event, EventError::Unsealed))),
        }
    }

    /// Whether it begins a request that may have come with a plan.
    #[must_use]
    pub(crate) fn may_be_planned(&self) -> bool {
        self.may_be_planned
    }

    /// The end of its request is known, and is not an event about a plan.
    pub(crate) fn is_not_planned(&mut self) {
        self.may_be_planned = false;
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The change of the event.
    #[must_use]
    pub fn change(&self) -> &Change {
        &self.change
    }
}

fn change_of(event: &Event) -> Result<Change, EventError> {
    let change = event.change()?;
    if let Actor::Unknown(..) = event.actor {
        return Err(EventError::NewerActor { actor: event.actor.clone() });
    }
    match change.kind() == event.entity.kind {
        true => Ok(change),
        false => Err(EventError::Misplaced { event_type: event.event_type.clone(), entity: event.entity.clone() }),
    }
}

impl Follower {
    /// Follows the log from its beginning.
    #[must_use]
    pub fn new(log_id: LogId) -> Self {
        Self::resume(log_id, Configuration::default(), Frontier::default())
    }

    /// Goes on from a state that was folded before, and the frontier of the tree over the same events.
    #[must_use]
    pub fn resume(log_id: LogId, configuration: Configuration, frontier: Frontier) -> Self {
        assert_eq!(configuration.position(), frontier.size(), "BUG: a state and a frontier of one position");
        Self { frontier: Some(frontier), ..Self::without_tree(log_id, configuration) }
    }

    /// Continues from a state without maintaining the tree: [`Follower::frontier`] must not be called.
    #[must_use]
    pub fn without_tree(log_id: LogId, configuration: Configuration) -> Self {
        let next = if configuration.position() == Position::ZERO { Next::First } else { Next::Any };
        Self { log_id, configuration, frontier: None, next }
    }

    /// Goes on behind a request that ended with a state, as [`Follower::without_tree`].
    #[must_use]
    pub fn after_request(log_id: LogId, configuration: Configuration) -> Self {
        Self { next: Next::First, ..Self::without_tree(log_id, configuration) }
    }

    /// Which log is followed.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The state so far.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Gives up following and returns the state.
    #[must_use]
    pub fn into_configuration(self) -> Configuration {
        self.configuration
    }

    /// The frontier of the tree over all leaves so far.
    ///
    /// # Panics
    /// After [`Follower::without_tree`].
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        self.frontier.as_ref().expect("BUG: a follower without a tree has no frontier")
    }

    /// The last event that was followed.
    #[must_use]
    pub fn position(&self) -> Position {
        self.configuration.position()
    }

    /// Whether the request of the last event is there to its end.
    #[must_use]
    pub fn is_between_requests(&self) -> bool {
        !matches!(self.next, Next::Within { .. })
    }

    /// Checks the next event, folds it, and says which nodes it concerns.
    ///
    /// # Errors
    /// If it is not what the log before it requires; nothing is folded then.
    pub fn advance(&mut self, event: &Event) -> Result<AffectedNodes, DivergenceError> {
        let position = self.configuration.position().next();
        let diverges = |fault| DivergenceError { position, fault };
        self.check_place(event, position).map_err(diverges)?;
        if !event.is_intact() {
            return Err(diverges(EventError::Unsealed));
        }
        self.check_order(event).map_err(diverges)?;
        let change = change_of(event).map_err(diverges)?;
        self.fold(event, &change).map_err(diverges)
    }

    /// As [`Follower::advance`], with an event that was opened before.
    ///
    /// # Errors
    /// If it is not what the log before it requires; nothing is folded then.
    pub fn advance_opened(&mut self, opened: &OpenedEvent) -> Result<AffectedNodes, DivergenceError> {
        let position = self.configuration.position().next();
        let diverges = |fault| DivergenceError { position, fault };
        self.check_place(&opened.event, position).map_err(diverges)?;
        self.check_order(&opened.event).map_err(diverges)?;
        self.fold(&opened.event, &opened.change).map_err(diverges)
    }

    /// What diverges where an event comes that can't be opened: that it is in the wrong place, if it is, and else what
    /// [`OpenedEvent::new`] found. Nothing is folded.
    #[must_use]
    pub fn divergence_at(&self, event: &Event, found: EventError) -> DivergenceError {
        let position = self.configuration.position().next();
        let placed = self.check_place(event, position);
        let fault = match found {
            EventError::Unsealed => placed.err().unwrap_or(found),
            _ => placed.and_then(|()| self.check_order(event)).err().unwrap_or(found),
        };
        DivergenceError { position, fault }
    }

    fn fold(&mut self, event: &Event, change: &Change) -> Result<AffectedNodes, EventError> {
        references::check(&self.configuration, event, change)?;
        self.next = Next::after(event);
        if let Some(frontier) = &mut self.frontier {
            frontier.push(event.leaf);
        }
        Ok(self.configuration.fold(event, change))
    }

    fn check_place(&self, event: &Event, next: Position) -> Result<(), EventError> {
        if event.log_id != self.log_id {
            return Err(EventError::OtherLog { expected: self.log_id, found: event.log_id });
        }
        if event.position != next {
            return Err(EventError::Gap { found: event.position });
        }
        Ok(())
    }

    fn check_order(&self, event: &Event) -> Result<(), EventError> {
        let expected = self.configuration.version(&event.entity).next();
        if event.version != expected {
            return Err(EventError::Version { entity: event.entity.clone(), expected, found: event.version });
        }
        if !self.next.is(event) {
            return Err(EventError::Torn);
        }
        match self.configuration.at() {
            before if event.at < before => Err(EventError::Time { before, found: event.at }),
            _ => Ok(()),
        }
    }
}

impl Next {
    fn after(event: &Event) -> Self {
        match event.ends_request() {
            true => Self::First,
            false => Self::Within { command_id: event.command_id, ordinal: event.ordinal + 1, count: event.count },
        }
    }

    fn is(self, event: &Event) -> bool {
        let inside = (1..=event.count).contains(&event.ordinal);
        inside
            && match self {
                Self::Any => true,
                Self::First => event.ordinal == 1,
                Self::Within { command_id, ordinal, count } => {
                    (event.command_id, event.ordinal, event.count) == (command_id, ordinal, count)
                }
            }
    }
}
