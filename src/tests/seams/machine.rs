//! Laws of the machine, held on a real PostgreSQL, a real nats-server and real processes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::child::{ChildSpec, StopSignal};
use lab::identity::{self, Identity};
use lab::nats::NatsServer;
use lab::postgres::Cluster;
use lab::running_server::Server;
use lab::supervisor::Supervised;
use tokio_postgres::NoTls;

/// How long anything here may take before it counts as never.
const DEADLINE: Duration = Duration::from_secs(60);

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn is_gone(pid: u32) {
    eventually("the process is gone", async || Identity::of(pid).is_none()).await;
}

async fn query(url: &str, sql: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client.query_one(sql, &[]).await.unwrap();
    row.get(0)
}

async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
}

/// async-nats takes no credentials from a URL by itself.
async fn client_of(url: &str) -> async_nats::Client {
    let address: async_nats::ServerAddr = url.parse().unwrap();
    let (user, password) = (address.username().unwrap(), address.password().unwrap());
    let options = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into());
    options.connect(address).await.unwrap()
}

fn sleeper(dir: &Path, name: &str, script: &str) -> ChildSpec {
    ChildSpec {
        name: name.into(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        dir: dir.into(),
        log: dir.join(format!("{name}.log")),
        account: None,
        ask: StopSignal::Terminate,
        grace: Duration::from_millis(300),
    }
}

#[tokio::test]
async fn a_cluster_keeps_its_commits_port_and_password_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path(), &[]).await.unwrap();
    let url = cluster.create_database("it's \"one\"").await.unwrap();
    assert_eq!(cluster.create_database("it's \"one\"").await.unwrap(), url, "made once");
    let url = cluster.create_database("plain").await.unwrap();
    execute(&url, "create table kept (x text); insert into kept values ('kept')").await;

    let first = cluster.pid();
    cluster.kill();
    is_gone(first).await;
    cluster.start_again().await.unwrap();
    assert_ne!(cluster.pid(), first);
    assert_eq!(query(&url, "select x from kept").await, "kept");

    assert!(cluster.stop().await.unwrap().success());
    assert!(!cluster.answers().await);
    cluster.start_again().await.unwrap();
    assert_eq!(query(&url, "select x from kept").await, "kept");
}

#[tokio::test]
async fn a_cluster_is_set_up_for_replication_and_listens_on_the_loopback_alone() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path(), &[("max_wal_senders", "3")]).await.unwrap();
    let url = cluster.url("postgres");
    let setting = async |name: &str| query(&url, &format!("select current_setting('{name}')")).await;
    assert_eq!(setting("wal_level").await, "logical");
    assert_eq!(setting("fsync").await, "on");
    assert_eq!(setting("listen_addresses").await, "127.0.0.1");
    assert_eq!(setting("unix_socket_directories").await, "");
    assert_eq!(setting("max_wal_senders").await, "3", "a test's setting is the stronger");
    let wrong = url.replacen("postgres:", "postgres:not", 1);
    assert!(tokio_postgres::connect(&wrong, NoTls).await.is_err(), "a password is needed");
}

#[tokio::test]
async fn a_cluster_for_a_test_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path(), &[]).await.unwrap();
    let (home, pid) = (cluster.home().to_path_buf(), cluster.pid());
    assert!(home.is_dir());
    drop(cluster);
    assert!(!home.exists());
    is_gone(pid).await;
}

#[tokio::test]
async fn a_nats_server_keeps_its_streams_port_and_password_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = NatsServer::start(dir.path()).await.unwrap();
    let url = server.url();
    let client = client_of(&url).await;
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config { name: "kept".into(), ..Default::default() };
    jetstream.create_stream(config).await.unwrap();
    jetstream.publish("kept", "it".into()).await.unwrap().await.unwrap();

    let first = server.pid();
    server.kill();
    is_gone(first).await;
    server.start_again().await.unwrap();
    let client = client_of(&url).await;
    let jetstream = async_nats::jetstream::new(client);
    let mut stream = jetstream.get_stream("kept").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);

    let without = format!("127.0.0.1:{}", server.port());
    assert!(async_nats::connect(without).await.is_err(), "a password is needed");
    assert!(server.stop().await.is_ok());
    assert!(!server.answers().await);
}

#[tokio::test]
async fn a_child_that_will_not_end_is_killed_after_its_grace() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; echo deaf; while :; do sleep 0.1; done";
    let mut deaf = sleeper(dir.path(), "deaf", script).spawn().unwrap();
    eventually("it has gone deaf", async || deaf.spec().log_tail() == "deaf").await;
    assert!(!deaf.stop().await.unwrap().success());
}

#[tokio::test]
async fn a_supervised_child_is_started_again_and_after_a_stop_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().to_path_buf();
    let spec = sleeper(dir.path(), "it", "exec sleep 600");
    let kept = Supervised::start(spec, run.clone()).unwrap();
    let first = Identity::of(kept.pid()).unwrap();
    kill(first.pid);
    eventually("another is running", async || kept.pid() != first.pid && Identity::of(kept.pid()).is_some()).await;
    let second = kept.pid();
    assert!(run.join("it.pid").exists());
    kept.stop().await;
    assert!(Identity::of(second).is_none());
    assert!(!run.join("it.pid").exists());
}

/// Started by the test below in a process of its own: starts everything, says so, and waits to be killed.
#[tokio::test]
#[ignore = "it is the parent that another test kills"]
async fn parent_that_is_killed() {
    let Some(dir) = std::env::var_os("HEADWATER_TEST_PARENT_DIR") else {
        return;
    };
    let dir = Path::new(&dir);
    let cluster = Cluster::start(dir, &[]).await.unwrap();
    let nats = NatsServer::start(dir).await.unwrap();
    let kept = Supervised::start(sleeper(dir, "kept", "exec sleep 600"), dir.into()).unwrap();
    let home = cluster.home().to_str().unwrap();
    let pids = [cluster.pid(), nats.pid(), kept.pid()].map(|pid| pid.to_string());
    fs::write(dir.join("pids.new"), format!("{home}\n{}", pids.join("\n"))).unwrap();
    fs::rename(dir.join("pids.new"), dir.join("pids")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn children_end_with_a_parent_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["machine::parent_that_is_killed", "--exact", "--ignored"])
        .env("HEADWATER_TEST_PARENT_DIR", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pids = dir.path().join("pids");
    eventually("the children run", async || pids.exists() || parent_ended(&mut parent)).await;
    let text = fs::read_to_string(pids).unwrap();
    let (home, pids) = text.split_once('\n').unwrap();
    let children: Vec<Identity> = pids.lines().map(|pid| Identity::of(pid.parse().unwrap()).unwrap()).collect();
    assert_eq!(children.len(), 3);

    parent.kill().unwrap();
    parent.wait().unwrap();
    for child in children {
        eventually("a child is gone", async || !child.is_alive()).await;
    }
    // What it wrote down is still there, names nobody alive, and is cleared without harm.
    assert!(dir.path().join("kept.pid").exists());
    identity::end_leftovers(dir.path()).unwrap();
    assert!(!dir.path().join("kept.pid").exists());
    fs::remove_dir_all(home).unwrap();
}

fn parent_ended(parent: &mut std::process::Child) -> bool {
    let ended = parent.try_wait().unwrap();
    assert!(ended.is_none(), "the parent ended: {ended:?}");
    false
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
