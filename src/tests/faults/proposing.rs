//! A proposal ends once, and its node learns how, whatever fails meanwhile.

use serde_json::json;
use testkit::fleet::Fleet;
use testkit::proposing::{furnished, learns, listed, propose};

use crate::places::{arm, ends, named};
use crate::proof::wipe;

/// Rejects the only open proposal.
async fn reject_the_open_one(fleet: &Fleet) {
    let open = listed(fleet, "open", 1).await.remove(0);
    let reject = json!({"type": "reject_proposal", "id": open["id"], "reason": "not with this lamp"});
    fleet.api().accepted(json!({ "commands": [reject] })).await;
}

#[tokio::test]
async fn edge_ends_at_each_place_of_proposing() {
    let mut fleet = furnished().await;
    for (round, point) in named("proposal.").into_iter().enumerate() {
        arm(&fleet, "edge-a", point);
        propose(&fleet, &format!("{point}\n")).await;
        // It comes to the first place without a decision.
        if point != program::failpoints::PROPOSAL_PUT {
            reject_the_open_one(&fleet).await;
        }
        let agent = fleet.agents.get_mut("a").unwrap();
        ends(&mut agent.process, point).await;
        agent.process.start_again();
        if point == program::failpoints::PROPOSAL_PUT {
            reject_the_open_one(&fleet).await;
        }
        let verdict = learns(&fleet, "rejected").await;
        assert_eq!(verdict["reason"], "not with this lamp", "{point}");
        assert_eq!(listed(&fleet, "rejected", round + 1).await.len(), round + 1, "{point}: each is in the log once");
    }
}

#[tokio::test]
async fn nats_is_wiped_while_a_proposal_is_open() {
    let mut fleet = furnished().await;
    propose(&fleet, "two\n").await;
    listed(&fleet, "open", 1).await;
    wipe(&mut fleet).await;
    reject_the_open_one(&fleet).await;
    learns(&fleet, "rejected").await;
    assert_eq!(listed(&fleet, "rejected", 1).await.len(), 1);
}

#[tokio::test]
async fn the_server_is_killed_between_a_decision_and_its_verdict() {
    let mut fleet = furnished().await;
    propose(&fleet, "two\n").await;
    listed(&fleet, "open", 1).await;
    fleet.agents["a"].process.freeze(true);
    reject_the_open_one(&fleet).await;
    fleet.servers[0].process.kill();
    fleet.servers[0].process.start_again();
    fleet.api().ready().await;
    fleet.agents["a"].process.freeze(false);
    learns(&fleet, "rejected").await;
}
