//! Fifty runtimes claim and release over NATS and HTTP at once, and repeat themselves: no job has two holders, none is lost,
//! and every answer equals what the log says.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use schema::rpc::{Done, Verb};
use serde_json::{Value, json};

use crate::asker::{Asker, claim, furnish, release};
use crate::door::Door;
use crate::fleet::Fleet;
use crate::law::{self, Line};

const RUNTIMES: usize = 50;
const JOBS: usize = 120;
const ROUNDS: usize = 8;

/// Jobs with the proofs of their claims.
type Proofs = BTreeMap<String, String>;

/// What a claim was answered.
struct Given {
    position: u64,
    runtime: String,
    proofs: Proofs,
}

#[tokio::test]
async fn fifty_runtimes_share_the_jobs_over_nats_and_http() {
    let fleet = Fleet::start().await;
    let runtimes: Vec<String> = (0..RUNTIMES).map(|number| format!("n-{number}")).collect();
    furnish(&fleet, &runtimes, JOBS).await;
    let asker = Asker::new(&fleet).await;
    asker.mine("n-0", 0).await;
    let working = runtimes.iter().map(|runtime| works(&asker, fleet.door(), runtime));
    let given: Vec<Given> = join_all(working).await.into_iter().flatten().collect();

    let log = law::holds(&fleet.ground).await;
    let held = holders(&log);
    for answer in &given {
        assert_eq!(answer.proofs, claimed_with(&log, answer), "{} at {}", answer.runtime, answer.position);
    }
    let claims = log.iter().filter(|line| line.kind == "JobClaimed").count();
    let answered: BTreeSet<&String> = given.iter().flat_map(|answer| answer.proofs.values()).collect();
    assert_eq!(answered.len(), claims, "whatever was claimed was answered");
    println!("{} answers, {claims} claims", given.len());

    let mut all = BTreeSet::new();
    for runtime in &runtimes {
        let (_, mine) = asker.mine(runtime, log.len() as u64).await;
        let mine = proofs(&mine);
        assert_eq!(Some(&mine), held.get(runtime).or(Some(&Proofs::new())), "{runtime}");
        all.extend(mine.into_keys());
    }
    let jobs = fleet.door().get("/v1/jobs?limit=1000").await.unwrap().body;
    let jobs = jobs["items"].as_array().unwrap();
    assert_eq!(jobs.len(), JOBS);
    let waiting = jobs.iter().filter(|job| job["claim"].is_null()).map(|job| job["id"].as_str().unwrap().to_owned());
    let waiting: BTreeSet<String> = waiting.collect();
    assert!(waiting.is_disjoint(&all) && waiting.len() + all.len() == JOBS, "a job is held or waits");
}

/// One runtime at work: it claims, asks the same again, and sometimes gives all back.
async fn works(asker: &Asker, door: &Door, runtime: &str) -> Vec<Given> {
    let mut given = Vec::new();
    for round in 0..ROUNDS {
        let (id, limit) = (format!("{runtime}-{round}"), fastrand::u32(1..4));
        let answers = if fastrand::bool() {
            let request = claim(&id, limit);
            let times = (0..fastrand::usize(1..4)).map(|_| asker.done(runtime, Verb::Claim, &request));
            let answers = join_all(times).await;
            answers.into_iter().map(|(position, done)| (position, proofs(&done))).collect()
        } else {
            let body = json!({"commands": [{"type": "claim_jobs", "runtime": runtime, "limit": limit}]});
            let times = (0..fastrand::usize(1..4)).map(|_| over_http(door, &body, &id));
            join_all(times).await
        };
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "the same is answered again: {answers:?}");
        let (position, proofs) = answers.into_iter().next().unwrap();
        given.push(Given { position, runtime: runtime.to_owned(), proofs });
        if fastrand::u32(..3) == 0 {
            asker.done(runtime, Verb::Release, &release(&format!("r-{round}"))).await;
        }
    }
    given
}

async fn over_http(door: &Door, body: &Value, key: &str) -> (u64, Proofs) {
    let answer = door.post(body, Some(key)).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let done = &answer.body["results"][0]["jobs"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let proofs = done.as_array().unwrap().iter().map(|job| (text(&job["id"]), text(&job["token"]))).collect();
    (answer.body["position"].as_u64().unwrap(), proofs)
}

fn proofs(done: &Done) -> Proofs {
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
        let data: Value = serde_json::from_str(&line.data).unwrap();
        let claim = || (data["runtime"].as_str().unwrap().to_owned(), data["token"].as_str().unwrap().to_owned());
        match line.kind.as_str() {
            "JobClaimed" => assert_eq!(held.insert(job(line), claim()), None, "two holders at {}", line.position),
            "JobReleased" => assert_eq!(held.remove(&job(line)), Some(claim()), "at {}", line.position),
            "ClaimExpired" => panic!("nobody was silent"),
            _ => {}
        }
    }
    let mut by_runtime: BTreeMap<String, Proofs> = BTreeMap::new();
    for (job, (runtime, token)) in held {
        by_runtime.entry(runtime).or_default().insert(job, token);
    }
    by_runtime
}

fn job(line: &Line) -> String {
    line.entity.strip_prefix("job/").unwrap().to_owned()
}
