//! A NATS cluster of three that keeps three copies of every stream, and loses one of its servers.

use crate::story::{PLAIN, Stage, Story, scenarios};

/// NATS is a cluster.
const CLUSTER: Stage = Stage { cluster: true, ..PLAIN };

scenarios! {
    cluster_loses_a_server: CLUSTER, kill_follower, start_all;
    cluster_loses_its_leader: CLUSTER, kill_leader, start_all;
}

/// Any server that does not lead the event stream.
async fn kill_follower(story: &mut Story) {
    let leader = story.props.cluster.as_ref().unwrap().leader().await;
    let which = (leader + story.random.usize(1..3)) % 3;
    kill(story, which).await;
}

async fn kill_leader(story: &mut Story) {
    let leader = story.props.cluster.as_ref().unwrap().leader().await;
    kill(story, leader).await;
}

async fn kill(story: &mut Story, which: usize) {
    let cluster = story.props.cluster.as_mut().unwrap();
    cluster.servers[which].kill();
    story.props.down = Some(which);
    story.grows(100).await;
}

async fn start_all(story: &mut Story) {
    let which = story.props.down.take().unwrap();
    let cluster = story.props.cluster.as_mut().unwrap();
    cluster.servers[which].start_again().await.unwrap();
}
