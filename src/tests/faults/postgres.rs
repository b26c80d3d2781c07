//! PostgreSQL: restarted under a large transaction, asked to shut down fast, with a full disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::processes::{signal, start_postgres};
use crate::reader;
use crate::story::{PLAIN, Stage, Story, scenarios};
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;

/// How long a fast shutdown may take beside a connected relay.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(60);
/// The data folder is on a small disk of its own.
const ON_A_SMALL_DISK: Stage = Stage { small_disk: Some("postgres"), ..PLAIN };

scenarios! {
    postgres_is_asked_to_stop_fast: PLAIN, stop_fast, start_postgres;
    postgres_restarts_during_a_large_transaction: PLAIN, restart_in_a_large_transaction, start_postgres;
    disk_of_postgres_is_full: ON_A_SMALL_DISK, fill_disk, free_disk;
}

async fn stop_fast(story: &mut Story) {
    let stopped = tokio::time::timeout(STOPPED_WITHIN, story.fleet.backends.postgres.stop()).await;
    stopped.expect("it stops in time").unwrap();
}

/// One of ours, of a thousand events, and a larger one of somebody else's.
async fn restart_in_a_large_transaction(story: &mut Story) {
    let url = story.fleet.backends.database();
    let foreign = reader::session(&url).await.unwrap();
    foreign.batch_execute("CREATE TABLE foreign_table (x text); BEGIN").await.unwrap();
    let rows = "INSERT INTO foreign_table SELECT repeat('x', 100) FROM generate_series(1, 300000)";
    let (api, id) = (story.fleet.api().clone(), story.random.u32(..));
    let nodes: Vec<_> =
        (0..1000).map(|number| json!({"type": "enrol_node", "id": format!("n-{id}-{number}"), "labels": {}})).collect();
    let large = tokio::spawn(async move {
        let body = json!({"reason": "a thousand at once", "commands": nodes});
        // Under a key it is sent until it is answered.
        while !api.post(&body, Some("large")).await.is_ok_and(|answer| answer.status == 200) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let foreign = tokio::spawn(async move { foreign.batch_execute(rows).await });
    story.a_moment(0..400).await;
    let stopped = tokio::time::timeout(STOPPED_WITHIN, story.fleet.backends.postgres.stop()).await;
    stopped.expect("it stops in time").unwrap();
    // It was ended, or had ended.
    let _ = foreign.await.unwrap();
    story.fleet.backends.postgres.start_again().await.unwrap();
    tokio::time::timeout(SOON, large).await.expect("it is answered").unwrap();
    let log = law::table(&url).await.unwrap();
    let large = log.iter().filter(|line| line.reason.as_deref() == Some("a thousand at once")).count();
    assert_eq!(large, 1000, "it happened once");
    signal(story.fleet.backends.postgres.pid(), Signal::INT);
    story.fleet.backends.postgres.stop().await.unwrap();
}

async fn fill_disk(story: &mut Story) {
    story.props.disk.as_ref().unwrap().fill();
    let api = story.fleet.api().clone();
    eventually("the server says that it can't append", SOON, async || match api.get("/readyz").await? {
        ready if ready.status == 503 && ready.body.to_string().contains("No space left") => Ok(()),
        ready => Err(format!("{ready:?}")),
    })
    .await;
    story.lasts().await;
}

/// PostgreSQL may have given up meanwhile; whoever frees its disk starts it again.
async fn free_disk(story: &mut Story) {
    story.props.disk.as_ref().unwrap().free();
    story.fleet.backends.postgres.stop().await.unwrap();
    start_postgres(story).await;
}

/// Names whom a commit waits for.
async fn waits_for(url: &str, standby: &str) {
    let session = reader::session(url).await.unwrap();
    session.batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'")).await.unwrap();
    session.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

#[tokio::test]
async fn a_commit_that_waits_for_its_standby_is_no_database_that_was_put_back() {
    let fleet = Fleet::start().await;
    let url = fleet.backends.database();
    // A relay that signs a checkpoint would wait for the standby as well, and relay nothing meanwhile.
    let is_signed = "SELECT 1 FROM log_head JOIN checkpoint USING (position)";
    eventually("a checkpoint of all is signed", SOON, async || {
        reader::ask(&url, is_signed).await?.map(drop).ok_or("not yet".into())
    })
    .await;
    waits_for(&url, "nobody").await;
    let (api, is_over) = (fleet.api().clone(), Arc::new(AtomicBool::new(false)));
    let asking = tokio::spawn({
        let is_over = Arc::clone(&is_over);
        async move {
            for number in 0.. {
                let enrol = json!({"commands": [{"type": "enrol_node", "id": format!("n-{number}"), "labels": {}}]});
                let answer = api.post(&enrol, None).await.unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    });
    eventually("an event is public that the table does not show", SOON, async || {
        let (public, head) = (reader::stream_end(&fleet.backends.nats_url()).await?, reader::head(&url).await?);
        if public > head { Ok(()) } else { Err(format!("{public} {head}")) }
    })
    .await;
    // Whoever compares the two waits for that commit.
    let waiting =
        "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'headwater head' AND wait_event_type = 'Lock'";
    eventually("it is waited for", SOON, async || reader::ask(&url, waiting).await?.map(drop).ok_or("not yet".into()))
        .await;
    is_over.store(true, Ordering::Relaxed);
    waits_for(&url, "").await;
    tokio::time::timeout(SOON, asking).await.expect("all are answered").unwrap();
    law::holds(&fleet.backends).await;
}
