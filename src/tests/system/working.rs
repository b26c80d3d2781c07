//! Two nodes that are assessment runtimes, as real processes: they share the jobs, run them, and tell what came of it; when
//! one is killed, its jobs go to the other once its lease is over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use schema::limit::{INLINE_ENTRY_BYTES_MAX, LEASE_S_MIN};
use serde_json::{Value, json};

use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law::{self, Line};

const RUNTIMES: [&str; 2] = ["n-1", "n-2"];
const JOBS: usize = 6;
/// Jobs that one runtime may hold: half of them, and later all.
const EACH: usize = JOBS / 2;
/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);
/// How long it may take until the jobs of the dead are another's: its lease, and the other's next question.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(120);

/// Jobs that are due every second; the spec of each is too large to travel inside a record.
async fn furnish(fleet: &Fleet) {
    let long = "x".repeat(usize::try_from(INLINE_ENTRY_BYTES_MAX).unwrap());
    let mut commands = vec![
        json!({"type": "define_control", "id": "c", "title": "Control"}),
        json!({"type": "define_component", "id": "high-voltage", "title": "High voltage", "controls": ["c"],
            "properties": {"manual": long}, "labels": {"part": "hv"}}),
        json!({"type": "define_assessment", "id": "as", "title": "Plan", "control": "c",
            "component_selector": {"match_labels": {"part": "hv"}}, "schedule": "* * * * * *"}),
    ];
    commands.extend((0..JOBS).map(|number| {
        json!({"type": "define_attestation", "id": format!("at-{number}"), "assessment": "as", "title": "Check",
            "provider": {"name": "probe"}})
    }));
    fleet.api().accepted(json!({ "commands": commands })).await;
}

fn told_to_hold(jobs: usize) -> Vec<std::ffi::OsString> {
    let command = r#"grep -q '"component-ids":\["high-voltage"\]' {} && echo "$HEADWATER_JOB_ID looked at""#;
    let jobs = jobs.to_string();
    let lease = LEASE_S_MIN.to_string();
    let args =
        ["--runtime", "--jobs-max", &jobs, "--job-cmd", command, "--job-lease-s", &lease, "--job-timeout-s", "3"];
    args.map(Into::into).into()
}

/// The jobs that a node has on its disk.
fn on_disk(dir: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(dir.join("current/jobs")).into_iter().flatten().flatten();
    files.map(|file| file.file_name().to_str().unwrap().trim_end_matches(".json").to_owned()).collect()
}

/// Who holds what, as the server says it.
async fn held(fleet: &Fleet) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let jobs = fleet.api().get("/v1/jobs?limit=100").await?.body;
    let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for job in jobs["items"].as_array().ok_or_else(|| jobs.to_string())? {
        if let Some(runtime) = job["claim"]["runtime"].as_str() {
            held.entry(runtime.to_owned()).or_default().insert(job["id"].as_str().unwrap().to_owned());
        }
    }
    Ok(held)
}

/// Waits until a node holds so many jobs, at the server and on its disk.
async fn holds(fleet: &Fleet, node: &str, jobs: usize) -> BTreeSet<String> {
    eventually(&format!("{node} holds {jobs} jobs"), TAKEN_OVER_WITHIN, async || {
        let held = held(fleet).await?.remove(node).unwrap_or_default();
        let disk = on_disk(&fleet.agents[node].dir);
        if held.len() == jobs && held == disk { Ok(held) } else { Err(format!("{held:?}, on disk {disk:?}")) }
    })
    .await
}

/// What is completed, with who completed it and its evidence.
fn completed(log: &[Line]) -> Vec<(String, Value)> {
    let lines = log.iter().filter(|line| line.kind == "JobCompleted");
    lines
        .map(|line| {
            let job = line.entity.strip_prefix("job/").unwrap().to_owned();
            (job, serde_json::from_str(&line.data).unwrap())
        })
        .collect()
}

/// Waits until a node has completed each of these jobs after a position.
async fn completes(fleet: &Fleet, node: &str, jobs: &BTreeSet<String>, after: u64) {
    eventually(&format!("{node} completes {jobs:?}"), SOON, async || {
        let mut log = law::table(&fleet.backends.database()).await?;
        log.retain(|line| line.position > after);
        let done: BTreeSet<String> =
            completed(&log).into_iter().filter(|(_, data)| data["runtime"] == node).map(|(job, _)| job).collect();
        if done.is_superset(jobs) { Ok(()) } else { Err(format!("{done:?}")) }
    })
    .await;
}

#[tokio::test]
async fn two_runtimes_share_the_jobs_and_the_living_takes_over_from_the_dead() {
    let mut fleet = Fleet::start().await;
    furnish(&fleet).await;
    fleet.ways.agent_args = told_to_hold(EACH);
    for node in RUNTIMES {
        fleet.node(node, json!({})).await;
    }
    let (one, two) = (holds(&fleet, "n-1", EACH).await, holds(&fleet, "n-2", EACH).await);
    assert!(one.is_disjoint(&two));
    completes(&fleet, "n-1", &one, 0).await;
    completes(&fleet, "n-2", &two, 0).await;

    fleet.agents.get_mut("n-2").unwrap().process.kill();
    assert!(fleet.agents.get_mut("n-1").unwrap().process.stop().await, "a runtime ends well when asked");
    fleet.ways.agent_args = told_to_hold(JOBS);
    let killed_at = fleet.api().position().await;
    fleet.start_agent("n-1");
    let all = holds(&fleet, "n-1", JOBS).await;
    assert_eq!(all, one.union(&two).cloned().collect());
    completes(&fleet, "n-1", &two, killed_at).await;

    // Who comes back with what it held finds that it is gone.
    fleet.agents.get_mut("n-2").unwrap().process.start_again();
    holds(&fleet, "n-2", 0).await;
    fleet.agents.get_mut("n-1").unwrap().process.kill();
    fleet.agents.get_mut("n-2").unwrap().process.kill();

    let log = law::holds(&fleet.backends).await;
    let mut holder: BTreeMap<String, (Value, Value)> = BTreeMap::new();
    let (mut expired, mut runs) = (0, 0);
    for line in &log {
        let data: Value = serde_json::from_str(&line.data).unwrap();
        let job = line.entity.strip_prefix("job/").unwrap_or_default().to_owned();
        let claim = (data["runtime"].clone(), data["token"].clone());
        match line.kind.as_str() {
            "JobClaimed" => assert_eq!(holder.insert(job, claim), None, "two holders at {}", line.position),
            "JobReleased" => assert_eq!(holder.remove(&job), Some(claim)),
            "ClaimExpired" => {
                assert_eq!((holder.remove(&job), &claim.0), (Some(claim.clone()), &json!("n-2")));
                expired += 1;
            }
            "JobCompleted" => {
                assert_eq!(holder.get(&job).map(|held| &held.0), Some(&claim.0), "at {}", line.position);
                assert_eq!(data["outcome"], "passed", "{data}");
                assert_eq!(data["evidence"], json!(format!("{job} looked at\n")));
                runs += 1;
            }
            _ => {}
        }
    }
    assert_eq!(expired, EACH, "the claims of the dead have ended, each once");
    assert!(runs >= JOBS + EACH, "{runs}");
}
