//! The claims of one node, asked for over NATS: `cfg.rpc.<node>.<verb>` of the contract.
//!
//! What always holds: nothing waits in a queue to be sent later, or a lease could be older than it seems. Absent on purpose:
//! trying again.

use schema::address::Prefix;
use schema::digest::Digest;
use schema::id::{JobId, NodeId};
use schema::lease::{LeaseToken, Leased};
use schema::position::Position;
use schema::wire::Record;
use serde::{Deserialize, Serialize};

use crate::nats::connect::Link;
use crate::runtime::claims::{Claims, Completion, NotDone, Told};

/// One request: an id, and what its verb needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Request {
    v: u16,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<LeaseToken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec_digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
}

/// The answer: a result at a position, or an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reply {
    v: u16,
    #[serde(default)]
    position: Option<Position>,
    #[serde(default)]
    result: Option<Given>,
    #[serde(default)]
    error: Option<Fault>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Given {
    #[serde(default)]
    jobs: Option<Vec<Leased>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fault {
    code: String,
    #[serde(default)]
    detail: Option<String>,
}

impl Record for Request {
    const WHAT: &'static str = "request of a runtime";
}

impl Record for Reply {
    const WHAT: &'static str = "answer to a runtime";
}

/// A node that asks.
#[derive(Clone, Debug)]
pub struct Asking {
    link: Link,
    prefix: Prefix,
    node: NodeId,
}

impl Asking {
    /// Asks as `node`.
    #[must_use]
    pub fn of(link: Link, prefix: Prefix, node: NodeId) -> Self {
        Self { link, prefix, node }
    }

    async fn ask(&self, verb: &str, request: Request) -> Result<(Position, Given), NotDone> {
        if !self.link.is_up() {
            return Err(NotDone::Unknown("NATS is not there".to_owned()));
        }
        let unknown = |why: &dyn std::fmt::Display| NotDone::Unknown(why.to_string());
        let id = if request.id.is_empty() { uuid::Uuid::now_v7().to_string() } else { request.id.clone() };
        let request = Request { v: Request::NEWEST, id, ..request };
        let subject = self.prefix.rpc_subject(&self.node, verb);
        let answer = self.link.client().request(subject, request.write().into()).await;
        let reply = Reply::read(&answer.map_err(|error| unknown(&error))?.payload).map_err(|error| unknown(&error))?;
        match reply {
            Reply { error: Some(Fault { code, detail }), .. } => {
                Err(NotDone::Refused { code, detail: detail.unwrap_or_default() })
            }
            Reply { position: Some(position), result: Some(given), .. } => Ok((position, given)),
            _ => Err(NotDone::Unknown("the answer has neither a result nor an error".to_owned())),
        }
    }

    async fn jobs(&self, verb: &str, request: Request) -> Result<Told, NotDone> {
        let (position, given) = self.ask(verb, request).await?;
        let jobs = given.jobs.ok_or_else(|| NotDone::Unknown("the answer names no jobs".to_owned()))?;
        Ok(Told { position, jobs })
    }
}

impl Claims for Asking {
    async fn claim(&self, limit: u32, lease_s: u32) -> Result<Told, NotDone> {
        self.jobs("claim", Request { limit: Some(limit), lease_s: Some(lease_s), ..Request::default() }).await
    }

    async fn renew(&self) -> Result<Told, NotDone> {
        self.jobs("renew", Request::default()).await
    }

    async fn release(&self, jobs: &[JobId]) -> Result<(), NotDone> {
        let request = Request { jobs: Some(jobs.to_vec()), ..Request::default() };
        self.ask("release", request).await.map(|_| ())
    }

    async fn complete(&self, completion: &Completion) -> Result<(), NotDone> {
        let Completion { id, job, token, spec_digest, outcome, evidence } = completion.clone();
        let (job, token, spec_digest) = (Some(job), Some(token), Some(spec_digest));
        let (outcome, evidence) = (Some(outcome), Some(evidence));
        let request = Request { id, job, token, spec_digest, outcome, evidence, ..Request::default() };
        self.ask("complete", request).await.map(|_| ())
    }

    async fn mine(&self) -> Result<Told, NotDone> {
        self.jobs("mine", Request::default()).await
    }
}
