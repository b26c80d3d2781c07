//! The work of a runtime, as one order of steps made again and again: ask, tell, give back, claim, start; and see what ended.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use program::backoff::Backoff;
use schema::id::JobId;
use schema::instant::Instant;
use schema::position::Position;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::runtime::claim_service::{ClaimError, ClaimService, Completion, LeasedJobs};
use crate::runtime::command::{JobCommand, RunOutcome};
use crate::runtime::held_jobs::{self, HeldJobs, RunningCommand};
use crate::runtime::job_spec::{self, JobSpec, SpecError};
use crate::runtime::lease::{Lease, Uptime};
use crate::runtime::runtime_settings::RuntimeSettings;
use crate::runtime::runtime_state::{JobProgress, RuntimeState, RuntimeStateError, UnreportedRun};
use crate::runtime::schedule::JobSchedule;

/// How often it looks around at least. Sleeping does not count the machine's own sleep, so it is short.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often more jobs are asked for while there is room.
const CLAIM_EVERY: Duration = Duration::from_secs(5);
/// How long a job waits whose command could not be started.
const START_AGAIN: Duration = Duration::from_secs(5);

/// A runtime that works.
#[derive(Debug)]
pub struct JobRuntime<C> {
    settings: RuntimeSettings,
    claims: C,
    memory: RuntimeState,
    jobs: HeldJobs,
    runs: JoinSet<EndedRun>,
    started: u64,
    /// The newest position that an answer held for.
    seen: Position,
    /// What `current` pointed to when all jobs were last asked for.
    asked_at: Option<Option<PathBuf>>,
    claim_at: Uptime,
    ask_at: Uptime,
    backoff: Backoff,
}

/// How a run ended.
#[derive(Debug)]
struct EndedRun {
    job: JobId,
    number: u64,
    came_to: std::io::Result<Option<RunOutcome>>,
}

impl<C: ClaimService> JobRuntime<C> {
    /// A runtime that remembers what it remembered.
    ///
    /// # Errors
    /// If its folder can't be used.
    pub fn of(settings: RuntimeSettings, claims: C) -> Result<Self, RuntimeStateError> {
        let memory = RuntimeState::open(&settings.own())?;
        Ok(Self {
            settings,
            claims,
            memory,
            jobs: HeldJobs::new(),
            runs: JoinSet::new(),
            started: 0,
            seen: Position::ZERO,
            asked_at: None,
            claim_at: Uptime::default(),
            ask_at: Uptime::default(),
            backoff: Backoff::between(Duration::from_millis(200), Duration::from_secs(3)),
        })
    }

    /// Works until `shutdown`. Commands that still run are killed then, and are due again.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if Uptime::now() >= self.ask_at {
                let asked = self.ask().await;
                self.pace(asked);
            }
            self.start();
            self.save();
            let pause = self.pause();
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(Ok(ended)) = self.runs.join_next() => self.finish(ended),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn pace(&mut self, asked: Result<(), ClaimError>) {
        match asked {
            Ok(()) => self.backoff.reset(),
            Err(why) => {
                if self.backoff.failures() == 0 {
                    tracing::warn!(%why, "the centre can't be asked for jobs; trying again");
                }
                self.ask_at = Uptime(Uptime::now().0 + self.backoff.failed());
            }
        }
    }

    /// Everything that is to be asked now, what is most urgent first.
    async fn ask(&mut self) -> Result<(), ClaimError> {
        let tree = std::fs::read_link(self.settings.dir.join("current")).ok();
        if self.asked_at.as_ref() != Some(&tree) {
            let told = self.claims.mine().await?;
            self.hold(&told, None)?;
            self.asked_at = Some(tree);
        }
        let now = Uptime::now();
        if self.jobs.values().any(|held| held.lease.is_none_or(|lease| lease.is_to_be_renewed(now))) {
            let told = self.claims.renew().await?;
            self.hold(&told, Some(now))?;
        }
        self.tell().await?;
        self.give_back().await?;
        self.claim().await
    }

    /// Replaces what is held by what was told.
    fn hold(&mut self, told: &LeasedJobs, asked: Option<Uptime>) -> Result<(), ClaimError> {
        if told.position < self.seen {
            return Err(ClaimError::Unknown(format!("the answer is of {}, and {} was seen", told.position, self.seen)));
        }
        self.seen = told.position;
        let before: Vec<JobId> = self.jobs.keys().cloned().collect();
        held_jobs::replace(&mut self.jobs, &told.jobs, asked);
        for gone in before.iter().filter(|job| !self.jobs.contains_key(*job)) {
            tracing::info!(job = %gone, "the job is gone");
            job_spec::forget(&self.settings.own(), gone);
        }
        self.note_jobs();
        Ok(())
    }

    /// A job that is new counts as served until now; one that is gone is forgotten.
    fn note_jobs(&mut self) {
        self.memory.keep(|job| self.jobs.contains_key(job));
        for job in self.jobs.keys() {
            if self.memory.of(job).is_none() {
                self.memory.note(job, JobProgress { until: now(), untold: None });
            }
        }
    }

    /// Says what runs came to, until each was answered for.
    async fn tell(&mut self) -> Result<(), ClaimError> {
        let untold: Vec<(JobId, UnreportedRun)> =
            self.memory.untold().map(|(job, run)| (job.clone(), run.clone())).collect();
        for (job, UnreportedRun { due, completion }) in untold {
            let is_mine = self.jobs.get(&job).is_some_and(|held| held.token == completion.token);
            let told = if is_mine { self.claims.complete(&completion).await } else { Ok(()) };
            match told {
                Err(why) if why.is_transient() => return Err(why),
                // What was run is not what is wanted by now, so this due time is served by another run.
                Err(why) if why.is_for_another_spec() => {
                    tracing::info!(%job, "the spec changed while it ran; it runs again");
                    self.settle(&job, None);
                    // Nor may it start again as it was.
                    self.asked_at = None;
                    self.jobs.entry(job).and_modify(|held| held.lease = None);
                }
                Err(why) => {
                    tracing::warn!(%job, %why, "what the run came to was not taken");
                    self.settle(&job, Some(due));
                }
                Ok(()) => self.settle(&job, Some(due)),
            }
        }
        Ok(())
    }

    /// Nothing more is to be told of a job's run.
    fn settle(&mut self, job: &JobId, due: Option<Instant>) {
        let Some(served) = self.memory.of(job) else { return };
        let until = due.unwrap_or(served.until);
        self.memory.note(job, JobProgress { until, untold: None });
        if let (Some(due), Some(turns)) = (due, self.jobs.get_mut(job).and_then(|held| held.turns.as_mut())) {
            turns.serve(due);
        }
    }

    /// An answer that was lost may have given jobs that were claimed again since.
    async fn give_back(&mut self) -> Result<(), ClaimError> {
        let surplus = held_jobs::surplus(&self.jobs, self.settings.jobs_max as usize);
        if surplus.is_empty() {
            return Ok(());
        }
        // Nothing of it starts while the answer is on its way, however that ends.
        self.jobs.retain(|job, _| !surplus.contains(job));
        self.asked_at = None;
        self.note_jobs();
        self.claims.release(&surplus).await
    }

    async fn claim(&mut self) -> Result<(), ClaimError> {
        let (now, held) = (Uptime::now(), u32::try_from(self.jobs.len()).unwrap_or(u32::MAX));
        let room = self.settings.jobs_max.saturating_sub(held);
        if room == 0 || now < self.claim_at {
            return Ok(());
        }
        self.claim_at = Uptime(now.0 + CLAIM_EVERY);
        match self.claims.claim(room, self.settings.lease_s).await {
            Ok(told) => {
                self.seen = self.seen.max(told.position);
                held_jobs::add(&mut self.jobs, &told.jobs, now);
                self.note_jobs();
                told.jobs.iter().for_each(|job| tracing::info!(job = %job.id, "claimed"));
                Ok(())
            }
            Err(why) => {
                // It may have been done all the same.
                self.asked_at = None;
                Err(why)
            }
        }
    }

    /// Starts what is due, whose lease lasts, and for which there is room.
    fn start(&mut self) {
        let free = self.settings.at_once.saturating_sub(self.runs.len());
        if free == 0 {
            return;
        }
        let due = self.jobs.keys().cloned().collect::<Vec<_>>().into_iter();
        let due = due.filter_map(|job| Some((self.due(&job)?, job))).collect();
        for (due, job) in held_jobs::starts(due, free) {
            self.start_one(job, due);
        }
    }

    /// Since when a job waits to be started, if it may be.
    fn due(&mut self, job: &JobId) -> Option<Instant> {
        let served = self.memory.of(job).filter(|served| served.untold.is_none())?.until;
        let (up, within) = (Uptime::now(), self.settings.within);
        let held = self.jobs.get_mut(job).filter(|held| held.running.is_none() && up >= held.not_before)?;
        held.lease.filter(|lease| lease.lets_start(up, within))?;
        if held.turns.is_none() && !held.is_useless {
            let times = JobSpec::read(&self.settings.dir, job, held.spec_digest).and_then(|spec| spec.times());
            match times {
                Ok(times) => held.turns = Some(JobSchedule::after(times, served)),
                Err(SpecError::Coming) => {}
                Err(why) => {
                    tracing::warn!(%job, %why, "the job can't be run");
                    held.is_useless = true;
                }
            }
        }
        held.turns.as_mut()?.due(now())
    }

    fn start_one(&mut self, job: JobId, due: Instant) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let Some(lease) = held.lease else { return };
        // It was there before; but the tree may have been replaced, or changed by hand, since.
        let Ok(spec) = JobSpec::read(&self.settings.dir, &job, held.spec_digest) else { return };
        let spec = match spec.put(&self.settings.own(), &job) {
            Ok(spec) => spec,
            Err(why) => {
                tracing::warn!(%job, %why, "the spec can't be put where its command finds it");
                held.not_before = Uptime(Uptime::now().0 + START_AGAIN);
                return;
            }
        };
        self.started += 1;
        let (number, (lease, follows)) = (self.started, watch::channel(lease));
        held.running = Some(RunningCommand { number, due, lease });
        let RuntimeSettings { command, within, .. } = self.settings.clone();
        tracing::info!(%job, %due, "runs");
        self.runs.spawn(async move {
            let run = JobCommand { command, job: job.clone(), spec, within };
            let came_to = run.run(lost(follows)).await;
            EndedRun { job, number, came_to }
        });
    }

    /// Writes down what a run came to. One that lost its lease, or could not be started, is due as before.
    fn finish(&mut self, EndedRun { job, number, came_to }: EndedRun) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let Some(running) = held.running.take_if(|running| running.number == number) else { return };
        job_spec::forget(&self.settings.own(), &job);
        match came_to {
            Ok(Some(RunOutcome { outcome, evidence })) => {
                tracing::info!(%job, outcome, "ran");
                let (token, spec_digest, outcome) = (held.token, held.spec_digest, outcome.to_owned());
                let id = uuid::Uuid::now_v7().to_string();
                let completion = Completion { id, job: job.clone(), token, spec_digest, outcome, evidence };
                let until = self.memory.of(&job).map_or(running.due, |served| served.until);
                self.memory
                    .note(&job, JobProgress { until, untold: Some(UnreportedRun { due: running.due, completion }) });
                self.save();
            }
            Ok(None) => tracing::warn!(%job, "its lease ended, so its command was killed"),
            Err(why) => {
                tracing::warn!(%job, %why, "its command can't be started");
                held.not_before = Uptime(Uptime::now().0 + START_AGAIN);
            }
        }
    }

    fn save(&mut self) {
        if let Err(why) = self.memory.save() {
            tracing::warn!(%why, "can't write down what was run; trying again");
        }
    }

    /// Until something is due, or for a look around.
    fn pause(&self) -> Duration {
        let now = now();
        let next = self.jobs.values().filter_map(|held| held.turns.as_ref()?.next()).filter(|next| *next > now).min();
        let until = next.map(|next| next.unix_micros().abs_diff(now.unix_micros()));
        let untold = self.memory.untold().next().is_some() && Uptime::now() >= self.ask_at;
        if untold {
            Duration::ZERO
        } else {
            until.map_or(LOOK_EVERY, |until| Duration::from_micros(until).min(LOOK_EVERY))
        }
    }
}

/// Returns when a lease has ended, or is nobody's any more.
async fn lost(mut lease: watch::Receiver<Lease>) {
    loop {
        let left = lease.borrow_and_update().left(Uptime::now());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(LOOK_EVERY)) => {}
            changed = lease.changed() => if changed.is_err() { return },
        }
    }
}

/// The node's clock.
fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
