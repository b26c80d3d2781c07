//! Another log under the same prefix in NATS: it is not installed, and a key of its own does not keep new nodes away.

use std::time::Duration;

use headwater::nats::connect::connect;
use schema::seal::SecretKey;
use schema::wire::Record as _;

use crate::eventually::eventually;
use crate::reader;
use crate::story::{PLAIN, Story, nothing, scenarios};

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);

scenarios! {
    another_log_is_installed_under_the_prefix: PLAIN, install_another, nothing;
}

async fn install_another(story: &mut Story) {
    let ground = &story.fleet.ground;
    ground.postgres.create_database("another").await.unwrap();
    let (url, key) = (ground.postgres.url("another"), ground.dir.path().join("another.key"));
    let key = key.to_str().unwrap();
    let install = ["install", "--database-url", &url, "--signing-key-file", key];
    let (code, said) = story.fleet.run(&install).await;
    assert_eq!(code, Some(1), "{said}");
    for database in [ground.database(), url.clone()] {
        let log = reader::ask(&database, "SELECT log_id FROM log_head").await.unwrap().unwrap();
        assert!(said.contains(&log), "both logs are named: {said}");
    }
    assert!(said.contains("--nats-prefix"), "{said}");

    // An older program installs it all the same.
    let jetstream = connect(&ground.nats_url(), "test").await.unwrap().jetstream();
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
