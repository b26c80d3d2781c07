//! One submitted request with its caller's identity, and what the caller is told.

use projections::expectation::{ConditionalRefusal, PlanCondition};
use projections::refusal::RequestRefusal;
use schema::answer::Answer;
use schema::entity::Actor;
use schema::id::CommandId;
use schema::lease::Entropy;
use schema::request::Request;

use super::clocks::ClockAhead;

/// A request with its actor and its identity.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) request: Request,
    pub(crate) actor: Actor,
    /// The request's identity: derived from actor and idempotency key, or drawn at random.
    pub(crate) command_id: CommandId,
    /// Random bytes for the decision, for example for the tokens of claims.
    pub(crate) entropy: Entropy,
    /// Whether the request came with an idempotency key, so that its answer is stored as a receipt.
    pub(crate) keyed: bool,
    pub(crate) plan: PlanCondition,
}

impl Submission {
    /// Bytes that the request counts for while it is in the queue: its body as received, or the content that it carries.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        /// Bytes of a command beside its content.
        const COMMAND_BYTES: usize = 1024;
        let commands = &self.request.commands;
        let contents: usize = commands.iter().filter_map(|ask| ask.command.content()).map(|c| c.bytes().len()).sum();
        self.request.bytes.max(contents) + COMMAND_BYTES * commands.len()
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The state refuses it.
    #[error(transparent)]
    Refused(#[from] RequestRefusal),
    /// It would not come out as its plan; nothing of it was stored.
    #[error("the request would not come out as its plan any more: make a dry run, and look at the new plan")]
    PlanChanged,
    /// Another request came under the same idempotency key.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// The queue is full; nothing of this request was accepted.
    #[error("too many requests are waiting")]
    Busy,
    /// PostgreSQL refuses the data of this request; nothing of it was stored.
    #[error("the log can't store this: {0}")]
    Unstorable(String),
    /// This server's clock is ahead; nothing of this request was stored.
    #[error(transparent)]
    ClockAhead(#[from] ClockAhead),
    /// The log can't be reached. Whether the request was stored is not known; it can be sent again under its key.
    #[error("the log is not available: {0}")]
    Unavailable(String),
}

/// The decision about one submission.
pub(crate) type SubmissionVerdict = Result<AcceptedSubmission, SubmissionRefusal>;

/// What an accepted submission is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AcceptedSubmission {
    pub(crate) answer: Answer,
    /// Whether the request was accepted before, under the same key. Then nothing is appended for this submission.
    pub(crate) is_repeated: bool,
}

/// Why a submission is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubmissionRefusal {
    /// The state refuses it.
    Refused(RequestRefusal),
    /// It would not come out as its plan.
    PlanChanged,
    /// Another request came under the same key.
    KeyReused,
}

impl From<ConditionalRefusal> for SubmissionRefusal {
    fn from(refusal: ConditionalRefusal) -> Self {
        match refusal {
            ConditionalRefusal::Refused(refused) => Self::Refused(refused),
            ConditionalRefusal::PlanChanged => Self::PlanChanged,
        }
    }
}

impl From<SubmissionRefusal> for SubmitError {
    fn from(rejection: SubmissionRefusal) -> Self {
        match rejection {
            SubmissionRefusal::Refused(refused) => Self::Refused(refused),
            SubmissionRefusal::PlanChanged => Self::PlanChanged,
            SubmissionRefusal::KeyReused => Self::KeyReused,
        }
    }
}
