//! Requests of one node about its claims, over NATS: subject `cfg.rpc.<node>.<verb>`.
//!
//! Invariant: no request is queued while NATS is away, or a lease could be older than the runtime believes. The caller retries.

use async_nats::{HeaderMap, StatusCode, Subscriber};
use bus::connect::{ANSWER_WITHIN, Link};
use futures::StreamExt as _;
use schema::address::Prefix;
use schema::id::{JobId, NodeId};
use schema::position::Position;
use schema::report::SentNumber;
use schema::rpc::{
    ClaimRequest, CompleteRequest, ListClaims, ReleaseRequest, RenewRequest, RpcOutcome, RpcReply, RpcVerb,
};
use schema::say::{SIGNATURE_HEADER, Statement};
use schema::seal::SecretKey;
use schema::wire::{RecordError, WireRecord};
use tokio::time::timeout;
use uuid::Uuid;

use crate::boot_number::BootNumber;
use crate::jobs::claim_service::{ClaimError, ClaimService, JobCompletion, LeasedJobs};

/// Sends the requests of one node.
#[derive(Clone, Debug)]
pub struct RpcClient {
    /// The connection.
    pub link: Link,
    /// What the names in NATS begin with.
    pub prefix: Prefix,
    /// The node that asks.
    pub node: NodeId,
    /// Signs each request.
    pub say: SecretKey,
    /// Numbers the requests.
    pub boot_number: BootNumber,
}

impl RpcClient {
    /// Sends a request and waits for the reply with this id. It need not be the first message: if a stream captures the subject,
    /// its server acknowledges the request as well.
    async fn send(
        &self,
        verb: RpcVerb,
        id: &str,
        request: &impl WireRecord,
    ) -> Result<(Position, RpcOutcome), ClaimError> {
        if !self.link.is_up() {
            return Err(ClaimError::Unknown("there is no connection to NATS".to_owned()));
        }
        let (client, subject) = (self.link.client(), self.prefix.rpc_subject(&self.node, verb));
        let message = request.write();
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, Statement::Request(verb).sign(&self.say, &message));
        let inbox = client.new_inbox();
        let mut messages = client.subscribe(inbox.clone()).await.map_err(|error| unknown(&error))?;
        let sent = client.publish_with_reply_and_headers(subject.clone(), inbox, headers, message.into());
        sent.await.map_err(|error| unknown(&error))?;
        let mut others = 0;
        let reply = match timeout(ANSWER_WITHIN, reply_to(id, &mut messages, &mut others)).await {
            Ok(reply) => reply?,
            Err(_) if others > 0 => {
                let also = format!("{others} other messages came: does a stream capture {subject}?");
                return Err(ClaimError::Unknown(format!("no reply came within {} s; {also}", ANSWER_WITHIN.as_secs())));
            }
            Err(_) => {
                return Err(ClaimError::Unknown(format!("no reply came within {} s", ANSWER_WITHIN.as_secs())));
            }
        };
        match (reply.result, reply.error) {
            (_, Some(fault)) => Err(ClaimError::Refused(fault)),
            (Some(done), None) => Ok((reply.position, done)),
            (None, None) => Err(ClaimError::Unknown("the answer has neither a result nor an error".to_owned())),
        }
    }

    /// The number of the next request; an old number is refused, so each sending of a request has a new one.
    fn sent(&self) -> Result<Option<SentNumber>, ClaimError> {
        let boot_no = self.boot_number.get().ok_or_else(|| {
            ClaimError::Unknown(
                "the number of this boot is not known before NATS was asked for the last report".to_owned(),
            )
        })?;
        Ok(Some(SentNumber { boot_no, seq: self.boot_number.next_request() }))
    }

    async fn jobs(&self, verb: RpcVerb, id: &str, request: &impl WireRecord) -> Result<LeasedJobs, ClaimError> {
        let (position, done) = self.send(verb, id, request).await?;
        let jobs = done.jobs.ok_or_else(|| ClaimError::Unknown("the answer names no jobs".to_owned()))?;
        Ok(LeasedJobs { position, jobs })
    }
}

/// The reply to the request of this id; `others` counts messages before it. The reply of an older server has no id, and counts.
async fn reply_to(id: &str, messages: &mut Subscriber, others: &mut u32) -> Result<RpcReply, ClaimError> {
    while let Some(message) = messages.next().await {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(ClaimError::Unknown("no server answers at the moment".to_owned()));
        }
        match RpcReply::read(&message.payload) {
            Ok(reply) if reply.id.as_deref().is_none_or(|answered| answered == id) => return Ok(reply),
            Err(newer @ RecordError::Newer { .. }) => return Err(unknown(&newer)),
            Ok(_) | Err(RecordError::Damaged { .. }) => *others += 1,
        }
    }
    Err(ClaimError::Unknown("the connection to NATS has ended".to_owned()))
}

fn unknown(why: &dyn std::fmt::Display) -> ClaimError {
    ClaimError::Unknown(why.to_string())
}

/// For a request that is not sent again.
fn request_id() -> String {
    Uuid::now_v7().to_string()
}

impl ClaimService for RpcClient {
    async fn claim(&self, limit: u32, lease_s: u32) -> Result<LeasedJobs, ClaimError> {
        let claim = ClaimRequest {
            v: ClaimRequest::NEWEST,
            id: request_id(),
            runtime: None,
            sent: self.sent()?,
            limit,
            lease_s: Some(lease_s),
        };
        self.jobs(RpcVerb::Claim, &claim.id, &claim).await
    }

    async fn renew(&self) -> Result<LeasedJobs, ClaimError> {
        let renew = RenewRequest { v: RenewRequest::NEWEST, id: request_id(), runtime: None, sent: self.sent()? };
        self.jobs(RpcVerb::Renew, &renew.id, &renew).await
    }

    async fn release(&self, jobs: &[JobId]) -> Result<(), ClaimError> {
        let jobs = Some(jobs.iter().cloned().collect());
        let release =
            ReleaseRequest { v: ReleaseRequest::NEWEST, id: request_id(), runtime: None, sent: self.sent()?, jobs };
        self.send(RpcVerb::Release, &release.id, &release).await.map(|_| ())
    }

    async fn complete(&self, completion: &JobCompletion) -> Result<(), ClaimError> {
        let JobCompletion { id, job, token, spec_digest, outcome, evidence } = completion.clone();
        let complete = CompleteRequest {
            v: CompleteRequest::NEWEST,
            id,
            runtime: None,
            sent: self.sent()?,
            job,
            token,
            spec_digest,
            outcome,
            evidence,
        };
        self.send(RpcVerb::Complete, &complete.id, &complete).await.map(|_| ())
    }

    async fn list(&self) -> Result<LeasedJobs, ClaimError> {
        let mine = ListClaims {
            v: ListClaims::NEWEST,
            id: request_id(),
            runtime: None,
            sent: self.sent()?,
            min_position: None,
        };
        self.jobs(RpcVerb::ListClaims, &mine.id, &mine).await
    }
}
