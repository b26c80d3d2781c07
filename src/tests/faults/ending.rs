//! A server that is asked to end while it waits for PostgreSQL or NATS: it waits no longer.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::processes::signal_all;
use crate::restore::{SOON, put};
use testkit::backends::TestBackends;
use testkit::eventually::eventually;
use testkit::fleet::{Fleet, Server, Ways};

/// How long a server may take to end: a second at most, and as much again for a machine that is busy with other tests.
const ENDED_WITHIN: Duration = Duration::from_secs(2);

/// How soon a server says what it waits for.
const SAID_WITHIN: Duration = Duration::from_secs(5);

/// Asks a server to end.
async fn ends(mut server: Server, while_it: &str) {
    let asked = Instant::now();
    assert!(server.process.stop().await, "it ended well while it {while_it}");
    assert!(asked.elapsed() < ENDED_WITHIN, "it took {:?} while it {while_it}", asked.elapsed());
}

/// Waits until one line of a server's log says all of this.
async fn says(server: &Server, words: &[&str]) {
    eventually("it says what it waits for", SAID_WITHIN, async || {
        let log = server.process.log();
        let says = |line: &str| words.iter().all(|word| line.contains(word));
        if log.lines().any(says) { Ok(()) } else { Err(format!("{words:?} in {log}")) }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_waits_ends_when_it_is_asked_to() {
    let mut fleet = Fleet::on(TestBackends::start().await, Ways::default()).await;
    // Somebody who takes every connection and says nothing, as a frozen machine does.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();

    // Nobody listens at port 1.
    fleet.backends.postgres_by = Some(1);
    says(
        &fleet.server("all"),
        &["PostgreSQL at 127.0.0.1:1/headwater", "`headwater_app`", "refused", "--database-url"],
    )
    .await;
    fleet.backends.postgres_by = Some(port);
    let server = fleet.server("all");
    says(&server, &["it has not answered yet", &format!("127.0.0.1:{port}/headwater"), "headwater_app"]).await;
    let _held = tokio::time::timeout(SOON, silent.accept()).await.expect("it comes to PostgreSQL").unwrap();
    ends(server, "waits for PostgreSQL").await;

    fleet.backends.postgres_by = None;
    fleet.ways.server_nats = Some(format!("nats://127.0.0.1:{port}"));
    let server = fleet.server("all");
    says(&server, &["NATS can't be reached", &format!("127.0.0.1:{port}"), "--nats-url"]).await;
    eventually("it says that NATS is away", SOON, async || {
        let ready = server.api.get("/readyz").await?;
        if ready.body.to_string().contains("NATS") { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
    ends(server, "waits for NATS").await;

    fleet.ways.server_nats = None;
    fleet.ways.env.push(("HEADWATER_LOG", "headwater=debug".to_owned()));
    let server = fleet.server("all");
    server.api.ready().await;
    signal_all(fleet.backends.postgres.pid(), Signal::STOP);
    let (api, command) = (server.api.clone(), put("x", "never stored"));
    let asked = tokio::spawn(async move { api.post(&command, None).await });
    eventually("the request waits", SOON, async || {
        let log = server.process.log();
        if log.contains("taken in") { Ok(()) } else { Err(log) }
    })
    .await;
    ends(server, "waits for a transaction").await;
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    signal_all(fleet.backends.postgres.pid(), Signal::CONT);
}
