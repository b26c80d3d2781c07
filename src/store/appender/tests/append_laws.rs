//! The laws of appending, under any sequence of requests, faults and ends of two processes that append to one log:
//!
//! - every caller is answered, and told the truth: "stored" only after the commit, and then the request is in the log exactly once;
//!   "not stored" only if it is not in the log and never will be;
//! - requests of one process are stored in the order in which they were submitted;
//! - the log has no gap, its order is that of the commits, and it is what its head says;
//! - once nothing fails any more, every process appends again.
//!
//! Time is virtual, so seconds of faults pass in milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use projections::expectation::PlanCondition;
use proptest::prelude::*;
use replay::log::Follower;
use schema::answer::Answer;
use schema::command::{Command, EnrolNode};
use schema::entity::Actor;
use schema::id::CommandId;
use schema::instant::Instant;
use schema::labels::Labels;
use schema::position::Position;
use schema::request::Request;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::memory_store::{Call, Fault, MemoryStore};
use crate::append_handle::AppendHandle;
use crate::appender::AppendTask;
use crate::submission::{Submission, SubmitError};
use program::clock::Clock;

/// Virtual time after which a caller without an answer counts as forgotten.
const DEADLINE: Duration = Duration::from_secs(60);
/// Virtual time in which every late call is executed and every pause after a failure is over.
const SETTLED: Duration = Duration::from_secs(10);
/// 2026-01-01, when the virtual time begins.
const BEGINS_MICROS: i64 = 1_767_225_600_000_000;

/// Something that happens. Processes are counted from 0.
#[derive(Clone, Debug)]
enum Operation {
    /// So many requests, with so many milliseconds between them.
    Submit(usize, Asked, usize, u64),
    /// After so many more calls of this kind, one fails.
    Break(Call, usize, Fault),
    /// So many milliseconds pass.
    Wait(u64),
    /// The append gate closes or opens.
    Withhold(usize, bool),
    /// The process is told to stop appending, and another one takes its place.
    Stop(usize),
    /// The process has to end within a moment, and another one takes its place.
    End(usize),
    /// The process is killed, and another one takes its place.
    Kill(usize),
    /// The last caller goes away.
    Abandon,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Accepted,
    /// The state refuses it.
    Refused,
    /// Accepted, with one of a few idempotency keys.
    Keyed(u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    // Mostly one of the two, which then knows the head and needs no lock.
    let process = prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    let asked = prop_oneof![
        8 => Just(Asked::Accepted),
        1 => Just(Asked::Refused),
        2 => (0..3_u8).prop_map(Asked::Keyed),
    ];
    let call = prop_oneof![
        6 => Just(Call::Append),
        3 => Just(Call::Commit),
        2 => Just(Call::LockHead),
        1 => prop_oneof![Just(Call::Connect), Just(Call::Fence), Just(Call::Contains), Just(Call::RollBack)],
    ];
    let fault = prop_oneof![
        1 => Just(Fault::Lost),
        1 => Just(Fault::Unanswered),
        3 => prop_oneof![1..100_u64, 1..1_500_u64].prop_map(Fault::Late),
        1 => Just(Fault::Refused),
    ];
    prop_oneof![
        9 => (process.clone(), asked, 1..4_usize, 0..3_u64).prop_map(|(process, asked, times, pause)| Operation::Submit(process, asked, times, pause)),
        5 => (call, 0..3_usize, fault).prop_map(|(call, later, fault)| Operation::Break(call, later, fault)),
        5 => prop_oneof![2 => 0..50_u64, 1 => 0..400_u64].prop_map(Operation::Wait),
        3 => (process.clone(), any::<bool>()).prop_map(|(process, is_closed)| Operation::Withhold(process, is_closed)),
        1 => prop_oneof![
            process.clone().prop_map(Operation::Stop),
            process.clone().prop_map(Operation::End),
            process.prop_map(Operation::Kill),
        ],
        1 => Just(Operation::Abandon),
    ]
}

/// What a caller knows in the end.
#[derive(Clone, Debug)]
enum Outcome {
    Stored(Answer),
    NotStored(String),
    Unknown,
}

/// A process that appends.
struct Process {
    handle: AppendHandle,
    stop: CancellationToken,
    ending: CancellationToken,
    task: JoinHandle<()>,
    /// Cancelled if it does not end in order: then a caller without an answer knows nothing.
    is_cut_short: CancellationToken,
}

impl Process {
    async fn start(store: &MemoryStore) -> Self {
        let (stop, ending) = (CancellationToken::new(), CancellationToken::new());
        let (task, handle) = loop {
            // A fault may hit the first connection.
            if let Ok(started) = AppendTask::start(store.clone(), store.clock.clone()).await {
                break started;
            }
        };
        let task = tokio::spawn(task.heeding(ending.clone()).run(stop.clone()));
        Self { handle, stop, ending, task, is_cut_short: CancellationToken::new() }
    }
}

/// A request that was submitted.
struct Submitted {
    /// Which process took it, counted over all that ever ran.
    process: usize,
    request: CommandId,
    asked: Asked,
    outcome: JoinHandle<Outcome>,
}

/// Two processes on one log, and everything that was asked of them.
struct World {
    store: MemoryStore,
    processes: [Process; 2],
    /// The number of each process among all that ever ran.
    numbers: [usize; 2],
    submitted: Vec<Submitted>,
}

impl World {
    async fn new() -> Self {
        let begin = tokio::time::Instant::now();
        let elapsed = move || i64::try_from(begin.elapsed().as_micros()).unwrap();
        let store = MemoryStore::new(Clock::of(move || Instant::from_unix_micros(BEGINS_MICROS + elapsed())));
        let processes = [Process::start(&store).await, Process::start(&store).await];
        let mut world = Self { store, processes, numbers: [0, 1], submitted: Vec::new() };
        let enrol = Command::EnrolNode(EnrolNode { id: "a".parse().unwrap(), labels: Labels::default(), keys: None });
        world.submit_request(0, Request::of([enrol]), Asked::Accepted);
        sleep(Duration::from_secs(1)).await;
        world
    }

    async fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Submit(process, asked, times, pause) => {
                for _ in 0..times {
                    self.submit(process, asked);
                    sleep(Duration::from_millis(pause)).await;
                }
            }
            Operation::Break(call, later, fault) => self.store.break_call(call, later, fault),
            Operation::Wait(millis) => sleep(Duration::from_millis(millis)).await,
            Operation::Withhold(process, is_closed) => {
                self.processes[process].handle.withhold(is_closed.then(|| "not now".to_owned()));
            }
            Operation::Stop(process) => {
                self.processes[process].stop.cancel();
                self.replace(process).await;
            }
            Operation::End(process) => {
                self.processes[process].is_cut_short.cancel();
                self.processes[process].ending.cancel();
                self.processes[process].stop.cancel();
                self.replace(process).await;
            }
            Operation::Kill(process) => {
                self.processes[process].is_cut_short.cancel();
                self.processes[process].task.abort();
                self.replace(process).await;
            }
            Operation::Abandon => {
                if let Some(last) = self.submitted.last() {
                    last.outcome.abort();
                }
            }
        }
    }

    async fn replace(&mut self, process: usize) {
        self.numbers[process] = self.numbers.iter().max().unwrap() + 1;
        self.processes[process] = Process::start(&self.store).await;
    }

    fn submit(&mut self, process: usize, asked: Asked) {
        let node = if matches!(asked, Asked::Refused) { "nobody" } else { "a" };
        self.submit_request(process, Request::of([Command::RetryNode(node.parse().unwrap())]), asked);
    }

    fn submit_request(&mut self, process: usize, request: Request, asked: Asked) {
        let number = u128::try_from(self.submitted.len()).unwrap();
        let id = match asked {
            Asked::Keyed(key) => u128::MAX - u128::from(key),
            Asked::Accepted | Asked::Refused => number,
        };
        let command_id = CommandId::from(Uuid::from_u128(id));
        let keyed = matches!(asked, Asked::Keyed(_));
        let submission = Submission {
            request,
            actor: Actor::Install,
            command_id,
            entropy: [1; 16],
            keyed,
            plan: PlanCondition::None,
        };
        let Process { handle, is_cut_short, .. } = &self.processes[process];
        let (answer, is_cut_short, store) =
            (handle.submit(Arc::new(submission)), is_cut_short.clone(), self.store.clone());
        let outcome = tokio::spawn(async move {
            let reply = match answer {
                Ok(answer) => answer.await.map_err(|_| "the process ended without an answer".to_owned()),
                Err(busy) => Ok(Err(busy)),
            };
            match reply {
                Ok(Ok(accepted)) => {
                    assert!(store.has(command_id), "{command_id:?} was answered before it was stored: {accepted:?}");
                    Outcome::Stored(accepted.answer)
                }
                Ok(Err(SubmitError::Unavailable(_))) | Err(_) if is_cut_short.is_cancelled() => Outcome::Unknown,
                Ok(Err(why)) => Outcome::NotStored(why.to_string()),
                Err(why) => Outcome::NotStored(why),
            }
        });
        self.submitted.push(Submitted { process: self.numbers[process], request: command_id, asked, outcome });
    }

    /// Nothing fails any more: both processes append.
    async fn recovers(&mut self) {
        self.store.heal();
        for process in 0..2 {
            self.processes[process].handle.withhold(None);
        }
        sleep(SETTLED).await;
        for process in 0..2 {
            self.submit(process, Asked::Accepted);
            let last = self.submitted.pop().unwrap();
            let outcome = timeout(DEADLINE, last.outcome).await.unwrap().unwrap();
            assert!(matches!(outcome, Outcome::Stored(_)), "process {process} does not append again: {outcome:?}");
        }
    }

    async fn check(self) {
        let (head, events) = self.store.committed();
        let mut follower = Follower::new(head.log_id);
        events.iter().for_each(|event| drop(follower.advance(event).expect("each event follows the one before it")));
        assert_eq!((follower.position(), follower.frontier().root()), (head.position, head.root), "the head");
        let mut outcomes = BTreeMap::<CommandId, Vec<Outcome>>::new();
        let mut last_of = BTreeMap::<usize, Position>::new();
        for Submitted { process, request, asked, outcome } in self.submitted {
            let outcome = match timeout(DEADLINE, outcome).await.expect("every caller is answered") {
                Ok(outcome) => outcome,
                Err(ended) if ended.is_cancelled() => Outcome::Unknown,
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            };
            if let (Outcome::Stored(answer), Asked::Accepted) = (&outcome, asked) {
                let last = last_of.insert(process, answer.position);
                assert!(last < Some(answer.position), "{request:?} overtook another request of its process");
            }
            outcomes.entry(request).or_default().push(outcome);
        }
        for (request, outcomes) in outcomes {
            let stored: Vec<Position> =
                events.iter().filter(|event| event.command_id == request).map(|event| event.position).collect();
            assert!(stored.len() <= 1, "{request:?} is in the log at {stored:?}");
            let (mut may_be_stored, mut told) = (false, Vec::new());
            for outcome in outcomes {
                match outcome {
                    Outcome::Stored(answer) => {
                        may_be_stored = true;
                        assert_eq!(stored, [answer.position], "{request:?} was answered as stored");
                    }
                    Outcome::Unknown => may_be_stored = true,
                    Outcome::NotStored(why) => told.push(why),
                }
            }
            assert!(may_be_stored || stored.is_empty(), "{request:?} is at {stored:?}, and callers were told {told:?}");
        }
    }
}

/// The number of sequences: some seconds, or minutes in the long form (`scripts/faults.sh`).
fn cases() -> u32 {
    match std::env::var("FAULT_FORM").as_deref() {
        Ok("long") => 50_000,
        _ => 800,
    }
}

fn run(operations: Vec<Operation>) {
    // Backoff draws from this generator: a sequence that fails does so again.
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new().await;
        for operation in operations {
            world.perform(operation).await;
        }
        world.recovers().await;
        world.check().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn callers_are_told_the_truth_whatever_breaks(operations in prop::collection::vec(operation(), 1..40)) {
        run(operations);
    }
}
