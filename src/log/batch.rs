//! Waiting requests decided together against the head of the log: pure, so that the appender only has to store.

use std::collections::BTreeMap;

use projections::configuration::Configuration;
use projections::refusal::Refused;
use projections::request::{Envelope, decide_request};
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
}

impl Batch {
    /// Decides submissions one after another, each against what the one before left. A refusal costs the others nothing.
    #[must_use]
    pub fn decide<'a>(
        log_id: LogId,
        state: &Configuration,
        clock: Instant,
        known: Vec<Receipt>,
        submissions: impl IntoIterator<Item = &'a Submission>,
    ) -> Self {
        let mut batch = Self {
            configuration: state.clone(),
            milestones: Vec::new(),
            events: Vec::new(),
            contents: BTreeMap::new(),
            receipts: Vec::new(),
            verdicts: Vec::new(),
        };
        let mut known: BTreeMap<CommandId, Receipt> =
            known.into_iter().map(|receipt| (receipt.command_id, receipt)).collect();
        for submission in submissions {
            let verdict = match known.get(&submission.command_id) {
                Some(receipt) if receipt.fingerprint == submission.request.fingerprint => Ok(receipt.answer.clone()),
                Some(_) => Err(No::KeyReused),
                None => batch.take(log_id, clock, submission, &mut known),
            };
            batch.verdicts.push(verdict);
        }
        batch
    }

    fn take(
        &mut self,
        log_id: LogId,
        clock: Instant,
        submission: &Submission,
        known: &mut BTreeMap<CommandId, Receipt>,
    ) -> Verdict {
        let Submission { request, actor, command_id, entropy, keyed } = submission;
        let (command_id, entropy) = (*command_id, *entropy);
        let envelope = Envelope { log_id, command_id, actor: actor.clone(), entropy, clock };
        let decided = decide_request(&self.configuration, &envelope, request).map_err(No::Refused)?;
        self.configuration = decided.configuration;
        self.milestones.extend(decided.events.last().filter(|last| is_due(last)).map(|_| self.configuration.clone()));
        self.events.extend(decided.events);
        let contents = request.commands.iter().filter_map(|ask| ask.command.content());
        self.contents.extend(contents.map(|content| (content.digest(), content.clone())));
        if *keyed {
            let fingerprint = request.fingerprint;
            let receipt = Receipt { command_id, fingerprint, answer: decided.answer.clone() };
            known.insert(command_id, receipt.clone());
            self.receipts.push(receipt);
        }
        Ok(decided.answer)
    }

    /// Whether there is anything to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.receipts.is_empty()
    }
}
