//! Publishes what follows from the log, always in this order: blobs, records, events; and repairs NATS where it differs from that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use program::failpoints;
use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use projections::plain_contents::PlainContents;
use projections::render::{Manifest, render};
use replay::stray::StrayError;
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
use super::event_stream::EventStreamWriter;
use super::ownership::PublicKeys;
use super::records::Records;
use super::records_under_way::RecordsUnderWay;
use super::signature_check::HeldRecord;
pub use super::source::PublishSource;
use super::stream_comparison::StreamExcess;
use super::{Error, streams};

/// Nodes that are rendered and set together.
const NODES_AT_ONCE: usize = 64;
/// Events that are read together while the stream is filled; at their largest, 64 MiB.
const FILL_EVENTS: usize = 256;
/// Bytes of small contents that are cached: most records of a fleet have the same.
const SMALL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long content may take to become visible: with a synchronous standby, the write-ahead log can bring an event before a
/// query shows what was stored with it.
const VISIBLE_WITHIN: Duration = Duration::from_secs(20);
const VISIBLE_POLL: Duration = Duration::from_millis(50);
/// The shortest time from one rebuild of the event stream to the next: whoever keeps writing there costs no more than this.
const REBUILD_EVERY: Duration = Duration::from_secs(600);
/// The least pause between two steps that remove objects.
const SWEEP_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Where to publish, and the key to sign with.
#[derive(Clone, Debug)]
pub struct PublishSettings {
    /// Connected as a user that may write everything below the prefix.
    pub jetstream: Context,
    /// The first part of every name in NATS.
    pub prefix: Prefix,
    /// Copies that a NATS cluster keeps of each stream.
    pub replicas: usize,
    /// Signs desired records and checkpoints.
    pub key: SecretKey,
    /// Stands in every record.
    pub log_id: LogId,
}

/// Publishes what follows from one log.
pub struct Publisher {
    settings: PublishSettings,
    source: Arc<dyn PublishSource>,
    blobs: Blobs,
    /// The contents that nodes of an older program read in plain.
    plain: PlainContents,
    /// When the next plain objects may be removed.
    next_sweep: Instant,
    records: Records,
    events: EventStreamWriter,
    keys: PublicKeys,
    small: BTreeMap<Digest, Vec<u8>>,
    small_bytes: usize,
    stream_repair: Option<StreamRepair>,
    /// When the event stream was last rebuilt because of foreign messages.
    rebuilt: Option<Instant>,
}

/// Foreign messages stand in the event stream. Until they are removed, records are published and events are not.
enum StreamRepair {
    /// The stream is rebuilt at this time.
    Waiting { excess: StreamExcess, until: Instant },
    /// It was rebuilt, and is filled from the log.
    Filling,
}

impl Publisher {
    /// Nothing of NATS is read yet: [`Publisher::repair`] comes first.
    #[must_use]
    pub fn new(settings: PublishSettings, source: Arc<dyn PublishSource>) -> Self {
        let PublishSettings { jetstream, prefix, replicas, key, log_id } = settings.clone();
        Self {
            keys: PublicKeys::new(jetstream.clone(), prefix.clone(), log_id, key.public()),
            blobs: Blobs::new(jetstream.clone(), prefix.clone(), log_id),
            plain: PlainContents::default(),
            next_sweep: Instant::now(),
            records: Records::new(jetstream.clone(), prefix.clone(), key),
            events: EventStreamWriter::new(jetstream, prefix, replicas, log_id, Arc::clone(&source)),
            source,
            stream_repair: None,
            rebuilt: None,
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

    /// Reads back what is in NATS, and brings it to where the log is: blobs, then records, then events. The signatures of records that
    /// have the right body already are checked afterwards: see [`Publisher::resigned`].
    ///
    /// # Errors
    /// If NATS or the log does not answer, or NATS is ahead of the log.
    pub async fn repair(&mut self, state: &Configuration) -> Result<(), Error> {
        let PublishSettings { jetstream, prefix, replicas, .. } = &self.settings;
        streams::ensure(jetstream, prefix, *replicas).await?;
        failpoints::REPAIR_STREAMS.reached();
        let head = state.position();
        // A record that is ahead of the log shows that the log was restored from a backup: known before any stream is rebuilt.
        let held = self.records.recover(head).await?;
        let strays = self.events.recover(state).await?;
        self.stream_repair = strays.map(|(excess, stray)| self.repair_stream_later(excess, &stray));
        self.keys.publish(self.events.last() > Position::ZERO).await?;
        self.blobs.recover().await?;
        self.plain = PlainContents::default();
        failpoints::REPAIR_READ.reached();
        let nodes: Vec<NodeId> = state.nodes().keys().cloned().collect();
        let mut under_way = RecordsUnderWay::default();
        for nodes in nodes.chunks(NODES_AT_ONCE) {
            let desired = self.prepare(state, nodes, &mut false).await?;
            self.records.set(&mut under_way, desired, Some(&held)).await?;
        }
        let written = self.records.finish(under_way).await?;
        self.records.sweep(&held, |node| state.nodes().contains_key(node)).await?;
        self.records.start_signature_check();
        self.blobs.note_unneeded(&self.plain);
        failpoints::REPAIR_RECORDS.reached();
        let from = self.events.last();
        while self.stream_repair.is_none() && self.events.last() < head {
            self.fill(head).await?;
        }
        failpoints::REPAIR_EVENTS.reached();
        tracing::info!(%head, records = written, nodes = nodes.len(), events = self.events.last().get() - from.get(), "NATS resynced with the log");
        Ok(())
    }

    /// Publishes new events and what follows from them: blobs, then the records of the affected nodes, then the events.
    ///
    /// # Errors
    /// If NATS or the log does not answer, or somebody else wrote; [`Publisher::repair`] comes next.
    pub async fn publish(
        &mut self,
        state: &Configuration,
        affected: AffectedNodes,
        events: &[Event],
    ) -> Result<(), Error> {
        let mut has_changed = self.plain.follow(state, events);
        let nodes: Vec<NodeId> = affected.into_iter().collect();
        let mut under_way = RecordsUnderWay::default();
        for nodes in nodes.chunks(NODES_AT_ONCE) {
            let desired = self.prepare(state, nodes, &mut has_changed).await?;
            failpoints::PUBLISH_BLOBS.reached();
            self.records.set(&mut under_way, desired, None).await?;
        }
        self.records.finish(under_way).await?;
        failpoints::PUBLISH_RECORDS.reached();
        if has_changed {
            self.blobs.note_unneeded(&self.plain);
        }
        if self.stream_repair.is_none() {
            self.events.append(events).await?;
        }
        failpoints::PUBLISH_EVENTS.reached();
        Ok(())
    }

    /// Looks whether anybody else wrote to NATS, as far as counts tell. A missing bucket is made again: nodes report into one
    /// that no server ever writes.
    ///
    /// # Errors
    /// If NATS does not answer, or somebody else wrote.
    pub async fn inspect(&mut self) -> Result<(), Error> {
        let PublishSettings { jetstream, prefix, replicas, .. } = &self.settings;
        streams::ensure(jetstream, prefix, *replicas).await?;
        self.keys.publish(self.events.last() > Position::ZERO).await?;
        let (events, records, blobs) = tokio::try_join!(
            async {
                match &self.stream_repair {
                    Some(StreamRepair::Waiting { excess, .. }) => self.events.still_has(excess).await,
                    Some(StreamRepair::Filling) => Ok(true),
                    None => self.events.is_undisturbed().await,
                }
            },
            self.records.is_undisturbed(),
            self.blobs.is_undisturbed(),
        )?;
        let stores =
            [(events, prefix.event_stream()), (records, prefix.bucket(Bucket::Desired)), (blobs, prefix.blobs())];
        match stores.into_iter().find(|(is_undisturbed, _)| !is_undisturbed) {
            None => Ok(()),
            Some((_, name)) => Err(Error::Disturbed(name)),
        }
    }

    /// Waits until [`Publisher::repair_stream`] has something to do; for ever while nobody else wrote to the event stream.
    pub async fn stream_repair_due(&self) {
        match &self.stream_repair {
            None => std::future::pending().await,
            Some(StreamRepair::Waiting { until, .. }) => sleep_until(*until).await,
            Some(StreamRepair::Filling) => {}
        }
    }

    /// Repairs the event stream by one step: copies foreign messages aside and rebuilds the stream, or fills it a little further
    /// towards the log's head. New transactions are handled between two steps.
    ///
    /// # Errors
    /// If NATS or the log does not answer; [`Publisher::repair`] comes next.
    pub async fn repair_stream(&mut self, head: Position) -> Result<(), Error> {
        match self.stream_repair.take() {
            None => return Ok(()),
            Some(StreamRepair::Waiting { excess, .. }) => {
                metrics::strays_removed(self.events.remove_strays(&excess, head).await?);
                self.rebuilt = Some(Instant::now());
            }
            Some(StreamRepair::Filling) => self.fill(head).await?,
        }
        match self.events.last() < head {
            true => self.stream_repair = Some(StreamRepair::Filling),
            false => tracing::info!(%head, "event stream repaired"),
        }
        Ok(())
    }

    /// Waits until [`Publisher::sweep_objects`] has something to do; for ever while every object is needed.
    pub async fn sweep_due(&self) {
        match self.blobs.has_unneeded() {
            true => sleep_until(self.next_sweep).await,
            false => std::future::pending().await,
        }
    }

    /// Removes some of the objects that hold content in plain and that nobody needs. New transactions are handled between two steps.
    ///
    /// # Errors
    /// If NATS does not answer; [`Publisher::repair`] comes next.
    pub async fn sweep_objects(&mut self) -> Result<(), Error> {
        let since = Instant::now();
        self.blobs.sweep().await?;
        // Between two steps the write-ahead log gets at least as much time, and its heartbeat is written.
        self.next_sweep = Instant::now() + since.elapsed().max(SWEEP_PAUSE_MIN);
        Ok(())
    }

    /// Waits for records that stand in NATS with the right body and a wrong signature, and gives them with the right one, for
    /// [`Publisher::set_resigned`]. For ever once the signature of every record was checked.
    pub async fn resigned(&self) -> Vec<HeldRecord> {
        self.records.resigned().await
    }

    /// Sets records whose signature was wrong.
    ///
    /// # Errors
    /// If NATS does not answer, or somebody else wrote; [`Publisher::repair`] comes next.
    pub async fn set_resigned(&mut self, records: Vec<HeldRecord>) -> Result<(), Error> {
        self.records.set_resigned(records).await
    }

    fn repair_stream_later(&self, excess: StreamExcess, stray: &StrayError) -> StreamRepair {
        let until = self.rebuilt.map_or_else(Instant::now, |rebuilt| rebuilt + REBUILD_EVERY);
        let is_known = matches!(&self.stream_repair, Some(StreamRepair::Waiting { excess: known, .. }) if known.agreed == excess.agreed);
        if !is_known {
            let (stream, position) = (self.settings.prefix.event_stream(), excess.agreed.next());
            let in_s = until.saturating_duration_since(Instant::now()).as_secs();
            tracing::error!(stream, %position, %stray, in_s, "foreign message in the event stream");
        }
        StreamRepair::Waiting { excess, until }
    }

    /// Publishes the next events of the log, towards its head.
    async fn fill(&mut self, head: Position) -> Result<(), Error> {
        let events = self.source.events(self.events.last(), FILL_EVENTS).await.map_err(Error::Source)?;
        let known = events.iter().take_while(|event| event.position <= head).count();
        match known {
            0 => Err(Error::Source("the table has fewer events than its head says".into())),
            known => self.events.append(&events[..known]).await,
        }
    }

    /// Whether this publisher wrote or read this revision of a node's record, or a later one.
    #[must_use]
    pub fn knows(&self, key: &str, revision: u64) -> bool {
        self.records.knows(key, revision)
    }

    /// Renders the records of nodes, and puts every blob that they point at first. Notes whether other contents are needed in plain then.
    async fn prepare(
        &mut self,
        state: &Configuration,
        nodes: &[NodeId],
        has_changed: &mut bool,
    ) -> Result<Vec<Desired>, Error> {
        let manifests: Vec<Manifest> = nodes.iter().filter_map(|node| render(state, node)).collect();
        let fetched: BTreeSet<Digest> = manifests.iter().flat_map(Manifest::fetched).collect();
        manifests.iter().for_each(|manifest| *has_changed |= self.plain.note(state, manifest));
        // The content of documents is in the table; job specs follow from the state, and come with their manifests.
        let brought: BTreeMap<Digest, Arc<[u8]>> = manifests.iter().flat_map(Manifest::rendered_content).collect();
        let source = Arc::clone(&self.source);
        let content = |digest| read_content(Arc::clone(&source), brought.get(&digest).cloned(), digest);
        self.blobs.ensure(&fetched, &self.plain.among(&fetched), content).await?;
        self.cache_small(manifests.iter().flat_map(Manifest::inline).collect()).await?;
        let filled =
            |manifest: Manifest| manifest.fill(self.settings.log_id, |digest| self.small.get(&digest).cloned());
        let filled: Result<Vec<Desired>, Digest> = manifests.into_iter().map(filled).collect();
        filled.map_err(|digest| Error::Source(format!("content {} is missing", digest.short()).into()))
    }

    async fn cache_small(&mut self, wanted: BTreeSet<Digest>) -> Result<(), Error> {
        if self.small_bytes > SMALL_BYTES_MAX {
            self.small.clear();
            self.small_bytes = 0;
        }
        let missing = wanted.into_iter().filter(|digest| !self.small.contains_key(digest)).collect();
        let found = read_visible(&*self.source, missing).await.map_err(Error::Source)?;
        self.small_bytes += found.values().map(Vec::len).sum::<usize>();
        self.small.extend(found);
        Ok(())
    }
}

async fn read_content(
    source: Arc<dyn PublishSource>,
    brought: Option<Arc<[u8]>>,
    digest: Digest,
) -> Result<Vec<u8>, SourceError> {
    if let Some(bytes) = brought {
        return Ok(bytes.to_vec());
    }
    let mut found = read_visible(&*source, vec![digest]).await?;
    found.remove(&digest).ok_or_else(|| format!("content {} is missing", digest.short()).into())
}

/// Reads contents, again and again until all of them are visible.
async fn read_visible(
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
                return Err(format!("content {} did not become visible", missing.short()).into());
            }
            tokio::time::sleep(VISIBLE_POLL).await;
        }
    }
    Ok(found)
}
