//! The claims of one node, asked for over NATS: `cfg.rpc.<node>.<verb>` of the contract.
//!
//! What always holds: nothing waits in a queue to be sent later, or a lease could be older than it seems. Absent on purpose:
//! trying again.

use async_nats::{StatusCode, Subscriber};
use bus::connect::{ANSWER_WITHIN, Link};
use futures::StreamExt as _;
use schema::address::Prefix;
use schema::id::{JobId, NodeId};
use schema::position::Position;
use schema::rpc::{Claim, Complete, Done, Mine, Release, Renew, Reply, Verb};
use schema::wire::{Record, Unreadable};
use tokio::time::timeout;
use uuid::Uuid;

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

    /// Asks, and waits for the reply to the request of this id. It need not be the first message: where a stream takes in what is
    /// published to the subject, its server acknowledges the request as well.
    async fn ask(&self, verb: Verb, id: &str, request: &impl Record) -> Result<(Position, Done), NotDone> {
        if !self.link.is_up() {
            return Err(NotDone::Unknown("NATS is not there".to_owned()));
        }
        let (client, subject) = (self.link.client(), self.prefix.rpc_subject(&self.node, verb));
        let inbox = client.new_inbox();
        let mut messages = client.subscribe(inbox.clone()).await.map_err(|error| unknown(&error))?;
        let asked = client.publish_with_reply(subject.clone(), inbox, request.write().into());
        asked.await.map_err(|error| unknown(&error))?;
        let mut others = 0;
        let reply = match timeout(ANSWER_WITHIN, reply_to(id, &mut messages, &mut others)).await {
            Ok(reply) => reply?,
            Err(_) if others > 0 => {
                let also = format!("{others} messages came that are none: does a stream of NATS take {subject} in?");
                return Err(NotDone::Unknown(format!("no reply came within {} s; {also}", ANSWER_WITHIN.as_secs())));
            }
            Err(_) => {
                return Err(NotDone::Unknown(format!("no reply came within {} s", ANSWER_WITHIN.as_secs())));
            }
        };
        match (reply.result, reply.error) {
            (_, Some(fault)) => Err(NotDone::Refused(fault)),
            (Some(done), None) => Ok((reply.position, done)),
            (None, None) => Err(NotDone::Unknown("the answer has neither a result nor an error".to_owned())),
        }
    }

    async fn jobs(&self, verb: Verb, id: &str, request: &impl Record) -> Result<Told, NotDone> {
        let (position, done) = self.ask(verb, id, request).await?;
        let jobs = done.jobs.ok_or_else(|| NotDone::Unknown("the answer names no jobs".to_owned()))?;
        Ok(Told { position, jobs })
    }
}

/// The reply to the request of this id; `others` counts what came before it. An older server's reply has no id, and is believed.
async fn reply_to(id: &str, messages: &mut Subscriber, others: &mut u32) -> Result<Reply, NotDone> {
    while let Some(message) = messages.next().await {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(NotDone::Unknown("no server answers at the moment".to_owned()));
        }
        match Reply::read(&message.payload) {
            Ok(reply) if reply.id.as_deref().is_none_or(|answered| answered == id) => return Ok(reply),
            Err(newer @ Unreadable::Newer { .. }) => return Err(unknown(&newer)),
            Ok(_) | Err(Unreadable::Damaged { .. }) => *others += 1,
        }
    }
    Err(NotDone::Unknown("the connection to NATS has ended".to_owned()))
}

fn unknown(why: &dyn std::fmt::Display) -> NotDone {
    NotDone::Unknown(why.to_string())
}

/// The name of a request that is asked once.
fn once() -> String {
    Uuid::now_v7().to_string()
}

impl Claims for Asking {
    async fn claim(&self, limit: u32, lease_s: u32) -> Result<Told, NotDone> {
        let claim = Claim { v: Claim::NEWEST, id: once(), runtime: None, limit, lease_s: Some(lease_s) };
        self.jobs(Verb::Claim, &claim.id, &claim).await
    }

    async fn renew(&self) -> Result<Told, NotDone> {
        let renew = Renew { v: Renew::NEWEST, id: once(), runtime: None };
        self.jobs(Verb::Renew, &renew.id, &renew).await
    }

    async fn release(&self, jobs: &[JobId]) -> Result<(), NotDone> {
        let jobs = Some(jobs.iter().cloned().collect());
        let release = Release { v: Release::NEWEST, id: once(), runtime: None, jobs };
        self.ask(Verb::Release, &release.id, &release).await.map(|_| ())
    }

    async fn complete(&self, completion: &Completion) -> Result<(), NotDone> {
        let Completion { id, job, token, spec_digest, outcome, evidence } = completion.clone();
        let complete = Complete { v: Complete::NEWEST, id, runtime: None, job, token, spec_digest, outcome, evidence };
        self.ask(Verb::Complete, &complete.id, &complete).await.map(|_| ())
    }

    async fn mine(&self) -> Result<Told, NotDone> {
        let mine = Mine { v: Mine::NEWEST, id: once(), runtime: None, min_position: None };
        self.jobs(Verb::Mine, &mine.id, &mine).await
    }
}
