//! The node's folder: collection, a full disk, memory, and kills at any step.

use std::collections::BTreeSet;
use std::fs;

use agent::apply_error::ApplyError;
use agent::folder_lock;
use agent::layout::Layout;
use agent::main_loop;
use agent::node_folder::OpenError;
use agent::options::Options;
use bus::connect::connect;
use futures::StreamExt as _;
use schema::address::{Bucket, Prefix};
use schema::digest::Digest;
use schema::report::AttemptState::{Applied, Failed};
use schema::report::Reported;
use schema::wire::WireRecord as _;
use tokio_util::sync::CancellationToken;

use super::{both, noise};
use testkit::agent::{Agent, expected};
use testkit::fake_server::{FakeServer, state};
use testkit::nats::Server;
use testkit::skipped::did_not_run;

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_agent_and_one_node() {
    let (_nats, server, mut agent) = both().await;
    server.applied(&server.desire(1, &[("a", b"x")]).await).await;
    let second = main_loop::run(agent.options(), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(second, main_loop::Error::Open(OpenError::Locked(_))), "{second}");
    agent.stop().await;
    let options = Options { node: "n-2".parse().unwrap(), ..agent.options() };
    let other = main_loop::run(options, CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(&other, main_loop::Error::Open(OpenError::OtherNode { found, .. }) if found.as_str() == "n-1"),
        "{other}"
    );
    fs::write(agent.path("state.json"), "{").unwrap();
    let damaged = main_loop::run(agent.options(), CancellationToken::new()).await.unwrap_err();
    assert!(damaged.to_string().contains("state.json"), "{damaged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_generations_and_their_content_are_collected() {
    let (_nats, server, agent) = both().await;
    for position in 1..8 {
        let content = noise(position, 10_000);
        server.applied(&server.desire(position, &[("a", &content)]).await).await;
    }
    let count = |dir| fs::read_dir(agent.path(dir)).unwrap().count();
    let since = std::time::Instant::now();
    while (count("generations"), count("records"), count("blobs")) != (3, 3, 3) {
        assert!(since.elapsed() < testkit::fake_server::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_or_changes_nothing_is_collected_too() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let check = "! grep -q bad {}/files/a";
    let agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--check", check]);
    let good = server.desire(1, &[("a", b"good")]).await;
    server.applied(&good).await;
    for position in 2..8 {
        server.applied(&server.desire(position, &[("a", b"good")]).await).await;
    }
    for position in 8..14 {
        let bad = server.desire(position, &[("a", b"bad"), ("b", &noise(position, 10_000))]).await;
        server.report("the no", |report| report.rejected.contains(&bad.record_ref())).await;
    }
    let names = |dir| -> BTreeSet<String> {
        let found = fs::read_dir(agent.path(dir)).unwrap();
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let since = std::time::Instant::now();
    // What is good, and the newest record with its content. A tree that the check rejects is written nowhere else.
    while (names("generations").len(), names("records").len(), names("blobs").len()) != (1, 2, 1) {
        assert!(since.elapsed() < testkit::fake_server::PATIENCE, "{:?} {:?}", names("generations"), names("records"));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(agent.tree(), expected(&[("a", b"good")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_runs_full_leaves_what_runs_whole() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let mut agent = Agent::of(&nats.url(), &["--trust", &server.trust()]);
    let Some(_disk) = SmallDisk::at(agent.dir.path(), "2m") else {
        return did_not_run(
            "a_disk_that_runs_full_leaves_what_runs_whole",
            "only root can make a disk that is small enough to fill",
        );
    };
    agent.run();
    let small: &[(&str, &[u8])] = &[("a", b"x"), ("b", &noise(1, 100_000))];
    let held = server.desire(1, small).await;
    server.applied(&held).await;
    server.desire(2, &[("a", b"y"), ("b", &noise(2, 3_000_000))]).await;
    let report = server.said(Failed, "disk_full").await;
    assert_eq!(report.running, Some(held.record_ref()));
    assert_eq!(agent.tree(), expected(small));
    let fits: &[(&str, &[u8])] = &[("a", b"y"), ("b", &noise(3, 400_000))];
    for position in 3..9 {
        server.applied(&server.desire(position, &[("a", format!("{position}").as_bytes()), fits[1]]).await).await;
    }
    server.applied(&server.desire(9, fits).await).await;
    assert_eq!(agent.tree(), expected(fits), "what is old gives way to what is new");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_until_the_record_is_accepted_and_never_as_applied() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let mut agent = Agent::of(&nats.url(), &["--trust", &server.trust()]);
    let Some(_disk) = SmallDisk::at(agent.dir.path(), "2m") else {
        return did_not_run(
            "a_full_disk_is_told_until_the_record_is_accepted_and_never_as_applied",
            "only root can make a disk that is small enough to fill",
        );
    };
    agent.run();
    let held = server.desire(1, &[("a", b"x")]).await;
    server.applied(&held).await;
    let mut ballast = fs::File::create(agent.path("ballast")).unwrap();
    for piece in [1 << 16, 4096, 1] {
        while std::io::Write::write_all(&mut ballast, &vec![0; piece]).is_ok() {}
    }
    let hearing = connect(&nats.url(), "hearing").await.unwrap();
    hearing.up().await;
    let subject = Prefix::default().bucket_subject(Bucket::Reported, "n-1");
    let mut reports = hearing.client().subscribe(subject).await.unwrap();
    hearing.client().flush().await.unwrap();
    let mut full = None;
    for position in [2, 3] {
        let next = server.desire(position, &[("a", b"y")]).await;
        let is_it = |report: &Reported| {
            let about = report.attempt.as_ref().map(|attempt| attempt.position);
            state(report) == Some((Failed, Some("disk_full"))) && about == Some(next.position)
        };
        let report = server.report("disk_full", is_it).await;
        assert_eq!(report.running, Some(held.record_ref()));
        full = Some(report);
    }
    let (text, json, code) = super::status::told_after(&agent, &full.unwrap()).await;
    assert!(text.contains("last try   position 3") && text.contains("disk_full"), "{text}");
    assert_eq!((code, &json["is_well"], &json["unwritable"]), (Some(1), &false.into(), &"full".into()));
    assert_eq!(json["attempt"]["code"], "disk_full");
    agent.stop().await;
    agent.run();
    server.said(Failed, "disk_full").await;
    drop(ballast);
    fs::remove_file(agent.path("ballast")).unwrap();
    let report = server.applied(&server.record(3, &[("a", b"y")])).await;
    let mut is_full = false;
    while let Some(message) = reports.next().await {
        let now = Reported::read(&message.payload).unwrap();
        let is_applied = state(&now) == Some((Applied, None));
        is_full |= state(&now) == Some((Failed, Some("disk_full")));
        assert!(!is_full || !is_applied || now.seen == report.seen, "{now:#?}");
        if (&now.boot, now.seq) == (&report.boot, report.seq) {
            break;
        }
    }
    assert!(is_full);
    let (text, json, code) = super::status::told_after(&agent, &report).await;
    assert_eq!((code, &json["attempt"]["state"]), (Some(0), &"applied".into()), "{text}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_in_a_kept_files_place_is_told_and_waited_for_by_nobody() {
    let (_nats, server, mut agent) = both().await;
    let large = noise(7, 10_000);
    let want = server.desire(1, &[("a", b"x"), ("b", &large)]).await;
    server.applied(&want).await;
    agent.stop().await;
    let record = agent.path(&format!("records/{:020}-{}", 1, want.digest.short()));
    pipe_at(&record);
    pipe_at(&agent.path(&format!("blobs/{}", Digest::of(&large))));
    pipe_at(&agent.path("current/files/a"));
    let (_, json, code) = super::status::told(&agent);
    assert!(json["drift_unknown"].as_str().unwrap().contains("is not a file"), "{json:#}");
    assert_eq!(code, Some(1));
    agent.run();
    server.report("drift", |report| report.drift.contains(&"files/a".to_owned())).await;
    let report = server.report("no drift", |report| report.drift.is_empty() && report.running.is_some()).await;
    assert_eq!(agent.tree(), expected(&[("a", b"x"), ("b", &large)]), "{report:?}");
    pipe_at(&agent.path(&format!("blobs/{}", Digest::of(&large))));
    server.applied(&server.desire(2, &[("b", &large), ("c", b"z")]).await).await;

    agent.stop().await;
    let kept = fs::read(agent.path("state.json")).unwrap();
    for name in ["state.json", "lock"] {
        pipe_at(&agent.path(name));
        agent.run();
        let why = agent.fails().await.to_string();
        assert!(why.contains(name), "{why}");
        fs::remove_file(agent.path(name)).unwrap();
        fs::write(agent.path("state.json"), &kept).unwrap();
    }
    agent.run();
    server.applied(&server.desire(3, &[("b", &large)]).await).await;
}

/// A named pipe in the place of a file.
fn pipe_at(path: &std::path::Path) {
    fs::remove_file(path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_the_lock_lets_no_second_agent_into_the_folder() {
    let (_nats, server, mut agent) = both().await;
    server.applied(&server.desire(1, &[("a", b"x")]).await).await;
    fs::remove_file(agent.path("lock")).unwrap();
    let since = std::time::Instant::now();
    // The file is there a moment before it is locked.
    let layout = Layout::of(agent.path("lock").parent().unwrap().to_owned());
    while !folder_lock::is_held(&layout).unwrap() {
        assert!(since.elapsed() < testkit::fake_server::PATIENCE, "it is taken again");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let second = main_loop::run(agent.options(), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(second, main_loop::Error::Open(OpenError::Locked(_))), "{second}");
    server.applied(&server.desire(2, &[("a", b"y")]).await).await;

    // Another agent was faster.
    let other = fs::File::create(agent.path("other")).unwrap();
    other.try_lock().unwrap();
    fs::rename(agent.path("other"), agent.path("lock")).unwrap();
    let before = fs::read(agent.path("state.json")).unwrap();
    server.desire(3, &[("a", b"z")]).await;
    let why = agent.fails().await;
    assert!(matches!(why, main_loop::Error::OtherAgent(ApplyError::OtherAgent { .. })), "{why}");
    assert_eq!((fs::read(agent.path("state.json")).unwrap(), agent.tree()), (before, expected(&[("a", b"y")])));
}

/// A file system of a few megabytes, where the test may make one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn at(path: &std::path::Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=755");
        let mounted =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_are_applied_in_less_than_twenty_of_memory() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let agent = Agent::of(&nats.url(), &["--trust", &server.trust()]);
    let process = agent.process();
    server.applied(&server.desire(1, &[("a", b"x")]).await).await;
    let idle = process.kilobytes("VmRSS:");
    let large: Vec<(String, Vec<u8>)> = (0..13).map(|n| (format!("{n:02}"), noise(n, 4 << 20))).collect();
    let files: Vec<(&str, &[u8])> = large.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    server.applied(&server.desire(2, &files).await).await;
    let peak = process.kilobytes("VmHWM:");
    assert_eq!(agent.tree(), expected(&files));
    eprintln!("idle {idle} kB, peak {peak} kB");
    assert!(peak - idle < 20_000, "idle {idle} kB, peak {peak} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_the_tree_is_as_if_built_at_once() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let agent = Agent::of(&nats.url(), &["--trust", &server.trust()]);
    let mut random = fastrand::Rng::with_seed(11);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut position = 0;
    for round in 0..25 {
        let process = agent.process();
        for _ in 0..random.u8(1..4) {
            let path = format!("{}/{}", random.u8(0..3), random.u8(0..4));
            files.retain(|(known, _)| *known != path);
            if random.u8(0..4) > 0 {
                let bytes = if random.bool() { random.usize(0..4_000) } else { random.usize(5_000..2_000_000) };
                files.push((path, noise(random.u64(..), bytes)));
            }
            position += 1;
            let wanted: Vec<(&str, &[u8])> =
                files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
            server.desire(position, &wanted).await;
            tokio::time::sleep(std::time::Duration::from_micros(random.u64(..40_000))).await;
        }
        if round % 5 == 4 {
            let wanted: Vec<(&str, &[u8])> =
                files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
            server.applied(&server.record(position, &wanted)).await;
            assert_eq!(agent.tree(), expected(&wanted), "round {round}");
        }
        drop(process);
    }
}
