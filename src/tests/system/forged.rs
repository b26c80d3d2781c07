//! Rows that a superuser changed are shown to nobody as true, whichever server is asked.

use std::time::Duration;

use schema::event::Event;
use schema::position::Position;
use serde_json::json;
use store::database::Database;
use store::reader::{EventPage, Reader};

use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::http_api::HttpApi;
use testkit::law;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(40);
/// The event that is changed: the first of a document.
const FORGED: u64 = 3;

/// What stands for row 3 in a question, one way or another.
const TOLD: [&str; 4] =
    ["/v1/events", "/v1/events?entity=document/x", "/v1/documents/x/versions", "/v1/why/nodes/a/x.txt"];

async fn forge(fleet: &Fleet, change: &str) {
    let forge = format!("SET session_replication_role = replica; UPDATE event SET {change} WHERE position = {FORGED}");
    law::execute(&fleet.backends.database(), &forge).await;
}

async fn is_damaged(api: &HttpApi, path: &str) -> Result<(), String> {
    let answer = api.get(path).await?;
    let names = answer.body["detail"].as_str().is_some_and(|detail| detail.contains(&format!("position {FORGED}:")));
    match (answer.status, answer.code(), names) {
        (500, "damaged", true) => Ok(()),
        _ => Err(format!("{path}: {answer:?}")),
    }
}

async fn says(api: &HttpApi, actor: &str) {
    for path in TOLD {
        let answer = api.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.body.to_string().contains(actor), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_forged_row_is_damaged_on_every_server_until_it_is_put_back() {
    let mut fleet = Fleet::start().await;
    fleet.serve("door").await;
    let put = json!({
        "type": "put_document", "id": "x", "path": "x.txt", "media_type": "text/plain", "content": "x",
        "target": {"all": true}, "priority": 0,
    });
    let answer =
        fleet.api().accepted(json!({"commands": [{"type": "enrol_node", "id": "a", "labels": {}}, put]})).await;
    assert_eq!(answer["position"], FORGED);
    let apis = [fleet.servers[0].api.clone(), fleet.servers[1].api.clone()];
    let at_least = format!("/v1/log?min_position={FORGED}");
    assert_eq!(apis[1].get(&at_least).await.unwrap().status, 200);
    let reader = Reader::open(Database::parse(&fleet.backends.database()).unwrap()).await.unwrap();
    let page = EventPage { after: Position::from(FORGED).previous(), limit: 1, ..EventPage::default() };
    let event = reader.events(page).await.unwrap().remove(0);
    let (actor, leaf) = (&event.actor.to_string(), event.leaf);

    let command = format!("/v1/impact/{}", event.command_id);

    // Whoever reads a row that was changed alone finds it out at once.
    forge(&fleet, "actor = 'mallory'").await;
    for api in &apis {
        for path in TOLD.into_iter().chain([command.as_str()]) {
            is_damaged(api, path).await.unwrap();
        }
        // What comes after it is what it was.
        assert_eq!(api.get(&format!("/v1/events?after={FORGED}")).await.unwrap().status, 200);
    }
    forge(&fleet, &format!("actor = '{actor}'")).await;
    says(&apis[0], actor).await;
    says(&apis[1], actor).await;

    // Where the leaf was changed with it, every server finds it by the tree.
    let forged = Event { actor: "mallory".parse().unwrap(), ..event.clone() }.sealed();
    forge(&fleet, &format!("actor = 'mallory', leaf = '\\x{}'", forged.leaf)).await;
    for api in &apis {
        for path in TOLD {
            eventually("the check has found it", SOON, async || is_damaged(api, path).await).await;
        }
        let ready = api.get("/readyz").await.unwrap();
        assert!(ready.body["warnings"].to_string().contains(&format!("position {FORGED}:")), "{ready:?}");
    }
    forge(&fleet, &format!("actor = '{actor}', leaf = '\\x{leaf}'")).await;
    for api in &apis {
        eventually("it is what it was", SOON, async || match api.get(TOLD[0]).await? {
            answer if answer.status == 200 => Ok(()),
            answer => Err(format!("{answer:?}")),
        })
        .await;
        says(api, actor).await;
    }
    law::holds(&fleet.backends).await;
}
