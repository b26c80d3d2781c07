//! Where nodes ask: `<prefix>.rpc.<node>.<verb>`, as a micro service of NATS, so that it can be found.
//!
//! Only the reconciler answers. Whatever is asked gets a reply at once or after its decision: over a limit it is refused and
//! never queued, and who stops answering leaves nothing behind. A reply goes to an inbox and nowhere else.
//!
//! Absent on purpose: what a request means (`schema::rpc`) and what becomes of it (`rpc_requests`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::service::endpoint::Endpoint;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE, Request, Service, ServiceExt as _};
use async_nats::{Client, HeaderMap};
use futures::stream::SelectAll;
use futures::{FutureExt as _, StreamExt as _};
use program::failpoints;
use schema::address::{Prefix, SERVICE, is_inbox};
use schema::rpc::{Fault, Reply, Verb};
use schema::wire::Record as _;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::event_log::EventLog;
use crate::fleet::rpc_requests;

/// Requests that are worked on at once; a few hundred fill a batch of the log.
const REQUESTS_MAX: usize = 512;
/// Rest before a service that could not be offered is offered anew.
const REST: Duration = Duration::from_secs(1);

/// Where nodes ask, and what is asked.
#[derive(Clone)]
pub struct RpcService {
    /// The connection.
    pub client: Client,
    /// What its subjects begin with.
    pub prefix: Prefix,
    /// The log.
    pub source: Arc<dyn EventLog>,
}

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
#[error("the service can't be offered")]
struct OfferError(#[source] async_nats::Error);

/// A service that ends when this is dropped: else it would go on saying that it is there.
struct Offered(Option<Service>);

impl Drop for Offered {
    fn drop(&mut self) {
        // Stopping waits for nothing.
        let _ = self.0.take().and_then(|service| service.stop().now_or_never());
    }
}

impl RpcService {
    /// Answers until it is dropped. Requests whose answers were not sent by then are asked again by their nodes.
    pub async fn answer(&self) {
        loop {
            if let Err(mute) = self.serve().await {
                tracing::warn!(error = &mute as &dyn std::error::Error, "nodes can't ask at the moment");
            }
            sleep(REST).await;
        }
    }

    async fn serve(&self) -> Result<(), OfferError> {
        let (_offered, mut asked) = self.offer().await.map_err(OfferError)?;
        let mut working = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = working.join_next() => {}
                request = asked.next() => {
                    let Some(request) = request else { return Ok(()) };
                    if !request.message.reply.as_deref().is_some_and(is_inbox) {
                        tracing::warn!(subject = %request.message.subject, "a request without an inbox is passed over");
                    } else if working.len() < REQUESTS_MAX {
                        working.spawn(self.clone().take(request));
                    } else {
                        let fault = Fault::new(Fault::OVERLOADED, "", "too many requests are being worked on");
                        reply(&request, &rpc_requests::failed(&*self.source, &request.message.payload, fault)).await;
                    }
                }
            }
        }
    }

    /// Begins to hear, with an endpoint for each verb.
    async fn offer(&self) -> Result<(Offered, SelectAll<Endpoint>), async_nats::Error> {
        let about = [("log_id", self.source.log_id().to_string()), ("prefix", self.prefix.to_string())];
        // Of one group NATS would ask one member, and it may be a server that was frozen while it was active. Two that
        // both answer do no harm: a request is decided once, under its id.
        let alone = format!("{SERVICE}-{:016x}", fastrand::u64(..));
        let builder = self.client.service_builder().description("Jobs for assessment runtimes").queue_group(alone);
        let about: HashMap<String, String> = about.map(|(name, value)| (name.to_owned(), value)).into();
        let service = builder.metadata(about).start(SERVICE, env!("CARGO_PKG_VERSION")).await?;
        let offered = Offered(Some(service));
        let mut asked = SelectAll::new();
        for verb in Verb::ALL {
            let Some(service) = &offered.0 else { break };
            let endpoint = service.endpoint_builder().name(verb.name());
            asked.push(endpoint.add(self.prefix.rpc_subjects(verb)).await?);
        }
        Ok((offered, asked))
    }

    async fn take(self, request: Request) {
        let answer = match self.prefix.rpc_asked(&request.message.subject) {
            Some((node, verb)) => rpc_requests::answer(&*self.source, verb, node, &request.message.payload).await,
            None => {
                let fault = Fault::new("invalid_id", "", "the subject names no node");
                rpc_requests::failed(&*self.source, &request.message.payload, fault)
            }
        };
        failpoints::ASKED_DECIDED.reached();
        reply(&request, &answer).await;
    }
}

/// Sends a reply. An error also stands where any client of micro services looks for it.
async fn reply(request: &Request, reply: &Reply) {
    let mut headers = HeaderMap::new();
    if let Some(fault) = &reply.error {
        metrics::refused(&fault.code);
        headers.insert(NATS_SERVICE_ERROR, fault.code.as_str());
        headers.insert(NATS_SERVICE_ERROR_CODE, if fault.is_transient() { "503" } else { "400" });
    }
    if let Err(error) = request.respond_with_headers(Ok(reply.write().into()), headers).await {
        tracing::debug!(%error, "a reply could not be sent; its node asks again");
    }
}
