//! Content in the object store, on a real nats-server: who reads the store sees noise, and what stood in plain goes in good order.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use agent::fetch;
use agent::layout::Layout;
use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::ObjectStore;
use bus::objects::{Objects, ReadError};
use projections::plain_contents::PlainContents;
use projections::plan::FetchedContent;
use schema::address::Prefix;
use schema::digest::Digest;
use schema::id::LogId;
use schema::object::{ObjectName, ObjectSecret};
use serde_json::{Value, json};
use server::publish::blobs::Blobs;
use testkit::eventually::eventually;
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

use crate::desk::{Desk, one, put};
use crate::publishing::nats;

fn log_id() -> LogId {
    Uuid::from_u128(9).into()
}

fn sealed(digest: Digest) -> String {
    ObjectSecret::of(log_id(), digest).name().to_string()
}

/// Content that is the same nowhere else, of many chunks.
fn content(number: u8) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number.into());
    (0..1_000_000).map(|_| random.u8(..)).collect()
}

/// All messages of the store: their subjects and bytes.
async fn messages(jetstream: &Context) -> Vec<(String, Vec<u8>)> {
    let stream = jetstream.get_stream(Prefix::default().blob_stream()).await.unwrap();
    let (state, mut messages) = (stream.cached_info().state.clone(), Vec::new());
    for sequence in state.first_sequence..=state.last_sequence {
        if let Ok(message) = stream.get_raw_message(sequence).await {
            messages.push((message.subject.to_string(), message.payload.to_vec()));
        }
    }
    messages
}

/// Whether any message of the store shows a content: a part of it, its digest, or the name that says the digest.
async fn shows(jetstream: &Context, content: &[u8]) -> bool {
    let digest = Digest::of(content);
    let plain_meta = Prefix::default().blob_meta_subject(ObjectName::Plain(digest));
    let needles = [&content[..32], digest.as_bytes(), digest.to_string().as_bytes()].map(<[u8]>::to_vec);
    messages(jetstream).await.iter().any(|(subject, payload)| {
        let has = |needle: &Vec<u8>| payload.windows(needle.len()).any(|window| window == needle.as_slice());
        *subject == plain_meta || needles.iter().any(has)
    })
}

async fn store(jetstream: &Context) -> ObjectStore {
    jetstream.get_object_store(Prefix::default().blobs()).await.unwrap()
}

/// A publisher of contents that has read what the store has.
async fn recovered(jetstream: &Context) -> Blobs {
    let mut blobs = Blobs::new(jetstream.clone(), Prefix::default(), log_id());
    blobs.recover().await.unwrap();
    blobs
}

async fn ensure(blobs: &mut Blobs, content: &[u8], in_plain: bool) {
    let wanted = BTreeSet::from([Digest::of(content)]);
    let plain = if in_plain { wanted.clone() } else { BTreeSet::new() };
    blobs.ensure(&wanted, &plain, |_| std::future::ready(Ok(content.to_vec()))).await.unwrap();
}

async fn sweep(blobs: &mut Blobs) {
    blobs.note_unneeded(&PlainContents::default());
    while blobs.has_unneeded() {
        blobs.sweep().await.unwrap();
    }
}

async fn read(jetstream: &Context, content: &[u8]) -> Result<Vec<u8>, ReadError> {
    let objects = Objects::of(jetstream, &Prefix::default()).await;
    let mut read = Vec::new();
    objects.read(log_id(), Digest::of(content), content.len() as u64, &mut read).await.map(|()| read)
}

#[tokio::test]
async fn content_is_put_so_that_the_store_shows_neither_it_nor_its_digest() {
    let (_nats, jetstream, _) = nats().await;
    let content = content(1);
    let mut blobs = recovered(&jetstream).await;
    ensure(&mut blobs, &content, false).await;
    assert_eq!(read(&jetstream, &content).await.unwrap(), content);
    assert!(!shows(&jetstream, &content).await);
    assert!(matches!(read(&jetstream, &content[1..]).await, Err(ReadError::Missing(_))));
    ensure(&mut blobs, &content, true).await;
    assert!(shows(&jetstream, &content).await, "a program that reads in plain finds it");
    assert!(blobs.is_undisturbed().await.unwrap());
}

#[tokio::test]
async fn an_object_with_other_content_than_its_name_says_is_put_again() {
    let (_nats, jetstream, _) = nats().await;
    let (right, other) = (content(1), content(2));
    let digest = Digest::of(&right);
    let mut blobs = recovered(&jetstream).await;
    ensure(&mut blobs, &right, true).await;
    let count = messages(&jetstream).await.len();
    // Neither other bytes nor another content's whole object, with the mark of that one, pass for it.
    let secret = ObjectSecret::of(log_id(), Digest::of(&other));
    let mut foreign = other.clone();
    secret.cipher().apply(&mut foreign);
    let mark = secret.mark(Digest::of(&foreign));
    for name in [sealed(digest), digest.to_string()] {
        for (bytes, mark) in [(&other, None), (&foreign, Some(mark.clone()))] {
            let metadata = mark.into_iter().map(|mark| ("mark".to_owned(), mark)).collect();
            let meta = async_nats::jetstream::object_store::ObjectMetadata {
                name: name.clone(),
                metadata,
                ..Default::default()
            };
            store(&jetstream).await.put(meta, &mut bytes.as_slice()).await.unwrap();
            if name == sealed(digest) {
                assert!(matches!(read(&jetstream, &right).await, Err(ReadError::Wrong { .. })), "it is refused");
            }
            assert!(!blobs.is_undisturbed().await.unwrap());
            blobs.recover().await.unwrap();
            ensure(&mut blobs, &right, true).await;
            assert_eq!(read(&jetstream, &right).await.unwrap(), right);
            let objects = Objects::of(&jetstream, &Prefix::default()).await;
            assert_eq!(objects.read_plain(digest).await.unwrap(), right);
            assert_eq!(messages(&jetstream).await.len(), count, "nothing is left of the other");
        }
    }
    ensure(&mut blobs, &right, true).await;
    assert!(blobs.is_undisturbed().await.unwrap(), "what is right is left alone");
    let mut again = recovered(&jetstream).await;
    ensure(&mut again, &right, true).await;
    assert!(again.is_undisturbed().await.unwrap() && !again.has_unneeded(), "also by the next server");
}

#[tokio::test]
async fn what_somebody_else_wrote_takes_no_content_of_others_with_it() {
    let (_nats, jetstream, _) = nats().await;
    let (standing, wanted) = (content(1), content(2));
    let mut blobs = recovered(&jetstream).await;
    ensure(&mut blobs, &standing, false).await;
    let own = store(&jetstream).await.info(sealed(Digest::of(&standing))).await.unwrap();
    let secret = ObjectSecret::of(log_id(), Digest::of(&wanted));
    // One names the chunks of a standing object, the others those of all.
    let names = [
        (ObjectName::Plain(Digest::of(b"nobody's")), own.nuid.as_str()),
        (ObjectName::Plain(Digest::of(b"nobody's either")), ">"),
        (ObjectName::Plain(Digest::of(&wanted)), "*"),
        (secret.name(), ">"),
    ];
    for (name, nuid) in names {
        let meta = json!({"name": name.to_string(), "bucket": "cfg_blobs", "nuid": nuid, "size": own.size, "chunks": own.chunks,
            "digest": own.digest, "mtime": "2026-01-01T00:00:00Z"});
        let subject = Prefix::default().blob_meta_subject(name);
        jetstream.publish(subject, meta.to_string().into()).await.unwrap().await.unwrap();
    }
    let (missing, nothing) = (BTreeSet::from([Digest::of(&wanted)]), BTreeSet::new());
    let before = blobs.ensure(&missing, &nothing, |_| std::future::ready(Ok(wanted.clone())));
    assert!(before.await.is_err(), "it is not taken for this publisher's own");
    blobs.recover().await.unwrap();
    ensure(&mut blobs, &wanted, true).await;
    assert_eq!(read(&jetstream, &standing).await.unwrap(), standing);
    sweep(&mut blobs).await;
    assert_eq!(read(&jetstream, &standing).await.unwrap(), standing);
    assert_eq!(read(&jetstream, &wanted).await.unwrap(), wanted);
    assert!(!shows(&jetstream, &wanted).await);
}

#[tokio::test]
async fn what_an_older_server_left_is_encrypted_and_then_removed_whatever_it_is() {
    let (_nats, jetstream, prefix) = nats().await;
    let (kept, cut, gone, half) = (content(1), content(2), content(3), content(4));
    let objects = store(&jetstream).await;
    let put =
        async |digest: Digest, mut bytes: &[u8]| objects.put(digest.to_string().as_str(), &mut bytes).await.unwrap();
    put(Digest::of(&kept), &kept).await;
    // One that was damaged, one that was deleted, chunks without a description, a description that nobody can read, and one whose
    // chunks would be those of all.
    let damaged = put(Digest::of(&cut), &cut).await;
    let stream = jetstream.get_stream(prefix.blob_stream()).await.unwrap();
    stream.purge().filter(prefix.blob_chunk_subject(&damaged.nuid)).keep(3).await.unwrap();
    put(Digest::of(&gone), &gone).await;
    objects.delete(Digest::of(&gone).to_string()).await.unwrap();
    let publish = async |subject: String, payload: Vec<u8>| {
        jetstream.publish(subject, payload.into()).await.unwrap().await.unwrap();
    };
    publish(prefix.blob_chunk_subject("interrupted"), half[..100_000].to_vec()).await;
    publish(prefix.blob_meta_subject(ObjectName::Plain(Digest::of(b"unreadable"))), b"{".to_vec()).await;
    let all: Value =
        json!({"name": "x", "bucket": "cfg_blobs", "nuid": ">", "size": 1, "chunks": 1, "digest": "SHA-256="});
    publish(prefix.blob_meta_subject(ObjectName::Plain(Digest::of(b"all"))), all.to_string().into_bytes()).await;
    // Something of somebody else's is not ours to remove.
    objects.put("notes", &mut b"mine".as_slice()).await.unwrap();

    let mut blobs = recovered(&jetstream).await;
    sweep(&mut blobs).await;
    assert!(blobs.is_undisturbed().await.unwrap());
    for content in [&kept, &cut, &gone, &half] {
        assert!(!shows(&jetstream, content).await);
    }
    assert_eq!(read(&jetstream, &kept).await.unwrap(), kept, "also of content that no record names any more");
    let chunks = kept.len().div_ceil(128 * 1024);
    assert_eq!(messages(&jetstream).await.len(), (chunks + 1) + 2, "one object, and the notes");
    assert!(!recovered(&jetstream).await.has_unneeded());
}

#[tokio::test]
async fn a_node_that_reads_while_its_object_is_encrypted_gets_it() {
    let (_nats, jetstream, prefix) = nats().await;
    let content = content(1);
    let (digest, size) = (Digest::of(&content), content.len() as u64);
    let objects = Objects::of(&jetstream, &prefix).await;
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::of(dir.path().to_owned());
    let wanted = [FetchedContent { digest, size }];
    let mut met = 0;
    for round in 0..40_u64 {
        store(&jetstream).await.put(digest.to_string().as_str(), &mut content.as_slice()).await.unwrap();
        let mut blobs = recovered(&jetstream).await;
        blobs.note_unneeded(&PlainContents::default());
        // The second reader does not try again: it shows how often a reader meets the change.
        let missing = fetch::missing(&layout, &wanted).unwrap();
        let mut sink = Vec::new();
        let later = || tokio::time::sleep(Duration::from_millis(round));
        let (swept, fetched, once) = tokio::join!(
            blobs.sweep(),
            async {
                later().await;
                fetch::fetch(&objects, &layout, log_id(), missing).await
            },
            async {
                later().await;
                objects.read(log_id(), digest, size, &mut sink).await
            },
        );
        swept.unwrap();
        fetched.unwrap();
        assert_eq!(std::fs::read(layout.blob(digest)).unwrap(), content);
        met += usize::from(matches!(once, Err(ReadError::Missing(_))));
        std::fs::remove_file(layout.blob(digest)).unwrap();
        store(&jetstream).await.delete(sealed(digest)).await.unwrap();
    }
    println!("{met} of 40 reads met the change");
    assert!(met > 0, "no reader met the change");
}

/// The names of all objects in the store, and whether each is one of ciphertext.
async fn kinds(jetstream: &Context) -> (usize, usize) {
    let metas = messages(jetstream)
        .await
        .into_iter()
        .filter_map(|(subject, _)| Prefix::default().parse_blob_meta_subject(&subject));
    let (plain, sealed): (Vec<_>, Vec<_>) = metas.partition(|name| matches!(name, ObjectName::Plain(_)));
    (plain.len(), sealed.len())
}

#[tokio::test]
async fn content_stands_in_plain_for_as_long_as_a_node_without_keys_desires_it() {
    let desk = Desk::new().await;
    let open = desk.open().await;
    let relay = desk.following(&open.log).await;
    let jetstream = desk.nats().await.jetstream();
    let keys = |number: u8| {
        let key = |which: u8| schema::seal::SecretKey::from_seed(&[number + which; 32]).public();
        let text = |which: u8| schema::node_keys::KeyBytes::from(&key(which)).to_string();
        json!({"bus": text(0), "say": text(1)})
    };
    let submit = async |command: Value| drop(open.submit(one(command)).await.unwrap());
    let becomes = async |what: &str, plain: usize, sealed: usize| {
        eventually(what, crate::SOON, async || match kinds(&jetstream).await {
            found if found == (plain, sealed) => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
    };
    let enrol = |id: &str, labels: Value, keys: Option<Value>| {
        let mut enrol = json!({"type": "enrol_node", "id": id, "labels": labels});
        if let Some(keys) = keys {
            enrol["keys"] = keys;
        }
        enrol
    };
    let large = |number: usize| number.to_string() + &"x".repeat(200_000);
    submit(enrol("keyed", json!({}), Some(keys(10)))).await;
    submit(put("a", &large(1))).await;
    becomes("a node with keys reads ciphertext", 0, 1).await;
    submit(enrol("old", json!({}), None)).await;
    becomes("a node without keys may read in plain only", 1, 1).await;
    submit(put("a", &large(2))).await;
    becomes("what nobody desires any more is gone in plain", 1, 2).await;
    submit(json!({"type": "set_node_keys", "id": "old", "keys": keys(20)})).await;
    becomes("the last one has got keys", 0, 2).await;
    submit(enrol("another", json!({}), None)).await;
    becomes("there is another one", 1, 2).await;
    let began = Instant::now();
    submit(json!({"type": "close_bus", "id": desk.log_id})).await;
    becomes("the bus is closed", 0, 2).await;
    println!("what stood in plain was gone {} ms after the bus was closed", began.elapsed().as_millis());
    relay.stop().await;
    // An older server has relayed meanwhile.
    for number in 1..=3 {
        let bytes = large(number).into_bytes();
        store(&jetstream).await.put(Digest::of(&bytes).to_string().as_str(), &mut bytes.as_slice()).await.unwrap();
    }
    let relay = desk.following(&open.log).await;
    becomes("what an older server left is encrypted", 0, 3).await;
    relay.stop().await;
    let mut third = store(&jetstream)
        .await
        .get(ObjectSecret::of(desk.log_id, Digest::of(large(3).as_bytes())).name().to_string())
        .await
        .unwrap();
    let mut bytes = Vec::new();
    third.read_to_end(&mut bytes).await.unwrap();
    ObjectSecret::of(desk.log_id, Digest::of(large(3).as_bytes())).cipher().apply(&mut bytes);
    assert_eq!(bytes, large(3).into_bytes());
}
