//! Nothing runs that can't be vouched for.

use schema::digest::Digest;

use super::desk::{ALWAYS, Desk, dead, spec};

#[tokio::test(flavor = "multi_thread")]
async fn when_the_lease_is_lost_the_command_is_killed_and_nothing_completed() {
    let desk = Desk::with(&[("a", ALWAYS)], 6).await;
    let mut runtime = desk.runtime("echo $$ > @/pid; sleep 300", &[]);
    runtime.run();
    desk.desire(1, &[("a", ALWAYS)]).await;
    let pid = desk.pid("pid").await;
    desk.until("it is renewed while it runs", |claims| claims.asked("renew") > 3).await;
    assert_eq!(desk.pid("pid").await, pid, "a lease that is renewed goes on");
    desk.claims().mute = vec!["renew", "mine", "claim", "release", "complete"];
    dead(&pid).await;
    {
        let mut claims = desk.claims();
        assert_eq!(claims.asked("complete"), 0);
        // Somebody else has it by now.
        claims.held.clear();
        claims.mute.clear();
    }
    let before = desk.claims().asked("claim");
    desk.until("it has room again", |claims| claims.asked("claim") > before).await;
    assert_eq!(desk.pid("pid").await, pid);
    assert_eq!(desk.claims().asked("complete"), 0);
    runtime.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_gone_is_dropped_with_its_command() {
    let desk = Desk::with(&[("a", ALWAYS)], 600).await;
    let mut runtime = desk.runtime("echo $$ > @/pid; sleep 300", &[]);
    runtime.run();
    desk.desire(1, &[("a", ALWAYS)]).await;
    let pid = desk.pid("pid").await;
    desk.claims().held.clear();
    desk.desire(2, &[]).await;
    dead(&pid).await;
    assert_eq!(desk.claims().asked("complete"), 0);
    assert_eq!(std::fs::read_dir(runtime.path("current/jobs")).unwrap().count(), 0);
    runtime.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_spec_that_was_claimed_is_run() {
    let desk = Desk::with(&[("a", ALWAYS)], 6).await;
    let mut runtime = desk.runtime("cat {}", &[]);
    runtime.run();
    let other = "*/1 * * * * *";
    desk.desire(1, &[("a", other)]).await;
    let before = desk.claims().asked("renew");
    desk.until("it looked around for a while", |claims| claims.asked("renew") > before + 2).await;
    assert_eq!(desk.claims().asked("complete"), 0, "the tree has another spec");
    desk.desire(2, &[("a", ALWAYS)]).await;
    let told = String::from_utf8(spec("a", ALWAYS)).unwrap();
    desk.until("it ran", |claims| !claims.completed.is_empty()).await;
    assert_eq!(desk.claims().completed[0].evidence.as_ref(), Some(&told));
    runtime.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_spec_changes_what_runs_is_killed_and_the_new_one_run() {
    let desk = Desk::with(&[("a", ALWAYS)], 600).await;
    let other = "*/1 * * * * *";
    let mut runtime = desk.runtime("cat {}; if ! grep -q /1 {}; then echo $$ > @/pid; sleep 300; fi", &[]);
    runtime.run();
    desk.desire(1, &[("a", ALWAYS)]).await;
    let pid = desk.pid("pid").await;
    let changed = desk.leased("a", other);
    desk.claims().held.insert(changed.id.clone(), changed);
    desk.desire(2, &[("a", other)]).await;
    dead(&pid).await;
    desk.until("the new one ran", |claims| !claims.completed.is_empty()).await;
    let done = desk.claims().completed[0].clone();
    assert_eq!(done.spec_digest, Some(Digest::of(&spec("a", other))));
    runtime.stop().await;
}
