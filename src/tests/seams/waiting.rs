//! The log on a real PostgreSQL: who waits, for how long, and what is told.

use std::time::Duration;

use lab::postgres::Cluster;
use lab::running_server::RunningServer;
use schema::command::{Command, Content, EnrolNode, Merge, PutDocument};
use schema::document_mode::DocumentMode;
use schema::entity::Actor;
use schema::labels::Labels;
use schema::request::Request;
use schema::seal::SecretKey;
use schema::target::Target;
use store::appender::Appender;
use store::database::Database;
use store::install::{Passwords, install};
use store::log::{Log, SubmitError};
use store::reader::Reader;
use tokio::time::timeout;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

use testkit::cluster;

/// How long anything here may take before it counts as never.
const DEADLINE: Duration = Duration::from_secs(120);

/// So many that a debug build thinks longer than PostgreSQL lets a silent holder of the head row live.
const NODES: usize = 1_200;

/// A log with its appender, in a cluster of its own.
struct Bench {
    owner: String,
    log: Log,
    stop: CancellationToken,
    _cluster: RunningServer<Cluster>,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cluster = cluster::start(dir.path(), &[]).await.unwrap();
        let owner = cluster.create_database("log").await.unwrap();
        let passwords = Passwords { app: Some("app".into()), ..Passwords::default() };
        let key = SecretKey::from_seed(&[7; 32]).public();
        install(&Database::parse(&owner).unwrap(), &passwords, &key).await.unwrap();
        let app = owner.split_once('@').map(|(_, host)| format!("postgres://headwater_app:app@{host}")).unwrap();
        let reader = Reader::open(Database::parse(&app).unwrap()).await.unwrap();
        let (appender, log) = Appender::start(reader).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(appender.run(stop.clone()));
        Self { owner, log, stop, _cluster: cluster, _dir: dir }
    }

    async fn as_owner(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.owner, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    }

    async fn submit(&self, commands: Vec<Command>) -> Result<schema::answer::Answer, SubmitError> {
        timeout(DEADLINE, self.log.submit(Request::of(commands), Actor::Install, None)).await.expect("it is answered")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn put(number: usize) -> Command {
    Command::PutDocument(PutDocument {
        id: format!("d-{number}").parse().unwrap(),
        path: format!("d/{number}").parse().unwrap(),
        media_type: "text/plain".parse().unwrap(),
        content: Content::new(number.to_string().into_bytes()).unwrap().into(),
        target: Target::All,
        priority: 0,
        merge: Merge::Replace,
        mode: DocumentMode::Plain,
        rollout: None,
    })
}

#[tokio::test]
async fn what_postgres_will_not_store_is_said_at_once_and_holds_up_nobody() {
    let bench = Bench::new().await;
    bench.submit(vec![put(1)]).await.unwrap();
    bench.as_owner("REVOKE INSERT ON event FROM headwater_app").await;
    for number in [2, 3] {
        let told = timeout(Duration::from_secs(5), bench.submit(vec![put(number)])).await;
        let told = told.expect("a right that is missing stays missing: nobody waits for it");
        assert!(matches!(&told, Err(SubmitError::Unavailable(why)) if why.contains("42501")), "{told:?}");
    }
    assert!(bench.log.health().fault().is_some());
    bench.as_owner("GRANT INSERT ON event TO headwater_app").await;
    let answer = bench.submit(vec![put(4)]).await.unwrap();
    assert_eq!(answer.position, 2.into(), "nothing of what was refused is there");
    assert_eq!(bench.log.health().fault(), None);
}

#[tokio::test]
async fn a_log_that_may_not_be_appended_to_says_so_from_the_first_moment_on() {
    let bench = Bench::new().await;
    bench.log.withhold(Some("not yet".into()));
    assert_eq!(bench.log.health().fault(), Some("not yet"));
    let told = bench.submit(vec![put(1)]).await;
    assert!(matches!(&told, Err(SubmitError::Unavailable(why)) if why.contains("not yet")), "{told:?}");
    bench.log.withhold(None);
    bench.submit(vec![put(1)]).await.unwrap();
    assert_eq!(bench.log.health().fault(), None);
}

#[tokio::test]
async fn a_request_that_takes_long_to_decide_is_stored_all_the_same() {
    let bench = Bench::new().await;
    let enrol = |number: usize| {
        Command::EnrolNode(EnrolNode { id: format!("n-{number}").parse().unwrap(), labels: Labels::new(), keys: None })
    };
    for nodes in (0..NODES).collect::<Vec<_>>().chunks(1_000) {
        bench.submit(nodes.iter().copied().map(enrol).collect()).await.unwrap();
    }
    let begun = std::time::Instant::now();
    bench.submit((0..700).map(put).collect()).await.unwrap();
    println!("{NODES} nodes, 700 documents for each: decided and stored in {:?}", begun.elapsed());
}
