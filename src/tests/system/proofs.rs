//! From outside, with nothing but HTTP and the public key: the log can be held to its word, and says so when it can't.

use std::time::Duration;

use schema::digest::Digest;
use schema::event::Event;
use schema::position::Position;
use serde_json::{Value, json};
use signed_note::{Note, StandardVerifier, VerifierList};
use store::database::Database;
use store::reader::{EventPage, Reader};
use tlog_tiles::checkpoint::Checkpoint;
use tlog_tiles::tlog::{Hash, check_record, check_tree};

use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::http_api::HttpApi;
use testkit::law;

/// How long the running check may take to come by.
const FOUND_WITHIN: Duration = Duration::from_secs(60);

async fn shown(api: &HttpApi, path: &str) -> Value {
    let answer = api.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

fn hash(value: &Value) -> Hash {
    let digest: Digest = value.as_str().unwrap().parse().unwrap();
    Hash(*digest.as_bytes())
}

fn hashes(answer: &Value) -> Vec<Hash> {
    answer["hashes"].as_array().unwrap().iter().map(hash).collect()
}

/// The key as verifiers of signed notes take it, from what the server shows.
fn verifier(log: &Value) -> VerifierList {
    let name = format!("headwater/{}", log["log_id"].as_str().unwrap());
    let key: Digest = log["signing_key"].as_str().unwrap().parse().unwrap();
    let typed = [&[1], key.as_bytes().as_slice()].concat();
    let id = signed_note::key_id(&name, &typed);
    let key = format!("{name}+{id:08x}+{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, typed));
    VerifierList::new(vec![Box::new(StandardVerifier::new(&key).unwrap())])
}

/// The newest checkpoint, verified by strangers' code.
async fn checkpoint(api: &HttpApi) -> Checkpoint {
    let log = shown(api, "/v1/log").await;
    let note = shown(api, "/v1/log/checkpoint").await["note"].as_str().unwrap().to_owned();
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, _) = note.verify(&verifier(&log)).unwrap();
    assert_eq!(verified.len(), 1);
    let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
    assert!(checkpoint.size() >= log["published"].as_u64().unwrap(), "it is made when it is asked for");
    checkpoint
}

#[tokio::test]
async fn the_log_can_be_held_to_its_word_over_http() {
    let fleet = Fleet::start().await;
    let api = fleet.api();
    let enrol = |number: usize| json!({"type": "enrol_node", "id": format!("n-{number}"), "labels": {}});
    let mut answer = api.accepted(json!({"commands": (0..300).map(enrol).collect::<Vec<_>>()})).await;
    let mut before: Option<Checkpoint> = None;
    for round in 0..3 {
        let position = answer["position"].as_u64().unwrap();
        let now = eventually("it is signed for", FOUND_WITHIN, async || {
            let now = checkpoint(api).await;
            if now.size() >= position { Ok(now) } else { Err(format!("only up to {}", now.size())) }
        })
        .await;
        for position in [1, 2, 255, 256, 257, now.size()] {
            let path = format!("/v1/log/proof/inclusion/{position}?size={}", now.size());
            let proof = shown(api, &path).await;
            let page = shown(api, &format!("/v1/events?after={}&limit=1", position - 1)).await;
            let leaf = hash(&page["items"][0]["leaf"]);
            assert_eq!(hash(&proof["leaf"]), leaf, "it is about the event of that position");
            check_record(&hashes(&proof), now.size(), *now.hash(), position - 1, leaf).unwrap();
        }
        if let Some(before) = &before {
            let path = format!("/v1/log/proof/consistency?from={}&to={}", before.size(), now.size());
            let proof = hashes(&shown(api, &path).await);
            check_tree(&proof, now.size(), *now.hash(), before.size(), *before.hash()).unwrap();
        }
        before = Some(now);
        answer = api.accepted(json!({"commands": [enrol(1_000 + round)]})).await;
    }
}

/// A superuser makes an event that enrolled a node one that enrolled another, and seals it again.
async fn enrolled_another(fleet: &Fleet, position: u64) -> String {
    let reader = Reader::open(Database::parse(&fleet.backends.database()).unwrap()).await.unwrap();
    let page = EventPage { after: Position::from(position).previous(), limit: 1, ..EventPage::default() };
    let event = reader.events(page).await.unwrap().remove(0);
    assert_eq!(event.entity.to_string(), "node/n-5");
    let changed = Event { entity: "node/another".parse().unwrap(), ..event }.sealed();
    format!(
        "SET session_replication_role = replica; \
         UPDATE event SET entity = 'node/another', leaf = '\\x{}' WHERE position = {position}",
        changed.leaf
    )
}

#[tokio::test]
async fn a_server_whose_log_was_changed_is_not_ready_and_says_where() {
    let mut fleet = Fleet::start().await;
    let enrol = |number: usize| json!({"type": "enrol_node", "id": format!("n-{number}"), "labels": {}});
    for number in 0..20 {
        fleet.api().accepted(json!({"commands": [enrol(number)]})).await;
    }
    // What shows here, once an earlier event is changed, is not where the log was changed.
    fleet.api().accepted(json!({"commands": [{"type": "retry_node", "id": "n-5"}]})).await;
    let position = fleet.api().position().await;
    eventually("all is public", FOUND_WITHIN, async || {
        let log = shown(fleet.api(), "/v1/log").await;
        if log["published"] == position { Ok(()) } else { Err(log.to_string()) }
    })
    .await;
    law::execute(&fleet.backends.database(), &enrolled_another(&fleet, 7).await).await;
    let said = eventually("the running check finds it", FOUND_WITHIN, async || {
        let ready = fleet.api().get("/readyz").await?;
        let said = ready.body.to_string();
        if ready.status == 503 && said.contains("position 7:") { Ok(said) } else { Err(said) }
    })
    .await;
    assert!(said.contains("relay"), "{said}");
    // Whether a command is still taken depends on which of the looks at the log came first.
    let told = fleet.api().post(&json!({"commands": [enrol(100)]}), None).await.unwrap();
    assert!([200, 503].contains(&told.status), "{told:?}");
    let log = shown(fleet.api(), "/v1/log").await;
    assert_eq!(log["published"], position, "nothing is published");

    // Started again, it can't fold the log: it opens a server that says where the log was changed, and takes nothing.
    let server = &mut fleet.servers[0];
    server.process.kill();
    server.process.start_again();
    eventually("the server of the new start says where", FOUND_WITHIN, async || {
        let ready = fleet.api().get("/readyz").await?;
        let said = ready.body.to_string();
        if ready.status == 503 && said.contains("position 7:") { Ok(()) } else { Err(said) }
    })
    .await;
    let told = fleet.api().post(&json!({"commands": [enrol(101)]}), None).await.unwrap();
    assert!(told.status == 503 && told.body.to_string().contains("position 7:"), "{told:?}");
    assert!(!fleet.servers[0].process.has_ended());
}
