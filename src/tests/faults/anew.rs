//! What is lost and nowhere to be had back: what is left becomes a new log, which nodes take when they are told so.

use std::path::Path;

use replay::tree::Frontier;
use schema::address::{APP_ROLE, READER_ROLE};
use schema::change::{Change, LogBegun};
use schema::event::Event;
use schema::id::LogId;
use serde_json::Value;
use store::database::Database;
use store::new_log::begin_new_log;
use store::reader::{EventPage, Reader};

use crate::proof::{is_stopped, wipe};
use crate::reader;
use crate::restore::{SOON, first_json, put, put_back, tree};
use testkit::auditor::{exported, replay};
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::{disk, law};

async fn events(fleet: &Fleet) -> Vec<Event> {
    let reader = Reader::open(Database::parse(&fleet.backends.database_as(APP_ROLE)).unwrap()).await.unwrap();
    reader.events(EventPage { limit: 10_000, ..EventPage::default() }).await.unwrap()
}

/// Begins a new log as the database's owner.
async fn new_log(fleet: &Fleet) -> (Option<i32>, String) {
    let owner = fleet.backends.database();
    fleet.run(&["recover", "--new-log", "--json", "--database-url", &owner]).await
}

async fn accept(fleet: &Fleet, log_id: &str, dir: &Path) -> (Option<i32>, String) {
    fleet.run(&["edge", "accept-log", log_id, "--dir", dir.to_str().unwrap()]).await
}

/// What the new log says of the old one follows from its own events, sealed with the old id.
fn comes_from(events: &[Event], old: LogId, back: u64) {
    let begun = events.iter().find(|event| event.event_type == "LogBegun").unwrap();
    let Ok(Change::LogBegun(LogBegun { from, position, root, .. })) = begun.change() else { panic!("{begun:?}") };
    assert_eq!((from, position.get(), begun.position.get()), (old, back, back + 1));
    let before = events.iter().take_while(|event| event.position <= position);
    let resealed = before.map(|event| Event { log_id: old, ..event.clone() }.sealed().leaf);
    assert_eq!(Frontier::over(resealed).root(), root, "the old log is in the new one");
}

#[tokio::test]
async fn a_new_log_that_was_cut_off_before_nats_was_emptied_is_finished_by_the_same_command() {
    let (mut fleet, _log, back) = put_back().await;
    fleet.servers[0].process.kill();
    let stream = law::stream(&fleet.backends.nats_url()).await.unwrap();
    let owner = Reader::open(Database::parse(&fleet.backends.database()).unwrap()).await.unwrap();
    let head = owner.head().await.unwrap();
    let (new, position) = eventually("nobody is connected any more", SOON, async || {
        begin_new_log(&owner, &head, None, "a test").await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(position.get(), back + 1);
    drop(owner);
    fleet.servers[0].process.start_again();
    eventually("the server sees another log in NATS", SOON, async || {
        let answer = fleet.api().post(&put("z", "between two logs"), None).await?;
        assert_ne!(answer.status, 200, "nothing is taken: {answer:?}");
        let says = answer.body.to_string();
        if says.contains("does another log use the same NATS") { Ok(()) } else { Err(says) }
    })
    .await;
    assert_eq!(law::stream(&fleet.backends.nats_url()).await.unwrap(), stream, "nothing was published");
    fleet.servers[0].process.kill();
    let (code, said) = new_log(&fleet).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(first_json(&said)["log_id"], new.to_string(), "it is the same one: {said}");
    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    fleet.api().accepted(put("z", "in the new one")).await;
    law::holds(&fleet.backends).await;
}

#[tokio::test]
async fn what_is_left_becomes_a_new_log_that_nodes_take_when_told_so() {
    let (mut fleet, _log, back) = put_back().await;
    let old = events(&fleet).await[0].log_id;
    fleet.servers[0].process.kill();
    wipe(&mut fleet).await;
    fleet.servers[0].process.start_again();
    eventually("the server answers", SOON, async || fleet.api().get("/healthz").await.map(drop)).await;
    is_stopped(&fleet).await;

    let (code, said) = new_log(&fleet).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("end every `headwater serve`"), "nobody pulls a log away from under a server: {said}");
    fleet.servers[0].process.kill();
    let (code, said) = fleet.run(&["recover", "--new-log"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("as its owner"), "{said}");
    let (code, said) = new_log(&fleet).await;
    assert_eq!(code, Some(0), "{said}");
    let begun: Value = first_json(&said);
    assert_eq!((&begun["from"], begun["position"].as_u64()), (&old.to_string().into(), Some(back + 1)), "{said}");
    let new = begun["log_id"].as_str().unwrap().to_owned();
    let (code, said) = new_log(&fleet).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no reason"), "nothing is lost of the new one: {said}");

    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    fleet.api().accepted(put("x", "said in the new log")).await;
    eventually("the node refuses by name", SOON, async || {
        let shown = fleet.api().get("/v1/nodes/a").await?;
        if shown.body.to_string().contains("other_log") { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
    let dir = fleet.agents["a"].dir.clone();
    disk::same(&dir, &tree()).unwrap();
    let (code, said) = accept(&fleet, &new, &dir).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another agent works in"), "{said}");
    let agent = fleet.agents.get_mut("a").unwrap();
    assert!(agent.process.stop().await);
    for _ in 0..2 {
        let (code, said) = accept(&fleet, &new, &dir).await;
        assert_eq!(code, Some(0), "{said}");
    }
    disk::same(&dir, &tree()).unwrap();
    fleet.agents.get_mut("a").unwrap().process.start_again();
    let said = [("files/x".to_owned(), b"said in the new log".to_vec())].into();
    fleet.converges(&[("a".to_owned(), said)].into()).await;
    assert!(fleet.agents.get_mut("a").unwrap().process.stop().await);
    let (code, said) = accept(&fleet, &old.to_string(), &dir).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not go back"), "{said}");

    law::holds(&fleet.backends).await;
    let now = events(&fleet).await;
    assert!(now.iter().all(|event| event.log_id.to_string() == new));
    comes_from(&now, old, back);
    let (dir, url) = (fleet.backends.dir.path(), fleet.backends.database_as(READER_ROLE));
    exported(dir, &url, &["--to", "new.hwlog"]);
    let key = reader::ask(&fleet.backends.database(), "SELECT encode(public_key, 'hex') FROM log_head").await.unwrap();
    let (code, said) = replay(dir, &["verify", "new.hwlog", "--trust", &key.unwrap()]);
    assert_eq!(
        (code, said["ok"].as_bool(), said["log_id"].as_str()),
        (Some(0), Some(true), Some(new.as_str())),
        "{said}"
    );
}
