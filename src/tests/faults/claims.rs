//! Runtimes that never stop asking for jobs, and the law of claims: a job has one holder at each position.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use schema::lease::LeasedJob;
use schema::limit::LEASE_S_MIN;
use schema::rpc::{ClaimRequest, CompleteRequest, RpcOutcome, RpcVerb};
use schema::wire::WireRecord;
use serde_json::Value;
use tokio::task::JoinSet;

use testkit::asker::{Asker, claim, furnish, release, renew};
use testkit::fleet::Fleet;
use testkit::law::{self, Line};
use testkit::skipped::did_not_run;

use crate::story::is_long;

/// Runtimes at once.
const RUNTIMES: u64 = 3;
/// Jobs that they share.
const JOBS: usize = 8;
/// The pause before a question is repeated.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The longest pause of a runtime between two questions.
const PAUSE_MS_MAX: u64 = 200;

/// Runtimes at work.
pub(crate) struct Claims {
    stop: Arc<AtomicBool>,
    runtimes: JoinSet<Vec<Grant>>,
}

/// A job that a runtime was told to have.
#[derive(Debug)]
pub(crate) struct Grant {
    runtime: String,
    job: String,
    token: String,
}

fn name(number: u64) -> String {
    format!("r-{number}")
}

impl Claims {
    /// Makes runtimes and jobs, and lets them begin.
    pub(crate) async fn begin(seed: u64, fleet: &Fleet) -> Self {
        let names: Vec<String> = (0..RUNTIMES).map(name).collect();
        furnish(fleet, &names, JOBS).await;
        let (stop, asker) = (Arc::new(AtomicBool::new(false)), Asker::new(fleet).await);
        let mut runtimes = JoinSet::new();
        for number in 0..RUNTIMES {
            let random = Rng::with_seed(seed.wrapping_mul(31).wrapping_add(number));
            let runtime = Runtime { name: name(number), asker: asker.clone(), random, held: Vec::new() };
            runtimes.spawn(runtime.work(Arc::clone(&stop)));
        }
        Self { stop, runtimes }
    }

    /// Ends them, and gives what they were told.
    pub(crate) async fn end(mut self) -> Vec<Grant> {
        self.stop.store(true, Ordering::Relaxed);
        let mut grants = Vec::new();
        while let Some(told) = self.runtimes.join_next().await {
            grants.extend(told.unwrap());
        }
        grants
    }
}

struct Runtime {
    name: String,
    asker: Asker,
    random: Rng,
    held: Vec<LeasedJob>,
}

impl Runtime {
    async fn work(mut self, stop: Arc<AtomicBool>) -> Vec<Grant> {
        let mut grants = Vec::new();
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let id = format!("{}-{turn}", self.name);
            match self.random.u8(..6) {
                0 => {
                    self.ask(RpcVerb::Release, &release(&id), &stop).await;
                    self.held.clear();
                }
                1 => drop(self.ask(RpcVerb::Renew, &renew(&id), &stop).await),
                2 | 3 if !self.held.is_empty() => self.complete(id, &stop).await,
                _ => {
                    let limit = self.random.u32(1..4);
                    let done = self.ask(RpcVerb::Claim, &claim(&id, limit), &stop).await;
                    for job in done.and_then(|done| done.jobs).into_iter().flatten() {
                        let (runtime, token) = (self.name.clone(), job.token.to_string());
                        grants.push(Grant { runtime, job: job.id.to_string(), token });
                        self.held.push(job);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(self.random.u64(..PAUSE_MS_MAX))).await;
        }
        grants
    }

    async fn complete(&mut self, id: String, stop: &AtomicBool) {
        let LeasedJob { id: job, token, spec_digest, .. } = self.held[self.random.usize(..self.held.len())].clone();
        let (outcome, evidence) = ("passed".to_owned(), "seen".to_owned());
        let run = CompleteRequest { v: 1, id, runtime: None, sent: None, job, token, spec_digest, outcome, evidence };
        self.ask(RpcVerb::Complete, &run, stop).await;
    }

    /// Asks until it is answered, or nobody wants to know any more; nothing if it was refused.
    async fn ask(&self, verb: RpcVerb, request: &impl WireRecord, stop: &AtomicBool) -> Option<RpcOutcome> {
        while !stop.load(Ordering::Relaxed) {
            match self.asker.once(&self.name, verb, request.write()).await {
                Ok(reply) if !reply.error.as_ref().is_some_and(schema::rpc::RpcError::is_transient) => {
                    return reply.result;
                }
                _ => tokio::time::sleep(AGAIN_AFTER).await,
            }
        }
        None
    }
}

/// At no position has a job two holders, and whatever a runtime was told is in the log once.
pub(crate) fn hold(log: &[Line], grants: &[Grant]) {
    let mut held: BTreeMap<&str, (String, String)> = BTreeMap::new();
    let mut claimed: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for line in log {
        let Some(job) = line.entity.strip_prefix("job/") else { continue };
        let data: Value = serde_json::from_str(&line.data).unwrap();
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let claim = (text("runtime"), text("token"));
        match line.kind.as_str() {
            "JobClaimed" => {
                *claimed.entry((claim.0.clone(), job.to_owned(), claim.1.clone())).or_default() += 1;
                assert_eq!(held.insert(job, claim), None, "{job} has two holders at {}", line.position);
            }
            "JobReleased" | "ClaimExpired" => {
                assert_eq!(held.remove(job), Some(claim), "{job} was not so held at {}", line.position);
            }
            "JobCompleted" => assert_eq!(held.get(job), Some(&claim), "{job} was not so held at {}", line.position),
            other => panic!("{other} of {job} at {}", line.position),
        }
    }
    for Grant { runtime, job, token } in grants {
        let times = claimed.get(&(runtime.clone(), job.clone(), token.clone()));
        assert_eq!(times, Some(&1), "{runtime} was told that it has {job}");
    }
}

/// Whoever can't be answered for longer than its lease keeps its jobs, if it was the server that stood still.
#[tokio::test]
async fn the_server_is_frozen_for_longer_than_a_lease() {
    let name = "the_server_is_frozen_for_longer_than_a_lease";
    if !is_long() {
        return did_not_run(name, "the shortest lease is 10 s: `make faults` runs it");
    }
    let fleet = Fleet::start().await;
    furnish(&fleet, &["r-0".to_owned()], 2).await;
    let asker = Asker::new(&fleet).await;
    let request = ClaimRequest { lease_s: Some(LEASE_S_MIN), ..claim("claim", 2) };
    let (position, claimed) = asker.done("r-0", RpcVerb::Claim, &request).await;
    assert_eq!(claimed.jobs.map(|jobs| jobs.len()), Some(2));
    // The server has noticed the claims by then.
    tokio::time::sleep(Duration::from_secs(3)).await;
    fleet.servers[0].process.freeze(true);
    tokio::time::sleep(Duration::from_secs(2 * u64::from(LEASE_S_MIN))).await;
    fleet.servers[0].process.freeze(false);
    asker.done("r-0", RpcVerb::Renew, &renew("renew")).await;
    let (_, mine) = asker.mine("r-0", position).await;
    assert_eq!(mine.jobs.map(|jobs| jobs.len()), Some(2), "nobody else may have them");
    let log = law::holds(&fleet.backends).await;
    assert!(log.iter().all(|line| line.kind != "ClaimExpired"), "{log:?}");
}
