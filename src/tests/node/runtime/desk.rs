//! The test plays the server's end of the claims: who holds what, and what was completed.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bus::connect::connect;
use futures::StreamExt as _;
use schema::digest::Digest;
use schema::id::JobId;
use schema::lease::{LeaseToken, LeasedJob};
use schema::rpc::{RpcError, RpcOutcome, RpcReply};
use schema::wire::WireRecord as _;
use serde::Deserialize;
use tempfile::TempDir;
use uuid::Uuid;

use testkit::agent::Agent;
use testkit::fake_server::{FakeServer, PATIENCE};
use testkit::nats::Server;

/// A schedule that is always due.
pub(crate) const ALWAYS: &str = "* * * * * *";

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Request {
    v: u16,
    pub(crate) id: String,
    pub(crate) limit: Option<usize>,
    pub(crate) jobs: Option<Vec<JobId>>,
    pub(crate) job: Option<JobId>,
    pub(crate) token: Option<LeaseToken>,
    pub(crate) spec_digest: Option<Digest>,
    pub(crate) outcome: Option<String>,
    pub(crate) evidence: Option<String>,
}

/// What the server knows.
#[derive(Default)]
pub(crate) struct Claims {
    pub(crate) free: VecDeque<LeasedJob>,
    pub(crate) held: BTreeMap<JobId, LeasedJob>,
    pub(crate) asked: Vec<(String, Request)>,
    pub(crate) completed: Vec<Request>,
    pub(crate) most: usize,
    /// Verbs that are not answered.
    pub(crate) mute: Vec<&'static str>,
}

impl Claims {
    fn answer(&mut self, verb: &str, request: &Request) -> Option<Result<Vec<LeasedJob>, &'static str>> {
        assert_eq!(request.v, 1);
        assert!(!request.id.is_empty());
        self.asked.push((verb.to_owned(), request.clone()));
        if self.mute.contains(&verb) {
            return None;
        }
        Some(match verb {
            "claim" => {
                let count = request.limit.unwrap().min(self.free.len());
                let given: Vec<LeasedJob> = self.free.drain(..count).collect();
                self.held.extend(given.iter().map(|job| (job.id.clone(), job.clone())));
                self.most = self.most.max(self.held.len());
                Ok(given)
            }
            "release" => {
                let given_up = request.jobs.as_ref().unwrap().iter();
                self.free.extend(given_up.filter_map(|job| self.held.remove(job)));
                Ok(Vec::new())
            }
            "complete" => self.complete(request),
            _ => Ok(self.held.values().cloned().collect()),
        })
    }

    fn complete(&mut self, request: &Request) -> Result<Vec<LeasedJob>, &'static str> {
        let held = self.held.get(request.job.as_ref().unwrap());
        let held = held.filter(|held| Some(held.token) == request.token).ok_or("claim_lost")?;
        if Some(held.spec_digest) != request.spec_digest {
            return Err("spec_changed");
        }
        if !self.completed.iter().any(|known| known.id == request.id) {
            self.completed.push(request.clone());
        }
        Ok(Vec::new())
    }

    pub(crate) fn asked(&self, verb: &str) -> usize {
        self.asked.iter().filter(|(asked, _)| asked == verb).count()
    }
}

/// A server, a server with its claims, and a folder for what commands write.
pub(crate) struct Desk {
    pub(crate) nats: Server,
    pub(crate) server: FakeServer,
    pub(crate) notes: TempDir,
    claims: Arc<Mutex<Claims>>,
    lease_s: u32,
}

impl Desk {
    /// With free jobs of these ids and schedules, whose specs are not in the tree yet.
    pub(crate) async fn with(jobs: &[(&str, &str)], lease_s: u32) -> Self {
        let nats = Server::start();
        let server = FakeServer::at(&nats).await;
        let claims = Arc::new(Mutex::new(Claims::default()));
        let desk = Self { nats, server, notes: tempfile::tempdir().unwrap(), claims, lease_s };
        desk.claims().free = jobs.iter().map(|(id, schedule)| desk.leased(id, schedule)).collect();
        desk.answer().await;
        desk
    }

    pub(crate) fn leased(&self, id: &str, schedule: &str) -> LeasedJob {
        let (token, spec_digest) = (Digest::of(id.as_bytes()).into(), Digest::of(&spec(id, schedule)));
        LeasedJob { id: id.parse().unwrap(), token, spec_digest, lease_s: self.lease_s, spec: None }
    }

    async fn answer(&self) {
        let link = connect(&self.nats.url(), "desk").await.unwrap();
        link.up().await;
        let mut requests = link.client().subscribe("cfg.rpc.n-1.*").await.unwrap();
        link.client().flush().await.unwrap();
        let claims = self.claims.clone();
        tokio::spawn(async move {
            while let Some(message) = requests.next().await {
                let verb = message.subject.rsplit('.').next().unwrap().to_owned();
                let answer = {
                    let request = rmp_serde::from_slice(&message.payload).unwrap();
                    claims.lock().unwrap().answer(&verb, &request)
                };
                let Some(answer) = answer else { continue };
                let (result, error) = match answer {
                    Ok(jobs) => (Some(done(jobs)), None),
                    Err(code) => (None, Some(RpcError::new(code, "", "the test says no"))),
                };
                let (log_id, position) = (Uuid::from_u128(9).into(), 7.into());
                // As an older server replies, without the id of the request.
                let reply = RpcReply { v: RpcReply::NEWEST, log_id, position, result, error, id: None }.write();
                link.client().publish(message.reply.unwrap(), reply.into()).await.unwrap();
            }
        });
    }

    pub(crate) fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap()
    }

    /// Puts these specs in the node's record, and waits until they are in force.
    pub(crate) async fn desire(&self, position: u64, jobs: &[(&str, &str)]) {
        let specs: Vec<(String, Vec<u8>)> =
            jobs.iter().map(|(id, schedule)| (format!("jobs/{id}.json"), spec(id, schedule))).collect();
        let files: Vec<(&str, &[u8])> = specs.iter().map(|(path, spec)| (path.as_str(), spec.as_slice())).collect();
        self.server.applied(&self.server.desire(position, &files).await).await;
    }

    /// A runtime that is not started; `@` in its command is the folder of notes.
    pub(crate) fn runtime(&self, command: &str, more: &[&str]) -> Agent {
        let command = command.replace('@', self.notes.path().to_str().unwrap());
        let trust = self.server.trust();
        let arguments = ["--trust", &trust, "--runtime", "--job-cmd", &command];
        Agent::of(&self.nats.url(), &[&arguments, more].concat())
    }

    /// Waits until the claims are as told.
    pub(crate) async fn until(&self, what: &str, is_it: impl Fn(&Claims) -> bool) {
        wait(what, || is_it(&self.claims())).await;
    }

    /// What commands wrote to a file, if it is there.
    pub(crate) fn note(&self, name: &str) -> String {
        std::fs::read_to_string(self.notes.path().join(name)).unwrap_or_default()
    }

    /// A process id that a command wrote.
    pub(crate) async fn pid(&self, name: &str) -> String {
        wait("a process id", || self.note(name).ends_with('\n')).await;
        self.note(name).trim().to_owned()
    }
}

fn done(jobs: Vec<LeasedJob>) -> RpcOutcome {
    let entity = "runtime/n-1".parse().unwrap();
    RpcOutcome { entity, version: 1.into(), changed: true, jobs: Some(jobs), digest: None }
}

pub(crate) async fn wait(what: &str, is_it: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_it() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a process is gone; one that nobody waited for counts as gone.
pub(crate) async fn dead(pid: &str) {
    let status = Path::new("/proc").join(pid).join("status");
    wait(&format!("{pid} is dead"), || {
        std::fs::read_to_string(&status).map_or(true, |status| status.contains("State:\tZ"))
    })
    .await;
}

pub(crate) fn spec(id: &str, schedule: &str) -> Vec<u8> {
    serde_json::json!({"id": id, "tasks": [{"id": "t", "schedule": schedule}]}).to_string().into_bytes()
}

/// A schedule that is due once, in a few seconds.
pub(crate) fn once() -> String {
    let time = std::time::SystemTime::now() + Duration::from_secs(10);
    let time = time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let time = jiff::Timestamp::from_second(i64::try_from(time).unwrap()).unwrap();
    jiff::tz::TimeZone::UTC.to_datetime(time).strftime("%-S %-M %-H %-d %-m *").to_string()
}
