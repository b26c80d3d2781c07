//! What is said where NATS lets somebody not in: on the node, in the server's log, and to whoever gives no key.

use bus::identity::BusIdentity;
use schema::join::JoinLine;
use serde_json::{Value, json};
use testkit::eventually::eventually;
use testkit::fleet::{CONVERGED_WITHIN, Fleet};

use crate::identities::{join, send, shows, token};

/// Waits until `edge status` says whom NATS refuses, or nobody.
async fn status_shows(fleet: &Fleet, node: &str, refused: Option<&str>) {
    let dir = fleet.node_dir(node).display().to_string();
    eventually(&format!("status says that NATS refuses {refused:?}"), CONVERGED_WITHIN, async || {
        let (code, said) = fleet.run(&["edge", "status", "--json", "--dir", &dir]).await;
        let shown: Value = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
        let is_well = refused.is_none();
        let is_it = shown["nats_refused"]["identity"].as_str() == refused
            && code == Some(i32::from(!is_well))
            && shown["is_well"] == is_well;
        if is_it { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_nats_refuses_says_so_until_it_is_let_in_again() {
    let mut fleet = Fleet::with_identities().await;
    fleet.node("n-1", json!({})).await;
    shows(&fleet, "n-1", "converged").await;
    let (seed, other) = (fleet.seed("n-1"), fleet.seed("n-2"));
    let public = BusIdentity::of(seed.bus()).public();
    send(&fleet, json!({"type": "bar_node", "id": "n-1"})).await;
    let line = ["not let into NATS", "code=\"barred_key\"", &format!("key=\"{public}\""), "node=n-1"];
    eventually("the server says who was refused", CONVERGED_WITHIN, async || {
        let log = fleet.servers[0].process.log();
        let is_it = log.lines().any(|said| line.iter().all(|part| said.contains(part)));
        if is_it { Ok(()) } else { Err(log) }
    })
    .await;
    status_shows(&fleet, "n-1", Some(&format!("key {public}"))).await;
    let dir = fleet.node_dir("n-1").display().to_string();
    let (_, told) = fleet.run(&["edge", "status", "--dir", &dir]).await;
    assert!(told.contains(&format!("refuses key {public} since 2")) && told.contains("was barred"), "{told}");
    let file = fleet.backends.dir.path().join("proposed");
    std::fs::write(&file, "new").unwrap();
    let (code, said) = fleet.run(&["edge", "propose", "b", "--dir", &dir, "--replace", file.to_str().unwrap()]).await;
    assert!(code == Some(0) && said.contains("is not sent for now") && said.contains(&public), "{said}");
    // It comes back with the keys of another folder, and what it proposed is sent.
    assert!(fleet.agents.get_mut("n-1").unwrap().process.stop().await);
    std::fs::copy(fleet.node_dir("n-2").join("node.seed"), fleet.node_dir("n-1").join("node.seed")).unwrap();
    send(&fleet, json!({"type": "retire_node", "id": "n-1"})).await;
    send(&fleet, json!({"type": "enrol_node", "id": "n-1", "labels": {}, "keys": other.keys()})).await;
    fleet.start_agent("n-1");
    status_shows(&fleet, "n-1", None).await;
    eventually("the proposal has come", CONVERGED_WITHIN, async || {
        let open = fleet.api().get("/v1/proposals?state=open").await?;
        if open.body["items"][0]["path"] == "b" { Ok(()) } else { Err(format!("{open:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_to_nats_without_its_key_is_told_what_to_give() {
    let mut fleet = Fleet::with_identities().await;
    // A user and no key, as before identities; and a user that takes the place of the key.
    let user = format!("nats://headwater:secret@127.0.0.1:{}", fleet.backends.nats.port());
    let install = ["install", "--database-url", &fleet.backends.database(), "--nats-url", &user];
    let (code, said) = fleet.run(&install).await;
    assert!(code == Some(1) && said.contains("in the place of this program's key"), "{said}");
    fleet.backends.has_identities = false;
    let (code, said) = fleet.run(&install).await;
    let last = said.lines().last().unwrap_or_default();
    assert!(code == Some(1) && last.contains("refuses the user") && last.contains("--nats-nkey-file"), "{said}");
    fleet.backends.has_identities = true;
    // A server that can't answer who may come in says so; one whose role is to serve people only need not.
    fleet.ways.env = vec![("HEADWATER_BUS_DIR", fleet.backends.dir.path().join("nothing").display().to_string())];
    for (role, level) in [("all", "WARN"), ("door", "INFO")] {
        let server = fleet.server(role);
        let is_said = |line: &str| line.contains(level) && line.contains("answer NATS who may come in");
        eventually("the server says what it can't do", CONVERGED_WITHIN, async || {
            let log = server.process.log();
            if log.lines().any(is_said) && log.contains("--bus-dir") { Ok(()) } else { Err(log) }
        })
        .await;
    }
    // What can be known without asking anybody is refused before the disk is touched.
    let line = token(&fleet, None, 1).await;
    let another = |nats: &str| JoinLine { nats: nats.to_owned(), ..line.clone() };
    let (code, said) = join(&fleet, &another("nats://ann:secret@127.0.0.1:4222"), "n-1", "n-1").await;
    assert!(code == Some(2) && said.contains("has a user") && !fleet.node_dir("n-1").exists(), "{said}");
    let (code, said) = join(&fleet, &another("nats://192.0.2.1:4222"), "n-1", "n-1").await;
    assert!(code == Some(2) && said.contains("--plain"), "{said}");
    assert!(!fleet.node_dir("n-1").join("state.json").exists(), "the folder belongs to nobody");
    assert_eq!(join(&fleet, &line, "n-2", "n-1").await.0, Some(0));
    let list = ["node", "token", "list", "--url", "http://192.0.2.1:7300", "--token", "hw_x"];
    assert_eq!(fleet.run(&list).await.0, Some(2), "as every other command of the client");
}
