//! PostgreSQL put back to an earlier point: nobody appends or publishes over what is public, whoever asks is told why, and
//! what was lost comes back from the event stream.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use schema::event::Event;
use schema::id::EventId;
use schema::wire::WireRecord as _;
use serde_json::{Value, json};

use crate::reader;
use testkit::auditor::{exported, replay};
use testkit::disk::Tree;
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;

/// How long anything may take that happens by itself.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Content that travels as an object.
const LARGE: usize = 40_000;

pub(crate) fn put(id: &str, content: &str) -> Value {
    json!({"reason": content.get(..10), "commands": [{
        "type": "put_document", "id": id, "path": id, "media_type": "text/plain", "content": content,
        "target": {"all": true}, "priority": 0,
    }]})
}

fn data(fleet: &Fleet) -> PathBuf {
    fleet.backends.postgres.home().join("data")
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// A log with a node, and a copy of its database from before its last events, which is put in its place.
pub(crate) async fn put_back() -> (Fleet, Vec<law::Line>, u64) {
    put_back_over(&[]).await
}

/// The same, where a document had these contents one after another, and then another one, since the copy was made.
async fn put_back_over(overwritten: &[&str]) -> (Fleet, Vec<law::Line>, u64) {
    let mut fleet = Fleet::start().await;
    fleet.node("a", json!({})).await;
    fleet.api().accepted(put("x", "before all")).await;
    eventually("the log knows that the node reported", SOON, async || {
        let reported = "SELECT count(*) FROM event WHERE entity = 'report/a'";
        match reader::ask(&fleet.backends.database(), reported).await?.as_deref() {
            Some("0") | None => Err("not yet".to_owned()),
            Some(_) => Ok(()),
        }
    })
    .await;
    fleet.backends.postgres.stop().await.unwrap();
    let copied = data(&fleet).with_file_name("copy");
    copy(&data(&fleet), &copied);
    fleet.backends.postgres.start_again().await.unwrap();
    fleet.api().ready().await;
    let head = reader::head(&fleet.backends.database()).await.unwrap();
    for content in overwritten {
        fleet.api().accepted(put("x", content)).await;
    }
    let keyed = fleet.api().post(&put("x", "thereafter it is another"), Some("key")).await.unwrap();
    assert_eq!(keyed.status, 200, "{keyed:?}");
    fleet.api().accepted(put("y", &"large one ".repeat(LARGE / 10))).await;
    fleet.converges(&[("a".to_owned(), tree())].into()).await;
    let log = law::holds(&fleet.backends).await;
    fleet.backends.postgres.stop().await.unwrap();
    copy(&copied, &data(&fleet));
    fleet.backends.postgres.start_again().await.unwrap();
    let back = reader::head(&fleet.backends.database()).await.unwrap();
    assert!(back <= head && head < log.len() as u64);
    (fleet, log, back)
}

pub(crate) fn tree() -> Tree {
    let large = "large one ".repeat(LARGE / 10).into_bytes();
    [("files/x".to_owned(), b"thereafter it is another".to_vec()), ("files/y".to_owned(), large)].into()
}

/// Waits until commands are refused because the database was put back, and nothing else is said.
async fn is_refused(fleet: &Fleet) {
    eventually("the server says why it takes nothing", SOON, async || {
        let answer = fleet.api().post(&put("z", "lost again and again"), None).await?;
        let ready = fleet.api().get("/readyz").await?;
        assert_ne!(answer.status, 200, "nothing is taken: {answer:?}");
        let says = |body: &Value| body.to_string().contains("put back");
        match (answer.status, ready.status) {
            (503, 503) if says(&answer.body) && says(&ready.body) && answer.retry_after.is_some() => Ok(()),
            _ => Err(format!("{answer:?} {ready:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_appended_to_a_log_that_was_put_back_until_it_is_whole_again() {
    let (mut fleet, log, back) = put_back().await;
    let stream = law::stream(&fleet.backends.nats_url()).await.unwrap();
    // A server that lived through it knows what it folded; one that starts has to look at what is public.
    is_refused(&fleet).await;
    fleet.servers[0].process.kill();
    fleet.servers[0].process.start_again();
    eventually("the server answers", SOON, async || fleet.api().get("/healthz").await.map(drop)).await;
    is_refused(&fleet).await;
    assert_eq!(reader::head(&fleet.backends.database()).await.unwrap(), back, "nothing was appended");
    assert_eq!(law::stream(&fleet.backends.nats_url()).await.unwrap(), stream, "nothing was published");

    let (code, said) = fleet.run(&["recover", "--json"]).await;
    assert_eq!(code, Some(1), "{said}");
    let said: Value = first_json(&said);
    let missing = said["missing"].as_array().unwrap();
    assert_eq!(missing.len() as u64, stream.len() as u64 - back, "{said}");
    assert_eq!((&said["head"], &missing[0]["position"]), (&json!(back), &json!(back + 1)));
    assert_eq!(said["nodes"]["a"].as_u64().map(|seen| seen > back), Some(true), "who holds more is named: {said}");

    // Nobody may have signed for the last of them: the database was stopped before it was time.
    let signed = said["signed"].as_u64().unwrap();
    assert_eq!(said["checkpoint"].as_u64().unwrap_or(0).max(back), back + signed, "{said}");
    let (code, said) = fleet.run(&["recover", "--adopt-stream"]).await;
    assert_eq!(code, Some(if signed == missing.len() as u64 { 0 } else { 1 }), "{said}");
    assert_eq!(reader::head(&fleet.backends.database()).await.unwrap(), back + signed, "{said}");
    let (code, said) = fleet.run(&["recover", "--adopt-stream", "--unsigned-too"]).await;
    assert_eq!(code, Some(0), "{said}");
    fleet.api().ready().await;
    fleet.converges(&[("a".to_owned(), tree())].into()).await;
    let now = law::holds(&fleet.backends).await;
    assert_eq!(now[..log.len()], log[..], "every event is as it was");
    // What was asked under a key is not done twice: it is answered as it was, and anything else under the key is refused.
    let asked = log.iter().rfind(|line| line.entity == "document/x").unwrap();
    for _ in 0..2 {
        let again = fleet.api().post(&put("x", "thereafter it is another"), Some("key")).await.unwrap();
        assert_eq!((again.status, again.body["position"].as_u64()), (200, Some(asked.position)), "{again:?}");
        let result = json!([{"entity": "document/x", "version": asked.version, "changed": true}]);
        assert_eq!(again.body["results"], result, "{again:?}");
    }
    let other = fleet.api().post(&put("x", "something else under the key"), Some("key")).await.unwrap();
    assert_eq!((other.status, other.code()), (409, "idempotency_key_reused"));
    fleet.api().accepted(put("z", "goes on from there")).await;
    law::holds(&fleet.backends).await;
}

#[tokio::test]
async fn a_content_that_was_overwritten_before_it_was_lost_is_named_and_put_back() {
    let lost = ["overwritten, and kept by a node", "overwritten, and put once more"];
    let digests = lost.map(|content| schema::digest::Digest::of(content.as_bytes()).to_string());
    let (mut fleet, log, _back) = put_back_over(&lost).await;
    fleet.servers[0].process.kill();
    let missing = |said: &Value| -> BTreeSet<String> {
        let missing = said["contents_missing"].as_array().unwrap().iter();
        missing.map(|content| content["digest"].as_str().unwrap().to_owned()).collect()
    };
    let (code, said) = fleet.run(&["recover", "--adopt-stream", "--unsigned-too", "--json"]).await;
    let json = first_json(&said);
    assert_eq!((code, missing(&json)), (Some(1), digests.clone().into()), "{said}");
    assert_eq!(reader::head(&fleet.backends.database()).await.unwrap(), log.len() as u64, "the events are back");

    // What a node has is taken wherever it lies below the folder, and nothing else is.
    let dir = fleet.backends.dir.path().join("from-a-node");
    let generation = dir.join("generations/00000000000000000005-abcdef/files");
    std::fs::create_dir_all(&generation).unwrap();
    let from = ["recover", "--json", "--contents", dir.to_str().unwrap()];
    let (code, said) = fleet.run(&from).await;
    assert_eq!((code, missing(&first_json(&said))), (Some(1), digests.clone().into()), "{said}");
    std::fs::write(generation.join("x"), lost[0]).unwrap();
    let (code, said) = fleet.run(&from).await;
    let json = first_json(&said);
    let left = BTreeSet::from([digests[1].clone()]);
    assert_eq!((code, json["contents_restored"].as_u64(), missing(&json)), (Some(1), Some(1), left), "{said}");

    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    fleet.api().accepted(put("another", lost[1])).await;
    let (code, said) = fleet.run(&["recover"]).await;
    assert_eq!(code, Some(0), "putting the same bytes heals, too: {said}");
    fleet
        .converges(
            &[(
                "a".to_owned(),
                [tree(), [("files/another".to_owned(), lost[1].into())].into()].into_iter().flatten().collect(),
            )]
            .into(),
        )
        .await;
    law::holds(&fleet.backends).await;
    let (dir, url) = (fleet.backends.dir.path(), fleet.backends.database_as(schema::address::READER_ROLE));
    exported(dir, &url, &["--to", "whole.hwlog"]);
    let key = reader::ask(&fleet.backends.database(), "SELECT encode(public_key, 'hex') FROM log_head").await.unwrap();
    let (code, said) = replay(dir, &["verify", "whole.hwlog", "--trust", &key.unwrap()]);
    assert_eq!((code, said["ok"].as_bool()), (Some(0), Some(true)), "{said}");
}

#[tokio::test]
async fn a_log_that_was_appended_to_since_is_neither_taken_back_nor_published() {
    let (mut fleet, _log, back) = put_back().await;
    fleet.servers[0].process.kill();
    let stream = law::stream(&fleet.backends.nats_url()).await.unwrap();
    // Somebody appends without looking.
    let url = fleet.backends.database_as(schema::address::APP_ROLE);
    let opened = store::reader::Reader::open(store::database::Database::parse(&url).unwrap()).await;
    let (appender, log) = store::appender::Appender::start(opened.unwrap()).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let appending = tokio::spawn(appender.run(stop.clone()));
    for _ in 0..20 {
        let retry = json!({"commands": [{"type": "retry_node", "id": "a"}]});
        let retry = schema::request::Request::read(retry.to_string().as_bytes()).unwrap();
        log.submit(retry, schema::entity::Actor::Install, None).await.unwrap();
    }
    stop.cancel();
    appending.await.unwrap();
    drop(log);
    let head = reader::head(&fleet.backends.database()).await.unwrap();
    assert!(head > back && head > stream.len() as u64, "it is longer than what is public");

    fleet.servers[0].process.start_again();
    eventually("the server says why it takes nothing", SOON, async || {
        let answer = fleet.api().post(&put("z", "neither of the two"), None).await?;
        assert_ne!(answer.status, 200, "nothing is taken: {answer:?}");
        match answer.body.to_string().contains("is not what the log has there") {
            true => Ok(()),
            false => Err(format!("{answer:?}")),
        }
    })
    .await;
    let (code, said) = fleet.run(&["recover", "--adopt-stream"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("different stories"), "{said}");
    assert_eq!(law::stream(&fleet.backends.nats_url()).await.unwrap(), stream, "nothing was published");
    assert_eq!(reader::head(&fleet.backends.database()).await.unwrap(), head, "nothing was appended");

    // Neither story can be the other's end; what the database has goes on as a log of its own.
    fleet.servers[0].process.kill();
    assert!(said.contains("--new-log"), "{said}");
    let owner = fleet.backends.database();
    eventually("nobody is connected any more", SOON, async || {
        let (code, said) = fleet.run(&["recover", "--new-log", "--database-url", &owner]).await;
        if code == Some(0) { Ok(()) } else { Err(said) }
    })
    .await;
    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    fleet.api().accepted(put("z", "one of the two")).await;
    assert!(law::holds(&fleet.backends).await.len() as u64 > head, "with all that it had");
}

#[tokio::test]
async fn what_stands_behind_the_signed_events_is_taken_back_only_on_demand() {
    let (mut fleet, _log, back) = put_back().await;
    fleet.servers[0].process.kill();
    // Whoever may publish makes one up, which follows the last one in every way.
    let end = reader::stream_end(&fleet.backends.nats_url()).await.unwrap();
    let link = bus::connect::connect(&fleet.backends.nats_url(), "test").await.unwrap();
    let stream = link.jetstream().get_stream("cfg_events").await.unwrap();
    let message = stream.get_raw_message(end).await.unwrap();
    let last = Event::read(&message.payload).unwrap();
    let command_id = uuid::Uuid::now_v7().into();
    let made_up = Event {
        position: last.position.next(),
        version: last.version.next(),
        event_id: EventId::derived(command_id, 1, last.at),
        command_id,
        ordinal: 1,
        count: 1,
        ..last
    };
    let sent = link.jetstream().publish(message.subject, made_up.sealed().write().into()).await.unwrap();
    sent.await.unwrap();

    let (code, said) = fleet.run(&["recover", "--adopt-stream"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(", unsigned)") && said.contains("--unsigned-too"), "{said}");
    let head = reader::head(&fleet.backends.database()).await.unwrap();
    assert!((back..=end).contains(&head), "what nobody signed for is not in the log: {head}");
    let (code, said) = fleet.run(&["recover", "--adopt-stream", "--unsigned-too"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(reader::head(&fleet.backends.database()).await.unwrap(), end + 1);
}

/// What a command printed as JSON. Its log comes behind it.
pub(crate) fn first_json(said: &str) -> Value {
    serde_json::Deserializer::from_str(said).into_iter().next().unwrap().unwrap()
}
