//! A batch of submissions, decided one after another against a state of the log. Pure: the appender stores the result.

use std::collections::BTreeMap;
use std::sync::Arc;

use projections::configuration::Configuration;
use projections::expectation::{PlanCondition, decide_on_condition};
use projections::request::RequestContext;
use replay::tree::Frontier;
use schema::answer::Answer;
use schema::command::Content;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;

use super::snapshots::is_due;
use super::submission::{AcceptedSubmission, Submission, SubmissionRefusal, SubmissionVerdict};
use super::tree::Growth;

/// The stored answer to a request that came with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestReceipt {
    /// The request's identity, derived from actor and key.
    pub(crate) command_id: CommandId,
    /// The digest of the request, by which the same request is told from another one under the same key.
    pub(crate) fingerprint: Digest,
    pub(crate) answer: Answer,
}

/// A decided batch: what to store, and what to answer once it is stored.
#[derive(Debug)]
pub(crate) struct DecidedBatch {
    /// The state after it.
    pub(crate) configuration: Configuration,
    /// The tree after it.
    pub(crate) growth: Growth,
    /// States within it that become snapshots.
    pub(crate) snapshots: Vec<Configuration>,
    /// Events in the order of the log.
    pub(crate) events: Vec<Event>,
    /// Content that the events name, each once.
    pub(crate) contents: BTreeMap<Digest, Content>,
    /// Receipts of its own keyed requests.
    pub(crate) receipts: Vec<RequestReceipt>,
    /// One for each submission, in order.
    pub(crate) verdicts: Vec<SubmissionVerdict>,
    log_id: LogId,
    /// The state and the tree before it.
    base: (Configuration, Frontier),
    /// Receipts of its requests that were stored before it.
    stored: Vec<RequestReceipt>,
    /// `stored` and `receipts`.
    known: BTreeMap<CommandId, RequestReceipt>,
    /// Its submissions, with the clock by which each was decided.
    submissions: Vec<(Arc<Submission>, Instant)>,
    /// Whether each request is decided on a copy of the state, because one was refused after it had begun to change the state.
    decides_on_copies: bool,
}

impl DecidedBatch {
    /// An empty batch, to be decided against a state with its tree. `stored` are the receipts that its requests have already.
    #[must_use]
    pub(crate) fn new(
        log_id: LogId,
        (state, frontier): (Configuration, Frontier),
        stored: Vec<RequestReceipt>,
    ) -> Self {
        Self {
            configuration: state.clone(),
            growth: frontier.clone().into(),
            snapshots: Vec::new(),
            events: Vec::new(),
            contents: BTreeMap::new(),
            receipts: Vec::new(),
            verdicts: Vec::new(),
            log_id,
            base: (state, frontier),
            known: stored.iter().map(|receipt| (receipt.command_id, receipt.clone())).collect(),
            stored,
            submissions: Vec::new(),
            decides_on_copies: false,
        }
    }

    /// Decides one more submission against the state that the ones before it left. A refusal does not affect the others.
    pub(crate) fn decide_next(&mut self, submission: Arc<Submission>, clock: Instant) {
        let before = self.configuration.position();
        let verdict = match self.known.get(&submission.command_id) {
            Some(receipt) if receipt.fingerprint == submission.request.fingerprint => {
                Ok(AcceptedSubmission { answer: receipt.answer.clone(), is_repeated: true })
            }
            Some(_) => Err(SubmissionRefusal::KeyReused),
            None => self.decide(&submission, clock),
        };
        let is_half_applied = verdict.is_err() && self.configuration.position() != before;
        self.submissions.push((submission, clock));
        self.verdicts.push(verdict);
        if is_half_applied {
            self.decide_again_on_copies();
        }
    }

    fn decide(&mut self, submission: &Submission, clock: Instant) -> SubmissionVerdict {
        let Submission { request, actor, command_id, entropy, keyed, plan } = submission;
        let (log_id, command_id, entropy) = (self.log_id, *command_id, *entropy);
        let envelope = RequestContext { log_id, command_id, actor: actor.clone(), entropy, clock };
        // One with a plan may turn out otherwise only when all of it is decided.
        let needs_copy = self.decides_on_copies || !matches!(plan, PlanCondition::None);
        let copy = needs_copy.then(|| self.configuration.clone());
        let decided = decide_on_condition(&mut self.configuration, &envelope, request, plan);
        if let (Err(_), Some(copy)) = (&decided, copy) {
            self.configuration = copy;
        }
        let decided = decided?;
        decided.events.iter().for_each(|event| self.growth.push(event.leaf));
        self.snapshots.extend(decided.events.last().filter(|last| is_due(last)).map(|_| self.configuration.clone()));
        self.events.extend(decided.events);
        let contents = request.commands.iter().filter_map(|ask| ask.command.content());
        self.contents.extend(contents.map(|content| (content.digest(), content.clone())));
        if *keyed {
            let fingerprint = request.fingerprint;
            let receipt = RequestReceipt { command_id, fingerprint, answer: decided.answer.clone() };
            self.known.insert(command_id, receipt.clone());
            self.receipts.push(receipt);
        }
        Ok(AcceptedSubmission { answer: decided.answer, is_repeated: false })
    }

    /// Decides all submissions again, each on a copy of the state. This happens at most once for a batch, so a caller whose requests
    /// are refused late can at most double the work.
    fn decide_again_on_copies(&mut self) {
        let (base, stored) = (self.base.clone(), std::mem::take(&mut self.stored));
        let submissions = std::mem::take(&mut self.submissions);
        *self = Self { decides_on_copies: true, ..Self::new(self.log_id, base, stored) };
        submissions.into_iter().for_each(|(submission, clock)| self.decide_next(submission, clock));
    }

    /// Whether a speculative decision holds: it is about as many requests, was made against the state at the head, and none of the
    /// requests had a receipt.
    #[must_use]
    pub(crate) fn holds_for(&self, requests: usize, head: &Configuration) -> bool {
        self.stored.is_empty() && self.submissions.len() == requests && self.base.0.position() == head.position()
    }

    /// The latest clock that dates any of its events.
    pub(crate) fn clock(&self) -> Option<Instant> {
        self.submissions.iter().map(|(_, clock)| *clock).max()
    }

    /// The state and the tree that it was decided against.
    pub(crate) fn base(&self) -> &(Configuration, Frontier) {
        &self.base
    }

    /// Whether there is nothing to store.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.receipts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use projections::request::decide_request;
    use schema::command::{Command, EnrolNode};
    use schema::entity::Actor;
    use schema::labels::Labels;
    use schema::request::Request;

    use super::*;

    fn submission(number: u128, commands: Vec<Command>) -> Arc<Submission> {
        let actor = Actor::Install;
        let command_id = CommandId::from(uuid::Uuid::from_u128(number));
        Arc::new(Submission {
            request: Request::of(commands),
            actor,
            command_id,
            entropy: [1; 16],
            keyed: false,
            plan: PlanCondition::None,
        })
    }

    fn enrol(id: &str, site: &str) -> Command {
        let labels = Labels::from([("site", site)]);
        Command::EnrolNode(EnrolNode { id: id.parse().expect("an id"), labels, keys: None })
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
        let mut batch = DecidedBatch::new(log_id, (Configuration::default(), Frontier::default()), Vec::new());
        let mut state = Configuration::default();
        let (mut events, mut verdicts) = (Vec::new(), Vec::new());
        for submission in submissions {
            batch.decide_next(Arc::clone(&submission), clock);
            let Submission { request, actor, command_id, entropy, .. } = &*submission;
            let (command_id, entropy) = (*command_id, *entropy);
            let envelope = RequestContext { log_id, command_id, actor: actor.clone(), entropy, clock };
            verdicts.push(decide_request(&state, &envelope, request).map_err(SubmissionRefusal::Refused).map(
                |decided| {
                    state = decided.configuration;
                    events.extend(decided.events);
                    AcceptedSubmission { answer: decided.answer, is_repeated: false }
                },
            ));
            assert_eq!((&batch.events, &batch.verdicts), (&events, &verdicts), "{request:?}");
            assert_eq!(batch.configuration, state);
            assert_eq!(batch.growth.frontier(), &Frontier::over(events.iter().map(|event| event.leaf)));
        }
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_err()).count(), 3, "{verdicts:?}");
    }
}
