//! Following a log event by event, and naming the first place where it is not what it should be.

use alloc::string::String;

use projections::configuration::Configuration;
use projections::fold::Touched;
use schema::change::Unreadable;
use schema::entity::Entity;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::position::{Position, Version};

use crate::tree::Edge;

/// A log that is being folded from its first event on.
#[derive(Clone, Debug)]
pub struct Follower {
    log_id: LogId,
    configuration: Configuration,
    /// Nothing if no tree is grown.
    edge: Option<Edge>,
    next: Next,
}

/// Which event of which request comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Any: following goes on from a state, and a state does not say where in a request it was left.
    Any,
    /// The first of a request.
    First,
    /// This one of this request.
    Within {
        /// Whose.
        command_id: CommandId,
        /// Its place.
        ordinal: u32,
        /// How many the request has.
        count: u32,
    },
}

/// An event is not what the log before it requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at position {position}: {fault}")]
pub struct Divergence {
    /// The first position that is wrong.
    pub position: Position,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It belongs to another log.
    #[error("the event belongs to log {found}, not to {expected}")]
    OtherLog {
        /// The log that is followed.
        expected: LogId,
        /// The event's.
        found: LogId,
    },
    /// One is missing, or came again.
    #[error("event {found} came where this one was next")]
    Gap {
        /// The event that came.
        found: Position,
    },
    /// The leaf is not the one that seals these fields.
    #[error("the event's fields are not those that its leaf seals")]
    Unsealed,
    /// Versions of an entity don't count up.
    #[error("{entity} has version {found}, {expected} was next")]
    Version {
        /// Which entity.
        entity: Entity,
        /// The version that was next.
        expected: Version,
        /// The event's.
        found: Version,
    },
    /// Time ran backwards.
    #[error("the event is dated {found}, before its predecessor at {before}")]
    Time {
        /// The predecessor's.
        before: Instant,
        /// The event's.
        found: Instant,
    },
    /// A request ends early, begins late, or holds an event of another one.
    #[error("the events of a request are not all there, one after another")]
    Torn,
    /// Such a thing can't happen to such an entity.
    #[error("{event_type} can't happen to {entity}")]
    Misplaced {
        /// What happened.
        event_type: String,
        /// To what.
        entity: Entity,
    },
    /// The change can't be understood.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Follower {
    /// Follows the log from its beginning.
    #[must_use]
    pub fn new(log_id: LogId) -> Self {
        Self::resume(log_id, Configuration::default(), Edge::default())
    }

    /// Goes on from a state that was folded before, and the edge of the tree over the same events.
    #[must_use]
    pub fn resume(log_id: LogId, configuration: Configuration, edge: Edge) -> Self {
        assert_eq!(configuration.position(), edge.size(), "BUG: a state and an edge of one position");
        Self { edge: Some(edge), ..Self::glance(log_id, configuration) }
    }

    /// Goes on from a state for a look at a later one: no tree grows with it, and there is no [`Follower::edge`].
    #[must_use]
    pub fn glance(log_id: LogId, configuration: Configuration) -> Self {
        let next = if configuration.position() == Position::ZERO { Next::First } else { Next::Any };
        Self { log_id, configuration, edge: None, next }
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

    /// The state so far, for good.
    #[must_use]
    pub fn into_configuration(self) -> Configuration {
        self.configuration
    }

    /// The edge of the tree over all leaves so far.
    ///
    /// # Panics
    /// After [`Follower::glance`].
    #[must_use]
    pub fn edge(&self) -> &Edge {
        self.edge.as_ref().expect("BUG: whoever glances at a log asks for no tree")
    }

    /// The last event that was followed.
    #[must_use]
    pub fn position(&self) -> Position {
        self.configuration.position()
    }

    /// Checks the next event, folds it, and says which nodes it concerns.
    ///
    /// # Errors
    /// If it is not what the log before it requires; nothing is folded then.
    pub fn advance(&mut self, event: &Event) -> Result<Touched, Divergence> {
        let position = self.configuration.position().next();
        let diverges = |fault| Divergence { position, fault };
        self.check(event, position).map_err(diverges)?;
        let change = event.change().map_err(|unreadable| diverges(unreadable.into()))?;
        if change.kind() != event.entity.kind {
            let (event_type, entity) = (event.event_type.clone(), event.entity.clone());
            return Err(diverges(Fault::Misplaced { event_type, entity }));
        }
        self.next = Next::after(event);
        if let Some(edge) = &mut self.edge {
            edge.push(event.leaf);
        }
        Ok(self.configuration.fold(event, &change))
    }

    fn check(&self, event: &Event, next: Position) -> Result<(), Fault> {
        if event.log_id != self.log_id {
            return Err(Fault::OtherLog { expected: self.log_id, found: event.log_id });
        }
        if event.position != next {
            return Err(Fault::Gap { found: event.position });
        }
        if !event.is_intact() {
            return Err(Fault::Unsealed);
        }
        let expected = self.configuration.version(&event.entity).next();
        if event.version != expected {
            return Err(Fault::Version { entity: event.entity.clone(), expected, found: event.version });
        }
        if !self.next.is(event) {
            return Err(Fault::Torn);
        }
        match self.configuration.at() {
            before if event.at < before => Err(Fault::Time { before, found: event.at }),
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
