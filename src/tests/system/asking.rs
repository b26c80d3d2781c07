//! Asking over NATS comes to the same as asking over HTTP, whoever is the reconciler.

use std::time::Duration;

use async_nats::service::Info;
use futures::StreamExt as _;
use schema::digest::Digest;
use schema::rpc::{ClaimRequest, CompleteRequest, RpcVerb, claims_digest};
use schema::wire::WireRecord as _;
use serde_json::{Value, json};

use testkit::asker::{Asker, claim, furnish, release, renew};
use testkit::eventually::eventually;
use testkit::fleet::Fleet;
use testkit::law;

/// How long anything may take that happens by itself.
const SOON: Duration = Duration::from_secs(30);

/// A server that is asked, with two runtimes and four jobs.
async fn asked() -> (Fleet, Asker) {
    let fleet = Fleet::start().await;
    furnish(&fleet, &["n-1".into(), "n-2".into()], 4).await;
    let asker = Asker::new(&fleet).await;
    (fleet, asker)
}

/// The only result of a command over HTTP.
async fn over_http(fleet: &Fleet, command: Value) -> Value {
    fleet.api().accepted(json!({ "commands": [command] })).await["results"][0].clone()
}

#[tokio::test]
async fn a_claim_over_nats_is_one_over_http() {
    let (fleet, asker) = asked().await;
    let (position, done) = asker.done("n-1", RpcVerb::Claim, &claim("k", 1)).await;
    let http = over_http(&fleet, json!({"type": "claim_jobs", "runtime": "n-2", "limit": 1})).await;
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let said = serde_json::to_value(&done).unwrap();
    assert_eq!(members(&said), members(&http));
    assert_eq!(members(&said["jobs"][0]), members(&http["jobs"][0]));
    let given = &done.jobs.as_ref().unwrap()[0];
    let spec = given.spec.as_ref().unwrap();
    assert_eq!(given.spec_digest, Digest::of(spec.to_string().as_bytes()), "the spec's bytes are those of the digest");
    let shown = fleet.api().get(&format!("/v1/jobs/{}?min_position={position}", given.id)).await.unwrap().body;
    assert_eq!((&shown["claim"]["runtime"], &shown["claim"]["position"]), (&json!("n-1"), &json!(position)));
    assert_eq!(shown["spec"], *spec);

    // Under its id the same claim is answered again, and no other one.
    assert_eq!(asker.done("n-1", RpcVerb::Claim, &claim("k", 1)).await, (position, done.clone()));
    let reused = asker.refused("n-1", RpcVerb::Claim, &claim("k", 2)).await;
    assert_eq!((reused.code.as_str(), reused.field.as_str()), ("idempotency_key_reused", "id"));
    let reused = asker.refused("n-1", RpcVerb::Renew, &renew("k")).await;
    assert_eq!(reused.code, "idempotency_key_reused");
    // Ids are a node's own.
    let (_, other) = asker.done("n-2", RpcVerb::Claim, &claim("k", 1)).await;
    assert_ne!(other.jobs, done.jobs);

    let (_, renewed) = asker.done("n-1", RpcVerb::Renew, &renew("r")).await;
    let http = over_http(&fleet, json!({"type": "renew_claims", "runtime": "n-1"})).await;
    assert_eq!(serde_json::to_value(&renewed.jobs).unwrap(), http["jobs"]);
    let (at, mine) = asker.mine("n-1", fleet.api().position().await).await;
    assert_eq!((at, &mine.jobs), (fleet.api().position().await, &renewed.jobs));
    assert_eq!(mine.digest, Some(claims_digest(mine.jobs.as_deref().unwrap())));

    let complete = |id: &str| CompleteRequest {
        v: 1,
        id: id.into(),
        runtime: None,
        sent: None,
        job: given.id.clone(),
        token: given.token,
        spec_digest: given.spec_digest,
        outcome: "pass".into(),
        evidence: "closed".into(),
    };
    let stolen = asker.refused("n-2", RpcVerb::Complete, &complete("c")).await;
    assert_eq!(stolen.code, "not_permitted", "a proof serves its holder alone");
    asker.done("n-1", RpcVerb::Complete, &complete("c")).await;
    let unclaimed = CompleteRequest { token: Digest::of(b"").into(), ..complete("d") };
    let lost = asker.refused("n-1", RpcVerb::Complete, &unclaimed).await;
    assert_eq!((lost.code.as_str(), lost.field.as_str()), ("claim_lost", "token"));
    let (_, released) = asker.done("n-1", RpcVerb::Release, &release("x")).await;
    assert!(released.changed);
    let (_, mine) = asker.mine("n-1", fleet.api().position().await).await;
    assert_eq!(mine.jobs, Some(Vec::new()));

    let events = fleet.api().get("/v1/events?limit=1000").await.unwrap().body;
    let by_node = events["items"].as_array().unwrap().iter().filter(|event| event["actor"] == "node/n-1");
    let types: Vec<&str> = by_node.map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["JobClaimed", "ClaimRenewed", "JobCompleted", "JobReleased"]);
    law::holds(&fleet.backends).await;
}

#[tokio::test]
async fn bad_questions_are_refused_and_nothing_is_written() {
    let (fleet, asker) = asked().await;
    asker.mine("n-1", 0).await;
    let head = fleet.api().position().await;
    for (node, verb, bytes, code) in [
        ("n-1", RpcVerb::Claim, claim("a", 0).write(), "invalid_value"),
        ("n-1", RpcVerb::Claim, claim("a", 1001).write(), "invalid_value"),
        ("n-1", RpcVerb::Claim, claim("", 1).write(), "invalid_id"),
        ("stranger", RpcVerb::Claim, claim("a", 1).write(), "unknown_entity"),
        ("stranger", RpcVerb::ListClaims, renew("a").write(), "unknown_entity"),
        ("n-1", RpcVerb::Claim, b"nonsense".to_vec(), "damaged_record"),
        ("n-1", RpcVerb::Renew, Vec::new(), "damaged_record"),
        ("n-1", RpcVerb::Renew, vec![0; 300_000], "too_large"),
    ] {
        let reply = asker.once(node, verb, bytes).await.unwrap();
        let fault = reply.error.unwrap();
        assert_eq!((fault.code.as_str(), reply.result), (code, None), "{node} {verb:?}: {}", fault.detail);
    }
    // A reply would go where its sender may not publish.
    let subject = "cfg.rpc.n-1.claim";
    let trick =
        asker.client().publish_with_reply(subject, "$JS.API.STREAM.DELETE.cfg_events", claim("t", 1).write().into());
    trick.await.unwrap();
    asker.mine("n-1", 0).await;
    assert_eq!(fleet.api().position().await, head);
    law::holds(&fleet.backends).await;
}

#[tokio::test]
async fn an_agent_that_is_no_runtime_does_not_keep_claims_alive() {
    let (mut fleet, asker) = asked().await;
    // It reports as every agent does, and nobody renews.
    fleet.start_agent("n-1");
    let short = ClaimRequest { lease_s: Some(10), ..claim("k", 4) };
    asker.done("n-1", RpcVerb::Claim, &short).await;
    eventually("its claims end", Duration::from_secs(60), async || {
        let log = law::table(&fleet.backends.database()).await?;
        match log.iter().filter(|line| line.kind == "ClaimExpired").count() {
            4 => Ok(()),
            ended => Err(format!("{ended} claims have ended")),
        }
    })
    .await;
    law::holds(&fleet.backends).await;
}

#[tokio::test]
async fn one_server_answers_and_after_it_the_other_one() {
    let (mut fleet, asker) = asked().await;
    let (position, first) = asker.done("n-1", RpcVerb::Claim, &claim("k", 1)).await;
    fleet.serve("all").await;
    assert_eq!(found(&asker).await.len(), 1, "a standby is not found, and does not answer");
    let one = found(&asker).await.remove(0);
    assert_eq!(one.name, "headwater");
    let mut subjects: Vec<&str> = one.endpoints.iter().map(|endpoint| endpoint.subject.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        [
            "cfg.join.*",
            "cfg.rpc.*.claim",
            "cfg.rpc.*.complete",
            "cfg.rpc.*.mine",
            "cfg.rpc.*.release",
            "cfg.rpc.*.renew"
        ]
    );
    fleet.servers[0].process.kill();
    assert_eq!(asker.done("n-1", RpcVerb::Claim, &claim("k", 1)).await, (position, first), "it is known to the other");
    let two = eventually("the other one is found alone", SOON, async || match &found(&asker).await[..] {
        [other] => Ok(other.id.clone()),
        others => Err(format!("{others:?}")),
    })
    .await;
    assert_ne!(one.id, two);
    // Whoever ends in good order says no longer that it is there.
    assert!(fleet.servers[1].process.stop().await);
    assert!(found(&asker).await.is_empty());
}

/// Who says that it is there.
async fn found(asker: &Asker) -> Vec<Info> {
    let client = asker.client();
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    client.publish_with_reply("$SRV.INFO.headwater", inbox, "".into()).await.unwrap();
    let mut found = Vec::new();
    while let Ok(Some(reply)) = tokio::time::timeout(Duration::from_millis(500), replies.next()).await {
        if reply.status.is_none() {
            found.push(serde_json::from_slice(&reply.payload).unwrap());
        }
    }
    found
}
