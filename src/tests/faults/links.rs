//! Links: slow, silent and cut, between nodes and NATS, between the server and NATS, and between the server and PostgreSQL.

use std::time::Duration;

use crate::story::{PLAIN, Stage, Story, nothing, scenarios};
use crate::wire::Mode;
use testkit::eventually::eventually;
use testkit::proxy::Cut;

/// Agents reach NATS by a wire.
const EDGES_BY_WIRE: Stage = Stage { agents_by_wire: true, ..PLAIN };
/// Servers reach NATS by a wire.
const SERVERS_BY_WIRE: Stage = Stage { servers_by_wire: true, ..PLAIN };
/// Servers reach PostgreSQL by a proxy that cuts where it is told.
const BY_PROXY: Stage = Stage { postgres_by_proxy: true, ..PLAIN };
/// What a slow link carries.
const SLOW: Mode = Mode::Slow(200_000);
/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(30);

scenarios! {
    link_of_nodes_is_slow: EDGES_BY_WIRE, async |story: &mut Story| set(story, SLOW).await, open;
    link_of_nodes_is_cut: EDGES_BY_WIRE, async |story: &mut Story| set(story, Mode::Cut).await, open;
    link_of_nodes_is_silent: EDGES_BY_WIRE, async |story: &mut Story| set(story, Mode::Silent).await, open;
    link_of_server_to_nats_is_slow: SERVERS_BY_WIRE, async |story: &mut Story| set(story, SLOW).await, open;
    link_of_server_to_nats_is_cut: SERVERS_BY_WIRE, async |story: &mut Story| lose_nats(story, Mode::Cut).await, open;
    link_of_server_to_nats_is_silent: SERVERS_BY_WIRE, async |story: &mut Story| lose_nats(story, Mode::Silent).await, open;
    connection_is_cut_at_commit: BY_PROXY, cut_at_commit, nothing;
}

async fn set(story: &mut Story, mode: Mode) {
    story.props.wire.as_ref().unwrap().set(mode);
    story.lasts().await;
}

/// As long as it lasts the server says so.
async fn lose_nats(story: &mut Story, mode: Mode) {
    story.props.wire.as_ref().unwrap().set(mode);
    let api = story.fleet.api().clone();
    eventually("the server says that NATS is gone", SOON, async || match api.get("/readyz").await?.status {
        503 => Ok(()),
        status => Err(format!("{status}")),
    })
    .await;
    story.lasts().await;
    assert_eq!(api.get("/readyz").await.unwrap().status, 503, "it is still so");
}

async fn open(story: &mut Story) {
    story.props.wire.as_ref().unwrap().set(Mode::Open);
}

/// Before it reaches PostgreSQL and after, several times.
async fn cut_at_commit(story: &mut Story) {
    for _ in 0..6 {
        let cut = if story.random.bool() { Cut::Before("COMMIT") } else { Cut::After("COMMIT") };
        let proxy = story.props.proxy.clone().unwrap();
        proxy.cut(&[cut]);
        eventually("it is cut", SOON, async || match proxy.left() {
            0 => Ok(()),
            left => Err(format!("{left} cuts are left")),
        })
        .await;
        story.a_moment(20..400).await;
    }
}
