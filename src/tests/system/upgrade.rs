//! An installation with one password for all gets keys for each node, step by step.

use std::path::PathBuf;

use bus::connect::{Link, connect};
use bus::objects::Objects;
use futures::TryStreamExt as _;
use schema::address::Prefix;
use schema::digest::Digest;
use schema::object::ObjectName;
use serde_json::{Value, json};
use testkit::backends::TestBackends;
use testkit::disk::{Tree, same};
use testkit::eventually::eventually;
use testkit::fleet::{CONVERGED_WITHIN, Fleet, Ways};

use crate::identities::{join, relay, send, token};

/// More than travels inside a record.
fn large(content: &str) -> String {
    content.repeat(1_000)
}

fn put(content: &str) -> Value {
    json!({"type": "put_document", "id": "a", "path": "a", "media_type": "text/plain", "content": large(content),
        "target": {"all": true}, "priority": 0})
}

fn tree(content: &str) -> Tree {
    [("files/a".to_owned(), large(content).into_bytes())].into()
}

/// Puts content for both nodes, and waits until they have it.
async fn both_get(fleet: &Fleet, content: &str) {
    send(fleet, put(content)).await;
    fleet.converges(&["n-1", "n-2"].map(|node| (node.to_owned(), tree(content))).into()).await;
}

/// Whether somebody finds content as agents did before it was encrypted.
async fn is_in_plain(link: &Link, content: &str) -> bool {
    let objects = Objects::of(&link.jetstream(), &Prefix::default()).await;
    let read = objects.read_plain(Digest::of(large(content).as_bytes())).await;
    read.is_ok_and(|read| read == large(content).into_bytes())
}

/// Waits until so many contents stand in plain.
async fn stand_in_plain(link: &Link, count: usize) {
    let stream = link.jetstream().get_stream(Prefix::default().blob_stream()).await.unwrap();
    eventually(&format!("{count} objects are plain ones"), CONVERGED_WITHIN, async || {
        let [_, metas] = Prefix::default().blob_subjects();
        let subjects = stream.info_with_subjects(metas).await.map_err(|error| error.to_string())?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.map_err(|error| error.to_string())?;
        let names = subjects.iter().filter_map(|(subject, _)| Prefix::default().parse_blob_meta_subject(subject));
        let plain: Vec<ObjectName> = names.filter(|name| matches!(name, ObjectName::Plain(_))).collect();
        if plain.len() == count { Ok(()) } else { Err(format!("{plain:?}")) }
    })
    .await;
}

/// Gives the servers keys, and lets NATS ask the log. The password goes on opening NATS.
async fn give_servers_keys(fleet: &mut Fleet) {
    let home = fleet.backends.dir.path().join("nats");
    let (bus, file) = (fleet.backends.bus().display().to_string(), home.join("password").display().to_string());
    let init = ["bus", "init", "--dir", &bus, "--open-user", "headwater", "--open-password-file", &file];
    let (code, said) = fleet.run(&init).await;
    assert!(code == Some(0) && said.starts_with("Made "), "{said}");
    let (code, said) = fleet.run(&init).await;
    assert!(code == Some(0) && said.contains("were left as they are; nothing was made"), "{said}");
    assert!(fleet.servers[0].process.stop().await);
    fleet.servers.clear();
    fleet.backends.nats.stop().await.unwrap();
    std::fs::copy(fleet.backends.bus().join("bus.conf"), home.join("bus.conf")).unwrap();
    let streams = home.join("jetstream/jetstream");
    std::fs::rename(streams.join("$G"), streams.join("CFG")).unwrap();
    fleet.backends.nats.start_again().await.unwrap();
    fleet.backends.has_identities = true;
    fleet.serve("all").await;
}

async fn joins(fleet: &mut Fleet, node: &str) {
    assert!(fleet.agents.get_mut(node).unwrap().process.stop().await);
    let line = token(fleet, Some(node), 1).await;
    let (code, said) = join(fleet, &line, node, node).await;
    assert_eq!(code, Some(0), "{said}");
    fleet.ways.agent_nats = None;
    fleet.start_agent(node);
}

/// Puts the programs of this build in the place of those that run: one agent, the server, and the other agent.
async fn upgrade_programs(fleet: &mut Fleet) {
    fleet.ways.program = None;
    let restart = async |fleet: &mut Fleet, node: &str| {
        assert!(fleet.agents.get_mut(node).unwrap().process.stop().await);
        fleet.start_agent(node);
    };
    restart(fleet, "n-1").await;
    both_get(fleet, "a newer agent").await;
    assert!(fleet.servers[0].process.stop().await);
    fleet.servers.clear();
    fleet.install().await;
    fleet.serve("all").await;
    both_get(fleet, "a newer server").await;
    restart(fleet, "n-2").await;
    let log = std::fs::read_to_string(fleet.backends.dir.path().join("edge-n-1.log")).unwrap();
    assert!(log.contains("comes in as that user and not by its key"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_with_one_password_gets_keys_and_no_node_loses_a_file() {
    // With `HEADWATER_TEST_BEFORE`, an older version installs the log and serves it, and one of its agents is upgraded after the server.
    let before = std::env::var_os("HEADWATER_TEST_BEFORE").map(PathBuf::from);
    let ways = Ways { program: before, ..Ways::default() };
    let mut fleet = Fleet::on(TestBackends::start().await, ways).await;
    fleet.serve("all").await;
    let password = fleet.backends.nats_url();
    // Somebody who has the password and reads in plain only: an agent from before objects were encrypted.
    let older_agent = async || {
        let link = connect(&password, "an older agent").await.unwrap();
        link.up().await;
        link
    };
    for node in ["n-1", "n-2"] {
        fleet.node(node, json!({})).await;
    }
    both_get(&fleet, "one password").await;
    assert!(is_in_plain(&older_agent().await, "one password").await);
    upgrade_programs(&mut fleet).await;
    // Agents go on with the password.
    fleet.ways.agent_nats = Some(password.clone());
    give_servers_keys(&mut fleet).await;
    both_get(&fleet, "the password beside keys").await;
    assert!(is_in_plain(&older_agent().await, "the password beside keys").await);
    // One node joins; its word counts only with its signature from then on.
    joins(&mut fleet, "n-1").await;
    both_get(&fleet, "one has joined").await;
    assert!(is_in_plain(&older_agent().await, "one has joined").await, "the other one may be an older agent");
    let centre = relay(&fleet).await;
    stand_in_plain(&centre, 1).await;
    // The password ends. A node that had not joined keeps what it runs, and joins when it wakes.
    let log_id = fleet.api().get("/v1/log").await.unwrap().body["log_id"].clone();
    send(&fleet, json!({"type": "close_bus", "id": log_id})).await;
    stand_in_plain(&centre, 0).await;
    send(&fleet, put("closed")).await;
    let has = |fleet: &Fleet, node: &str, content: &str| same(&fleet.agents[node].dir, &tree(content));
    eventually("the node that joined goes on", CONVERGED_WITHIN, async || has(&fleet, "n-1", "closed")).await;
    eventually("the other one is cut off", CONVERGED_WITHIN, async || {
        let log = fleet.agents["n-2"].process.log();
        if log.contains("connection to NATS lost") { Ok(()) } else { Err(log) }
    })
    .await;
    has(&fleet, "n-2", "one has joined").unwrap();
    joins(&mut fleet, "n-2").await;
    fleet.converges(&["n-1", "n-2"].map(|node| (node.to_owned(), tree("closed"))).into()).await;
    stand_in_plain(&centre, 0).await;
}
