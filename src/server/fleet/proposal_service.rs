//! Takes in what nodes propose (bucket `cfg_proposed`), and tells each node what became of it (bucket `cfg_verdict`, under the same key).
//!
//! It works on levels and not on edges: what stands under each key is judged again until its verdict is final, so nothing that was missed
//! is lost. A verdict stands as long as the proposal that it is about; both are written anew if NATS loses them.
//!
//! Invariants: a node gets one decision in a second at most, and in the long run one in a minute and 32 more in a burst; what one node
//! sends never keeps another node's proposal from its verdict; only the reconciler does this, so there is one.
//!
//! Absent on purpose: what a message means (`proposals`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::{Context, kv};
use bytes::Bytes;
use futures::StreamExt as _;
use schema::address::{Bucket, Prefix};
use schema::id::{NodeId, ProposalId};
use schema::permissions::PROPOSAL_PLACES;
use schema::proposal_message::VerdictState;
use schema::seal::SecretKey;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::event_log::EventLog;
use crate::fleet::decision_pace::DecisionPace;
use crate::fleet::proposals::{ProposalJudgement, judge};

/// How long NATS may take for one request.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often what can't be decided yet is looked at again.
const AGAIN_EVERY: Duration = Duration::from_secs(1);
/// What counted for nothing is judged again after this time.
const IGNORED_FOR: Duration = Duration::from_secs(10);
/// The pause before a watch that ended is opened again.
const REST: Duration = Duration::from_millis(500);

/// The service, and the log that it works on.
#[derive(Clone)]
pub struct ProposalService {
    /// Reads and writes the buckets.
    pub jetstream: Context,
    /// The first part of their names.
    pub prefix: Prefix,
    /// Decides.
    pub source: Arc<dyn EventLog>,
    /// The log's key, which signs verdicts.
    pub key: SecretKey,
}

#[derive(Debug, thiserror::Error)]
enum ServiceError {
    #[error("NATS does not answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
    #[error("the bucket can't be used")]
    Bucket(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn bucket(error: impl std::error::Error + Send + Sync + 'static) -> ServiceError {
    ServiceError::Bucket(Box::new(error))
}

/// A proposal that stands under a key.
struct StandingProposal {
    node: NodeId,
    payload: Bytes,
    headers: Option<HeaderMap>,
    /// Whether its verdict is final.
    is_settled: bool,
    /// When it counted for nothing. What the log says of the node may change.
    ignored: Option<Instant>,
    /// Whether this message was decided, so that it costs the log nothing when it is judged again.
    was_decided: bool,
    /// The proposal, once the node was told that it is open.
    open: Option<ProposalId>,
}

/// What is known of the two buckets while a watch lasts.
struct Desk<'a> {
    service: &'a ProposalService,
    verdicts: kv::Store,
    standing: BTreeMap<String, StandingProposal>,
    told: BTreeMap<String, Bytes>,
    paces: BTreeMap<NodeId, DecisionPace>,
}

impl ProposalService {
    /// Works until the future is dropped.
    pub async fn serve(&self) {
        loop {
            if let Err(error) = Box::pin(self.follow()).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "can't take in proposals at the moment");
            }
            sleep(REST.mul_f64(1.0 + fastrand::f64())).await;
        }
    }

    async fn follow(&self) -> Result<(), ServiceError> {
        let verdicts =
            timeout(ANSWER_WITHIN, self.jetstream.get_key_value(self.prefix.bucket(Bucket::Verdict))).await?;
        let verdicts = verdicts.map_err(bucket)?;
        let (mut proposed, mut told) = (self.watch(Bucket::Proposed).await?, self.watch(Bucket::Verdict).await?);
        let (standing, known, paces) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut desk = Desk { service: self, verdicts, standing, told: known, paces };
        let mut heads = self.source.heads();
        let mut again = interval(AGAIN_EVERY);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = proposed.next() => {
                    let Some(message) = message else { return Ok(()) };
                    let message = message.map_err(bucket)?;
                    desk.take(message.subject.as_str(), message.payload.clone(), message.headers.clone());
                }
                message = told.next() => {
                    let Some(message) = message else { return Ok(()) };
                    let message = message.map_err(bucket)?;
                    desk.note_told(message.subject.as_str(), message.payload.clone(), message.headers.as_ref());
                    continue;
                }
                _ = heads.changed() => {}
                _ = again.tick() => {}
            }
            desk.settle().await?;
        }
    }

    async fn watch(&self, bucket_kind: Bucket) -> Result<Ordered, ServiceError> {
        let stream = self.jetstream.get_stream(self.prefix.bucket_stream(bucket_kind));
        let stream = timeout(ANSWER_WITHIN, stream).await?.map_err(bucket)?;
        let config = OrderedConfig {
            deliver_subject: self.jetstream.client().new_inbox(),
            filter_subject: self.prefix.bucket_subjects(bucket_kind),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..OrderedConfig::default()
        };
        let consumer = timeout(ANSWER_WITHIN, stream.create_consumer(config)).await?.map_err(bucket)?;
        timeout(ANSWER_WITHIN, consumer.messages()).await?.map_err(bucket)
    }
}

impl Desk<'_> {
    /// The key that a subject of a bucket is about.
    fn key(&self, kind: Bucket, subject: &str) -> Option<String> {
        subject.strip_prefix(&self.service.prefix.bucket_subject(kind, "")).map(str::to_owned)
    }

    fn take(&mut self, subject: &str, payload: Bytes, headers: Option<HeaderMap>) {
        let Some(key) = self.key(Bucket::Proposed, subject) else { return };
        if is_deletion(headers.as_ref()) {
            self.standing.remove(&key);
            return;
        }
        let Some(node) = node_of_place(&key) else { return };
        let new = StandingProposal {
            node,
            payload,
            headers,
            is_settled: false,
            ignored: None,
            was_decided: false,
            open: None,
        };
        self.standing.insert(key, new);
    }

    fn note_told(&mut self, subject: &str, payload: Bytes, headers: Option<&HeaderMap>) {
        let Some(key) = self.key(Bucket::Verdict, subject) else { return };
        if is_deletion(headers) {
            self.told.remove(&key);
            return;
        }
        // Somebody else's verdict is written over.
        if self.told.insert(key.clone(), payload.clone()).is_some_and(|before| before != payload)
            && let Some(standing) = self.standing.get_mut(&key)
        {
            (standing.is_settled, standing.open) = (false, None);
        }
    }

    /// Judges what stands, and removes the verdicts of what does not any more.
    async fn settle(&mut self) -> Result<(), ServiceError> {
        let gone: Vec<String> = self.told.keys().filter(|key| !self.standing.contains_key(*key)).cloned().collect();
        for key in gone {
            timeout(ANSWER_WITHIN, self.verdicts.delete(&key)).await?.map_err(bucket)?;
            self.told.remove(&key);
        }
        let view = self.service.source.view();
        let is_still_open = |id: &ProposalId| view.proposals().get(id).is_some_and(|proposal| proposal.end.is_none());
        let is_ignored = |standing: &StandingProposal| standing.ignored.is_some_and(|at| at.elapsed() < IGNORED_FOR);
        let is_waiting = |standing: &StandingProposal| {
            !standing.is_settled && !is_ignored(standing) && !standing.open.as_ref().is_some_and(is_still_open)
        };
        let waiting = self.standing.iter().filter(|(_, standing)| is_waiting(standing));
        let waiting: Vec<String> = waiting.map(|(key, _)| key.clone()).collect();
        let mut failed = None;
        for key in waiting {
            // Whatever is wrong with one of them, the others are judged.
            if let Err(error) = self.settle_one(&key).await {
                tracing::warn!(%key, error = &error as &dyn std::error::Error, "this proposal can't be answered at the moment");
                failed = Some(error);
            }
        }
        match failed {
            // A NATS that does not answer is tried again from the start.
            Some(error @ ServiceError::Late(_)) => Err(error),
            _ => Ok(()),
        }
    }

    async fn settle_one(&mut self, key: &str) -> Result<(), ServiceError> {
        let Some(standing) = self.standing.get(key) else { return Ok(()) };
        let (node, now) = (standing.node.clone(), Instant::now());
        let is_new = !standing.was_decided;
        if is_new && !self.paces.entry(node.clone()).or_default().allows(now) {
            return Ok(());
        }
        let source = &*self.service.source;
        let judged = match judge(source, &node, &standing.payload, standing.headers.as_ref()).await {
            Ok(judged) => judged,
            Err(error) => {
                tracing::debug!(%node, %error, "proposal can't be judged now");
                return Ok(());
            }
        };
        let (is_settled, open) = match judged {
            ProposalJudgement::Later => (false, None),
            ProposalJudgement::Ignored(why) => {
                metrics::proposal_ignored(why);
                self.standing.entry(key.to_owned()).and_modify(|standing| standing.ignored = Some(now));
                (false, None)
            }
            ProposalJudgement::Told(verdict) => {
                if is_new {
                    self.paces.entry(node.clone()).or_default().count(now);
                    self.standing.entry(key.to_owned()).and_modify(|standing| standing.was_decided = true);
                }
                self.tell(key, verdict.seal(&self.service.key).into()).await?;
                let is_open = verdict.state == VerdictState::Open;
                (verdict.is_final(), is_open.then(|| ProposalId::derived(&node, verdict.id)))
            }
        };
        if let Some(standing) = self.standing.get_mut(key) {
            (standing.is_settled, standing.open) = (is_settled, open);
        }
        Ok(())
    }

    async fn tell(&mut self, key: &str, verdict: Bytes) -> Result<(), ServiceError> {
        if self.told.get(key) != Some(&verdict) {
            timeout(ANSWER_WITHIN, self.verdicts.put(key, verdict.clone())).await?.map_err(bucket)?;
            self.told.insert(key.to_owned(), verdict);
        }
        Ok(())
    }
}

/// The node that a key of the bucket belongs to, if its agent may have put something there.
fn node_of_place(key: &str) -> Option<NodeId> {
    let (node, place) = key.split_once('.')?;
    let is_place = (0..PROPOSAL_PLACES).any(|number| place.strip_prefix('p') == Some(number.to_string().as_str()));
    if is_place { node.parse().ok() } else { None }
}

fn is_deletion(headers: Option<&HeaderMap>) -> bool {
    ["KV-Operation", "Nats-Marker-Reason"].iter().any(|name| headers.is_some_and(|it| it.get(*name).is_some()))
}
