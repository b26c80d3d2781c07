//! A content that is in the database no more.

use std::time::Duration;

use schema::digest::Digest;
use serde_json::json;

use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;

/// How long the running check may take to come by.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_content_that_is_missing_is_named_by_readyz_until_it_is_back() {
    let fleet = Fleet::start().await;
    let content = "here today";
    let put = json!({"type": "put_document", "id": "d", "path": "d", "media_type": "text/plain", "content": content,
        "target": {"all": true}, "priority": 0});
    let position = fleet.api().accepted(json!({"commands": [put]})).await["position"].clone();
    let named =
        format!("content {}…, which the event at position {position} names,", Digest::of(content.as_bytes()).short());
    // Lawful erasure looks the same: what is served goes on being served.
    let erase = "SET session_replication_role = replica; CREATE TABLE saved AS SELECT * FROM blob; DELETE FROM blob";
    law::execute(&fleet.backends.database(), erase).await;
    let is_named = async || {
        let ready = fleet.api().get("/readyz").await?;
        let warnings = ready.body["warnings"].to_string();
        if ready.status == 200 { Ok(warnings.contains(&named)) } else { Err(format!("{ready:?}")) }
    };
    eventually("it is named", SOON, async || is_named().await?.then_some(()).ok_or("not yet".to_owned())).await;
    law::execute(&fleet.backends.database(), "INSERT INTO blob SELECT * FROM saved").await;
    eventually("it is back", SOON, async || (!is_named().await?).then_some(()).ok_or("not yet".to_owned())).await;
}
