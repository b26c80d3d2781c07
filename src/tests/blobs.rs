//! The object store on a real nats-server, with somebody else at it.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

#[path = "node/server.rs"]
#[expect(dead_code, reason = "nodes need more of it")]
mod server;

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream;
use headwater::nats::objects::Objects;
use headwater::publish::blobs::Blobs;
use headwater::publish::streams;
use schema::address::Prefix;
use schema::digest::Digest;
use schema::seal::SecretKey;
use server::Server;

#[tokio::test]
async fn an_object_with_other_content_than_its_name_says_is_put_again() {
    let nats = Server::start();
    let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(nats.url()).await.unwrap();
    let (jetstream, prefix) = (jetstream::new(client), Prefix::default());
    let key = SecretKey::from_seed(&[1; 32]).public();
    let made = async { while streams::ensure(&jetstream, &prefix, 1, &key).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(60), made).await.unwrap();
    let content = vec![b'a'; 300_000];
    let digest = Digest::of(&content);
    let mut blobs = Blobs::new(jetstream.clone(), prefix.clone());
    let ensure = async |blobs: &mut Blobs| {
        blobs.recover().await.unwrap();
        blobs.ensure(BTreeSet::from([digest]), |_| std::future::ready(Ok(content.clone()))).await.unwrap();
    };
    ensure(&mut blobs).await;

    let store = jetstream.get_object_store(prefix.blobs()).await.unwrap();
    store.put(digest.to_string().as_str(), &mut vec![b'b'; 300_000].as_slice()).await.unwrap();
    assert!(!blobs.is_undisturbed().await.unwrap());
    ensure(&mut blobs).await;
    let mut read = Vec::new();
    Objects::of(&jetstream, &prefix).await.read(digest, 300_000, &mut read).await.unwrap();
    assert_eq!(Digest::of(&read), digest);

    let before = blobs.is_undisturbed().await.unwrap();
    ensure(&mut blobs).await;
    assert!(before && blobs.is_undisturbed().await.unwrap(), "what is right is left alone");
}
