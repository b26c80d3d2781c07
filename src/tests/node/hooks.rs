//! The operator's check and hook: their no is final until something differs or a retry came.

use std::fs;
use std::path::Path;
use std::time::Duration;

use projections::convergence::{ExpectedState, NodeEvidence, judge};
use schema::convergence::ConvergenceState;
use schema::desired::Desired;
use schema::position::Position;
use schema::report::AttemptState::Failed;
use schema::report::{ReportSummary, Reported};

use testkit::agent::{Agent, expected};
use testkit::fake_server::{FakeServer, state};
use testkit::nats::Server;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_check_rejects_never_runs_and_waits_for_a_retry() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let tries = tempfile::tempdir().unwrap();
    let count = || fs::read_dir(tries.path()).unwrap().count();
    let check = format!(
        "mktemp -p {} >/dev/null; echo looking at; cat {{}}/files/a; test -d \"$HEADWATER_TREE\"; ! grep -q bad {{}}/files/a",
        tries.path().display()
    );
    let mut agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--check", &check]);
    let good = server.desire(1, &[("a", b"good")]).await;
    server.applied(&good).await;
    let bad = server.desire(2, &[("a", b"bad")]).await;
    let report = server.said(Failed, "check_rejected").await;
    assert_eq!((report.running, report.last_good), (Some(good.record_ref()), Some(good.record_ref())));
    assert_eq!((report.seen, report.rejected), (Some(bad.record_ref()), vec![bad.record_ref()]));
    assert!(report.attempt.unwrap().detail.unwrap().contains("looking at\nbad"));
    assert_eq!(agent.tree(), expected(&[("a", b"good")]));
    assert_eq!(count(), 2);

    agent.stop().await;
    agent.run();
    let again = server.desire(3, &[("a", b"bad")]).await;
    server
        .report("the newer position", |report| report.seen == Some(again.record_ref()) && state(report).is_some())
        .await;
    assert_eq!(state(&server.said(Failed, "check_rejected").await), Some((Failed, Some("check_rejected"))));
    assert_eq!(count(), 2, "the same digest is not tried again, also after a restart");
    let retried = Desired { position: Position::from(4), retry: Position::from(4), ..again };
    server.put(&retried).await;
    server.report("a retry", |report| report.rejected == [retried.record_ref()]).await;
    assert_eq!(count(), 3);
    let better = server.desire(5, &[("a", b"better")]).await;
    server.applied(&better).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_hook_rejects_the_last_good_tree_comes_back() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let seen = tempfile::tempdir().unwrap();
    let log = seen.path().join("log");
    let apply = format!("cat {{}}/files/a >>{}; ! grep -q bad {{}}/files/a", log.display());
    let mut agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--apply", &apply]);
    server.desire(1, &[("a", b"bad 1;")]).await;
    let report = server.said(Failed, "apply_rejected").await;
    assert_eq!((report.running, agent.path("current").exists()), (None, false), "there is nothing to go back to");
    let good = server.desire(2, &[("a", b"good;")]).await;
    server.applied(&good).await;
    let bad = server.desire(3, &[("a", b"bad 2;")]).await;
    let is_back =
        |report: &Reported| report.rejected.contains(&bad.record_ref()) && report.running == Some(good.record_ref());
    server.report("the way back", is_back).await;
    let report = server.said(Failed, "apply_rejected").await;
    assert_eq!((report.running, report.last_good), (Some(good.record_ref()), Some(good.record_ref())));
    assert_eq!(agent.tree(), expected(&[("a", b"good;")]));
    assert_eq!(fs::read_to_string(&log).unwrap(), "bad 1;good;bad 2;good;", "the hook hears of the way back");

    // As if it had been killed after the no and before the way back.
    agent.stop().await;
    let target = format!("generations/{:020}-{}", 3, bad.digest.short());
    fs::remove_file(agent.path("current")).unwrap();
    std::os::unix::fs::symlink(target, agent.path("current")).unwrap();
    agent.run();
    let is_back = |now: &Reported| now.boot != report.boot && now.running == Some(good.record_ref());
    server.report("the way back", is_back).await;
    assert_eq!(agent.tree(), expected(&[("a", b"good;")]));
    assert_eq!(fs::read_to_string(log).unwrap(), "bad 1;good;bad 2;good;good;");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_switched_to_has_not_converged_before_its_hook_said_yes() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let yes = tempfile::tempdir().unwrap();
    let yes = yes.path().join("yes");
    let apply = format!("grep -q first {{}}/files/a || until test -e {}; do sleep 0.02; done", yes.display());
    let agent = Agent::of(&nats.url(), &["--trust", &server.trust(), "--apply", &apply]);
    let process = agent.process();
    let first = server.desire(1, &[("a", b"first")]).await;
    server.applied(&first).await;
    let second = server.desire(2, &[("a", b"second")]).await;
    let switched = agent.path(&format!("generations/{:020}-{}", 2, second.digest.short()));
    let since = std::time::Instant::now();
    while agent.path("current").canonicalize().ok() != switched.canonicalize().ok() || !switched.exists() {
        assert!(since.elapsed() < testkit::fake_server::PATIENCE, "it never switched");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(process);

    let _process = agent.process();
    let is_between = |report: &Reported| report.running == Some(second.record_ref());
    let report = server.report("what was switched to", is_between).await;
    let (log_id, head, retry) = (server.log_id, second.position, Position::ZERO);
    let expected = ExpectedState { log_id, head, digest: second.digest, retry };
    let state = |evidence| judge(&expected, Some(&evidence));
    assert_eq!(state(NodeEvidence::from_report(&report, Duration::ZERO)), ConvergenceState::Progressing);
    let summary = ReportSummary::from(&report);
    assert_eq!(summary.good, Some(Some(first.record_ref())), "the log keeps it");
    assert_eq!(state(NodeEvidence::from_summary(&summary)), ConvergenceState::Progressing);
    fs::write(&yes, "").unwrap();
    let report = server.applied(&second).await;
    assert_eq!(state(NodeEvidence::from_report(&report, Duration::ZERO)), ConvergenceState::Converged);
    assert_eq!(ReportSummary::from(&report).good, None, "nothing more than the first format says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_takes_too_long_is_killed_with_its_children() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let pids = tempfile::tempdir().unwrap();
    let pid = pids.path().join("pid");
    let check = format!("sleep 600 & echo $! >{}; wait", pid.display());
    let more = ["--trust", &server.trust(), "--check", &check, "--hook-timeout-s", "1"];
    let agent = Agent::start(&nats.url(), &more);
    server.desire(1, &[("a", b"x")]).await;
    server.said(Failed, "check_timed_out").await;
    is_gone(&pid).await;
    assert!(!agent.path("current").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_hook_that_said_yes_left_behind_lives_on() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let pids = tempfile::tempdir().unwrap();
    let leave = |moment: &str| {
        let pids = pids.path().display();
        format!("n=$(cat {{}}/files/a); sleep 600 >/dev/null 2>&1 & echo $! >{pids}/{moment}-$n; test $n != bad")
    };
    let (check, apply) = (leave("check").replace("test $n != bad", "true"), leave("apply"));
    let more = ["--trust", &server.trust(), "--check", &check, "--apply", &apply];
    let _agent = Agent::start(&nats.url(), &more);
    server.applied(&server.desire(1, &[("a", b"good")]).await).await;
    is_gone(&pids.path().join("check-good")).await;
    let service = pids.path().join("apply-good");
    assert!(lives(&service), "what the hook started is there to stay");
    let service = fs::read_to_string(service).unwrap();
    server.desire(2, &[("a", b"bad")]).await;
    server.said(Failed, "apply_rejected").await;
    is_gone(&pids.path().join("apply-bad")).await;
    for pid in [service, fs::read_to_string(pids.path().join("apply-good")).unwrap()] {
        std::process::Command::new("kill").arg(pid.trim()).status().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_check_does_to_its_tree_is_never_in_force_and_is_told() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let outside = tempfile::tempdir().unwrap();
    let beats = outside.path().join("beats");
    // What leaves the check's process group is not killed with it, and goes on writing where it stands.
    let check = format!(
        "cd {{}}/files; grep -q clean a && exit 0; mkdir -p __pycache__; echo x >__pycache__/a; echo spoiled >>a; chmod 600 b; \
         rm c; ln -s a c; mkfifo d; ln a {0}/same; \
         setsid sh -c 'while test -e {0}; do echo late >>a; echo late >>{0}/same; echo x >>{1}; sleep 0.02; done' \
         >/dev/null 2>&1 3>>b & while ! test -s {1}; do sleep 0.01; done",
        outside.path().display(),
        beats.display()
    );
    let mut agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--check", &check]);
    let files: &[(&str, &[u8])] = &[("a", b"x"), ("b", b"y"), ("c", b"z")];
    let report = server.applied(&server.desire(1, files).await).await;
    let beaten = || fs::metadata(&beats).map_or(0, |meta| meta.len());
    let before = beaten();
    let since = std::time::Instant::now();
    while beaten() < before + 10 {
        assert!(since.elapsed() < testkit::fake_server::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(agent.tree(), expected(files));
    assert!(report.drift.is_empty(), "{report:?}");
    let [warning] = &report.warnings[..] else { panic!("{report:?}") };
    assert_eq!(warning.code, "check_changed_tree");
    for place in ["files/__pycache__", "files/a", "files/b", "files/c", "files/d"] {
        assert!(warning.detail.contains(place), "{place} is not in {}", warning.detail);
    }
    let (text, json, code) = super::status::told_after(&agent, &report).await;
    assert!(text.contains("warning    check_changed_tree: the --check command changed"), "{text}");
    assert_eq!((code, &json["warnings"][0]["code"]), (Some(0), &"check_changed_tree".into()));
    agent.stop().await;
    agent.run();
    server.report("the same after a restart", |now| now.boot != report.boot && now.warnings == report.warnings).await;
    let report = server.applied(&server.desire(2, &[("a", b"clean")]).await).await;
    assert_eq!((report.warnings, agent.tree()), (vec![], expected(&[("a", b"clean")])));
    assert!(!agent.path("check").exists(), "the copy is thrown away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_writes_into_the_tree_or_removes_it_fails_and_is_not_run_for_ever() {
    for harm in ["echo x >{}/files/left", "rm -rf {}"] {
        let nats = Server::start();
        let server = FakeServer::at(&nats).await;
        let runs = tempfile::NamedTempFile::new().unwrap();
        let apply = format!("grep -q good {{}}/files/a && exit 0; echo x >>{}; {harm}", runs.path().display());
        let agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--apply", &apply]);
        server.desire(1, &[("a", b"x")]).await;
        let report = server.said(Failed, "drift_returns").await;
        assert!(!report.drift.is_empty());
        assert!(report.attempt.as_ref().unwrap().detail.as_ref().unwrap().contains("--apply"));
        assert_eq!(
            fs::read_to_string(runs.path()).unwrap(),
            "x\n".repeat(4),
            "once, and once for each of three repairs"
        );
        let (text, _, code) = super::status::told_after(&agent, &report).await;
        assert!(text.contains("failed (drift_returns)") && code == Some(1), "{text}");
        let good = server.desire(2, &[("a", b"good")]).await;
        assert!(server.applied(&good).await.drift.is_empty());
        assert_eq!(agent.tree(), expected(&[("a", b"good")]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_last_good_comes_back_as_it_was_signed() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    // The hook of the bad record reaches for the tree that is gone back to, which nobody watches then.
    let apply =
        "grep -q good {}/files/a && exit 0; for tree in {}/../*1-*; do echo spoiled >$tree/files/a; done; exit 1";
    let agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--apply", apply]);
    server.applied(&server.desire(1, &[("a", b"good")]).await).await;
    server.desire(2, &[("a", b"bad")]).await;
    server.said(Failed, "apply_rejected").await;
    assert_eq!(agent.tree(), expected(&[("a", b"good")]));
}

/// Whether the process whose id is in a file lives.
fn lives(pid: &Path) -> bool {
    let stat = format!("/proc/{}/stat", fs::read_to_string(pid).unwrap().trim());
    fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn is_gone(pid: &Path) {
    let since = std::time::Instant::now();
    while lives(pid) {
        assert!(since.elapsed() < testkit::fake_server::PATIENCE, "{} lives on", pid.display());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
