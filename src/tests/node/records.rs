//! What a node does about a record: it takes what is right, and what is wrong touches nothing.

use std::fs;

use schema::desired::{Desired, EntryKind};
use schema::digest::Digest;
use schema::position::Position;
use schema::report::AttemptState::{Failed, Refused};
use schema::seal::{SecretKey, SignedRecord};
use schema::variant::UnknownVariantName;
use schema::wire::WireRecord as _;

use super::{both, noise};
use testkit::agent::expected;
use testkit::fake_server::entry;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_desired_is_on_disk_byte_for_byte_and_is_reported() {
    let (_nats, server, agent) = both().await;
    let (large, larger) = (noise(1, 300_000), noise(2, 4 << 20));
    let files: &[(&str, &[u8])] = &[
        ("a.json", b"{}"),
        ("deep/er/b", &large),
        ("deep/er/same", &large),
        ("empty", b""),
        ("jobs/j-1.json", b"{\"id\":1}"),
        ("larger", &larger),
    ];
    let want = server.desire(3, files).await;
    let report = server.applied(&want).await;
    assert_eq!(agent.tree(), expected(files));
    let link = format!("generations/{:020}-{}", 3, want.digest.short());
    assert_eq!(testkit::agent::link(&agent.path("current")), link.into_bytes());
    let record_refs = (report.seen, report.running, report.last_good, report.log_id);
    let record_ref = Some(want.record_ref());
    assert_eq!(record_refs, (record_ref, record_ref, record_ref, Some(server.log_id)));
    assert_eq!((report.agent.as_str(), report.drift.len()), (concat!("headwater/", env!("CARGO_PKG_VERSION")), 0));
    assert_eq!(server.consumers().await, 0, "reading objects makes no consumer");

    let fewer: &[(&str, &[u8])] = &[("a.json", b"{\"now\":2}"), ("deep/c", b"c")];
    let later = server.desire(4, fewer).await;
    assert!(server.applied(&later).await.seq > report.seq);
    assert_eq!(agent.tree(), expected(fewer), "what is gone from the record is gone from the node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_position_with_the_same_digest_only_raises_the_floor() {
    let (_nats, server, agent) = both().await;
    let first = server.desire(3, &[("a", b"x")]).await;
    server.applied(&first).await;
    let link = testkit::agent::link(&agent.path("current"));
    let second = server.desire(7, &[("a", b"x")]).await;
    let report = server.applied(&second).await;
    assert_eq!(report.running, Some(first.record_ref()));
    assert_eq!(testkit::agent::link(&agent.path("current")), link);
    server.put(&server.record(6, &[("a", b"y")])).await;
    server.said(Refused, "older_position").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_node_holds_nothing() {
    let (_nats, server, agent) = both().await;
    server.applied(&server.desire(3, &[("a", b"x"), ("jobs/j.json", b"{}")]).await).await;
    let retired = Desired { retired: true, ..server.record(4, &[]) };
    server.put(&retired).await;
    server.applied(&retired).await;
    assert_eq!(agent.tree(), expected(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_touches_nothing_and_is_reported_by_its_code() {
    let (_nats, server, mut agent) = both().await;
    let held = server.desire(5, &[("a", b"x")]).await;
    server.applied(&held).await;
    let before = agent.everything();
    let next = |change: &dyn Fn(&mut Desired)| {
        let mut record = server.record(6, &[("a", b"y"), ("b", b"z")]);
        change(&mut record);
        record
    };
    let sealed = |record: &Desired| server.key.seal(record.write());
    let resealed = |change: &dyn Fn(&mut Desired)| sealed(&next(change)).write();
    let good = sealed(&next(&|_| {}));
    let unsigned: Vec<u8> = next(&|_| {}).write();
    let mut flipped = good.body.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let newer_body = {
        let record = next(&|record| record.v = 3);
        server.key.seal(record.write())
    };
    let escaping = |path: &'static str, kind| {
        resealed(&move |record: &mut Desired| {
            record.entries = vec![schema::desired::Entry { path: path.into(), kind, ..entry("a", b"y") }];
            record.digest = record.digest_of_entries();
        })
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("missing_signature", unsigned),
        ("bad_signature", SignedRecord { sig: [0; 64], ..good.clone() }.write()),
        ("bad_signature", SignedRecord { body: flipped, ..good.clone() }.write()),
        ("bad_signature", SecretKey::from_seed(&[8; 32]).seal(good.body.clone()).write()),
        ("newer_format", SignedRecord { v: 2, ..good.clone() }.write()),
        ("newer_format", newer_body.write()),
        ("newer_format", escaping("secrets/a", EntryKind::from("secret".parse::<UnknownVariantName>().unwrap()))),
        ("damaged_record", b"no record at all".to_vec()),
        ("damaged_record", server.key.seal(b"no record at all".to_vec()).write()),
        ("damaged_record", Vec::new()),
        ("other_node", resealed(&|record| record.node = "n-2".parse().unwrap())),
        ("other_log", resealed(&|record| record.log_id = uuid::Uuid::from_u128(1).into())),
        ("older_position", resealed(&|record| record.position = Position::from(4))),
        ("same_position_other_content", resealed(&|record| record.position = Position::from(5))),
        ("no_position", resealed(&|record| record.position = Position::ZERO)),
        ("wrong_digest", resealed(&|record| record.digest = Digest::of(b"other"))),
        ("wrong_inline", resealed(&|record| record.entries[0].inline = Some(b"x".to_vec()))),
        ("unsorted_entries", resealed(&|record| record.entries.reverse())),
        ("retired_with_entries", resealed(&|record| record.retired = true)),
        ("invalid_path", escaping("../outside", EntryKind::Document)),
        ("invalid_path", escaping("/etc/outside", EntryKind::Document)),
        ("invalid_path", escaping("jobs/../../outside.json", EntryKind::Job)),
    ];
    for (code, bytes) in cases {
        server.put_bytes(bytes).await;
        let report = server.said(Refused, code).await;
        assert_eq!((report.running, report.seen), (Some(held.record_ref()), Some(held.record_ref())), "{code}");
        assert_eq!(agent.everything(), before, "{code}");
    }
    // Nothing of all this is in the way of what is good, nor of a restart.
    agent.stop().await;
    agent.run();
    server.put(&server.record(4, &[("a", b"old")])).await;
    server.said(Refused, "older_position").await;
    server.applied(&server.desire(6, &[("a", b"y")]).await).await;
    assert_eq!(agent.tree(), expected(&[("a", b"y")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_claim_to_be_the_record_that_was_accepted() {
    let (_nats, server, _agent) = both().await;
    let held = server.desire(5, &[("a", b"x")]).await;
    server.applied(&held).await;
    let forged = SignedRecord { sig: [0; 64], ..server.key.seal(held.write()) }.write();
    server.put_bytes(forged).await;
    let attempt = server.said(Refused, "bad_signature").await.attempt.unwrap();
    assert_ne!(attempt.digest, held.digest);
    assert_eq!(attempt.position, Position::ZERO);
    // What somebody else claims to be is named, so that a node with the wrong key is seen to refuse what it should run.
    let next = server.record(6, &[("a", b"y")]);
    server.put_bytes(SecretKey::from_seed(&[8; 32]).seal(next.write()).write()).await;
    let is_it = |report: &schema::report::Reported| {
        report.attempt.as_ref().is_some_and(|attempt| attempt.digest == next.digest)
    };
    server.report("the claim", is_it).await;
    server.put(&held).await;
    server.applied(&held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_its_name_says_is_refused_until_it_is() {
    let (_nats, server, agent) = both().await;
    let held = server.desire(5, &[("a", b"x")]).await;
    server.applied(&held).await;
    let large = noise(3, 200_000);
    let name = Digest::of(&large);
    server.put(&server.record(6, &[("a", b"x"), ("b", &large)])).await;
    server.said(Failed, "blob_missing").await;
    server.store(name, &large[..199_999]).await;
    server.said(Refused, "wrong_blob").await;
    server.store(name, &noise(4, 200_000)).await;
    let report = server.said(Refused, "wrong_blob").await;
    assert_eq!(report.running, Some(held.record_ref()));
    assert_eq!(agent.tree(), expected(&[("a", b"x")]));
    assert_eq!(fs::read_dir(agent.path("blobs")).unwrap().count(), 0, "nothing wrong is kept");
    server.forget(name).await;
    server.said(Failed, "blob_missing").await;
    server.store(name, &large).await;
    let want = server.record(6, &[("a", b"x"), ("b", &large)]);
    server.applied(&want).await;
    assert_eq!(agent.tree(), expected(&[("a", b"x"), ("b", &large)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_an_older_server_left_in_plain_is_read_where_there_is_no_ciphertext() {
    let (_nats, server, agent) = both().await;
    let (first, second) = (noise(5, 300_000), noise(6, 300_000));
    server.store_plain(Digest::of(&first), &first).await;
    let held = server.record(5, &[("a", &first)]);
    server.put(&held).await;
    server.applied(&held).await;
    let digest = Digest::of(&second);
    server.store_plain(digest, &noise(7, 300_000)).await;
    server.put(&server.record(6, &[("a", &first), ("b", &second)])).await;
    server.said(Refused, "wrong_blob").await;
    server.forget_plain(digest).await;
    server.said(Failed, "blob_missing").await;
    // What is wrong under its own name is refused, although the plain object is right: the relay puts it right.
    // It is there first, because the node tries the record before again meanwhile, and would take the right one.
    server.store(digest, &noise(7, 300_000)).await;
    server.store_plain(digest, &second).await;
    server.put(&server.record(7, &[("a", &first), ("b", &second)])).await;
    server.said(Refused, "wrong_blob").await;
    server.store(digest, &second).await;
    let want = server.record(7, &[("a", &first), ("b", &second)]);
    server.applied(&want).await;
    assert_eq!(agent.tree(), expected(&[("a", &first), ("b", &second)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_link_is_not_followed() {
    let (_nats, server, mut agent) = both().await;
    server.applied(&server.desire(1, &[("sub/a", b"x")]).await).await;
    agent.stop().await;
    let outside = tempfile::tempdir().unwrap();
    for name in ["blobs", "generations/.new", "generations/00000000000000000002-000000000000", ".current.new"] {
        let _ = fs::remove_dir_all(agent.path(name));
        std::os::unix::fs::symlink(outside.path(), agent.path(name)).unwrap();
    }
    agent.run();
    let large = noise(1, 10_000);
    let want = server.desire(2, &[("sub/a", b"y"), ("sub/b", &large)]).await;
    server.said(Refused, "planted_path").await;
    assert_eq!(agent.tree(), expected(&[("sub/a", b"x")]));
    fs::remove_file(agent.path("blobs")).unwrap();
    server.applied(&want).await;
    assert_eq!(agent.tree(), expected(&[("sub/a", b"y"), ("sub/b", &large)]));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "nothing was written through a link");
}
