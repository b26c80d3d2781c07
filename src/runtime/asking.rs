//! The claims of one node, asked for over NATS: `cfg.rpc.<node>.<verb>` of the contract.
//!
//! What always holds: nothing waits in a queue to be sent later, or a lease could be older than it seems. Absent on purpose:
//! trying again.

use schema::address::Prefix;
use schema::id::{JobId, NodeId};
use schema::position::Position;
use schema::rpc::{Claim, Complete, Done, Mine, Release, Renew, Reply, Verb};
use schema::wire::Record;
use uuid::Uuid;

use crate::nats::connect::Link;
use crate::runtime::claims::{Claims, Completion, NotDone, Told};

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

    async fn ask(&self, verb: Verb, request: &impl Record) -> Result<(Position, Done), NotDone> {
        if !self.link.is_up() {
            return Err(NotDone::Unknown("NATS is not there".to_owned()));
        }
        let unknown = |why: &dyn std::fmt::Display| NotDone::Unknown(why.to_string());
        let subject = self.prefix.rpc_subject(&self.node, verb);
        let answer = self.link.client().request(subject, request.write().into()).await;
        let reply = Reply::read(&answer.map_err(|error| unknown(&error))?.payload).map_err(|error| unknown(&error))?;
        match (reply.result, reply.error) {
            (_, Some(fault)) => Err(NotDone::Refused(fault)),
            (Some(done), None) => Ok((reply.position, done)),
            (None, None) => Err(NotDone::Unknown("the answer has neither a result nor an error".to_owned())),
        }
    }

    async fn jobs(&self, verb: Verb, request: &impl Record) -> Result<Told, NotDone> {
        let (position, done) = self.ask(verb, request).await?;
        let jobs = done.jobs.ok_or_else(|| NotDone::Unknown("the answer names no jobs".to_owned()))?;
        Ok(Told { position, jobs })
    }
}

/// The name of a request that is asked once.
fn once() -> String {
    Uuid::now_v7().to_string()
}

impl Claims for Asking {
    async fn claim(&self, limit: u32, lease_s: u32) -> Result<Told, NotDone> {
        let claim = Claim { v: Claim::NEWEST, id: once(), runtime: None, limit, lease_s: Some(lease_s) };
        self.jobs(Verb::Claim, &claim).await
    }

    async fn renew(&self) -> Result<Told, NotDone> {
        self.jobs(Verb::Renew, &Renew { v: Renew::NEWEST, id: once(), runtime: None }).await
    }

    async fn release(&self, jobs: &[JobId]) -> Result<(), NotDone> {
        let jobs = Some(jobs.iter().cloned().collect());
        let release = Release { v: Release::NEWEST, id: once(), runtime: None, jobs };
        self.ask(Verb::Release, &release).await.map(|_| ())
    }

    async fn complete(&self, completion: &Completion) -> Result<(), NotDone> {
        let Completion { id, job, token, spec_digest, outcome, evidence } = completion.clone();
        let complete = Complete { v: Complete::NEWEST, id, runtime: None, job, token, spec_digest, outcome, evidence };
        self.ask(Verb::Complete, &complete).await.map(|_| ())
    }

    async fn mine(&self) -> Result<Told, NotDone> {
        let mine = Mine { v: Mine::NEWEST, id: once(), runtime: None, min_position: None };
        self.jobs(Verb::Mine, &mine).await
    }
}
