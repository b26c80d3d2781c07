//! A runtime as it asks for jobs: over NATS, and the same over HTTP.

use std::time::Duration;

use async_nats::Client;
use bus::connect::connect;
use schema::address::Prefix;
use schema::rpc::{
    ClaimRequest, ListClaims, ReleaseRequest, RenewRequest, RpcError, RpcOutcome, RpcReply, RpcVerb, request_id,
};
use schema::wire::WireRecord;
use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::fleet::Fleet;

/// How long whoever asks may have to ask again.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// A connection to NATS that asks for any node.
#[derive(Clone)]
pub struct Asker(Client);

impl Asker {
    pub async fn new(fleet: &Fleet) -> Self {
        let link = connect(&fleet.backends.nats_url(), "test").await.unwrap();
        link.up().await;
        Self(link.client().clone())
    }

    pub fn client(&self) -> &Client {
        &self.0
    }

    /// Asks once.
    pub async fn once(&self, node: &str, verb: RpcVerb, bytes: Vec<u8>) -> Result<RpcReply, String> {
        let subject = Prefix::default().rpc_subject(&node.parse().unwrap(), verb);
        let message = self.0.request(subject, bytes.clone().into()).await.map_err(|error| error.to_string())?;
        let reply = RpcReply::read(&message.payload).unwrap();
        assert_eq!(reply.id, request_id(&bytes), "the request's id is repeated, whatever becomes of it");
        let header = message.headers.as_ref().and_then(|headers| headers.get("Nats-Service-Error"));
        let code = reply.error.as_ref().map(|fault| fault.code.as_str());
        assert_eq!(header.map(|value| value.as_str()), code, "an error is a micro service's error");
        Ok(reply)
    }

    /// Asks until somebody answers and can do it.
    pub async fn ask(&self, node: &str, verb: RpcVerb, request: &impl WireRecord) -> RpcReply {
        eventually("it is answered", ANSWERED_WITHIN, async || match self.once(node, verb, request.write()).await? {
            RpcReply { error: Some(fault), .. } if fault.is_transient() => Err(format!("{fault:?}")),
            reply => Ok(reply),
        })
        .await
    }

    /// Asks what has to be done, and gives what it came to.
    pub async fn done(&self, node: &str, verb: RpcVerb, request: &impl WireRecord) -> (u64, RpcOutcome) {
        let reply = self.ask(node, verb, request).await;
        (reply.position.get(), reply.result.unwrap_or_else(|| panic!("{node}: {:?}", reply.error)))
    }

    /// Asks what has to be refused, and gives why.
    pub async fn refused(&self, node: &str, verb: RpcVerb, request: &impl WireRecord) -> RpcError {
        let reply = self.ask(node, verb, request).await;
        assert!(reply.result.is_none(), "{reply:?}");
        reply.error.unwrap()
    }

    /// Which jobs are a node's, as of a position.
    pub async fn mine(&self, node: &str, position: u64) -> (u64, RpcOutcome) {
        let min_position = Some(position.into());
        self.done(
            node,
            RpcVerb::ListClaims,
            &ListClaims { v: 1, id: "mine".into(), runtime: None, sent: None, min_position },
        )
        .await
    }
}

pub fn claim(id: &str, limit: u32) -> ClaimRequest {
    ClaimRequest { v: 1, id: id.into(), runtime: None, sent: None, limit, lease_s: None }
}

pub fn renew(id: &str) -> RenewRequest {
    RenewRequest { v: 1, id: id.into(), runtime: None, sent: None }
}

pub fn release(id: &str) -> ReleaseRequest {
    ReleaseRequest { v: 1, id: id.into(), runtime: None, sent: None, jobs: None }
}

/// A log with these runtimes and so many jobs.
pub async fn furnish(fleet: &Fleet, runtimes: &[String], jobs: usize) {
    let mut commands = vec![
        json!({"type": "define_control", "id": "c", "title": "Control"}),
        json!({"type": "define_assessment", "id": "as", "title": "Plan", "control": "c", "component_selector": {},
            "schedule": "* * * * *"}),
    ];
    let node = |id: &String| json!({"type": "enrol_node", "id": id, "labels": {}});
    commands.extend(runtimes.iter().map(node));
    let attestation = |number: usize| -> Value {
        json!({"type": "define_attestation", "id": format!("at-{number}"), "assessment": "as", "title": "Check",
            "provider": {"name": "probe"}})
    };
    commands.extend((0..jobs).map(attestation));
    fleet.api().accepted(json!({ "commands": commands })).await;
}
