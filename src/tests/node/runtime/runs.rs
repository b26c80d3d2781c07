//! What is claimed is run when it is due, and what it came to is told.

use schema::id::JobId;
use schema::limit::EVIDENCE_BYTES_MAX;

use super::desk::{ALWAYS, Desk, dead};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_claimed_up_to_capacity_and_run_when_they_are_due() {
    let jobs = [("a", ALWAYS), ("b", ALWAYS), ("c", ALWAYS), ("d", ALWAYS), ("never", "0 0 30 2 *")];
    let desk = Desk::with(&jobs, 60).await;
    desk.claims().free.rotate_right(1);
    let command = r#"echo "$HEADWATER_JOB_ID"; cat {}; cmp -s {} "$HEADWATER_JOB" && test "$HEADWATER_JOB_ID" != b"#;
    let mut runtime = desk.runtime(command, &["--jobs-max", "3"]);
    runtime.run();
    desk.desire(1, &jobs).await;
    let is_done = |job: &str| {
        let job = job.to_owned();
        move |done: &super::desk::Request| done.job.as_ref().unwrap().as_str() == job
    };
    desk.until("two jobs run again and again", |claims| {
        ["a", "b"].iter().all(|job| claims.completed.iter().filter(|done| is_done(job)(done)).count() > 1)
    })
    .await;
    runtime.stop().await;
    let claims = desk.claims();
    assert_eq!((claims.most, claims.free.len()), (3, 2));
    assert!(claims.held.contains_key(&"never".parse::<JobId>().unwrap()));
    for done in &claims.completed {
        let job = done.job.as_ref().unwrap().as_str();
        assert!(["a", "b"].contains(&job), "{job} was not held, or not due");
        let printed = format!("{job}\n{}", String::from_utf8(super::desk::spec(job, ALWAYS)).unwrap());
        let (outcome, evidence) =
            if job == "a" { ("passed", printed) } else { ("failed", format!("{printed}\n[ended with 1]\n")) };
        assert_eq!((done.outcome.as_deref(), done.evidence.as_ref()), (Some(outcome), Some(&evidence)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_beyond_capacity_is_given_back() {
    let desk = Desk::with(&[("a", ALWAYS), ("b", ALWAYS), ("c", ALWAYS)], 60).await;
    {
        // As if answers to claims had been lost.
        let mut claims = desk.claims();
        let held: Vec<_> = claims.free.drain(..).collect();
        claims.held.extend(held.into_iter().map(|job| (job.id.clone(), job)));
    }
    let mut runtime = desk.runtime("true", &["--jobs-max", "1"]);
    runtime.run();
    desk.until("one is held", |claims| claims.held.len() == 1 && claims.free.len() == 2).await;
    runtime.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_cut_at_the_limit() {
    let desk = Desk::with(&[("a", ALWAYS)], 60).await;
    let mut runtime = desk.runtime("head -c 300000 /dev/zero | tr '\\0' x; echo wrong >&2; exit 3", &[]);
    runtime.run();
    desk.desire(1, &[("a", ALWAYS)]).await;
    desk.until("it ran", |claims| !claims.completed.is_empty()).await;
    let evidence = desk.claims().completed[0].evidence.clone().unwrap();
    assert!(evidence.len() <= EVIDENCE_BYTES_MAX && evidence.len() > EVIDENCE_BYTES_MAX / 2, "{}", evidence.len());
    assert!(
        evidence.starts_with("xxx") && evidence.contains("[ended with 3; "),
        "{}",
        &evidence[evidence.len() - 99..]
    );
    runtime.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_kills_the_command_and_its_children() {
    let desk = Desk::with(&[("a", ALWAYS)], 60).await;
    let command = "sleep 300 & echo $! > @/child; echo before; sleep 300";
    let mut runtime = desk.runtime(command, &["--job-timeout-s", "2"]);
    runtime.run();
    desk.desire(1, &[("a", ALWAYS)]).await;
    let child = desk.pid("child").await;
    desk.until("it is told", |claims| !claims.completed.is_empty()).await;
    dead(&child).await;
    let done = desk.claims().completed[0].clone();
    assert_eq!(done.outcome.as_deref(), Some("timed_out"));
    assert_eq!(done.evidence.as_deref(), Some("before\n[killed after 2 s]\n"));
    runtime.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_commands_run_at_once_than_the_operator_wants() {
    let jobs = [("a", ALWAYS), ("b", ALWAYS), ("c", ALWAYS)];
    let desk = Desk::with(&jobs, 60).await;
    let command = "mkdir @/busy && sleep 0.2 && rmdir @/busy && echo alone";
    let mut runtime = desk.runtime(command, &["--jobs-at-once", "1"]);
    runtime.run();
    desk.desire(1, &jobs).await;
    desk.until("all ran", |claims| {
        claims.held.keys().all(|job| claims.completed.iter().any(|done| done.job.as_ref() == Some(job)))
            && !claims.completed.is_empty()
    })
    .await;
    assert!(desk.claims().completed.iter().all(|done| done.evidence.as_deref() == Some("alone\n")));
    runtime.stop().await;
}
