//! A clock that is wrong does no harm: the node's wall clock is written down for people, and nothing is decided by it.

use std::fs;
use std::path::{Path, PathBuf};

use schema::desired::Desired;
use schema::position::Position;
use schema::report::AttemptState::Failed;

use testkit::agent::{Agent, expected};
use testkit::fake_server::FakeServer;
use testkit::nats::Server;

/// Where the wall clock is read, or what was read of it is passed on: what dates reports, attempts, proposals and refusals. The ids of
/// proposals begin with the time, and order those that wait.
const MAY_TELL_THE_TIME: [&str; 6] =
    ["access_note.rs", "actions.rs", "proposal_commands.rs", "proposal_sender.rs", "report.rs", "report_draft.rs"];
/// What reads the wall clock. An `Instant` is of a clock that nobody sets.
const CLOCKS: [&str; 4] = ["SystemTime", "Clock::", "system_time()", "now_v7"];

#[test]
fn the_wall_clock_is_read_only_to_date_what_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agent");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|is| is == "rs")).collect();
    assert!(files.len() > 20, "the node is elsewhere");
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        for clock in CLOCKS.iter().filter(|_| !MAY_TELL_THE_TIME.contains(&name.as_str())) {
            assert!(!text.contains(clock), "{name} reads a clock: {clock}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_of_another_century_change_nothing() {
    let nats = Server::start();
    let server = FakeServer::at(&nats).await;
    let check = "! grep -q bad {}/files/a || test -e {}/files/ok";
    let mut agent = Agent::start(&nats.url(), &["--trust", &server.trust(), "--check", check]);
    server.applied(&server.desire(1, &[("a", b"good")]).await).await;
    let bad = server.desire(2, &[("a", b"bad")]).await;
    for (round, year) in ["1970", "2999"].into_iter().enumerate() {
        server.said(Failed, "check_rejected").await;
        agent.stop().await;
        let state = fs::read_to_string(agent.path("state.json")).unwrap();
        let dated: Vec<String> = state.lines().map(|line| redated(line, year)).collect();
        assert_eq!(dated.iter().filter(|line| line.contains(year)).count(), 2, "{dated:#?}");
        fs::write(agent.path("state.json"), dated.join("\n")).unwrap();
        agent.run();
        let position = Position::from(3 + round as u64);
        let retried = Desired { position, retry: position, ..bad.clone() };
        server.put(&retried).await;
        server.report("another no", |report| report.rejected.iter().any(|no| no.position == position)).await;
    }
    server.applied(&server.desire(9, &[("a", b"better")]).await).await;
    assert_eq!(agent.tree(), expected(&[("a", b"better")]));
}

/// A line of `state.json`, in another year if it has one.
fn redated(line: &str, year: &str) -> String {
    match line.split_once("\"at\": \"") {
        Some((before, date)) => format!("{before}\"at\": \"{year}{}", &date[4..]),
        None => line.to_owned(),
    }
}
