//! How a step of the relay ended, which decides the next state.

use crate::backend::Error as BackendError;
use crate::publish::Error as PublishError;

use super::error::Error;

/// How a step of the relay ended.
#[derive(Debug)]
pub(super) enum RelayOutcome {
    /// NATS has everything that this step was about.
    Published,
    /// NATS did not take it, or is not as the relay left it: a resync may help, and the slot stays held.
    Blocked(PublishError),
    /// The log diverged, or the log, the slot or the prefix in NATS can't be used: the slot is given up.
    Failed(Error),
}

impl From<Result<(), Error>> for RelayOutcome {
    fn from(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::Published,
            Err(Error::Backend(BackendError::Publish(error))) if error.is_transient() => Self::Blocked(error),
            Err(error) => Self::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use replay::event_error::EventError;
    use replay::log::DivergenceError;
    use schema::position::Position;
    use store::database::Error as LogError;

    use super::*;

    fn outcome(error: impl Into<Error>) -> RelayOutcome {
        Err(error.into()).into()
    }

    #[test]
    fn only_what_a_resync_may_mend_keeps_the_slot() {
        assert!(matches!(Ok(()).into(), RelayOutcome::Published));
        assert!(matches!(outcome(PublishError::Disturbed("a bucket".into())), RelayOutcome::Blocked(_)));
        assert!(matches!(outcome(PublishError::nats("publishing", "no answer")), RelayOutcome::Blocked(_)));
        let (found, head) = (Position::from(9), Position::from(7));
        let forked = PublishError::Forked { what: "a stream".into(), found, head };
        assert!(matches!(outcome(forked), RelayOutcome::Failed(Error::Backend(BackendError::Publish(_)))));
        let shorter = outcome(LogError::WentBack { head, folded: found });
        assert!(matches!(shorter, RelayOutcome::Failed(Error::Backend(BackendError::Log(_)))));
        let diverged = DivergenceError { position: found, fault: EventError::Unsealed };
        assert!(matches!(outcome(diverged), RelayOutcome::Failed(Error::Diverged(_))));
    }
}
