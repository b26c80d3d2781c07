//! A log in memory. Decisions, folds and seals are the real ones; only the storage is not.

use api::proof::SignedCheckpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;
use projections::configuration::Configuration;
use projections::expectation::{ConditionalRefusal, PlanCondition, decide_on_condition};
use projections::request::RequestContext;
use replay::checkpoint::Checkpoint;
use replay::log::Follower;
use replay::tree::{Frontier, ProofHashes, TreeQuery};
use schema::answer::Answer;
use schema::command::KnownContent;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::event::Event;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::position::Position;
use schema::request::Request;
use schema::seal::{PublicKey, SecretKey};
use server::event_log::{
    AsOf, DamagedError, EventLog, EventPage, LogReadError, PastStateError, SubmitError, UnavailableError,
};
use tokio::sync::watch;
use uuid::Uuid;

/// How long a slow fold holds its thread at most.
const FOLD_TIME_MAX: Duration = Duration::from_secs(5);

/// The log.
pub(crate) struct Memory {
    log_id: LogId,
    state: Mutex<State>,
    heads: watch::Sender<Position>,
    /// Whether the log can be read and written.
    pub(crate) is_broken: AtomicBool,
    /// Whether submissions find the queue full.
    pub(crate) is_busy: AtomicBool,
    /// Whether submissions are never answered.
    pub(crate) is_stuck: AtomicBool,
    /// An event that is not what was appended; 0 for none.
    pub(crate) damaged: AtomicU64,
    /// Submissions that were not answered.
    pub(crate) waiting: AtomicUsize,
    /// Whether a fold of the past goes on, on the thread that it began on.
    is_slow: Mutex<bool>,
    quick: Condvar,
    /// Folds of the past that go on.
    pub(crate) folding: AtomicUsize,
}

#[derive(Default)]
struct State {
    configuration: Configuration,
    events: Vec<Event>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    receipts: BTreeMap<CommandId, (Digest, Answer)>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            log_id: Uuid::from_u128(7).into(),
            state: Mutex::default(),
            heads: watch::Sender::default(),
            is_broken: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            damaged: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            is_slow: Mutex::new(false),
            quick: Condvar::new(),
            folding: AtomicUsize::new(0),
        }
    }

    /// Erases a payload, as a law may demand.
    pub(crate) fn erase(&self, digest: Digest) {
        self.state.lock().unwrap().blobs.remove(&digest);
    }

    /// Lets folds of the past go on until they are let go.
    pub(crate) fn set_slow(&self, is_slow: bool) {
        *self.is_slow.lock().unwrap() = is_slow;
        self.quick.notify_all();
    }

    pub(crate) fn append(&self, request: &Request, actor: &Actor, key: Option<&str>) -> Result<Answer, SubmitError> {
        self.append_on_condition(request, actor, key, &PlanCondition::None)
    }

    fn append_on_condition(
        &self,
        request: &Request,
        actor: &Actor,
        key: Option<&str>,
        plan: &PlanCondition,
    ) -> Result<Answer, SubmitError> {
        let mut state = self.state.lock().unwrap();
        let command_id = match key {
            Some(key) => CommandId::derived(self.log_id, &actor.to_string(), key),
            None => Uuid::now_v7().into(),
        };
        match state.receipts.get(&command_id) {
            Some((fingerprint, answer)) if *fingerprint == request.fingerprint => return Ok(answer.clone()),
            Some(_) => return Err(SubmitError::KeyReused),
            None => {}
        }
        let envelope = RequestContext {
            log_id: self.log_id,
            command_id,
            actor: actor.clone(),
            entropy: Uuid::now_v7().into_bytes(),
            clock: now(),
        };
        let mut configuration = state.configuration.clone();
        let decided = decide_on_condition(&mut configuration, &envelope, request, plan);
        let decided = decided.map_err(|refusal| match refusal {
            ConditionalRefusal::Refused(refused) => SubmitError::Refused(refused),
            ConditionalRefusal::PlanChanged => SubmitError::PlanChanged,
        })?;
        let contents = request.commands.iter().filter_map(|ask| ask.command.content());
        state.blobs.extend(contents.map(|content| (content.digest(), content.bytes().to_vec())));
        state.receipts.insert(command_id, (request.fingerprint, decided.answer.clone()));
        state.events.extend(decided.events);
        state.configuration = configuration;
        self.heads.send_replace(state.configuration.position());
        Ok(decided.answer)
    }

    fn sound(&self) -> Result<(), UnavailableError> {
        match self.is_broken.load(Ordering::Relaxed) {
            true => Err(UnavailableError("the log can't be reached".into())),
            false => Ok(()),
        }
    }

    fn those(&self, wanted: impl Fn(&Event) -> bool) -> Result<Vec<Event>, LogReadError> {
        self.sound()?;
        Ok(self.intact(self.state.lock().unwrap().events.iter().filter(|event| wanted(event)).cloned().collect())?)
    }

    fn intact(&self, events: Vec<Event>) -> Result<Vec<Event>, DamagedError> {
        let damaged = Position::from(self.damaged.load(Ordering::Relaxed));
        match events.iter().any(|event| event.position == damaged) {
            true => Err(DamagedError(format!("the log is not intact at position {damaged}: a test says so"))),
            false => Ok(events),
        }
    }

    fn fold(&self, at: AsOf) -> Result<Configuration, PastStateError> {
        self.sound()?;
        self.folding.fetch_add(1, Ordering::Relaxed);
        let is_slow = self.is_slow.lock().unwrap();
        drop(self.quick.wait_timeout_while(is_slow, FOLD_TIME_MAX, |is_slow| *is_slow).unwrap());
        self.folding.fetch_sub(1, Ordering::Relaxed);
        let state = self.state.lock().unwrap();
        let head = state.configuration.position();
        if matches!(at, AsOf::Position(position) if position > head) {
            return Err(PastStateError::Future { head });
        }
        let is_past = |event: &Event| match at {
            AsOf::Position(position) => event.position <= position,
            AsOf::Time(time) => event.at <= time,
        };
        let mut follower = Follower::new(self.log_id);
        let mut in_request = false;
        for event in &state.events {
            if !is_past(event) && !in_request {
                break;
            }
            follower.advance(event).unwrap();
            in_request = !event.ends_request();
        }
        Ok(follower.into_configuration())
    }
}

fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Instant::from_unix_micros(since.as_micros().try_into().unwrap())
}

impl EventLog for Memory {
    fn log_id(&self) -> LogId {
        self.log_id
    }

    fn public_key(&self) -> PublicKey {
        SecretKey::from_seed(&[7; 32]).public()
    }

    fn view(&self) -> Configuration {
        self.state.lock().unwrap().configuration.clone()
    }

    fn reached(&self, position: Position) -> BoxFuture<'_, ()> {
        let mut heads = self.heads.subscribe();
        async move { drop(heads.wait_for(|head| *head >= position).await) }.boxed()
    }

    fn heads(&self) -> watch::Receiver<Position> {
        self.heads.subscribe()
    }

    fn reached_head(&self) -> BoxFuture<'_, Result<(), UnavailableError>> {
        async move { self.sound() }.boxed()
    }

    fn submit_planned(
        &self,
        request: Request,
        actor: Actor,
        key: Option<String>,
        plan: PlanCondition,
    ) -> BoxFuture<'_, Result<Answer, SubmitError>> {
        async move {
            if self.is_stuck.load(Ordering::Relaxed) {
                self.waiting.fetch_add(1, Ordering::Relaxed);
                futures::future::pending::<()>().await;
            }
            self.sound().map_err(|UnavailableError(why)| SubmitError::Unavailable(why))?;
            match self.is_busy.load(Ordering::Relaxed) {
                true => Err(SubmitError::Busy),
                false => self.append_on_condition(&request, &actor, key.as_deref(), &plan),
            }
        }
        .boxed()
    }

    fn events(&self, page: EventPage) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>> {
        async move {
            self.sound()?;
            let state = self.state.lock().unwrap();
            let fits = |event: &&Event| {
                event.position > page.after
                    && page.up_to.is_none_or(|up_to| event.position <= up_to)
                    && page.entity.as_ref().is_none_or(|entity| event.entity.to_string() == *entity)
                    && page.event_type.as_ref().is_none_or(|kind| event.event_type == *kind)
            };
            let mut bytes = 0;
            let has_room = |event: &&Event| {
                let before = bytes;
                bytes += event.data.len();
                page.bytes.is_none_or(|bytes| before <= bytes)
            };
            let events = state.events.iter().filter(fits).take(page.limit).take_while(has_room);
            Ok(self.intact(events.cloned().collect())?)
        }
        .boxed()
    }

    fn events_at(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>> {
        async move { self.those(|event| positions.contains(&event.position)) }.boxed()
    }

    fn events_of(&self, command_id: CommandId) -> BoxFuture<'_, Result<Vec<Event>, LogReadError>> {
        async move { self.those(|event| event.command_id == command_id) }.boxed()
    }

    fn content(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, UnavailableError>> {
        async move {
            self.sound()?;
            Ok(self.state.lock().unwrap().blobs.get(&digest).cloned())
        }
        .boxed()
    }

    fn known_contents(
        &self,
        digests: Vec<Digest>,
    ) -> BoxFuture<'_, Result<BTreeMap<Digest, KnownContent>, UnavailableError>> {
        async move {
            self.sound()?;
            let state = self.state.lock().unwrap();
            let known = |digest: Digest| Some((digest, KnownContent::of(digest, state.blobs.get(&digest)?)));
            Ok(digests.into_iter().filter_map(known).collect())
        }
        .boxed()
    }

    fn absent_contents(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<BTreeSet<Digest>, UnavailableError>> {
        async move {
            self.sound()?;
            let state = self.state.lock().unwrap();
            Ok(digests.into_iter().filter(|digest| !state.blobs.contains_key(digest)).collect())
        }
        .boxed()
    }

    fn past(&self, at: AsOf) -> BoxFuture<'_, Result<Configuration, PastStateError>> {
        async move { self.fold(at) }.boxed()
    }

    fn newest_checkpoint(&self, _: Position) -> BoxFuture<'_, Result<Option<SignedCheckpoint>, UnavailableError>> {
        async move {
            self.sound()?;
            let state = self.state.lock().unwrap();
            let edge = Frontier::over(state.events.iter().map(|event| event.leaf));
            let (log_id, position, root, at) = (self.log_id, edge.size(), edge.root(), state.configuration.at());
            let note = Checkpoint { log_id, position, root }.sign(&SecretKey::from_seed(&[7; 32]));
            Ok((position > Position::ZERO).then_some(SignedCheckpoint { log_id, position, root, at, note }))
        }
        .boxed()
    }

    fn answer(&self, question: TreeQuery) -> BoxFuture<'_, Result<ProofHashes, UnavailableError>> {
        async move {
            self.sound()?;
            let state = self.state.lock().unwrap();
            let mut nodes = BTreeMap::new();
            let mut edge = Frontier::default();
            state
                .events
                .iter()
                .for_each(|event| edge.push_with(event.leaf, |node, hash| assert_eq!(nodes.insert(node, hash), None)));
            Ok(question.answer(&nodes).unwrap())
        }
        .boxed()
    }
}
