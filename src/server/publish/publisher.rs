//! The order of publishing, and the repair of what differs from what should be there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use program::failpoints;
use projections::configuration::Configuration;
use projections::fold::Touched;
use projections::render::{Manifest, render};
use replay::stray::Stray;
use schema::address::{Bucket, Prefix};
use schema::desired::Desired;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::{LogId, NodeId};
use schema::position::Position;
use schema::seal::SecretKey;
use tokio::time::{Instant, sleep_until};

use super::blobs::Blobs;
use super::error::SourceError;
use super::event_stream::Events;
use super::ownership::PublicKeys;
use super::records::Records;
pub use super::source::PublishSource;
use super::stream_comparison::StreamExcess;
use super::{Error, streams};

/// Nodes that are rendered and set together.
const NODES_AT_ONCE: usize = 64;
/// Events that are read together while the stream is filled: of the largest, 64 MiB.
const FILL_EVENTS: usize = 256;
/// Bytes of small content that are remembered, so that not every record reads the same again.
const SMALL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long content may take to become visible. With a synchronous standby, the write-ahead log can bring an event
/// before a snapshot shows what was stored with it.
const VISIBLE_WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How soon the event stream is made anew again after it was: whoever goes on writing there costs no more than this.
const REMAKE_EVERY: Duration = Duration::from_secs(600);

/// What to publish to, and as whom.
#[derive(Clone, Debug)]
pub struct PublishSettings {
    /// The connection.
    pub jetstream: Context,
    /// What all names begin with.
    pub prefix: Prefix,
    /// Copies that a NATS cluster keeps of each stream.
    pub replicas: usize,
    /// What records are signed with.
    pub key: SecretKey,
    /// Which log.
    pub log_id: LogId,
}

/// Makes public what follows from the log.
pub struct Publisher {
    settings: PublishSettings,
    source: Arc<dyn PublishSource>,
    blobs: Blobs,
    records: Records,
    events: Events,
    keys: PublicKeys,
    small: BTreeMap<Digest, Vec<u8>>,
    small_bytes: usize,
    mending: Option<Mending>,
    /// When the event stream was last made anew because of what somebody else wrote.
    remade: Option<Instant>,
}

/// What somebody else wrote to the event stream, until it is taken out. Records are published all the while, and events are not.
enum Mending {
    /// The stream is made anew at this time.
    Waiting { excess: StreamExcess, until: Instant },
    /// It was, and is filled from the log.
    Filling,
}

impl Publisher {
    /// Knows nothing of NATS yet: [`Publisher::repair`] first.
    #[must_use]
    pub fn new(settings: PublishSettings, source: Arc<dyn PublishSource>) -> Self {
        let PublishSettings { jetstream, prefix, replicas, key, log_id } = settings.clone();
        Self {
            keys: PublicKeys::new(jetstream.clone(), prefix.clone(), log_id, key.public()),
            blobs: Blobs::new(jetstream.clone(), prefix.clone()),
            records: Records::new(jetstream.clone(), prefix.clone(), key),
            events: Events::new(jetstream, prefix, replicas, log_id, Arc::clone(&source)),
            source,
            mending: None,
            remade: None,
            small: BTreeMap::new(),
            small_bytes: 0,
            settings,
        }
    }

    /// The last event that is public.
    #[must_use]
    pub fn published(&self) -> Position {
        self.events.last()
    }

    /// Reads back what is in NATS, and brings all of it to where the log is: blobs, then records, then events.
    ///
    /// # Errors
    /// If NATS or the log does not answer, or NATS is ahead of the log.
    pub async fn repair(&mut self, state: &Configuration) -> Result<(), Error> {
        let PublishSettings { jetstream, prefix, replicas, .. } = &self.settings;
        streams::ensure(jetstream, prefix, *replicas).await?;
        failpoints::REPAIR_STREAMS.reached();
        let head = state.position();
        // A record that is ahead of the log shows that it was put back: this is known before a stream is made anew.
        let held = self.records.recover(head).await?;
        let excess = self.events.recover(state).await?;
        self.mending = excess.map(|(excess, stray)| self.mend_later(excess, &stray));
        self.keys.settle(self.events.last() > Position::ZERO).await?;
        self.blobs.recover().await?;
        failpoints::REPAIR_READ.reached();
        let nodes: Vec<NodeId> = state.nodes().keys().cloned().collect();
        let mut written = 0;
        for nodes in nodes.chunks(NODES_AT_ONCE) {
            let desired = self.prepare(state, nodes).await?;
            written += self.records.set(desired, Some(&held)).await?;
        }
        self.records.sweep(&held, |node| state.nodes().contains_key(node)).await?;
        failpoints::REPAIR_RECORDS.reached();
        let from = self.events.last();
        while self.mending.is_none() && self.events.last() < head {
            self.fill(head).await?;
        }
        failpoints::REPAIR_EVENTS.reached();
        tracing::info!(%head, records = written, nodes = nodes.len(), events = self.events.last().get() - from.get(), "NATS is level with the log");
        Ok(())
    }

    /// Publishes what came since: blobs, then the records of the nodes concerned, then the events.
    ///
    /// # Errors
    /// If NATS or the log does not answer, or somebody else wrote; [`Publisher::repair`] is next.
    pub async fn publish(&mut self, state: &Configuration, touched: Touched, events: &[Event]) -> Result<(), Error> {
        let nodes: Vec<NodeId> = touched.into_iter().collect();
        for nodes in nodes.chunks(NODES_AT_ONCE) {
            let desired = self.prepare(state, nodes).await?;
            failpoints::PUBLISH_BLOBS.reached();
            self.records.set(desired, None).await?;
        }
        failpoints::PUBLISH_RECORDS.reached();
        if self.mending.is_none() {
            self.events.append(events).await?;
        }
        failpoints::PUBLISH_EVENTS.reached();
        Ok(())
    }

    /// Looks whether anybody else wrote to NATS, as far as counts tell. A bucket that is gone is made again: nodes report
    /// into one that the centre never writes.
    ///
    /// # Errors
    /// If NATS does not answer, or somebody did.
    pub async fn inspect(&mut self) -> Result<(), Error> {
        let PublishSettings { jetstream, prefix, replicas, .. } = &self.settings;
        streams::ensure(jetstream, prefix, *replicas).await?;
        self.keys.settle(self.events.last() > Position::ZERO).await?;
        let (events, records, blobs) = tokio::try_join!(
            async {
                match &self.mending {
                    Some(Mending::Waiting { excess, .. }) => self.events.still_has(excess).await,
                    Some(Mending::Filling) => Ok(true),
                    None => self.events.is_undisturbed().await,
                }
            },
            self.records.is_undisturbed(),
            self.blobs.is_undisturbed(),
        )?;
        let kept =
            [(events, prefix.event_stream()), (records, prefix.bucket(Bucket::Desired)), (blobs, prefix.blobs())];
        match kept.into_iter().find(|(is_undisturbed, _)| !is_undisturbed) {
            None => Ok(()),
            Some((_, what)) => Err(Error::Disturbed(what)),
        }
    }

    /// Waits until there is something to do about what somebody else wrote to the event stream; for ever while nobody did.
    pub async fn mend_due(&self) {
        match &self.mending {
            None => std::future::pending().await,
            Some(Mending::Waiting { until, .. }) => sleep_until(*until).await,
            Some(Mending::Filling) => {}
        }
    }

    /// Takes the next step: what somebody else wrote is put aside and the stream made anew, or it is filled a little further
    /// towards the log's head.
    ///
    /// # Errors
    /// If NATS or the log does not answer; [`Publisher::repair`] is next.
    pub async fn mend(&mut self, head: Position) -> Result<(), Error> {
        match self.mending.take() {
            None => return Ok(()),
            Some(Mending::Waiting { excess, .. }) => {
                metrics::took_out(self.events.take_out(&excess, head).await?);
                self.remade = Some(Instant::now());
            }
            Some(Mending::Filling) => self.fill(head).await?,
        }
        match self.events.last() < head {
            true => self.mending = Some(Mending::Filling),
            false => tracing::info!(%head, "the event stream is level with the log again"),
        }
        Ok(())
    }

    fn mend_later(&self, excess: StreamExcess, stray: &Stray) -> Mending {
        let until = self.remade.map_or_else(Instant::now, |remade| remade + REMAKE_EVERY);
        let is_known =
            matches!(&self.mending, Some(Mending::Waiting { excess: known, .. }) if known.agreed == excess.agreed);
        if !is_known {
            let (stream, position) = (self.settings.prefix.event_stream(), excess.agreed.next());
            let in_s = until.saturating_duration_since(Instant::now()).as_secs();
            tracing::error!(stream, %position, %stray, in_s, "somebody else wrote to the event stream");
        }
        Mending::Waiting { excess, until }
    }

    /// Publishes the next events of the log up to its head.
    async fn fill(&mut self, head: Position) -> Result<(), Error> {
        let events = self.source.events(self.events.last(), FILL_EVENTS).await.map_err(Error::Source)?;
        let known = events.iter().take_while(|event| event.position <= head).count();
        match known {
            0 => Err(Error::Source("the table has fewer events than its head says".into())),
            known => self.events.append(&events[..known]).await,
        }
    }

    /// Whether a revision of a node's record is one that this publisher wrote or read.
    #[must_use]
    pub fn knows(&self, key: &str, revision: u64) -> bool {
        self.records.knows(key, revision)
    }

    /// Renders nodes, and makes sure that everything their records point at is there.
    async fn prepare(&mut self, state: &Configuration, nodes: &[NodeId]) -> Result<Vec<Desired>, Error> {
        let manifests: Vec<Manifest> = nodes.iter().filter_map(|node| render(state, node)).collect();
        let fetched: BTreeSet<Digest> = manifests.iter().flat_map(Manifest::fetched).collect();
        // Documents are content of the table; job specs follow from the state, and their manifests bring them.
        let brought: BTreeMap<Digest, Arc<[u8]>> = manifests.iter().flat_map(Manifest::brought).collect();
        let source = Arc::clone(&self.source);
        let content = |digest| one(Arc::clone(&source), brought.get(&digest).cloned(), digest);
        self.blobs.ensure(fetched, content).await?;
        self.remember(manifests.iter().flat_map(Manifest::inline).collect()).await?;
        let filled =
            |manifest: Manifest| manifest.fill(self.settings.log_id, |digest| self.small.get(&digest).cloned());
        let filled: Result<Vec<Desired>, Digest> = manifests.into_iter().map(filled).collect();
        filled.map_err(|digest| Error::Source(format!("content {digest} is missing").into()))
    }

    /// Reads small content that is not remembered yet.
    async fn remember(&mut self, wanted: BTreeSet<Digest>) -> Result<(), Error> {
        if self.small_bytes > SMALL_BYTES_MAX {
            self.small.clear();
            self.small_bytes = 0;
        }
        let missing = wanted.into_iter().filter(|digest| !self.small.contains_key(digest)).collect();
        let found = visible(&*self.source, missing).await.map_err(Error::Source)?;
        self.small_bytes += found.values().map(Vec::len).sum::<usize>();
        self.small.extend(found);
        Ok(())
    }
}

async fn one(
    source: Arc<dyn PublishSource>,
    brought: Option<Arc<[u8]>>,
    digest: Digest,
) -> Result<Vec<u8>, SourceError> {
    if let Some(bytes) = brought {
        return Ok(bytes.to_vec());
    }
    let mut found = visible(&*source, vec![digest]).await?;
    found.remove(&digest).ok_or_else(|| format!("content {digest} is missing").into())
}

/// Content of digests, asked for again until all of it is visible.
async fn visible(
    source: &dyn PublishSource,
    mut wanted: Vec<Digest>,
) -> Result<BTreeMap<Digest, Vec<u8>>, SourceError> {
    let deadline = tokio::time::Instant::now() + VISIBLE_WITHIN;
    let mut found = BTreeMap::new();
    while !wanted.is_empty() {
        found.append(&mut source.contents(wanted.clone()).await?);
        wanted.retain(|digest| !found.contains_key(digest));
        if let Some(missing) = wanted.first() {
            if tokio::time::Instant::now() >= deadline {
                return Err(format!("content {missing} did not become visible").into());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Ok(found)
}
