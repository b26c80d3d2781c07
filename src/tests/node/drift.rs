//! What somebody changes by hand in the tree in force: it is reported, and put right unless the operator wants to know only.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::report::AttemptState::Applied;

use super::{both, noise};
use testkit::agent::{Agent, expected};
use testkit::fake_server::{FakeServer, state};
use testkit::nats::Server;

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_reported_and_put_right() {
    let (_nats, server, mut agent) = both().await;
    let large = noise(6, 10_000);
    let files: &[(&str, &[u8])] = &[("a", b"x"), ("b/c", b"y"), ("d", &large), ("e/f", b"z")];
    server.applied(&server.desire(1, files).await).await;
    agent.stop().await;
    fs::write(agent.path("current/files/a"), b"X").unwrap();
    fs::remove_dir_all(agent.path("current/files/b")).unwrap();
    fs::write(agent.path("current/files/added"), b"").unwrap();
    fs::write(agent.path("current/jobs/j.json"), b"").unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::rename(agent.path("current/files/e"), outside.path().join("e")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("e"), agent.path("current/files/e")).unwrap();
    agent.run();
    let report = server.report("drift", |report| !report.drift.is_empty()).await;
    let paths = ["files/a", "files/added", "files/b", "files/b/c", "files/e", "jobs/j.json"];
    assert_eq!(report.drift, paths);
    server.report("no drift", |report| report.drift.is_empty() && state(report) == Some((Applied, None))).await;
    assert_eq!(agent.tree(), expected(files));
    assert_eq!(fs::read(outside.path().join("e/f")).unwrap(), b"z", "what lies behind a link is not touched");

    // From now on the kernel tells.
    fs::write(agent.path("current/files/d"), b"by hand").unwrap();
    server.report("drift", |report| report.drift == ["files/d"]).await;
    server.report("no drift", |report| report.drift.is_empty()).await;
    fs::remove_file(agent.path("current")).unwrap();
    server.report("drift", |report| report.drift == ["current"]).await;
    server.report("no drift", |report| report.drift.is_empty() && report.running.is_some()).await;
    assert_eq!(agent.tree(), expected(files));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_can_be_run_and_what_changes_its_mode_is_put_right() {
    let (_nats, server, agent) = both().await;
    let large = noise(7, 10_000);
    // Two small files travel inside the record, the large one is fetched.
    let files: &[(&str, &[u8])] = &[("bin/large", &large), ("bin/run", b"#!/bin/sh\n"), ("read", b"x")];
    server.store(Digest::of(&large), &large).await;
    let record = |position: u64, programs: &[&str]| {
        let mut record = server.record(position, files);
        for entry in record.entries.iter_mut().filter(|entry| programs.contains(&entry.path.as_str())) {
            entry.mode = DocumentMode::Executable;
        }
        record.v = if programs.is_empty() { 1 } else { 2 };
        record.digest = record.digest_of_entries();
        record
    };
    let modes = || {
        let mode =
            |path: &&str| fs::metadata(agent.path("current/files").join(path)).unwrap().permissions().mode() & 0o7777;
        ["bin/large", "bin/run", "read"].iter().map(mode).collect::<Vec<_>>()
    };
    let both = record(1, &["bin/large", "bin/run"]);
    server.put(&both).await;
    server.applied(&both).await;
    assert_eq!(modes(), [0o755, 0o755, 0o644]);
    for (path, mode) in [("bin/run", 0o644), ("read", 0o755)] {
        fs::set_permissions(agent.path("current/files").join(path), Permissions::from_mode(mode)).unwrap();
        server.report("drift", |report| report.drift == [format!("files/{path}")]).await;
        server.report("no drift", |report| report.drift.is_empty()).await;
        assert_eq!(modes(), [0o755, 0o755, 0o644]);
    }
    // The same bytes with other modes are another tree.
    let none = record(2, &[]);
    server.put(&none).await;
    server.applied(&none).await;
    assert_eq!(modes(), [0o644; 3]);
    assert_ne!(both.digest, none.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_record_of_what_runs_keeps_no_drift_from_being_put_right() {
    let (_nats, server, agent) = both().await;
    let want = server.desire(1, &[("a", b"x")]).await;
    server.applied(&want).await;
    let record = agent.path(&format!("records/{:020}-{}", 1, want.digest.short()));
    fs::write(record, b"damaged").unwrap();
    fs::write(agent.path("current/files/a"), b"by hand").unwrap();
    server.report("drift", |report| report.drift == ["files/a"]).await;
    server.report("no drift", |report| report.drift.is_empty()).await;
    assert_eq!(agent.tree(), expected(&[("a", b"x")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_only_reported_where_the_operator_wants_it_so() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--on-drift", "report"]);
    server.applied(&server.desire(1, &[("a", b"x")]).await).await;
    fs::write(agent.path("current/files/a"), b"by hand").unwrap();
    server.report("drift", |report| report.drift == ["files/a"]).await;
    assert_eq!(agent.tree(), expected(&[("a", b"by hand")]));
    let next = server.desire(3, &[("a", b"y")]).await;
    server.report("no drift", |report| report.drift.is_empty() && report.running == Some(next.record_ref())).await;
    assert_eq!(agent.tree(), expected(&[("a", b"y")]));
}
