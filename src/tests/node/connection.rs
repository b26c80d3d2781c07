//! What a node does without NATS, with a NATS that lost its memory, and whom it trusts.

use std::fs;

use agent::main_loop;
use agent::node_folder::OpenError;
use agent::options::Options;
use bus::connect::connect;
use futures::StreamExt as _;
use schema::address::{Bucket, Prefix};
use schema::permissions::Permissions;
use schema::report::AttemptState::{Failed, Refused};
use schema::rpc::RpcVerb;
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use tokio_util::sync::CancellationToken;

use super::{both, noise};
use testkit::agent::{Agent, expected};
use testkit::fake_server::FakeServer;
use testkit::nats::Server;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_disk_stays_in_force_without_nats_and_catches_up() {
    let (mut nats, server, mut agent) = both().await;
    let files: &[(&str, &[u8])] = &[("a", b"x"), ("b", &noise(5, 10_000))];
    let want = server.desire(1, files).await;
    let former = server.applied(&want).await.boot;
    nats.kill();
    agent.stop().await;
    agent.run();
    // Without NATS, what drifts is put right all the same: all that is needed is on disk.
    fs::write(agent.path("current/files/b"), b"by hand").unwrap();
    let since = std::time::Instant::now();
    while agent.tree() != expected(files) {
        assert!(since.elapsed() < testkit::fake_server::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    nats.run();
    let boot = server.report("the new boot", |report| report.boot != former).await.boot;
    for position in 2..6 {
        server.desire(position, &[("a", format!("{position}").as_bytes())]).await;
    }
    let report = server.applied(&server.record(5, &[("a", b"5")])).await;
    assert_eq!((agent.tree(), report.boot), (expected(&[("a", b"5")]), boot));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_which_versions_were_skipped() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let agent = Agent::of(&nats.url(), &["--trust", &server.trust()]);
    let log = tempfile::NamedTempFile::new().unwrap();
    let said = || fs::read_to_string(log.path()).unwrap();
    let process = agent.process_saying(log.reopen().unwrap().into());
    server.applied(&server.desire(3, &[("a", b"x")]).await).await;
    server.applied(&server.desire(4, &[("a", b"y")]).await).await;
    assert!(!said().contains("skipped"), "{}", said());
    drop(process);
    server.desire(6, &[("a", b"never here")]).await;
    let newest = server.desire(9, &[("a", b"z")]).await;
    let _process = agent.process_saying(log.reopen().unwrap().into());
    server.applied(&newest).await;
    assert!(said().contains("first=5 last=8"), "{}", said());
    assert!(!said().contains("never here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_enrolled_says_so_and_one_that_is_does_not() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let said = async |agent: &Agent, until: &dyn Fn(&str) -> bool| {
        let log = tempfile::NamedTempFile::new().unwrap();
        let process = agent.process_saying(log.reopen().unwrap().into());
        let since = std::time::Instant::now();
        loop {
            let said = fs::read_to_string(log.path()).unwrap();
            if until(&said) {
                return (said, process);
            }
            assert!(since.elapsed() < testkit::fake_server::PATIENCE, "{said}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let agent = Agent::of(&nats.url(), &["--trust", &server.trust()]);
    let (alone, process) = said(&agent, &|said| said.contains("not enrolled")).await;
    drop(process);
    assert!(alone.contains("enrol_node") && alone.contains("n-1"), "{alone}");
    let want = server.desire(1, &[("a", b"x")]).await;
    let (enrolled, _process) = said(&agent, &|said| said.contains("Applied")).await;
    assert!(!enrolled.contains("not enrolled"), "{enrolled}");
    server.applied(&want).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_start_of_an_agent_counts_and_is_on_disk_before_it_is_said() {
    let (_nats, server, mut agent) = both().await;
    let want = server.desire(1, &[("a", b"x")]).await;
    for boot_no in 1..4 {
        let is_it = |report: &schema::report::Reported| report.boot_no == Some(boot_no);
        server.report("this boot", is_it).await;
        let state: serde_json::Value = serde_json::from_slice(&fs::read(agent.path("state.json")).unwrap()).unwrap();
        assert_eq!(state["boot_no"], boot_no);
        server.applied(&want).await;
        agent.stop().await;
        agent.run();
    }
    // A folder of an older agent has no count: it goes on above the last report in NATS.
    agent.stop().await;
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(agent.path("state.json")).unwrap()).unwrap();
    state.as_object_mut().unwrap().remove("boot_no");
    fs::write(agent.path("state.json"), state.to_string()).unwrap();
    let former = server.applied(&want).await;
    agent.run();
    let report = server.report("the new boot", |report| report.boot != former.boot).await;
    assert_eq!(report.boot_no, former.boot_no.map(|boot_no| boot_no + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_start_before_nats() {
    let mut nats = Server::later();
    let trust = centre_key().public();
    let trust: String = trust.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let agent = Agent::start(&nats.url(), &["--trust", &trust]);
    nats.run();
    let server = FakeServer::at(&nats).await;
    server.applied(&server.desire(1, &[("a", b"x")]).await).await;
    assert_eq!(agent.tree(), expected(&[("a", b"x")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_not_reach_nats_says_what_at_which_address_refuses_whom_and_where_to_look() {
    let nobody = Server::later();
    let strict = Server::with_permissions(Permissions { publish: Vec::new(), subscribe: Vec::new() });
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let password = tempfile::NamedTempFile::new().unwrap();
    fs::write(password.path(), "wrong").unwrap();
    let file = password.path().to_str().unwrap();
    let strict = strict.address();
    let unknown = "nats://ann:secret@nowhere.invalid:4222".to_owned();
    let cases: [(String, &[&str], Vec<&str>); 4] = [
        (nobody.url(), &[], vec![nobody.address(), "Connection refused", "--nats-url"]),
        (
            format!("nats://n-1@{strict}"),
            &["--nats-password-file", file],
            vec![strict, "user \"n-1\"", "authorization violation", file, "--nats-password-file"],
        ),
        (format!("nats://{silent}"), &[], vec![&silent, "no answer yet", "--nats-url"]),
        (unknown, &["--plain"], vec!["nats://nowhere.invalid:4222", "user \"ann\"", "DNS error", "--nats-url"]),
    ];
    let log = || tempfile::NamedTempFile::new().unwrap();
    let agents: Vec<_> = cases.iter().map(|(url, more, says)| (Agent::of(url, more), log(), says)).collect();
    let running: Vec<_> =
        agents.iter().map(|(agent, log, _)| agent.process_saying(log.reopen().unwrap().into())).collect();
    let since = std::time::Instant::now();
    for (_, log, says) in &agents {
        let said = || fs::read_to_string(log.path()).unwrap();
        let is_it = |line: &str| says.iter().all(|part| line.contains(part)) && line.contains("tried again");
        while !said().lines().any(is_it) {
            assert!(since.elapsed() < testkit::fake_server::PATIENCE, "{says:?} is not in:\n{}", said());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(!said().contains("secret") && !said().contains("wrong"), "{}", said());
    }
    drop(running);
}

fn centre_key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_needs_to_speak_only_of_itself() {
    let mut nats = Server::with_permissions(Prefix::default().node_permissions(&"n-1".parse().unwrap()));
    let server = FakeServer::at(&nats).await;
    let record = server.key.public().record();
    server.put_at(Bucket::Keys, &record.key_id.to_string(), record.write()).await;
    let url = nats.url_of("n-1", "n");
    let mut agent = Agent::start(&url, &[]);
    let large = noise(1, 300_000);
    server.applied(&server.desire(1, &[("a", &large)]).await).await;
    nats.kill();
    nats.run();
    server.applied(&server.desire(2, &[("a", b"x")]).await).await;
    agent.stop().await;
    let stranger = connect(&url, "stranger").await.unwrap();
    stranger.up().await;
    let jetstream = stranger.jetstream();
    for subject in ["$KV.cfg_reported.n-2", "$KV.cfg_desired.n-1", "$KV.cfg_keys.k", "$KV.cfg_checkpoint.newest"] {
        let refused = async { jetstream.publish(subject, "x".into()).await.map_err(drop)?.await.map_err(drop) };
        let refused = tokio::time::timeout(std::time::Duration::from_millis(300), refused).await;
        assert!(!matches!(refused, Ok(Ok(_))), "{subject}");
    }
    // It asks for itself, and not for another one.
    let heard = connect(&nats.url(), "heard").await.unwrap();
    heard.up().await;
    let mut asked = heard.client().subscribe("cfg.rpc.>").await.unwrap();
    // The server takes what comes on one connection in order, so whoever has this back hears all that comes later.
    heard.client().publish("cfg.rpc.n-0.claim", "".into()).await.unwrap();
    let own = tokio::time::timeout(std::time::Duration::from_secs(10), asked.next()).await.unwrap().unwrap();
    assert_eq!(own.subject.as_str(), "cfg.rpc.n-0.claim");
    for node in ["n-2", "n-1"] {
        let subject = Prefix::default().rpc_subject(&node.parse().unwrap(), RpcVerb::Claim);
        stranger.client().publish(subject, "".into()).await.unwrap();
    }
    let first = tokio::time::timeout(std::time::Duration::from_secs(10), asked.next()).await.unwrap().unwrap();
    assert_eq!(first.subject.as_str(), "cfg.rpc.n-1.claim");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_survives_a_killed_server_and_one_that_lost_everything() {
    let (mut nats, server, agent) = both().await;
    for position in 1..9 {
        server.desire(position, &[("a", b"x")]).await;
    }
    server.applied(&server.record(8, &[("a", b"x")])).await;
    nats.kill();
    nats.run();
    server.applied(&server.desire(9, &[("a", b"after the kill")]).await).await;
    nats.kill();
    nats.wipe();
    nats.run();
    server.install().await;
    // Its revisions count from 1 again: lower than what the watch has seen.
    server.applied(&server.desire(10, &[("a", b"after the loss")]).await).await;
    assert_eq!(agent.tree(), expected(&[("a", b"after the loss")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_made_anew_under_a_living_watch_is_noticed() {
    let (_nats, server, agent) = both().await;
    for position in 1..5 {
        server.desire(position, &[("a", b"x")]).await;
    }
    server.applied(&server.record(4, &[("a", b"x")])).await;
    server.drop_bucket(Bucket::Desired).await;
    server.put(&server.record(5, &[("a", b"y")])).await;
    server.applied(&server.record(5, &[("a", b"y")])).await;
    assert_eq!(agent.tree(), expected(&[("a", b"y")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_trusted_if_it_is_the_only_one_and_then_for_ever() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let mut agent = Agent::start(&nats.url(), &[]);
    let want = server.desire(1, &[("a", b"x")]).await;
    server.said(Failed, "no_trusted_key").await;
    let publish = |key: SecretKey| {
        let record = key.public().record();
        let server = &server;
        async move { server.put_at(Bucket::Keys, &record.key_id.to_string(), record.write()).await }
    };
    publish(centre_key()).await;
    server.applied(&want).await;
    let other = SecretKey::from_seed(&[8; 32]);
    publish(other.clone()).await;
    agent.stop().await;
    agent.run();
    let forged = other.seal(server.record(2, &[("a", b"forged")]).write());
    server.put_bytes(forged.write()).await;
    server.said(Refused, "bad_signature").await;
    agent.stop().await;

    let flag: String = other.public().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let options = Options { trust: Some(flag.parse().unwrap()), ..agent.options() };
    let error = main_loop::run(options, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, main_loop::Error::Open(OpenError::OtherKey { .. })), "{error}");

    let second = Agent::start(&nats.url(), &[]);
    server
        .report("two keys", |report| {
            let code = report.attempt.as_ref().and_then(|attempt| attempt.code.as_deref());
            code == Some("no_trusted_key")
        })
        .await;
    assert!(!second.path("current").exists());
}
