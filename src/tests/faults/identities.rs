//! Nodes with keys that lose their access while something else goes wrong.

use std::fs;
use std::time::{Duration, Instant};

use program::failpoints;
use schema::seal::SecretKey;
use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::disk::Tree;
use testkit::eventually::eventually;
use testkit::fleet::{Fleet, Ways};
use testkit::raw_nats::RawClient;

use crate::places::{arm, ends};
use crate::story::is_long;
use crate::wire::{Mode, Wire};

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(30);
/// After what time at most a connection is cut that another server let in: connections are compared with the log every 30 s.
const COMPARED_WITHIN: Duration = Duration::from_secs(40);

fn bar(node: &str) -> Value {
    json!({"commands": [{"type": "bar_node", "id": node}]})
}

fn motd(content: &str) -> Value {
    json!({"commands": [{"type": "put_document", "id": "motd", "path": "motd", "media_type": "text/plain", "content": content,
        "target": {"all": true}, "priority": 0}]})
}

fn tree(content: &str) -> Tree {
    [("files/motd".to_owned(), content.as_bytes().to_vec())].into()
}

/// Connects with a key, if that is let in.
async fn connects(fleet: &Fleet, key: &SecretKey) -> Option<RawClient> {
    let (port, key) = (fleet.backends.nats.port(), key.clone());
    tokio::task::spawn_blocking(move || RawClient::as_user(port, &key).ok()).await.unwrap()
}

/// Waits until a connection is cut, and says after what time.
async fn is_cut(mut client: RawClient, within: Duration) -> Duration {
    let since = Instant::now();
    let cut = tokio::task::spawn_blocking(move || {
        while !client.settle().iter().any(|error| error == "closed") {
            assert!(since.elapsed() < within, "it still stands after {within:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        since.elapsed()
    });
    cut.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_between_a_bar_and_the_cut_of_the_connection() {
    let mut fleet = Fleet::with_identities().await;
    fleet.node("n-1", json!({})).await;
    let key = fleet.seed("n-1").bus();
    let taken_over = connects(&fleet, &key).await.unwrap();
    arm(&fleet, "serve-0", failpoints::CUT_JUDGED);
    // The server may end before it has answered.
    let _ = fleet.api().post(&bar("n-1"), None).await;
    ends(&mut fleet.servers[0].process, failpoints::CUT_JUDGED).await;
    assert!(connects(&fleet, &key).await.is_none(), "nobody answers who may come in");
    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    let cut = is_cut(taken_over, SOON).await;
    println!("cut {} ms after the server was ready again", cut.as_millis());
    assert!(connects(&fleet, &key).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_its_log_lets_a_barred_node_in_and_another_one_cuts_it() {
    let mut backends = TestBackends::with_identities().await;
    let wire = Wire::to(backends.postgres.port()).await;
    let direct = backends.postgres_by.replace(wire.port());
    let mut fleet = Fleet::on(backends, Ways::default()).await;
    fleet.serve("all").await;
    fleet.backends.postgres_by = direct;
    fleet.serve("all").await;
    fleet.node("n-1", json!({})).await;
    let key = fleet.seed("n-1").bus();
    eventually("the first server knows the node", SOON, async || {
        fleet.servers[0].api.get("/v1/nodes/n-1").await.map(drop)
    })
    .await;
    wire.set(Mode::Cut);
    fleet.servers[1].api.accepted(bar("n-1")).await;
    if is_long() {
        // The looks that follow a change are over then.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    // nats-server asks either of the two.
    let let_in = eventually("the server that can't know lets it in", SOON, async || {
        connects(&fleet, &key).await.ok_or("it is refused".to_owned())
    })
    .await;
    let cut = is_cut(let_in, COMPARED_WITHIN).await;
    println!("a connection that a server without its log had let in was cut after {} ms", cut.as_millis());
    wire.set(Mode::Open);
    fleet.servers[0].api.ready().await;
    eventually("both refuse it", SOON, async || {
        for _ in 0..8 {
            if connects(&fleet, &key).await.is_some() {
                return Err("it is let in".to_owned());
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_barred_while_it_applies() {
    let backends = TestBackends::with_identities().await;
    let [begun, go_on] = ["begun", "go-on"].map(|name| backends.dir.path().join(name));
    // The first record has no file.
    let hook = format!(
        "[ -e {{}}/files/motd ] || exit 0; touch {}; while ! [ -e {} ]; do sleep 0.05; done",
        begun.display(),
        go_on.display()
    );
    let ways = Ways { agent_args: ["--apply", &hook].map(Into::into).into(), ..Ways::default() };
    let mut fleet = Fleet::on(backends, ways).await;
    fleet.serve("all").await;
    fleet.node("n-1", json!({})).await;
    fleet.api().accepted(motd("one")).await;
    let desired = fleet.api().position().await;
    eventually("the node applies it", SOON, async || {
        if begun.exists() { Ok(()) } else { Err("the hook did not begin".to_owned()) }
    })
    .await;
    fleet.api().accepted(bar("n-1")).await;
    eventually("its connection is cut", SOON, async || {
        let log = fleet.agents["n-1"].process.log();
        if log.contains("connection to NATS lost") { Ok(()) } else { Err(log) }
    })
    .await;
    fs::write(&go_on, "").unwrap();
    let dir = fleet.node_dir("n-1");
    eventually("it finishes what it has begun", SOON, async || {
        let (_, status) = fleet.run(&["edge", "status", "--dir", dir.to_str().unwrap()]).await;
        let has_ended = status.contains(&format!("last try   position {desired}")) && status.contains(": applied, at");
        if has_ended { Ok(()) } else { Err(status) }
    })
    .await;
    let position = fleet.api().position().await;
    fleet.api().accepted(motd("two")).await;
    eventually("the newer record is published", SOON, async || {
        let log = fleet.api().get("/v1/log").await?.body;
        if log["published"].as_u64() > Some(position) { Ok(()) } else { Err(log.to_string()) }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    testkit::disk::same(&dir, &tree("one")).unwrap();
    let node = fleet.api().get("/v1/nodes/n-1").await.unwrap().body;
    assert_eq!(node["access"], "barred", "{node}");
    assert_ne!(node["state"], "converged", "what it says does not count: {node}");
}
