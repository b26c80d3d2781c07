//! Fifty runtimes claim and release over NATS and HTTP at once, and repeat themselves; some fall silent with jobs in their
//! hands, and the server is killed in between. No job has two holders, none is lost, and every answer equals what the log
//! says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use schema::limit::{LEASE_S_DEFAULT, LEASE_S_MIN};
use schema::rpc::{ClaimRequest, RpcOutcome, RpcVerb};
use serde_json::{Value, json};

use testkit::asker::{Asker, claim, furnish, release};
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::http_api::HttpApi;
use testkit::law::{self, Line};

const RUNTIMES: usize = 50;
const JOBS: usize = 120;
const ROUNDS: usize = 8;
/// One runtime in so many falls silent half-way, with a short lease.
const ONE_SILENT_IN: usize = 5;
/// Rounds of all runtimes after which the server is killed.
const KILLED_AFTER: usize = RUNTIMES * ROUNDS / 3;
/// How long an answer may take that has to wait for a server to start.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take until the claims of the silent have ended: several of their leases.
const EXPIRED_WITHIN: Duration = Duration::from_secs(90);

/// Jobs with the proofs of their claims.
type Proofs = BTreeMap<String, String>;

/// What a claim was answered.
struct Given {
    position: u64,
    runtime: String,
    proofs: Proofs,
}

/// A runtime by its number.
struct Runtime {
    id: String,
    is_silent: bool,
}

#[tokio::test]
async fn fifty_runtimes_share_the_jobs_over_nats_and_http() {
    let mut fleet = Fleet::start().await;
    let of = |number| Runtime { id: format!("n-{number}"), is_silent: number % ONE_SILENT_IN == 0 };
    let runtimes: Vec<Runtime> = (0..RUNTIMES).map(of).collect();
    let ids: Vec<String> = runtimes.iter().map(|runtime| runtime.id.clone()).collect();
    furnish(&fleet, &ids, JOBS).await;
    let asker = Asker::new(&fleet).await;
    asker.mine("n-0", 0).await;
    let (api, rounds) = (fleet.api().clone(), AtomicUsize::new(0));
    let working = join_all(runtimes.iter().map(|runtime| works(&asker, &api, runtime, &rounds)));
    let killing = async {
        eventually("the runtimes are at work", ANSWERED_WITHIN, async || match rounds.load(Ordering::Relaxed) {
            KILLED_AFTER.. => Ok(()),
            rounds => Err(format!("{rounds} rounds")),
        })
        .await;
        fleet.servers[0].process.kill();
        fleet.servers[0].process.start_again();
    };
    let (given, ()) = tokio::join!(working, killing);
    let given: Vec<Given> = given.into_iter().flatten().collect();

    let silent: BTreeSet<&String> =
        runtimes.iter().filter(|runtime| runtime.is_silent).map(|runtime| &runtime.id).collect();
    eventually("the claims of the silent have ended", EXPIRED_WITHIN, async || {
        let held = holders(&law::table(&fleet.backends.database()).await?);
        match held.keys().find(|holder| silent.contains(holder)) {
            Some(holder) => Err(format!("{holder} holds {:?}", held[holder])),
            None => Ok(()),
        }
    })
    .await;
    let log = law::holds(&fleet.backends).await;
    let held = holders(&log);
    let ended = |line: &&Line| line.kind == "ClaimExpired";
    let expired: BTreeSet<String> = log.iter().filter(ended).map(|line| said(line).0).collect();
    assert!(!expired.is_empty() && expired.iter().all(|runtime| silent.contains(runtime)), "{expired:?}");
    for answer in &given {
        assert_eq!(answer.proofs, claimed_with(&log, answer), "{} at {}", answer.runtime, answer.position);
    }
    let claims = log.iter().filter(|line| line.kind == "JobClaimed").count();
    let answered: BTreeSet<&String> = given.iter().flat_map(|answer| answer.proofs.values()).collect();
    assert_eq!(answered.len(), claims, "whatever was claimed was answered");
    println!("{} answers, {claims} claims", given.len());

    let mut all = BTreeSet::new();
    for runtime in &ids {
        let (_, mine) = asker.mine(runtime, log.len() as u64).await;
        let mine = proofs(&mine);
        assert_eq!(Some(&mine), held.get(runtime).or(Some(&Proofs::new())), "{runtime}");
        all.extend(mine.into_keys());
    }
    let jobs = fleet.api().get("/v1/jobs?limit=1000").await.unwrap().body;
    let jobs = jobs["items"].as_array().unwrap();
    assert_eq!(jobs.len(), JOBS);
    let waiting = jobs.iter().filter(|job| job["claim"].is_null()).map(|job| job["id"].as_str().unwrap().to_owned());
    let waiting: BTreeSet<String> = waiting.collect();
    assert!(waiting.is_disjoint(&all) && waiting.len() + all.len() == JOBS, "a job is held or waits");
}

/// One runtime at work: it claims, asks the same again, and sometimes gives all back.
async fn works(asker: &Asker, api: &HttpApi, runtime: &Runtime, rounds: &AtomicUsize) -> Vec<Given> {
    let Runtime { id: runtime, is_silent } = runtime;
    let (until, lease_s) = if *is_silent { (ROUNDS / 2, LEASE_S_MIN) } else { (ROUNDS, LEASE_S_DEFAULT) };
    let mut given = Vec::new();
    for round in 0..until {
        let (id, limit) = (format!("{runtime}-{round}"), fastrand::u32(1..4));
        let answers = if fastrand::bool() {
            let request = ClaimRequest { lease_s: Some(lease_s), ..claim(&id, limit) };
            let times = (0..fastrand::usize(1..4)).map(|_| asker.done(runtime, RpcVerb::Claim, &request));
            let answers = join_all(times).await;
            answers.into_iter().map(|(position, done)| (position, proofs(&done))).collect()
        } else {
            let claim = json!({"type": "claim_jobs", "runtime": runtime, "limit": limit, "lease_s": lease_s});
            let body = json!({"commands": [claim]});
            let times = (0..fastrand::usize(1..4)).map(|_| over_http(api, &body, &id));
            join_all(times).await
        };
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "the same is answered again: {answers:?}");
        let (position, proofs) = answers.into_iter().next().unwrap();
        given.push(Given { position, runtime: runtime.to_owned(), proofs });
        if fastrand::u32(..3) == 0 && round + 1 < until {
            asker.done(runtime, RpcVerb::Release, &release(&format!("r-{round}"))).await;
        }
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    given
}

async fn over_http(api: &HttpApi, body: &Value, key: &str) -> (u64, Proofs) {
    let answer = eventually("it is answered", ANSWERED_WITHIN, async || match api.post(body, Some(key)).await? {
        answer if answer.is_for_later() => Err(format!("{answer:?}")),
        answer => Ok(answer),
    })
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let done = &answer.body["results"][0]["jobs"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let proofs = done.as_array().unwrap().iter().map(|job| (text(&job["id"]), text(&job["token"]))).collect();
    (answer.body["position"].as_u64().unwrap(), proofs)
}

fn proofs(done: &RpcOutcome) -> Proofs {
    done.jobs.iter().flatten().map(|job| (job.id.to_string(), job.token.to_string())).collect()
}

/// What the request that ends at the answer's position claimed, by the log.
fn claimed_with(log: &[Line], answer: &Given) -> Proofs {
    let Given { position, runtime, proofs } = answer;
    let end = &log[usize::try_from(*position).unwrap() - 1];
    if proofs.is_empty() {
        return Proofs::new();
    }
    let own = log.iter().filter(|line| line.command_id == end.command_id);
    own.map(|line| {
        let data: Value = serde_json::from_str(&line.data).unwrap();
        assert_eq!((line.kind.as_str(), data["runtime"].as_str()), ("JobClaimed", Some(runtime.as_str())));
        (job(line), data["token"].as_str().unwrap().to_owned())
    })
    .collect()
}

/// Who holds what at the end of the log, where no job was ever claimed that somebody held.
fn holders(log: &[Line]) -> BTreeMap<String, Proofs> {
    let mut held: BTreeMap<String, (String, String)> = BTreeMap::new();
    for line in log {
        match line.kind.as_str() {
            "JobClaimed" => assert_eq!(held.insert(job(line), said(line)), None, "two holders at {}", line.position),
            "JobReleased" | "ClaimExpired" => {
                assert_eq!(held.remove(&job(line)), Some(said(line)), "at {}", line.position);
            }
            _ => {}
        }
    }
    let mut by_runtime: BTreeMap<String, Proofs> = BTreeMap::new();
    for (job, (runtime, token)) in held {
        by_runtime.entry(runtime).or_default().insert(job, token);
    }
    by_runtime
}

/// Which runtime's claim a line is about, and its proof.
fn said(line: &Line) -> (String, String) {
    let data: Value = serde_json::from_str(&line.data).unwrap();
    (data["runtime"].as_str().unwrap().to_owned(), data["token"].as_str().unwrap().to_owned())
}

fn job(line: &Line) -> String {
    line.entity.strip_prefix("job/").unwrap().to_owned()
}
