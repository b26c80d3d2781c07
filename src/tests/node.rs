//! The laws of a node, on a real nats-server. The test plays the centre.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

#[path = "node/agent.rs"]
mod agent;
#[path = "node/centre.rs"]
mod centre;
#[path = "node/server.rs"]
mod server;

use std::fs;

use agent::{Agent, expected};
use centre::{Centre, entry, mark, state};
use headwater::edge;
use headwater::nats::connect::connect;
use schema::address::{Bucket, Prefix};
use schema::desired::{Desired, EntryKind};
use schema::digest::Digest;
use schema::position::Position;
use schema::report::AttemptState::{Applied, Failed, Refused};
use schema::report::Reported;
use schema::seal::{SecretKey, Signed};
use schema::wire::Record as _;
use server::Server;
use tokio_util::sync::CancellationToken;

/// A process of its own for the tests that kill agents.
#[test]
#[ignore = "it is started by other tests"]
fn agent_process() {
    let Ok(arguments) = std::env::var(agent::ARGUMENTS) else { return };
    let options = agent::options(&arguments.lines().collect::<Vec<_>>());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(edge::run(options, CancellationToken::new())).unwrap();
}

/// Content that does not compress into a pattern, so that a chunk in the wrong place is seen.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..bytes).map(|_| random.u8(..)).collect()
}

async fn both() -> (Server, Centre, Agent) {
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let agent = Agent::start(&server.url(), &["--trust", &centre.trust()]);
    (server, centre, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_desired_is_on_disk_byte_for_byte_and_is_reported() {
    let (_server, centre, agent) = both().await;
    let (large, larger) = (noise(1, 300_000), noise(2, 4 << 20));
    let files: &[(&str, &[u8])] = &[
        ("a.json", b"{}"),
        ("deep/er/b", &large),
        ("deep/er/same", &large),
        ("empty", b""),
        ("jobs/j-1.json", b"{\"id\":1}"),
        ("larger", &larger),
    ];
    let want = centre.desire(3, files).await;
    let report = centre.applied(&want).await;
    assert_eq!(agent.tree(), expected(files));
    let link = format!("generations/{:020}-{}", 3, want.digest.short());
    assert_eq!(agent::link(&agent.path("current")), link.into_bytes());
    let marks = (report.seen, report.running, report.last_good, report.log_id);
    let mark = Some(mark(&want));
    assert_eq!(marks, (mark, mark, mark, Some(centre.log_id)));
    assert_eq!((report.agent.as_str(), report.drift.len()), (concat!("headwater/", env!("CARGO_PKG_VERSION")), 0));
    assert_eq!(centre.consumers().await, 0, "reading objects makes no consumer");

    let fewer: &[(&str, &[u8])] = &[("a.json", b"{\"now\":2}"), ("deep/c", b"c")];
    let later = centre.desire(4, fewer).await;
    assert!(centre.applied(&later).await.seq > report.seq);
    assert_eq!(agent.tree(), expected(fewer), "what is gone from the record is gone from the node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_position_with_the_same_digest_only_raises_the_floor() {
    let (_server, centre, agent) = both().await;
    let first = centre.desire(3, &[("a", b"x")]).await;
    centre.applied(&first).await;
    let link = agent::link(&agent.path("current"));
    let second = centre.desire(7, &[("a", b"x")]).await;
    let report = centre.applied(&second).await;
    assert_eq!(report.running, Some(mark(&first)));
    assert_eq!(agent::link(&agent.path("current")), link);
    centre.put(&centre.record(6, &[("a", b"y")])).await;
    centre.said(Refused, "older_position").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_node_holds_nothing() {
    let (_server, centre, agent) = both().await;
    centre.applied(&centre.desire(3, &[("a", b"x"), ("jobs/j.json", b"{}")]).await).await;
    let retired = Desired { retired: true, ..centre.record(4, &[]) };
    centre.put(&retired).await;
    centre.applied(&retired).await;
    assert_eq!(agent.tree(), expected(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_touches_nothing_and_is_reported_by_its_code() {
    let (_server, centre, mut agent) = both().await;
    let held = centre.desire(5, &[("a", b"x")]).await;
    centre.applied(&held).await;
    let before = agent.everything();
    let next = |change: &dyn Fn(&mut Desired)| {
        let mut record = centre.record(6, &[("a", b"y"), ("b", b"z")]);
        change(&mut record);
        record
    };
    let sealed = |record: &Desired| centre.key.seal(record.write());
    let resealed = |change: &dyn Fn(&mut Desired)| sealed(&next(change)).write();
    let good = sealed(&next(&|_| {}));
    let unsigned: Vec<u8> = next(&|_| {}).write();
    let mut flipped = good.body.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let newer_body = {
        let record = next(&|record| record.v = 2);
        centre.key.seal(record.write())
    };
    let escaping = |path: &'static str, kind| {
        resealed(&move |record: &mut Desired| {
            record.entries = vec![schema::desired::Entry { path: path.into(), kind, ..entry("a", b"y") }];
            record.digest = record.digest_of_entries();
        })
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("missing_signature", unsigned),
        ("bad_signature", Signed { sig: [0; 64], ..good.clone() }.write()),
        ("bad_signature", Signed { body: flipped, ..good.clone() }.write()),
        ("bad_signature", SecretKey::from_seed(&[8; 32]).seal(good.body.clone()).write()),
        ("newer_format", Signed { v: 2, ..good.clone() }.write()),
        ("newer_format", newer_body.write()),
        ("damaged_record", b"no record at all".to_vec()),
        ("damaged_record", centre.key.seal(b"no record at all".to_vec()).write()),
        ("damaged_record", Vec::new()),
        ("other_node", resealed(&|record| record.node = "n-2".parse().unwrap())),
        ("other_log", resealed(&|record| record.log_id = uuid::Uuid::from_u128(1).into())),
        ("older_position", resealed(&|record| record.position = Position::from(4))),
        ("same_position_other_content", resealed(&|record| record.position = Position::from(5))),
        ("no_position", resealed(&|record| record.position = Position::ZERO)),
        ("wrong_digest", resealed(&|record| record.digest = Digest::of(b"other"))),
        ("wrong_inline", resealed(&|record| record.entries[0].inline = Some(b"x".to_vec()))),
        ("unsorted_entries", resealed(&|record| record.entries.reverse())),
        ("retired_with_entries", resealed(&|record| record.retired = true)),
        ("invalid_path", escaping("../outside", EntryKind::Document)),
        ("invalid_path", escaping("/etc/outside", EntryKind::Document)),
        ("invalid_path", escaping("jobs/../../outside.json", EntryKind::Job)),
    ];
    for (code, bytes) in cases {
        centre.put_bytes(bytes).await;
        let report = centre.said(Refused, code).await;
        assert_eq!((report.running, report.seen), (Some(mark(&held)), Some(mark(&held))), "{code}");
        assert_eq!(agent.everything(), before, "{code}");
    }
    // Nothing of all this is in the way of what is good, nor of a restart.
    agent.stop().await;
    agent.run();
    centre.put(&centre.record(4, &[("a", b"old")])).await;
    centre.said(Refused, "older_position").await;
    centre.applied(&centre.desire(6, &[("a", b"y")]).await).await;
    assert_eq!(agent.tree(), expected(&[("a", b"y")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_its_name_says_is_refused_until_it_is() {
    let (_server, centre, agent) = both().await;
    let held = centre.desire(5, &[("a", b"x")]).await;
    centre.applied(&held).await;
    let large = noise(3, 200_000);
    let name = Digest::of(&large);
    centre.put(&centre.record(6, &[("a", b"x"), ("b", &large)])).await;
    centre.said(Failed, "blob_missing").await;
    centre.store(name, &large[..199_999]).await;
    centre.said(Refused, "wrong_blob").await;
    centre.store(name, &noise(4, 200_000)).await;
    let report = centre.said(Refused, "wrong_blob").await;
    assert_eq!(report.running, Some(mark(&held)));
    assert_eq!(agent.tree(), expected(&[("a", b"x")]));
    assert_eq!(fs::read_dir(agent.path("blobs")).unwrap().count(), 0, "nothing wrong is kept");
    centre.forget(name).await;
    centre.said(Failed, "blob_missing").await;
    centre.store(name, &large).await;
    let want = centre.record(6, &[("a", b"x"), ("b", &large)]);
    centre.applied(&want).await;
    assert_eq!(agent.tree(), expected(&[("a", b"x"), ("b", &large)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_link_is_not_followed() {
    let (_server, centre, mut agent) = both().await;
    centre.applied(&centre.desire(1, &[("sub/a", b"x")]).await).await;
    agent.stop().await;
    let outside = tempfile::tempdir().unwrap();
    for name in ["blobs", "generations/.new", "generations/00000000000000000002-000000000000", ".current.new"] {
        let _ = fs::remove_dir_all(agent.path(name));
        std::os::unix::fs::symlink(outside.path(), agent.path(name)).unwrap();
    }
    agent.run();
    let large = noise(1, 10_000);
    let want = centre.desire(2, &[("sub/a", b"y"), ("sub/b", &large)]).await;
    centre.said(Refused, "planted_path").await;
    assert_eq!(agent.tree(), expected(&[("sub/a", b"x")]));
    fs::remove_file(agent.path("blobs")).unwrap();
    centre.applied(&want).await;
    assert_eq!(agent.tree(), expected(&[("sub/a", b"y"), ("sub/b", &large)]));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "nothing was written through a link");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_disk_stays_in_force_without_nats_and_catches_up() {
    let (mut server, centre, mut agent) = both().await;
    let files: &[(&str, &[u8])] = &[("a", b"x"), ("b", &noise(5, 10_000))];
    let want = centre.desire(1, files).await;
    let former = centre.applied(&want).await.boot;
    server.kill();
    agent.stop().await;
    agent.run();
    // Without NATS, what drifts is put right all the same: all that is needed is on disk.
    fs::write(agent.path("current/files/b"), b"by hand").unwrap();
    let since = std::time::Instant::now();
    while agent.tree() != expected(files) {
        assert!(since.elapsed() < centre::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server.run();
    let boot = centre.report("the new boot", |report| report.boot != former).await.boot;
    for position in 2..6 {
        centre.desire(position, &[("a", format!("{position}").as_bytes())]).await;
    }
    let report = centre.applied(&centre.record(5, &[("a", b"5")])).await;
    assert_eq!((agent.tree(), report.boot), (expected(&[("a", b"5")]), boot));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_start_before_nats() {
    let mut server = Server::later();
    let trust = centre_key().public();
    let trust: String = trust.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let agent = Agent::start(&server.url(), &["--trust", &trust]);
    server.run();
    let centre = Centre::at(&server).await;
    centre.applied(&centre.desire(1, &[("a", b"x")]).await).await;
    assert_eq!(agent.tree(), expected(&[("a", b"x")]));
}

fn centre_key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_needs_to_speak_only_of_itself() {
    let mut server = Server::with_permissions(&Prefix::default().published_by_node(&"n-1".parse().unwrap()));
    let centre = Centre::at(&server).await;
    let record = centre.key.public().record();
    centre.put_at(Bucket::Keys, &record.key_id.to_string(), record.write()).await;
    let url = server.url_of("n-1", "n");
    let mut agent = Agent::start(&url, &[]);
    let large = noise(1, 300_000);
    centre.applied(&centre.desire(1, &[("a", &large)]).await).await;
    server.kill();
    server.run();
    centre.applied(&centre.desire(2, &[("a", b"x")]).await).await;
    agent.stop().await;
    let stranger = connect(&url, "stranger").await.unwrap();
    stranger.up().await;
    let jetstream = stranger.jetstream();
    for subject in ["$KV.cfg_reported.n-2", "$KV.cfg_desired.n-1", "$KV.cfg_keys.k"] {
        let refused = async { jetstream.publish(subject, "x".into()).await.map_err(drop)?.await.map_err(drop) };
        let refused = tokio::time::timeout(std::time::Duration::from_millis(300), refused).await;
        assert!(!matches!(refused, Ok(Ok(_))), "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_survives_a_killed_server_and_one_that_lost_everything() {
    let (mut server, centre, agent) = both().await;
    for position in 1..9 {
        centre.desire(position, &[("a", b"x")]).await;
    }
    centre.applied(&centre.record(8, &[("a", b"x")])).await;
    server.kill();
    server.run();
    centre.applied(&centre.desire(9, &[("a", b"after the kill")]).await).await;
    server.kill();
    server.wipe();
    server.run();
    centre.install().await;
    // Its revisions count from 1 again: lower than what the watch has seen.
    centre.applied(&centre.desire(10, &[("a", b"after the loss")]).await).await;
    assert_eq!(agent.tree(), expected(&[("a", b"after the loss")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_made_anew_under_a_living_watch_is_noticed() {
    let (_server, centre, agent) = both().await;
    for position in 1..5 {
        centre.desire(position, &[("a", b"x")]).await;
    }
    centre.applied(&centre.record(4, &[("a", b"x")])).await;
    centre.drop_bucket(Bucket::Desired).await;
    centre.put(&centre.record(5, &[("a", b"y")])).await;
    centre.applied(&centre.record(5, &[("a", b"y")])).await;
    assert_eq!(agent.tree(), expected(&[("a", b"y")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_trusted_if_it_is_the_only_one_and_then_for_ever() {
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let mut agent = Agent::start(&server.url(), &[]);
    let want = centre.desire(1, &[("a", b"x")]).await;
    centre.said(Failed, "no_trusted_key").await;
    let publish = |key: SecretKey| {
        let record = key.public().record();
        let centre = &centre;
        async move { centre.put_at(Bucket::Keys, &record.key_id.to_string(), record.write()).await }
    };
    publish(centre_key()).await;
    centre.applied(&want).await;
    let other = SecretKey::from_seed(&[8; 32]);
    publish(other.clone()).await;
    agent.stop().await;
    agent.run();
    let forged = other.seal(centre.record(2, &[("a", b"forged")]).write());
    centre.put_bytes(forged.write()).await;
    centre.said(Refused, "bad_signature").await;
    agent.stop().await;

    let flag: String = other.public().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let options = edge::Options { trust: Some(flag.parse().unwrap()), ..agent.options() };
    let error = edge::run(options, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("start it with a new --dir"), "{error}");

    let second = Agent::start(&server.url(), &[]);
    centre
        .report("two keys", |report| {
            let detail = report.attempt.as_ref().and_then(|attempt| attempt.detail.clone());
            detail.is_some_and(|detail| detail.contains("published 2"))
        })
        .await;
    assert!(!second.path("current").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_agent_and_one_node() {
    let (_server, centre, mut agent) = both().await;
    centre.applied(&centre.desire(1, &[("a", b"x")]).await).await;
    let second = edge::run(agent.options(), CancellationToken::new()).await.unwrap_err();
    assert!(second.to_string().contains("another agent"), "{second}");
    agent.stop().await;
    let options = edge::Options { node: "n-2".parse().unwrap(), ..agent.options() };
    let other = edge::run(options, CancellationToken::new()).await.unwrap_err();
    assert!(other.to_string().contains("belongs to node n-1"), "{other}");
    fs::write(agent.path("state.json"), "{").unwrap();
    let damaged = edge::run(agent.options(), CancellationToken::new()).await.unwrap_err();
    assert!(damaged.to_string().contains("state.json"), "{damaged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_check_rejects_never_runs_and_waits_for_a_retry() {
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let tries = tempfile::tempdir().unwrap();
    let count = || fs::read_dir(tries.path()).unwrap().count();
    let check = format!(
        "mktemp -p {} >/dev/null; echo looking at; cat {{}}/files/a; test -d \"$HEADWATER_TREE\"; ! grep -q bad {{}}/files/a",
        tries.path().display()
    );
    let mut agent = Agent::start(&server.url(), &["--trust", &centre.trust(), "--check", &check]);
    let good = centre.desire(1, &[("a", b"good")]).await;
    centre.applied(&good).await;
    let bad = centre.desire(2, &[("a", b"bad")]).await;
    let report = centre.said(Failed, "check_rejected").await;
    assert_eq!((report.running, report.last_good), (Some(mark(&good)), Some(mark(&good))));
    assert_eq!((report.seen, report.rejected), (Some(mark(&bad)), vec![mark(&bad)]));
    assert!(report.attempt.unwrap().detail.unwrap().contains("looking at\nbad"));
    assert_eq!(agent.tree(), expected(&[("a", b"good")]));
    assert_eq!(count(), 2);

    agent.stop().await;
    agent.run();
    let again = centre.desire(3, &[("a", b"bad")]).await;
    centre.report("the newer position", |report| report.seen == Some(mark(&again)) && state(report).is_some()).await;
    assert_eq!(state(&centre.said(Failed, "check_rejected").await), Some((Failed, Some("check_rejected"))));
    assert_eq!(count(), 2, "the same digest is not tried again, also after a restart");
    let retried = Desired { position: Position::from(4), retry: Position::from(4), ..again };
    centre.put(&retried).await;
    centre.report("a retry", |report| report.rejected == [mark(&retried)]).await;
    assert_eq!(count(), 3);
    let better = centre.desire(5, &[("a", b"better")]).await;
    centre.applied(&better).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_hook_rejects_the_last_good_tree_comes_back() {
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let seen = tempfile::tempdir().unwrap();
    let log = seen.path().join("log");
    let apply = format!("cat {{}}/files/a >>{}; ! grep -q bad {{}}/files/a", log.display());
    let mut agent = Agent::start(&server.url(), &["--trust", &centre.trust(), "--apply", &apply]);
    centre.desire(1, &[("a", b"bad 1;")]).await;
    let report = centre.said(Failed, "apply_rejected").await;
    assert_eq!((report.running, agent.path("current").exists()), (None, false), "there is nothing to go back to");
    let good = centre.desire(2, &[("a", b"good;")]).await;
    centre.applied(&good).await;
    let bad = centre.desire(3, &[("a", b"bad 2;")]).await;
    let is_back = |report: &Reported| report.rejected.contains(&mark(&bad)) && report.running == Some(mark(&good));
    centre.report("the way back", is_back).await;
    let report = centre.said(Failed, "apply_rejected").await;
    assert_eq!((report.running, report.last_good), (Some(mark(&good)), Some(mark(&good))));
    assert_eq!(agent.tree(), expected(&[("a", b"good;")]));
    assert_eq!(fs::read_to_string(&log).unwrap(), "bad 1;good;bad 2;good;", "the hook hears of the way back");

    // As if it had been killed after the no and before the way back.
    agent.stop().await;
    let target = format!("generations/{:020}-{}", 3, bad.digest.short());
    fs::remove_file(agent.path("current")).unwrap();
    std::os::unix::fs::symlink(target, agent.path("current")).unwrap();
    agent.run();
    let is_back = |now: &Reported| now.boot != report.boot && now.running == Some(mark(&good));
    centre.report("the way back", is_back).await;
    assert_eq!(agent.tree(), expected(&[("a", b"good;")]));
    assert_eq!(fs::read_to_string(log).unwrap(), "bad 1;good;bad 2;good;good;");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_takes_too_long_is_killed_with_its_children() {
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let pids = tempfile::tempdir().unwrap();
    let pid = pids.path().join("pid");
    let check = format!("sleep 600 & echo $! >{}; wait", pid.display());
    let more = ["--trust", &centre.trust(), "--check", &check, "--hook-timeout-s", "1"];
    let agent = Agent::start(&server.url(), &more);
    centre.desire(1, &[("a", b"x")]).await;
    centre.said(Failed, "check_timed_out").await;
    let child = fs::read_to_string(pid).unwrap();
    let since = std::time::Instant::now();
    let stat = format!("/proc/{}/stat", child.trim());
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(since.elapsed() < centre::PATIENCE, "the child outlived its check");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!agent.path("current").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_reported_and_put_right() {
    let (_server, centre, mut agent) = both().await;
    let large = noise(6, 10_000);
    let files: &[(&str, &[u8])] = &[("a", b"x"), ("b/c", b"y"), ("d", &large), ("e/f", b"z")];
    centre.applied(&centre.desire(1, files).await).await;
    agent.stop().await;
    fs::write(agent.path("current/files/a"), b"X").unwrap();
    fs::remove_dir_all(agent.path("current/files/b")).unwrap();
    fs::write(agent.path("current/files/added"), b"").unwrap();
    fs::write(agent.path("current/jobs/j.json"), b"").unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::rename(agent.path("current/files/e"), outside.path().join("e")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("e"), agent.path("current/files/e")).unwrap();
    agent.run();
    let report = centre.report("drift", |report| !report.drift.is_empty()).await;
    let paths = ["files/a", "files/added", "files/b", "files/b/c", "files/e", "jobs/j.json"];
    assert_eq!(report.drift, paths);
    centre.report("no drift", |report| report.drift.is_empty() && state(report) == Some((Applied, None))).await;
    assert_eq!(agent.tree(), expected(files));
    assert_eq!(fs::read(outside.path().join("e/f")).unwrap(), b"z", "what lies behind a link is not touched");

    // From now on the kernel tells.
    fs::write(agent.path("current/files/d"), b"by hand").unwrap();
    centre.report("drift", |report| report.drift == ["files/d"]).await;
    centre.report("no drift", |report| report.drift.is_empty()).await;
    fs::remove_file(agent.path("current")).unwrap();
    centre.report("drift", |report| report.drift == ["current"]).await;
    centre.report("no drift", |report| report.drift.is_empty() && report.running.is_some()).await;
    assert_eq!(agent.tree(), expected(files));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_generations_and_their_content_are_collected() {
    let (_server, centre, agent) = both().await;
    for position in 1..8 {
        let content = noise(position, 10_000);
        centre.applied(&centre.desire(position, &[("a", &content)]).await).await;
    }
    let count = |dir| fs::read_dir(agent.path(dir)).unwrap().count();
    let since = std::time::Instant::now();
    while (count("generations"), count("records"), count("blobs")) != (3, 3, 3) {
        assert!(since.elapsed() < centre::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_only_reported_where_the_operator_wants_it_so() {
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let agent = Agent::start(&server.url(), &["--trust", &centre.trust(), "--on-drift", "report"]);
    centre.applied(&centre.desire(1, &[("a", b"x")]).await).await;
    fs::write(agent.path("current/files/a"), b"by hand").unwrap();
    centre.report("drift", |report| report.drift == ["files/a"]).await;
    assert_eq!(agent.tree(), expected(&[("a", b"by hand")]));
    let next = centre.desire(3, &[("a", b"y")]).await;
    centre.report("no drift", |report| report.drift.is_empty() && report.running == Some(mark(&next))).await;
    assert_eq!(agent.tree(), expected(&[("a", b"y")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_runs_full_leaves_what_runs_whole() {
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let mut agent = Agent::of(&server.url(), &["--trust", &centre.trust()]);
    let Some(_disk) = SmallDisk::at(agent.dir.path(), "2m") else {
        eprintln!("SKIPPED: only root can make a small disk");
        return;
    };
    agent.run();
    let small: &[(&str, &[u8])] = &[("a", b"x"), ("b", &noise(1, 100_000))];
    let held = centre.desire(1, small).await;
    centre.applied(&held).await;
    centre.desire(2, &[("a", b"y"), ("b", &noise(2, 3_000_000))]).await;
    let report = centre.said(Failed, "disk_full").await;
    assert_eq!(report.running, Some(mark(&held)));
    assert_eq!(agent.tree(), expected(small));
    let fits: &[(&str, &[u8])] = &[("a", b"y"), ("b", &noise(3, 400_000))];
    for position in 3..9 {
        centre.applied(&centre.desire(position, &[("a", format!("{position}").as_bytes()), fits[1]]).await).await;
    }
    centre.applied(&centre.desire(9, fits).await).await;
    assert_eq!(agent.tree(), expected(fits), "what is old gives way to what is new");
    agent.stop().await;
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
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let agent = Agent::of(&server.url(), &["--trust", &centre.trust()]);
    let process = agent.process();
    centre.applied(&centre.desire(1, &[("a", b"x")]).await).await;
    let idle = process.kilobytes("VmRSS:");
    let large: Vec<(String, Vec<u8>)> = (0..13).map(|n| (format!("{n:02}"), noise(n, 4 << 20))).collect();
    let files: Vec<(&str, &[u8])> = large.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    centre.applied(&centre.desire(2, &files).await).await;
    let peak = process.kilobytes("VmHWM:");
    assert_eq!(agent.tree(), expected(&files));
    eprintln!("idle {idle} kB, peak {peak} kB");
    assert!(peak - idle < 20_000, "idle {idle} kB, peak {peak} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_the_tree_is_as_if_built_at_once() {
    let server = Server::start();
    let centre = Centre::at(&server).await;
    let agent = Agent::of(&server.url(), &["--trust", &centre.trust()]);
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
            centre.desire(position, &wanted).await;
            tokio::time::sleep(std::time::Duration::from_micros(random.u64(..40_000))).await;
        }
        if round % 5 == 4 {
            let wanted: Vec<(&str, &[u8])> =
                files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
            centre.applied(&centre.record(position, &wanted)).await;
            assert_eq!(agent.tree(), expected(&wanted), "round {round}");
        }
        drop(process);
    }
}
