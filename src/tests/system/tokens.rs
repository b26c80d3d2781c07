//! The tokens of administrators: lost, and made anew past the server.

use std::os::unix::fs::PermissionsExt as _;

use schema::address::APP_ROLE;
use serde_json::{Value, json};

use testkit::eventually::eventually;
use testkit::fleet::{CONVERGED_WITHIN, Fleet};
use testkit::law;

fn first_json(said: &str) -> Value {
    serde_json::Deserializer::from_str(said).into_iter().next().unwrap().unwrap()
}

#[tokio::test]
async fn an_administrator_whose_token_is_lost_gets_another_from_the_databases_owner() {
    let mut fleet = Fleet::start().await;
    let owner = fleet.backends.database();
    let (code, said) = reset(&fleet, &[]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("`{APP_ROLE}` does not own")), "{said}");
    let key = fleet.backends.dir.path().join("other.key");
    std::fs::write(&key, "07".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (code, said) = reset(&fleet, &["--database-url", &owner, "--signing-key-file", key.to_str().unwrap()]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not the one that this log was installed with"), "{said}");
    fleet
        .api()
        .accepted(json!({"commands": [{"type": "create_principal", "name": "otto", "role": "auditor",
        "token_hash": "aa".repeat(32)}]}))
        .await;
    let (code, said) = reset(&fleet, &["--database-url", &owner, "--name", "otto"]).await;
    assert_eq!((code, said.contains("otto is an auditor")), (Some(1), true), "{said}");

    let (code, said) = reset(&fleet, &["--database-url", &owner]).await;
    assert_eq!(code, Some(0), "{said}");
    let said = first_json(&said);
    let api = fleet.api().with_token(said["token"].as_str().unwrap());
    eventually("a running server knows the new token", CONVERGED_WITHIN, async || {
        let shown = api.get("/v1/principals/admin").await?;
        if shown.status == 200 { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
    assert_eq!(fleet.api().get("/v1/fleet").await.unwrap().status, 401, "the one before is good no longer");
    api.accepted(json!({"commands": [{"type": "enrol_node", "id": "n", "labels": {}}]})).await;
    let log = law::holds(&fleet.backends).await;
    let reset =
        |line: &&law::Line| line.entity == "principal/admin" && line.reason.as_deref() == Some("headwater token reset");
    let kinds: Vec<&str> = log.iter().filter(reset).map(|line| line.kind.as_str()).collect();
    assert_eq!(kinds, ["PrincipalRevoked", "PrincipalCreated"], "{log:?}");
    let told = api.get("/v1/events?entity=principal/admin&after=1").await.unwrap();
    assert_eq!(told.body["items"][0]["actor"], "system/recovery", "it is told by whom: {told:?}");

    is_installed_again(&fleet, &owner).await;

    fleet.servers[0].process.kill();
    // What was published is further than the log: it was put back.
    let link = bus::connect::connect(&fleet.backends.nats_url(), "test").await.unwrap();
    link.up().await;
    let end = log.len() as u64 + 1;
    let sent = link.jetstream().publish(format!("cfg.events.document.x.{end}"), "more".into()).await.unwrap();
    sent.await.unwrap();
    let (code, said) = fleet.run(&["token", "reset", "--database-url", &owner]).await;
    assert_eq!((code, said.contains("put back")), (Some(1), true), "{said}");
}

/// Runs `headwater token reset`.
async fn reset(fleet: &Fleet, more: &[&str]) -> (Option<i32>, String) {
    fleet.run(&[&["token", "reset", "--json"], more].concat()).await
}

/// An installation that is done again says what it did not do.
async fn is_installed_again(fleet: &Fleet, owner: &str) {
    let file = fleet.backends.dir.path().join("admin.token");
    let again = ["install", "--json", "--database-url", owner, "--admin-token-file", file.to_str().unwrap()];
    let (code, said) = fleet.run(&again).await;
    let said = first_json(&said);
    assert_eq!(
        (code, &said["admin"], &said["admin_token_file"]),
        (Some(0), &json!("kept"), &json!("differs")),
        "{said}"
    );
    let (_, said) = fleet.run(&again.map(|arg| if arg == "--json" { "--nats-prefix=cfg" } else { arg })).await;
    let told = format!("the token in {} is no administrator's", file.display());
    assert!(said.contains(&told) && said.contains("`headwater token reset`"), "{said}");
    assert!(
        said.contains("--database-url postgres://headwater_app@127.0.0.1:") && said.contains("headwater_relay@"),
        "{said}"
    );
    let new = fleet.backends.dir.path().join("new.token");
    let (_, said) =
        fleet.run(&again.map(|arg| if arg.ends_with("admin.token") { new.to_str().unwrap() } else { arg })).await;
    assert_eq!((&first_json(&said)["admin_token_file"], new.exists()), (&json!("not_written"), false), "{said}");
}
