//! Waiting requests decided together against the head of the log: pure, so that the appender only has to store.

use std::collections::BTreeMap;
use std::sync::Arc;

use projections::configuration::Configuration;
use projections::refusal::Refused;
use projections::request::{Envelope, decide_in_place};
use replay::tree::Edge;
use schema::answer::Answer;
use schema::command::Content;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::lease::Entropy;
use schema::request::Request;

use super::kept::is_due;
use super::tree::Growth;

/// A request with who sends it and under which key.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What is asked.
    pub request: Request,
    /// Who asks.
    pub actor: Actor,
    /// The request's identity.
    pub command_id: CommandId,
    /// Bytes drawn at random for it.
    pub entropy: Entropy,
    /// Whether it came under an idempotency key, so that its answer is kept.
    pub keyed: bool,
}

impl Submission {
    /// What it weighs while it waits: what it came in, or what it carries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        /// What a command weighs beside its content.
        const COMMAND_BYTES: usize = 1024;
        let commands = &self.request.commands;
        let contents: usize = commands.iter().filter_map(|ask| ask.command.content()).map(|c| c.bytes().len()).sum();
        self.request.bytes.max(contents) + COMMAND_BYTES * commands.len()
    }
}

/// The answer that was given to a keyed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The request's identity, derived from principal and key.
    pub command_id: CommandId,
    /// What was asked.
    pub fingerprint: Digest,
    /// What was answered.
    pub answer: Answer,
}

/// What one submission comes to.
pub type Verdict = Result<Answer, No>;

/// Why a submission is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// The state refuses it.
    Refused(Refused),
    /// Another request came under the same key.
    KeyReused,
}

/// A decided batch: what to store, and what to answer once it is stored.
#[derive(Debug)]
pub struct Batch {
    /// The state after it.
    pub configuration: Configuration,
    /// The tree after it.
    pub growth: Growth,
    /// States within it that are to be kept.
    pub milestones: Vec<Configuration>,
    /// Events in the order of the log.
    pub events: Vec<Event>,
    /// Content that the events name, each once.
    pub contents: BTreeMap<Digest, Content>,
    /// Receipts of keyed requests.
    pub receipts: Vec<Receipt>,
    /// One for each submission, in order.
    pub verdicts: Vec<Verdict>,
    log_id: LogId,
    /// The state and the tree before it.
    base: (Configuration, Edge),
    /// Receipts that were there before it.
    stored: Vec<Receipt>,
    /// These, and its own.
    known: BTreeMap<CommandId, Receipt>,
    /// What it decided, and when.
    submissions: Vec<(Arc<Submission>, Instant)>,
    /// Whether each request is decided on a copy, because one was refused after it had begun to change the state.
    careful: bool,
}

impl Batch {
    /// A batch of nothing yet, to be decided against a state with its tree. `stored` are the receipts that there are of its
    /// requests.
    #[must_use]
    pub fn new(log_id: LogId, (state, edge): (Configuration, Edge), stored: Vec<Receipt>) -> Self {
        Self {
            configuration: state.clone(),
            growth: edge.clone().into(),
            milestones: Vec::new(),
            events: Vec::new(),
            contents: BTreeMap::new(),
            receipts: Vec::new(),
            verdicts: Vec::new(),
            log_id,
            base: (state, edge),
            known: stored.iter().map(|receipt| (receipt.command_id, receipt.clone())).collect(),
            stored,
            submissions: Vec::new(),
            careful: false,
        }
    }

    /// Decides one more submission against what the ones before it left. A refusal costs the others nothing.
    pub fn take(&mut self, submission: Arc<Submission>, clock: Instant) {
        let before = self.configuration.position();
        let verdict = match self.known.get(&submission.command_id) {
            Some(receipt) if receipt.fingerprint == submission.request.fingerprint => Ok(receipt.answer.clone()),
            Some(_) => Err(No::KeyReused),
            None => self.decide(&submission, clock),
        };
        let is_spoiled = verdict.is_err() && self.configuration.position() != before;
        self.submissions.push((submission, clock));
        self.verdicts.push(verdict);
        if is_spoiled {
            self.again_with_care();
        }
    }

    fn decide(&mut self, submission: &Submission, clock: Instant) -> Verdict {
        let Submission { request, actor, command_id, entropy, keyed } = submission;
        let (log_id, command_id, entropy) = (self.log_id, *command_id, *entropy);
        let envelope = Envelope { log_id, command_id, actor: actor.clone(), entropy, clock };
        let copy = self.careful.then(|| self.configuration.clone());
        let decided = decide_in_place(&mut self.configuration, &envelope, request);
        if let (Err(_), Some(copy)) = (&decided, copy) {
            self.configuration = copy;
        }
        let decided = decided.map_err(No::Refused)?;
        decided.events.iter().for_each(|event| self.growth.push(event.leaf));
        self.milestones.extend(decided.events.last().filter(|last| is_due(last)).map(|_| self.configuration.clone()));
        self.events.extend(decided.events);
        let contents = request.commands.iter().filter_map(|ask| ask.command.content());
        self.contents.extend(contents.map(|content| (content.digest(), content.clone())));
        if *keyed {
            let fingerprint = request.fingerprint;
            let receipt = Receipt { command_id, fingerprint, answer: decided.answer.clone() };
            self.known.insert(command_id, receipt.clone());
            self.receipts.push(receipt);
        }
        Ok(decided.answer)
    }

    /// Decides all of it again, each request on a copy: at most once for a batch, so that whoever sends what is refused
    /// late can at most double the work.
    fn again_with_care(&mut self) {
        let (base, stored) = (self.base.clone(), std::mem::take(&mut self.stored));
        let submissions = std::mem::take(&mut self.submissions);
        *self = Self { careful: true, ..Self::new(self.log_id, base, stored) };
        submissions.into_iter().for_each(|(submission, clock)| self.take(submission, clock));
    }

    /// Whether this is what `submissions` come to at the head of the log, where no receipt is known of any of them.
    #[must_use]
    pub fn is_of(&self, submissions: usize, head: &Configuration) -> bool {
        self.stored.is_empty() && self.submissions.len() == submissions && self.base.0.position() == head.position()
    }

    /// The latest clock that dates any of it.
    pub(crate) fn clock(&self) -> Option<Instant> {
        self.submissions.iter().map(|(_, clock)| *clock).max()
    }

    /// What it was decided from.
    pub(crate) fn base(&self) -> &(Configuration, Edge) {
        &self.base
    }

    /// Whether there is anything to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.receipts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use projections::request::decide_request;
    use schema::command::Command;
    use schema::target::Labels;

    use super::*;

    fn submission(number: u128, commands: Vec<Command>) -> Arc<Submission> {
        let actor = Actor::Install;
        let command_id = CommandId::from(uuid::Uuid::from_u128(number));
        Arc::new(Submission { request: Request::of(commands), actor, command_id, entropy: [1; 16], keyed: false })
    }

    fn enrol(id: &str, site: &str) -> Command {
        let labels = Labels::from([("site".into(), site.into())]);
        Command::EnrolNode(id.parse().expect("an id"), labels)
    }

    fn retire(id: &str) -> Command {
        Command::RetireNode(id.parse().expect("an id"))
    }

    #[test]
    fn a_refusal_costs_the_others_nothing_however_late_it_comes() {
        let (log_id, clock) = (LogId::from(uuid::Uuid::from_u128(7)), Instant::from_unix_micros(1));
        let asked = [
            vec![enrol("a", "lund")],
            vec![retire("nobody")],
            vec![enrol("b", "lund"), retire("a"), retire("nobody")],
            vec![enrol("b", "oslo")],
            vec![enrol("c", "lund"), enrol("b", "rome")],
            vec![retire("b"), enrol("b", "rome")],
        ];
        let submissions = (1..).zip(asked).map(|(number, commands)| submission(number, commands));
        let mut batch = Batch::new(log_id, (Configuration::default(), Edge::default()), Vec::new());
        let mut state = Configuration::default();
        let (mut events, mut verdicts) = (Vec::new(), Vec::new());
        for submission in submissions {
            batch.take(Arc::clone(&submission), clock);
            let Submission { request, actor, command_id, entropy, .. } = &*submission;
            let (command_id, entropy) = (*command_id, *entropy);
            let envelope = Envelope { log_id, command_id, actor: actor.clone(), entropy, clock };
            verdicts.push(decide_request(&state, &envelope, request).map_err(No::Refused).map(|decided| {
                state = decided.configuration;
                events.extend(decided.events);
                decided.answer
            }));
            assert_eq!((&batch.events, &batch.verdicts), (&events, &verdicts), "{request:?}");
            assert_eq!(batch.configuration, state);
            assert_eq!(batch.growth.edge(), &Edge::over(events.iter().map(|event| event.leaf)));
        }
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_err()).count(), 3, "{verdicts:?}");
    }
}
