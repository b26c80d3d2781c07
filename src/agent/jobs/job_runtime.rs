//! The loop of a runtime: list and renew claims, report outcomes, release surplus jobs, claim more, and start what is due.

use std::path::PathBuf;
use std::time::Duration;

use program::backoff::Backoff;
use program::clock::system_time;
use schema::id::JobId;
use schema::instant::Instant;
use schema::position::Position;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::jobs::claim_service::{ClaimError, ClaimService, JobCompletion, LeasedJobs};
use crate::jobs::command::{JobCommand, RunOutcome};
use crate::jobs::held_jobs::{self, HeldJobs, RunningCommand};
use crate::jobs::job_spec::{self, JobSpec, SpecError};
use crate::jobs::lease::{Lease, Uptime};
use crate::jobs::runtime_settings::RuntimeSettings;
use crate::jobs::runtime_state::{JobProgress, RuntimeState, RuntimeStateError, UnreportedRun};
use crate::jobs::schedule::JobSchedule;

/// The longest pause of the loop. Timers stand still while the machine sleeps, so it is short.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often the runtime claims more jobs while it has room.
const CLAIM_EVERY: Duration = Duration::from_secs(5);
/// How long a job waits after its command could not be started.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// A runtime and its jobs.
#[derive(Debug)]
pub struct JobRuntime<C> {
    settings: RuntimeSettings,
    service: C,
    state: RuntimeState,
    jobs: HeldJobs,
    runs: JoinSet<EndedRun>,
    started: u64,
    /// The highest position of any answer.
    seen: Position,
    /// The target of `current` when all jobs were listed last; none if they must be listed again.
    listed_at: Option<Option<PathBuf>>,
    claim_at: Uptime,
    ask_at: Uptime,
    backoff: Backoff,
}

#[derive(Debug)]
struct EndedRun {
    job: JobId,
    number: u64,
    outcome: std::io::Result<Option<RunOutcome>>,
}

impl<C: ClaimService> JobRuntime<C> {
    /// Reads the state of an earlier process.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn of(settings: RuntimeSettings, service: C) -> Result<Self, RuntimeStateError> {
        let state = RuntimeState::open(&settings.runtime_dir())?;
        Ok(Self {
            settings,
            service,
            state,
            jobs: HeldJobs::new(),
            runs: JoinSet::new(),
            started: 0,
            seen: Position::ZERO,
            listed_at: None,
            claim_at: Uptime::default(),
            ask_at: Uptime::default(),
            backoff: Backoff::between(Duration::from_millis(200), Duration::from_secs(3)),
        })
    }

    /// Runs until `shutdown`. Commands that still run are killed then, and are due again.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if Uptime::now() >= self.ask_at {
                let asked = self.send_requests().await;
                self.set_next_request(asked);
            }
            self.start_due_jobs();
            self.save();
            let pause = self.pause();
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(Ok(ended)) = self.runs.join_next() => self.store_outcome(ended),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn set_next_request(&mut self, asked: Result<(), ClaimError>) {
        match asked {
            Ok(()) => self.backoff.reset(),
            Err(why) => {
                if self.backoff.failures() == 0 {
                    tracing::warn!(%why, "requests about jobs fail; trying again");
                }
                self.ask_at = Uptime(Uptime::now().0 + self.backoff.failed());
            }
        }
    }

    /// Sends all requests that are needed now, the most urgent first.
    async fn send_requests(&mut self) -> Result<(), ClaimError> {
        let tree = std::fs::read_link(self.settings.dir.join("current")).ok();
        if self.listed_at.as_ref() != Some(&tree) {
            let listed = self.service.list().await?;
            self.replace_jobs(&listed, None)?;
            self.listed_at = Some(tree);
        }
        let now = Uptime::now();
        if self.jobs.values().any(|held| held.lease.is_none_or(|lease| lease.is_to_be_renewed(now))) {
            let renewed = self.service.renew().await?;
            self.replace_jobs(&renewed, Some(now))?;
        }
        self.report_outcomes().await?;
        self.release_surplus().await?;
        self.claim_more().await
    }

    /// Replaces all jobs by the server's list.
    fn replace_jobs(&mut self, listed: &LeasedJobs, asked: Option<Uptime>) -> Result<(), ClaimError> {
        if listed.position < self.seen {
            return Err(ClaimError::Unknown(format!(
                "the answer is of {}, and {} was seen",
                listed.position, self.seen
            )));
        }
        self.seen = listed.position;
        let before: Vec<JobId> = self.jobs.keys().cloned().collect();
        held_jobs::replace(&mut self.jobs, &listed.jobs, asked);
        for gone in before.iter().filter(|job| !self.jobs.contains_key(*job)) {
            tracing::info!(job = %gone, "job is no longer claimed");
            job_spec::remove_copy(&self.settings.runtime_dir(), gone);
        }
        self.update_progress();
        Ok(())
    }

    /// A new job counts as served until now; the progress of a lost job is removed.
    fn update_progress(&mut self) {
        self.state.retain(|job| self.jobs.contains_key(job));
        for job in self.jobs.keys() {
            if self.state.progress(job).is_none() {
                self.state.set_progress(job, JobProgress { until: system_time(), untold: None });
            }
        }
    }

    /// Sends the outcomes of runs until each is acknowledged.
    async fn report_outcomes(&mut self) -> Result<(), ClaimError> {
        let unreported: Vec<(JobId, UnreportedRun)> =
            self.state.unreported().map(|(job, run)| (job.clone(), run.clone())).collect();
        for (job, UnreportedRun { due, completion }) in unreported {
            let is_claimed = self.jobs.get(&job).is_some_and(|held| held.token == completion.token);
            let answer = if is_claimed { self.service.complete(&completion).await } else { Ok(()) };
            match answer {
                Err(why) if why.is_transient() => return Err(why),
                // An older spec ran, so this due time needs another run.
                Err(why) if why.is_for_another_spec() => {
                    tracing::info!(%job, "spec changed during the run; the job runs again");
                    self.mark_reported(&job, None);
                    // It must not start with the old spec again.
                    self.listed_at = None;
                    self.jobs.entry(job).and_modify(|held| held.lease = None);
                }
                Err(why) => {
                    tracing::warn!(%job, %why, "outcome was refused");
                    self.mark_reported(&job, Some(due));
                }
                Ok(()) => self.mark_reported(&job, Some(due)),
            }
        }
        Ok(())
    }

    /// Marks the outcome of a job as acknowledged, and `due` as served.
    fn mark_reported(&mut self, job: &JobId, due: Option<Instant>) {
        let Some(served) = self.state.progress(job) else { return };
        let until = due.unwrap_or(served.until);
        self.state.set_progress(job, JobProgress { until, untold: None });
        if let (Some(due), Some(schedule)) = (due, self.jobs.get_mut(job).and_then(|held| held.schedule.as_mut())) {
            schedule.mark_served(due);
        }
    }

    /// Releases jobs beyond the limit: after a lost answer more may have been claimed than the runtime knew.
    async fn release_surplus(&mut self) -> Result<(), ClaimError> {
        let surplus = held_jobs::surplus(&self.jobs, self.settings.jobs_max as usize);
        if surplus.is_empty() {
            return Ok(());
        }
        // None of them may start while the answer is awaited.
        self.jobs.retain(|job, _| !surplus.contains(job));
        self.listed_at = None;
        self.update_progress();
        self.service.release(&surplus).await
    }

    async fn claim_more(&mut self) -> Result<(), ClaimError> {
        let (now, held) = (Uptime::now(), u32::try_from(self.jobs.len()).unwrap_or(u32::MAX));
        let room = self.settings.jobs_max.saturating_sub(held);
        if room == 0 || now < self.claim_at {
            return Ok(());
        }
        self.claim_at = Uptime(now.0 + CLAIM_EVERY);
        match self.service.claim(room, self.settings.lease_s).await {
            Ok(claimed) => {
                self.seen = self.seen.max(claimed.position);
                held_jobs::add(&mut self.jobs, &claimed.jobs, now);
                self.update_progress();
                claimed.jobs.iter().for_each(|job| tracing::info!(job = %job.id, "job claimed"));
                Ok(())
            }
            Err(why) => {
                // The claim may have been made all the same.
                self.listed_at = None;
                Err(why)
            }
        }
    }

    /// Starts jobs that are due and leased, as far as commands may run in parallel.
    fn start_due_jobs(&mut self) {
        let free = self.settings.parallel_max.saturating_sub(self.runs.len());
        if free == 0 {
            return;
        }
        let due = self.jobs.keys().cloned().collect::<Vec<_>>().into_iter();
        let due = due.filter_map(|job| Some((self.due_time(&job)?, job))).collect();
        for (due, job) in held_jobs::select_starts(due, free) {
            self.start_job(job, due);
        }
    }

    /// The due time to serve now, if the job may start.
    fn due_time(&mut self, job: &JobId) -> Option<Instant> {
        let served = self.state.progress(job).filter(|served| served.untold.is_none())?.until;
        let (up, timeout) = (Uptime::now(), self.settings.timeout);
        let held = self.jobs.get_mut(job).filter(|held| held.running.is_none() && up >= held.not_before)?;
        held.lease.filter(|lease| lease.lets_start(up, timeout))?;
        if held.schedule.is_none() && !held.is_spec_unusable {
            let schedule = JobSpec::read(&self.settings.dir, job, held.spec_digest).and_then(|spec| spec.schedule());
            match schedule {
                Ok(cron) => held.schedule = Some(JobSchedule::after(cron, served)),
                Err(SpecError::NotInTree) => {}
                Err(why) => {
                    tracing::warn!(%job, %why, "job can't run");
                    held.is_spec_unusable = true;
                }
            }
        }
        held.schedule.as_mut()?.due(system_time())
    }

    fn start_job(&mut self, job: JobId, due: Instant) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let Some(lease) = held.lease else { return };
        // The tree may have been replaced, or changed by hand, since the schedule was read.
        let Ok(spec) = JobSpec::read(&self.settings.dir, &job, held.spec_digest) else { return };
        let spec = match spec.write_copy(&self.settings.runtime_dir(), &job) {
            Ok(spec) => spec,
            Err(why) => {
                tracing::warn!(%job, %why, "copy of the spec can't be written");
                held.not_before = Uptime(Uptime::now().0 + RESTART_AFTER);
                return;
            }
        };
        self.started += 1;
        let (number, (lease, lease_changes)) = (self.started, watch::channel(lease));
        held.running = Some(RunningCommand { number, due, lease });
        let RuntimeSettings { command, timeout, .. } = self.settings.clone();
        tracing::info!(%job, %due, "job started");
        self.runs.spawn(async move {
            let run = JobCommand { command, job: job.clone(), spec, timeout };
            let outcome = run.run(lease_lost(lease_changes)).await;
            EndedRun { job, number, outcome }
        });
    }

    /// Stores the outcome of a run. A job that lost its lease, or could not start, is still due.
    fn store_outcome(&mut self, EndedRun { job, number, outcome }: EndedRun) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let Some(running) = held.running.take_if(|running| running.number == number) else { return };
        job_spec::remove_copy(&self.settings.runtime_dir(), &job);
        match outcome {
            Ok(Some(RunOutcome { outcome, evidence })) => {
                tracing::info!(%job, outcome, "job ended");
                let (token, spec_digest, outcome) = (held.token, held.spec_digest, outcome.to_owned());
                let id = uuid::Uuid::now_v7().to_string();
                let completion = JobCompletion { id, job: job.clone(), token, spec_digest, outcome, evidence };
                let until = self.state.progress(&job).map_or(running.due, |served| served.until);
                self.state.set_progress(
                    &job,
                    JobProgress { until, untold: Some(UnreportedRun { due: running.due, completion }) },
                );
                self.save();
            }
            Ok(None) => tracing::warn!(%job, "job killed: its lease ended"),
            Err(why) => {
                tracing::warn!(%job, %why, "job command can't be started");
                held.not_before = Uptime(Uptime::now().0 + RESTART_AFTER);
            }
        }
    }

    fn save(&mut self) {
        if let Err(why) = self.state.save() {
            tracing::warn!(%why, "state of the runtime can't be stored; trying again");
        }
    }

    /// Until the next due time, at most [`PAUSE_MAX`].
    fn pause(&self) -> Duration {
        let now = system_time();
        let next =
            self.jobs.values().filter_map(|held| held.schedule.as_ref()?.next()).filter(|next| *next > now).min();
        let until = next.map(|next| next.unix_micros().abs_diff(now.unix_micros()));
        let has_unreported = self.state.unreported().next().is_some() && Uptime::now() >= self.ask_at;
        if has_unreported {
            Duration::ZERO
        } else {
            until.map_or(PAUSE_MAX, |until| Duration::from_micros(until).min(PAUSE_MAX))
        }
    }
}

/// Completes when the lease has ended, or the job is not held any more.
async fn lease_lost(mut lease: watch::Receiver<Lease>) {
    loop {
        let remaining = lease.borrow_and_update().remaining(Uptime::now());
        if remaining.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(remaining.min(PAUSE_MAX)) => {}
            changed = lease.changed() => if changed.is_err() { return },
        }
    }
}
