//! Request/reply for nodes: `<prefix>.rpc.<node>.<verb>`, as a micro service of NATS, which `nats micro` finds.
//!
//! Only the reconciler answers. A request is refused at once if too many are being worked on, and never queued; when the service ends, no
//! request is left behind. A reply goes to an inbox and nowhere else.
//!
//! Absent on purpose: what a request means (`schema::rpc`) and how it is answered (`rpc_requests`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use async_nats::service::endpoint::Endpoint;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE, Request, Service, ServiceExt as _};
use async_nats::{Client, HeaderMap};
use futures::stream::SelectAll;
use futures::{FutureExt as _, StreamExt as _};
use program::failpoints;
use program::tasks::resume_panic;
use schema::address::{Prefix, SERVICE, is_inbox};
use schema::id::NodeId;
use schema::rpc::{RpcError, RpcReply, RpcVerb, sent_number};
use schema::say::Statement;
use schema::wire::WireRecord as _;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::admission::joining;
use crate::event_log::EventLog;
use crate::fleet::request_order::RequestOrder;
use crate::fleet::rpc_requests;
use crate::fleet::standing::{Standing, Unsaid};

/// Requests that are worked on at once; a few hundred fill a batch of the log.
const REQUESTS_MAX: usize = 512;
/// Requests of one node, or with one join token, that are worked on at once: nobody takes the places of all others.
const REQUESTS_EACH_MAX: usize = 64;
/// The pause before a service that could not be offered is offered again.
const REST: Duration = Duration::from_secs(1);

/// The service, and the log that it works on.
#[derive(Clone)]
pub struct RpcService {
    /// Offers the service over this connection.
    pub client: Client,
    /// The first part of its subjects.
    pub prefix: Prefix,
    /// Decides and answers.
    pub source: Arc<dyn EventLog>,
    /// Tells old requests from new ones.
    pub order: Arc<RequestOrder>,
}

#[derive(Debug, thiserror::Error)]
#[error("the service can't be offered")]
struct OfferError(#[source] async_nats::Error);

/// Ends the service when it is dropped: else NATS would go on listing it.
struct Offered(Option<Service>);

impl Drop for Offered {
    fn drop(&mut self) {
        // Stopping waits for nothing.
        let _ = self.0.take().and_then(|service| service.stop().now_or_never());
    }
}

impl RpcService {
    /// Answers until the future is dropped. A node without an answer asks again.
    pub async fn answer(&self) {
        loop {
            if let Err(error) = self.serve().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "can't answer nodes at the moment");
            }
            sleep(REST).await;
        }
    }

    async fn serve(&self) -> Result<(), OfferError> {
        let (_offered, mut requests) = self.offer().await.map_err(OfferError)?;
        let (mut working, mut in_hand) = (JoinSet::new(), HashMap::<String, usize>::new());
        loop {
            tokio::select! {
                Some(ended) = working.join_next() => end_one(&mut in_hand, resume_panic(ended)),
                request = requests.next() => {
                    let Some(request) = request else { return Ok(()) };
                    if !request.message.reply.as_deref().is_some_and(is_inbox) {
                        tracing::warn!(subject = %request.message.subject, "request without an inbox ignored");
                        continue;
                    }
                    let asker = asker(&request.message.subject);
                    let own = in_hand.get(&asker).copied().unwrap_or(0);
                    if working.len() < REQUESTS_MAX && own < REQUESTS_EACH_MAX {
                        in_hand.insert(asker.clone(), own + 1);
                        let working_on = self.clone().work_on(request);
                        working.spawn(async move {
                            working_on.await;
                            asker
                        });
                    } else {
                        let fault = RpcError::new(RpcError::OVERLOADED, "", "too many requests are being worked on");
                        reply(&request, &rpc_requests::failed(&*self.source, &request.message.payload, fault)).await;
                    }
                }
            }
        }
    }

    /// Offers the service, with an endpoint for each verb.
    async fn offer(&self) -> Result<(Offered, SelectAll<Endpoint>), async_nats::Error> {
        let about = [("log_id", self.source.log_id().to_string()), ("prefix", self.prefix.to_string())];
        // Of a common queue group NATS would pick one member, which may be a server that froze while it was the reconciler. Two servers
        // that both answer do no harm: a request is decided once, under its id.
        let alone = format!("{SERVICE}-{:016x}", fastrand::u64(..));
        let builder = self.client.service_builder().description("Jobs for assessment runtimes").queue_group(alone);
        let about: HashMap<String, String> = about.map(|(name, value)| (name.to_owned(), value)).into();
        let service = builder.metadata(about).start(SERVICE, env!("CARGO_PKG_VERSION")).await?;
        let offered = Offered(Some(service));
        let mut requests = SelectAll::new();
        if let Some(service) = &offered.0 {
            requests.push(service.endpoint_builder().name("join").add(self.prefix.join_subjects()).await?);
        }
        for verb in RpcVerb::ALL {
            let Some(service) = &offered.0 else { break };
            let endpoint = service.endpoint_builder().name(verb.name());
            requests.push(endpoint.add(self.prefix.rpc_subjects(verb)).await?);
        }
        Ok((offered, requests))
    }

    async fn work_on(self, request: Request) {
        let message = &request.message;
        let answer = match self.prefix.parse_rpc_subject(&message.subject) {
            Some((node, verb)) => match self.refuse(&node, verb, &request) {
                Some(fault) => rpc_requests::failed(&*self.source, &message.payload, fault),
                None => rpc_requests::answer(&*self.source, verb, node, &message.payload).await,
            },
            None if message.subject.starts_with(self.prefix.join_subjects().trim_end_matches('*')) => {
                let (subject, headers) = (message.subject.as_str(), message.headers.as_ref());
                joining::answer(&*self.source, &self.prefix, subject, headers, &message.payload).await
            }
            None => {
                let fault = RpcError::new("invalid_id", "", "the subject names no node");
                rpc_requests::failed(&*self.source, &request.message.payload, fault)
            }
        };
        failpoints::ASKED_DECIDED.reached();
        reply(&request, &answer).await;
    }

    /// Why a request does not count as the node's.
    fn refuse(&self, node: &NodeId, verb: RpcVerb, request: &Request) -> Option<RpcError> {
        let message = &request.message;
        let standing = Standing::of(&self.source.view(), node)?;
        let refused = |unsaid: Unsaid| RpcError::new(unsaid.code(), "", unsaid.to_string());
        match standing.check(Statement::Request(verb), &message.payload, message.headers.as_ref()) {
            Err(unsaid) => Some(refused(unsaid)),
            Ok(None) => None,
            Ok(Some(signer)) => match sent_number(&message.payload) {
                None => Some(refused(Unsaid::Unnumbered)),
                Some(sent) => (!self.order.takes(node, signer, sent, standing.reported)).then(|| refused(Unsaid::Old)),
            },
        }
    }
}

/// Who asks on a subject: the node, or the token.
fn asker(subject: &str) -> String {
    subject.split('.').nth(2).unwrap_or_default().to_owned()
}

/// A request of this asker was answered.
fn end_one(in_hand: &mut HashMap<String, usize>, asker: String) {
    if let Entry::Occupied(mut count) = in_hand.entry(asker) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// Sends a reply. An error also stands in the headers where any client of micro services looks for it.
async fn reply(request: &Request, reply: &RpcReply) {
    let mut headers = HeaderMap::new();
    if let Some(fault) = &reply.error {
        metrics::request_refused(&fault.code);
        headers.insert(NATS_SERVICE_ERROR, fault.code.as_str());
        headers.insert(NATS_SERVICE_ERROR_CODE, if fault.is_transient() { "503" } else { "400" });
    }
    if let Err(error) = request.respond_with_headers(Ok(reply.write().into()), headers).await {
        tracing::debug!(%error, "reply could not be sent; the node asks again");
    }
}
