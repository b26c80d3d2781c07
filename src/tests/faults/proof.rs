//! PostgreSQL put back to an earlier point and NATS wiped, so that only a node knows of what is lost: what it holds is signed,
//! and stops every server. What somebody makes up stops nobody.

use bus::connect::connect;
use schema::report::{RecordRef, Reported};
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use serde_json::{Value, json};

use crate::reader;
use crate::restore::{SOON, first_json, put, put_back};
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;

/// Stops NATS, and starts it again with nothing.
pub(crate) async fn wipe(fleet: &mut Fleet) {
    fleet.backends.nats.stop().await.unwrap();
    std::fs::remove_dir_all(fleet.backends.dir.path().join("nats/jetstream")).unwrap();
    fleet.backends.nats.start_again().await.unwrap();
}

/// Waits until the server and `/readyz` say that the node's record is ahead, while nothing is taken.
pub(crate) async fn is_stopped(fleet: &Fleet) {
    eventually("the server says which node holds more", SOON, async || {
        let answer = fleet.api().post(&put("z", "over what is lost"), None).await?;
        let ready = fleet.api().get("/readyz").await?;
        assert_ne!(answer.status, 200, "nothing is taken: {answer:?}");
        let says = |body: &Value| body.to_string().contains("node a holds a record that was signed at position");
        match (answer.is_for_later(), answer.code(), ready.status) {
            (true, "unavailable", 503) if says(&answer.body) && says(&ready.body) => Ok(()),
            _ => Err(format!("{answer:?} {ready:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn what_only_a_node_still_holds_stops_a_server_that_starts() {
    let (mut fleet, log, back) = put_back().await;
    fleet.servers[0].process.kill();
    wipe(&mut fleet).await;
    fleet.servers[0].process.start_again();
    eventually("the server answers", SOON, async || fleet.api().get("/healthz").await.map(drop)).await;
    is_stopped(&fleet).await;
    assert_eq!(reader::head(&fleet.backends.database()).await.unwrap(), back, "nothing was appended");
    let public = law::stream(&fleet.backends.nats_url()).await.unwrap_or_default();
    assert_eq!(public[..], log[..public.len()], "what is public is the log as it was");
    assert!(public.len() as u64 <= back, "nothing else was published");

    let (code, said) = fleet.run(&["recover", "--json"]).await;
    assert_eq!(code, Some(1), "{said}");
    let said: Value = first_json(&said);
    let held = said["proven"]["a"]["position"].as_u64().unwrap();
    assert!(held > back, "{said}");
    let line = &log[usize::try_from(held).unwrap() - 1];
    assert_eq!(said["proven"]["a"]["command_id"], json!(line.command_id), "the very event is named: {said}");
    let event_id = said["proven"]["a"]["event_id"].as_str().unwrap().to_owned();

    // A report may prove something and not say what the node has seen: whatever stops a server is what `recover` names.
    assert!(fleet.agents.get_mut("a").unwrap().process.stop().await);
    let link = connect(&fleet.backends.nats_url(), "test").await.unwrap();
    link.up().await;
    let bucket = link.jetstream().get_key_value("cfg_reported").await.unwrap();
    let report = Reported::read(&bucket.get("a").await.unwrap().unwrap()).unwrap();
    let report = Reported { seen: None, seq: report.seq + 1, ..report };
    assert!(report.proof.is_some(), "NATS holds no newer record of it: {report:?}");
    bucket.put("a", report.write().into()).await.unwrap();
    is_stopped(&fleet).await;
    let (code, said) = fleet.run(&["recover"]).await;
    assert_eq!(code, Some(1), "{said}");
    let named = format!("node a holds a record that was signed for event {event_id} at position {held}");
    assert!(said.contains(&named) && said.contains("--new-log"), "{said}");
    fleet.servers[0].process.kill();
    let owner = fleet.backends.database();
    eventually("a new log is begun once nobody is connected", SOON, async || {
        let (code, said) = fleet.run(&["recover", "--new-log", "--database-url", &owner]).await;
        if code == Some(0) { Ok(()) } else { Err(said) }
    })
    .await;
    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    fleet.api().accepted(put("z", "in the new log")).await;
}

#[tokio::test]
async fn what_a_node_makes_up_stops_nobody() {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    let enrol = json!({"type": "enrol_node", "id": "b", "labels": {}});
    fleet.api().accepted(json!({"commands": [enrol]})).await;
    fleet.api().accepted(put("x", "for everybody, too")).await;
    let link = connect(&fleet.backends.nats_url(), "test").await.unwrap();
    link.up().await;
    let bucket = link.jetstream().get_key_value("cfg_reported").await.unwrap();
    let said = eventually("a is heard", SOON, async || {
        let said = bucket.get("a").await.map_err(|error| error.to_string())?.ok_or("not yet")?;
        let said = Reported::read(&said).map_err(|error| error.to_string())?;
        said.seen.is_some().then_some(said).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    // A number far ahead, with a record of b's own making.
    let seen = said.seen.map(|seen| RecordRef { position: 1_000_000.into(), ..seen });
    let desired = link.jetstream().get_key_value("cfg_desired").await.unwrap().get("b").await.unwrap().unwrap();
    let body = schema::seal::SignedRecord::read(&desired).unwrap().body;
    let mut record = schema::desired::Desired::read(&body).unwrap();
    (record.position, record.cause.position) = (1_000_000.into(), 1_000_000.into());
    let proof = Some(SecretKey::from_seed(&[9; 32]).seal(record.write()));
    let forged = Reported { node: "b".parse().unwrap(), seen, proof, ..said };
    bucket.put("b", forged.write().into()).await.unwrap();
    eventually("b is marked", SOON, async || {
        let shown = fleet.api().get("/v1/nodes/b").await?;
        if shown.body["state"] == "ahead" { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
    fleet.api().accepted(put("x", "goes on unimpressed")).await;
    assert!(fleet.servers[0].process.stop().await);
    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    fleet.api().accepted(put("x", "also after a start")).await;
    let shown = fleet.api().get("/v1/nodes/b").await.unwrap();
    assert_eq!(shown.body["state"], "ahead", "{shown:?}");
    law::holds(&fleet.backends).await;
}
