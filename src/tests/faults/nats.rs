//! What NATS holds: wiped, put back to an older copy, edited by hand.

use std::path::{Path, PathBuf};

use async_nats::jetstream::Context;
use bus::connect::connect;

use crate::processes::start_nats;
use crate::story::{NODES, PLAIN, Story, nothing, scenarios};

scenarios! {
    nats_is_wiped_while_it_is_stopped: PLAIN, wipe_stopped, start_nats;
    nats_is_wiped_while_it_runs: PLAIN, wipe_running, restart_nats;
    nats_is_put_back_to_an_older_copy: PLAIN, put_back, start_nats;
    buckets_and_stream_are_edited_by_hand: PLAIN, edit, nothing;
}

fn data(story: &Story) -> PathBuf {
    story.fleet.backends.dir.path().join("nats/jetstream")
}

async fn wipe_stopped(story: &mut Story) {
    story.fleet.backends.nats.stop().await.unwrap();
    std::fs::remove_dir_all(data(story)).unwrap();
    story.grows(30).await;
}

/// It goes on with the files that it has open, for as long as that goes well.
async fn wipe_running(story: &mut Story) {
    // It may make a file while the folder is being emptied.
    while std::fs::remove_dir_all(data(story)).is_err() && data(story).exists() {}
    story.lasts().await;
}

/// Whoever wiped it notices at some time, and starts it again.
async fn restart_nats(story: &mut Story) {
    story.fleet.backends.nats.stop().await.unwrap();
    start_nats(story).await;
}

async fn put_back(story: &mut Story) {
    let (data, copy) = (data(story), story.fleet.backends.dir.path().join("older"));
    story.fleet.backends.nats.stop().await.unwrap();
    copy_folder(&data, &copy);
    start_nats(story).await;
    story.grows(100).await;
    story.fleet.backends.nats.stop().await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let beside = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &beside);
        } else {
            std::fs::copy(&path, &beside).unwrap();
        }
    }
}

/// Everything that somebody with a password can do, in an order that the seed has.
async fn edit(story: &mut Story) {
    let link = connect(&story.fleet.backends.nats_url(), "somebody").await.unwrap();
    link.up().await;
    let mut edits: Vec<u8> = (0..6).collect();
    story.random.shuffle(&mut edits);
    for number in edits {
        let node = story.any_node();
        edit_once(&link.jetstream(), number, node).await;
        story.a_moment(100..1500).await;
    }
    story.grows(60).await;
}

async fn edit_once(jetstream: &Context, number: u8, node: &str) {
    let records = format!("$KV.cfg_desired.{node}");
    // What is edited may just be being made again.
    match number {
        0 => {
            let sent = jetstream.publish(records, "garbage".into()).await.unwrap();
            let _ = sent.await;
        }
        1 => {
            let Ok(stream) = jetstream.get_stream("KV_cfg_desired").await else { return };
            let other = NODES.iter().find(|other| **other != node).unwrap();
            // Another node's record in this one's place: signed, and not for it.
            if let Ok(record) = stream.get_last_raw_message_by_subject(&format!("$KV.cfg_desired.{other}")).await {
                let sent = jetstream.publish(records, record.payload).await.unwrap();
                let _ = sent.await;
            }
        }
        2 => {
            let Ok(bucket) = jetstream.get_key_value("cfg_desired").await else { return };
            drop(bucket.purge(node).await);
        }
        3 => drop(jetstream.delete_stream("KV_cfg_desired").await),
        4 => drop(jetstream.delete_stream("OBJ_cfg_blobs").await),
        _ => drop(jetstream.delete_stream("cfg_events").await),
    }
}
