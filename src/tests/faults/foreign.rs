//! Whoever else may write to NATS: another log under the same prefix is not installed, and a key of its own does not keep new nodes
//! away; what can't be this log's stops nobody, and what might be is for a person to judge.

use std::time::Duration;

use async_nats::jetstream::Context;
use bus::connect::connect;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::EventId;
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::reader;
use crate::restore::{first_json, put};
use crate::story::{PLAIN, Story, nothing, scenarios};
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;

/// On which subject an administrator of somebody else's making is published.
const MALLORY: &str = "cfg.events.principal.mallory.PrincipalCreated";
/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);

scenarios! {
    another_log_is_installed_under_the_prefix: PLAIN, install_another, nothing;
    somebody_else_writes_to_the_event_stream: PLAIN, write_strays, nothing;
    somebody_else_writes_to_the_checkpoint: PLAIN, write_checkpoint, nothing;
}

async fn install_another(story: &mut Story) {
    let backends = &story.fleet.backends;
    backends.postgres.create_database("another").await.unwrap();
    let (url, key) = (backends.postgres.url("another"), backends.dir.path().join("another.key"));
    let key = key.to_str().unwrap();
    let install = ["install", "--database-url", &url, "--signing-key-file", key];
    let (code, said) = story.fleet.run(&install).await;
    assert_eq!(code, Some(1), "{said}");
    for database in [backends.database(), url.clone()] {
        let log = reader::ask(&database, "SELECT log_id FROM log_head").await.unwrap().unwrap();
        assert!(said.contains(&log), "both logs are named: {said}");
    }
    assert!(said.contains("--nats-prefix"), "{said}");

    // An older program installs it all the same.
    let jetstream = jetstream(&story.fleet).await;
    let theirs = SecretKey::from_seed(&[9; 32]).public();
    let subject = format!("$KV.cfg_keys.{}", theirs.id());
    jetstream.publish(subject, theirs.record().write().into()).await.unwrap().await.unwrap();
    eventually("the other key is gone", SOON, async || {
        let stream = jetstream.get_stream("KV_cfg_keys").await.map_err(|error| error.to_string())?;
        match stream.cached_info().state.messages {
            1 => Ok(()),
            keys => Err(format!("{keys} keys")),
        }
    })
    .await;
}

async fn jetstream(fleet: &Fleet) -> Context {
    let link = connect(&fleet.backends.nats_url(), "test").await.unwrap();
    link.up().await;
    link.jetstream()
}

/// The last event that is public, and its subject.
async fn last_event(jetstream: &Context) -> (String, Event) {
    let stream = jetstream.get_stream("cfg_events").await.unwrap();
    let last = stream.get_raw_message(stream.cached_info().state.last_sequence).await.unwrap();
    (last.subject.to_string(), Event::read(&last.payload).unwrap())
}

/// Messages that can't be this log's, at any place in what is being published.
async fn write_strays(story: &mut Story) {
    let jetstream = jetstream(&story.fleet).await;
    let (subject, last) = last_event(&jetstream).await;
    let next = Event { position: last.position.next(), ..last.clone() };
    let stray = match story.random.u8(..4) {
        0 => b"no event".to_vec(),
        1 => last.write(),
        2 => Event { log_id: Uuid::from_u128(7).into(), ..next.clone() }.sealed().write(),
        _ => Event { position: 1_000_000_000.into(), ..next }.sealed().write(),
    };
    for payload in [stray, b"more of it".to_vec(), b"and more".to_vec()] {
        jetstream.publish(subject.clone(), payload.into()).await.unwrap().await.unwrap();
    }
    eventually("it is put aside", SOON, async || match jetstream.get_stream("cfg_strays").await {
        Ok(strays) if strays.cached_info().state.messages >= 3 => Ok(()),
        Ok(strays) => Err(format!("{} messages", strays.cached_info().state.messages)),
        Err(error) => Err(error.to_string()),
    })
    .await;
    // They are counted once the event stream is made anew, which comes after the copies.
    let api = story.fleet.api().clone();
    eventually("they are counted", SOON, async || {
        let figures = api.get("/metrics").await?.body.to_string();
        let counted = figures.split("\\n").find(|line| line.starts_with("headwater_strays_total")).map(str::to_owned);
        match counted.as_deref() {
            Some("headwater_strays_total 3") => Ok(()),
            counted => Err(format!("{counted:?}")),
        }
    })
    .await;
}

async fn write_checkpoint(story: &mut Story) {
    let store = jetstream(&story.fleet).await.get_key_value("cfg_checkpoint").await.unwrap();
    eventually("it is signed for", SOON, async || match store.get("newest").await {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    store.put("newest", "no checkpoint".into()).await.unwrap();
    eventually("the checkpoint is one again", SOON, async || match store.get("newest").await {
        Ok(Some(note)) if note.starts_with(b"headwater/") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// An administrator of somebody else's making, in the name of the first: it follows from the log in every way.
fn administrator(first: &Event, last: &Event) -> Event {
    let mut data: Value = serde_json::from_str(&first.data).unwrap();
    data["token_hash"] = json!(Digest::of(b"the token of mallory"));
    let command_id = Uuid::now_v7().into();
    let event = Event {
        position: last.position.next(),
        command_id,
        event_id: EventId::derived(command_id, 1, last.at),
        ordinal: 1,
        count: 1,
        version: 1.into(),
        entity: "principal/mallory".parse().unwrap(),
        actor: "admin".parse().unwrap(),
        at: last.at,
        data: data.to_string(),
        ..first.clone()
    };
    event.sealed()
}

#[tokio::test]
async fn an_event_that_follows_from_the_log_stops_it_until_a_person_has_judged_it() {
    let mut fleet = Fleet::start().await;
    fleet.api().accepted(put("x", "before all else")).await;
    let log = law::holds(&fleet.backends).await;
    let jetstream = jetstream(&fleet).await;
    let stream = jetstream.get_stream("cfg_events").await.unwrap();
    let first = Event::read(&stream.get_raw_message(1).await.unwrap().payload).unwrap();
    let (_, last) = last_event(&jetstream).await;
    let mallory = administrator(&first, &last);
    // As after a failover to a standby that was behind: no server has seen the log without it.
    fleet.servers[0].process.kill();
    jetstream.publish(MALLORY, mallory.write().into()).await.unwrap().await.unwrap();
    fleet.servers[0].process.start_again();
    is_stopped(&fleet).await;
    assert_eq!(reader::head(&fleet.backends.database()).await.unwrap(), log.len() as u64, "nothing was appended");

    let (code, said) = fleet.run(&["recover"]).await;
    assert_eq!(code, Some(1), "{said}");
    for words in ["who may command", "principal/mallory by admin", "--unsigned-too", "--put-aside"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let (code, said) = fleet.run(&["recover", "--put-aside", "--json"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(first_json(&said)["put_aside"].as_u64().is_some_and(|messages| messages >= 1), "{said}");
    fleet.api().ready().await;
    fleet.api().accepted(put("y", "goes on without it")).await;
    let now = law::holds(&fleet.backends).await;
    assert_eq!(now[..log.len()], log[..]);
    assert!(now.len() > log.len() && now.iter().all(|line| line.entity != "principal/mallory"));
    let aside = jetstream.get_stream("cfg_strays").await.unwrap();
    let aside = aside.get_raw_message(1).await.unwrap();
    assert_eq!(Event::read(&aside.payload).unwrap(), mallory, "it is kept for whoever looks into it");

    // Before a server that is at work finds it, it takes commands: there are two events of one position then. Of two events that are
    // in flight together the second gets in behind the forged one, so that stream and log end alike.
    for ids in [&["v"][..], &["w", "z"]] {
        let (_, last) = last_event(&jetstream).await;
        let forged = administrator(&first, &last);
        let ack = jetstream.publish(MALLORY, forged.write().into()).await.unwrap().await.unwrap();
        assert_eq!(ack.sequence, forged.position.get(), "it stands where it says");
        let puts: Vec<Value> = ids.iter().map(|id| put(id, "at the same position")["commands"][0].clone()).collect();
        fleet.api().post(&json!({"commands": puts}), None).await.unwrap();
        is_stopped(&fleet).await;
        let (code, said) = fleet.run(&["recover"]).await;
        assert_eq!(code, Some(1), "{said}");
        for words in ["who may command", "principal/mallory by admin", "--put-aside"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let (code, said) = fleet.run(&["recover", "--put-aside"]).await;
        assert_eq!(code, Some(0), "{said}");
        fleet.api().ready().await;
        assert!(law::holds(&fleet.backends).await.iter().all(|line| line.entity != "principal/mallory"));
    }
}

/// Waits until commands are refused, and it is said what to do.
async fn is_stopped(fleet: &Fleet) {
    eventually("nothing is taken, and it is said why", SOON, async || {
        let answer = fleet.api().post(&put("y", "meanwhile it is not"), None).await?;
        match (answer.status, answer.body.to_string().contains("`headwater recover`")) {
            (503, true) => Ok(()),
            _ => Err(format!("{answer:?}")),
        }
    })
    .await;
}
