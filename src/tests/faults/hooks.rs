//! Commands of the operator that do harm: a hook that writes into the tree that it is told of.

use std::time::Duration;

use serde_json::json;

use crate::story::{NODES, PLAIN, Stage, Story, is_long, scenarios};
use testkit::eventually::eventually;

/// The hook leaves a file in the tree as long as the node's folder has a file `spoil`.
const SPOILING: Stage = Stage { hooks: Some(["true", "test ! -e {}/../../spoil || echo x >{}/left"]), ..PLAIN };
/// How long it may take until that is called a failure, however often there are newer records.
const TOLD_WITHIN: Duration = Duration::from_secs(80);

scenarios! {
    hook_of_a_node_writes_into_its_tree: SPOILING, spoil, spoil_no_more;
}

async fn spoil(story: &mut Story) {
    std::fs::write(story.fleet.agents[NODES[0]].dir.join("spoil"), "").unwrap();
    let api = story.fleet.api().clone();
    eventually("the node says what the hook does", TOLD_WITHIN, async || {
        let node = api.get(&format!("/v1/nodes/{}", NODES[0])).await?;
        let reported = &node.body["reported"];
        let is_told = match is_long() {
            true => reported["attempt"]["code"] == "drift_returns",
            // Under load it takes up to a minute until there were three repairs.
            false => reported["drift"] == json!(["left"]),
        };
        if is_told { Ok(()) } else { Err(node.body.to_string()) }
    })
    .await;
    story.lasts().await;
}

async fn spoil_no_more(story: &mut Story) {
    std::fs::remove_file(story.fleet.agents[NODES[0]].dir.join("spoil")).unwrap();
}
