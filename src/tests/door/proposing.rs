//! What becomes of a message in which a node proposes: who is listened to, and what the node is told.

use async_nats::HeaderMap;
use schema::digest::Digest;
use schema::id::NodeId;
use schema::node_keys::KeyBytes;
use schema::proposal::ProposalBase;
use schema::proposal_message::{ProposalMessage, Verdict, VerdictState};
use schema::say::{SIGNATURE_HEADER, Statement};
use schema::seal::SecretKey;
use schema::wire::WireRecord as _;
use serde_json::{Value, json};
use server::event_log::EventLog as _;
use server::fleet::proposals::{ProposalJudgement, judge};

use crate::ask::{House, put};

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// A node with keys that follow from two numbers.
fn enrol(id: &str, seed: u8) -> Value {
    let key = |seed: u8| KeyBytes::from(&secret(seed).public()).to_string();
    json!({"type": "enrol_node", "id": id, "labels": {}, "keys": {"bus": key(seed + 100), "say": key(seed)}})
}

/// Two nodes, whose keys `say` are of the seeds 1 and 2, and a document that both have.
async fn furnished() -> House {
    let house = House::new();
    house.done(json!([enrol("n-1", 1), enrol("n-2", 2), put("motd", "etc/motd", "one", json!({"all": true}))])).await;
    house
}

fn message(house: &House, node: &str, number: u128) -> ProposalMessage {
    ProposalMessage {
        v: 1,
        log_id: house.log.log_id(),
        node: node.parse().unwrap(),
        boot_no: 1,
        seq: 1,
        id: uuid::Uuid::from_u128(number).into(),
        withdrawn: false,
        path: "etc/motd".into(),
        media_type: "text/plain".into(),
        content: b"two".to_vec(),
        base: ProposalBase { position: 5.into(), digest: Some(Digest::of(b"one")) },
        reason: Some("lamp".into()),
        at: schema::instant::Instant::default(),
    }
}

fn headers(signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_HEADER, signature);
    headers
}

async fn sent(house: &House, key: &str, message: &ProposalMessage, seed: u8) -> ProposalJudgement {
    let bytes = message.write();
    let signature = Statement::Proposal.sign(&secret(seed), &bytes);
    let node: NodeId = key.parse().unwrap();
    judge(&*house.log, &node, &bytes, Some(&headers(&signature))).await.unwrap()
}

async fn told(house: &House, message: &ProposalMessage) -> Verdict {
    let seed = if message.node.as_str() == "n-1" { 1 } else { 2 };
    match sent(house, message.node.as_str(), message, seed).await {
        ProposalJudgement::Told(verdict) => *verdict,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_proposal_is_decided_once_and_its_verdict_follows_from_the_log() {
    let house = furnished().await;
    let proposal = message(&house, "n-1", 1);
    let open = told(&house, &proposal).await;
    assert_eq!((open.state, open.position.get(), open.by.as_deref()), (VerdictState::Open, house.position(), None));
    let before = house.position();
    assert_eq!(told(&house, &proposal).await, open, "it comes again");
    assert_eq!(house.position(), before);
    house.done(json!([{"type": "accept_proposal", "id": proposal.proposal()}])).await;
    let accepted = told(&house, &proposal).await;
    assert_eq!((accepted.state, accepted.by.as_deref()), (VerdictState::Accepted, Some("ann")));
    assert!(accepted.is_final() && accepted.document.is_some() && accepted.command_id.is_some());
    assert_eq!(told(&house, &proposal).await, accepted, "the verdict stands, whatever happens later");
    assert_eq!(house.position(), before + 2);
}

#[tokio::test]
async fn each_end_is_told_with_who_decided_and_why() {
    let house = furnished().await;
    let stale =
        ProposalMessage { base: ProposalBase { position: 5.into(), digest: None }, ..message(&house, "n-1", 1) };
    let verdict = told(&house, &stale).await;
    assert_eq!((verdict.state, verdict.code.as_deref()), (VerdictState::Rejected, Some("proposal_stale")));
    assert_eq!((verdict.by.as_deref(), verdict.reason.as_deref()), (Some("system"), None));
    let (older, newer) = (message(&house, "n-1", 2), message(&house, "n-1", 3));
    told(&house, &older).await;
    told(&house, &newer).await;
    let verdict = told(&house, &older).await;
    assert_eq!((verdict.state, verdict.by.as_deref()), (VerdictState::Superseded, Some("node/n-1")));
    house.done(json!([{"type": "reject_proposal", "id": newer.proposal(), "reason": "not now"}])).await;
    let verdict = told(&house, &newer).await;
    assert_eq!((verdict.state, verdict.reason.as_deref()), (VerdictState::Rejected, Some("not now")));
    let taken_back = message(&house, "n-1", 4);
    told(&house, &taken_back).await;
    let verdict = told(&house, &ProposalMessage { withdrawn: true, ..taken_back.clone() }).await;
    assert_eq!(verdict.state, VerdictState::Withdrawn);
    assert_eq!(told(&house, &taken_back).await.state, VerdictState::Withdrawn, "the older message does not undo it");
}

#[tokio::test]
async fn what_is_taken_back_before_a_server_saw_it_ends_and_leaves_nothing_in_the_log() {
    let house = furnished().await;
    let older = message(&house, "n-1", 1);
    told(&house, &older).await;
    let before = house.position();
    let taken_back = ProposalMessage { withdrawn: true, ..message(&house, "n-1", 2) };
    let verdict = told(&house, &taken_back).await;
    assert_eq!((verdict.state, verdict.id, verdict.is_final()), (VerdictState::Withdrawn, taken_back.id, true));
    assert_eq!(house.position(), before);
    assert_eq!(told(&house, &older).await.state, VerdictState::Open, "it takes no other one's place");
}

#[tokio::test]
async fn what_the_log_could_not_hold_is_refused_and_nothing_is_stored() {
    let house = furnished().await;
    let before = house.position();
    let proposal = message(&house, "n-1", 1);
    let table = [
        ("invalid_path", "path", ProposalMessage { path: "../motd".into(), ..proposal.clone() }),
        ("not_json", "content", ProposalMessage { media_type: "application/json".into(), ..proposal.clone() }),
    ];
    for (code, field, wrong) in table {
        let verdict = told(&house, &wrong).await;
        assert_eq!((verdict.state, verdict.code.as_deref()), (VerdictState::Refused, Some(code)));
        assert_eq!((verdict.field.as_deref(), verdict.id), (Some(field), proposal.id), "{code}");
    }
    assert_eq!(house.position(), before);
    told(&house, &proposal).await;
    let other = ProposalMessage { content: b"three".to_vec(), ..proposal };
    assert_eq!(told(&house, &other).await.code.as_deref(), Some("proposal_reused"));
    assert_eq!(house.position(), before + 1);
}

#[tokio::test]
async fn nobody_proposes_for_a_node_but_the_node_itself() {
    let house = furnished().await;
    let before = house.position();
    let proposal = message(&house, "n-1", 1);
    let ignored = |why| ProposalJudgement::Ignored(why);
    assert_eq!(sent(&house, "n-1", &proposal, 2).await, ignored("bad_signature"), "another node's key");
    assert_eq!(sent(&house, "n-2", &proposal, 2).await, ignored("other_node"), "under its own key");
    assert_eq!(sent(&house, "n-3", &proposal, 1).await, ignored("unknown_node"));
    let other_log = ProposalMessage { log_id: uuid::Uuid::from_u128(1).into(), ..proposal.clone() };
    assert_eq!(sent(&house, "n-1", &other_log, 1).await, ignored("other_log"));
    let bytes = proposal.write();
    let node: NodeId = "n-1".parse().unwrap();
    let as_a_report = Statement::Report.sign(&secret(1), &bytes);
    for (signature, why) in [(None, "unsigned"), (Some("00"), "bad_signature"), (Some(&*as_a_report), "bad_signature")]
    {
        let headers = signature.map(headers);
        assert_eq!(judge(&*house.log, &node, &bytes, headers.as_ref()).await.unwrap(), ignored(why));
    }
    house.done(json!([{"type": "bar_node", "id": "n-1"}])).await;
    assert_eq!(sent(&house, "n-1", &proposal, 1).await, ignored("node_barred"));
    assert_eq!(house.position(), before + 1, "only the bar was stored");
}

#[tokio::test]
async fn what_comes_too_fast_waits_without_a_verdict() {
    let house = furnished().await;
    let proposal = |number: u128| ProposalMessage {
        path: format!("p{number}"),
        base: ProposalBase { position: 5.into(), digest: None },
        ..message(&house, "n-1", number)
    };
    for number in 1..=8 {
        told(&house, &proposal(number)).await;
    }
    assert_eq!(sent(&house, "n-1", &proposal(9), 1).await, ProposalJudgement::Later);
    house.done(json!([{"type": "reject_proposal", "id": proposal(3).proposal(), "reason": "no"}])).await;
    assert_eq!(told(&house, &proposal(9)).await.state, VerdictState::Open);
}
