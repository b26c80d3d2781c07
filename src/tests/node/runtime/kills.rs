//! A runtime that is killed loses no run, and repeats none that it can know of.

use super::desk::{Desk, dead, once};

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_before_a_kill_is_told_after_it_and_not_run_again() {
    let schedule = once();
    let desk = Desk::with(&[("a", &schedule)], 60).await;
    desk.claims().mute = vec!["complete"];
    let runtime = desk.runtime("echo ran >> @/runs; echo fine", &[]);
    let process = runtime.process();
    desk.desire(1, &[("a", &schedule)]).await;
    desk.until("it is to be told", |claims| claims.asked("complete") > 0).await;
    drop(process);
    let asked = desk.claims().asked.len();
    desk.claims().mute.clear();
    let _process = runtime.process();
    desk.until("it is told", |claims| !claims.completed.is_empty()).await;
    let renewed = desk.claims().asked("claim");
    desk.until("it goes on", |claims| claims.asked("claim") > renewed + 1).await;
    let claims = desk.claims();
    assert_eq!(claims.asked[asked].0, "mine", "it asks first what is its own");
    assert_eq!((claims.completed.len(), desk.note("runs").as_str()), (1, "ran\n"));
    assert_eq!(claims.completed[0].evidence.as_deref(), Some("fine\n"));
    let ids: std::collections::BTreeSet<_> =
        claims.asked.iter().filter(|(verb, _)| verb == "complete").map(|(_, request)| &request.id).collect();
    assert_eq!(ids.len(), 1, "however often it is told, it is one completion");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_dies_with_its_runtime_and_its_due_time_is_served_after_it() {
    let schedule = once();
    let desk = Desk::with(&[("a", &schedule)], 60).await;
    let command = "echo ran >> @/runs; test -e @/pid || { echo $$ > @/pid; sleep 300; }";
    let runtime = desk.runtime(command, &[]);
    let process = runtime.process();
    desk.desire(1, &[("a", &schedule)]).await;
    let pid = desk.pid("pid").await;
    drop(process);
    dead(&pid).await;
    let _process = runtime.process();
    desk.until("it is told", |claims| !claims.completed.is_empty()).await;
    let renewed = desk.claims().asked("claim");
    desk.until("it goes on", |claims| claims.asked("claim") > renewed + 1).await;
    let claims = desk.claims();
    assert_eq!((claims.completed.len(), desk.note("runs").as_str()), (1, "ran\nran\n"));
    assert_eq!(claims.completed[0].outcome.as_deref(), Some("passed"));
}
