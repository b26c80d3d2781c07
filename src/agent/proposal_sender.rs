//! Sends what lies in the outbox, and learns what became of it.
//!
//! A proposal stands under one of a few places in bucket `cfg_proposed`; its verdict is in `cfg_verdict` under the same place and names its
//! id. Which place holds which proposal is decided anew at each start: then everything is put again, signed with the number of the boot.
//!
//! Invariants: once a verdict is final it is noted, the file leaves the outbox, durably, and only then the place is cleared, so that a
//! proposal is never forgotten before its verdict is known; a verdict counts only if the log's key signed it for this node and this id.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bus::connect::Link;
use bytes::Bytes;
use program::clock::system_time;
use program::failpoints;
use schema::address::{Bucket, Prefix};
use schema::desired::Desired;
use schema::id::{LogId, NodeId, ProposalUuid};
use schema::permissions::PROPOSAL_PLACES;
use schema::proposal::ProposalBase;
use schema::proposal_message::{ProposalMessage, Verdict};
use schema::say::{SIGNATURE_HEADER, Statement};
use schema::seal::{PublicKey, SecretKey};
use schema::wire::WireRecord as _;
use tokio::time::{Instant, sleep, timeout};

use crate::apply_error::ApplyError;
use crate::boot_number::BootNumber;
use crate::folder_reader;
use crate::layout::Layout;
use crate::outbox::{Outbox, OutboxFile, base_of};
use crate::proposal_history::{PastProposal, ProposalHistory};

/// How often the outbox is looked at, and verdicts are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long NATS may take for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A proposal without a verdict is put again after this time, because NATS may have lost it; each further time after twice as long.
const PUT_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The longest time: a server may be away for days, or take no more of this node at the moment.
const PUT_AGAIN_AFTER_MAX: Duration = Duration::from_secs(5 * 60);

/// Sends the proposals of one node, in one boot of its agent.
pub struct ProposalSender {
    /// The connection.
    pub link: Link,
    /// What the names in NATS begin with.
    pub prefix: Prefix,
    /// The node.
    pub node: NodeId,
    /// Signs each message.
    pub say: SecretKey,
    /// The number of the boot.
    pub boot_number: BootNumber,
    /// The node's folder.
    pub layout: Layout,
}

/// A proposal in its place.
struct Placed {
    id: ProposalUuid,
    file: OutboxFile,
    /// When it was put last; none if it has to be put.
    put_at: Option<Instant>,
    /// After what time without a verdict it is put again.
    again_after: Duration,
    /// Whether a verdict was seen since then.
    is_told: bool,
}

impl Placed {
    fn of(id: ProposalUuid, file: OutboxFile) -> Self {
        Self { id, file, put_at: None, again_after: PUT_AGAIN_AFTER, is_told: false }
    }

    /// It is put at the next turn.
    fn put_anew(&mut self) {
        (self.put_at, self.again_after) = (None, PUT_AGAIN_AFTER);
    }

    fn is_due(&self) -> bool {
        self.put_at.is_none_or(|at| !self.is_told && at.elapsed() > self.again_after)
    }

    /// It was put just now.
    fn note_put(&mut self) {
        if self.put_at.is_some() {
            self.again_after = (self.again_after * 2).min(PUT_AGAIN_AFTER_MAX);
        }
        (self.put_at, self.is_told) = (Some(Instant::now()), false);
    }
}

/// What holds while the sender runs.
struct Places {
    by_number: BTreeMap<usize, Placed>,
    /// Places that may hold something of an earlier boot.
    uncleared: Vec<usize>,
    history: ProposalHistory,
    seq: u64,
    /// Files that are no proposals, and of which the log was told.
    unreadable: BTreeSet<ProposalUuid>,
}

/// What the node knows of its log.
struct Follows {
    log_id: LogId,
    key: PublicKey,
}

impl ProposalSender {
    /// Sends for ever.
    pub async fn run(self) {
        let boot_no = self.boot_number.known().await;
        let history = ProposalHistory::read(&self.layout);
        // A node that never proposed anything has nothing in NATS.
        let has_proposed = !history.proposals.is_empty() || Outbox::of(&self.layout).exists();
        let uncleared = if has_proposed { (0..PROPOSAL_PLACES).collect() } else { Vec::new() };
        let mut places = Places { by_number: BTreeMap::new(), uncleared, history, seq: 0, unreadable: BTreeSet::new() };
        let mut ups = self.link.ups();
        loop {
            self.link.up().await;
            if ups.has_changed().unwrap_or_default() {
                ups.mark_unchanged();
                // NATS may have been emptied meanwhile.
                places.by_number.values_mut().for_each(Placed::put_anew);
            }
            if let Err(why) = self.turn(boot_no, &mut places).await {
                tracing::warn!(%why, "proposals can't be sent at the moment; trying again");
                sleep(ANSWER_WITHIN).await;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn turn(&self, boot_no: u64, places: &mut Places) -> Result<(), String> {
        let state = folder_reader::read_state(&self.layout).map_err(|error| error.to_string())?;
        let Some(state) = state else { return Ok(()) };
        let (Some(log_id), Some(key)) = (state.log_id, state.key.as_ref()) else { return Ok(()) };
        let follows = Follows { log_id, key: key.0.clone() };
        self.learn(&follows, places).await?;
        let running = || -> Result<Option<Desired>, ApplyError> {
            let running = folder_reader::read_running(&self.layout, &state)?;
            running.map(|running| folder_reader::read_record(&self.layout, &state, running)).transpose()
        };
        self.place(places, running)?;
        while let Some(number) = places.uncleared.last().copied() {
            if !places.by_number.contains_key(&number) {
                self.clear(number).await?;
            }
            places.uncleared.pop();
        }
        let (Places { by_number, seq, .. }, mut failed) = (places, None);
        for (number, placed) in by_number {
            if placed.is_due() {
                *seq += 1;
                // One that can't be put does not keep the others from their places.
                match self.put(*number, placed, &follows, (boot_no, *seq)).await {
                    Ok(()) => placed.note_put(),
                    Err(why) => failed = Some(why),
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Gives each proposal that has no place a free one, the oldest first, and fills in what the node has.
    fn place(
        &self,
        places: &mut Places,
        running: impl Fn() -> Result<Option<Desired>, ApplyError>,
    ) -> Result<(), String> {
        let outbox = Outbox::of(&self.layout);
        let listing = outbox.list().map_err(|error| error.to_string())?;
        for (id, file) in listing.proposals {
            if let Some(placed) = places.by_number.values_mut().find(|placed| placed.id == id) {
                // All else of a file that was sent stays as it was.
                if file.is_ok_and(|file| file.withdrawn) && !placed.file.withdrawn {
                    placed.file.withdrawn = true;
                    placed.put_anew();
                }
                continue;
            }
            let Some(number) = (0..PROPOSAL_PLACES).find(|number| !places.by_number.contains_key(number)) else {
                break;
            };
            let file = match file {
                Ok(file) => file,
                Err(error) => {
                    if places.unreadable.insert(id) {
                        tracing::warn!(%error, "a file in the outbox is no proposal; headwater edge proposals lists it");
                    }
                    continue;
                }
            };
            // The older one is decided first: it must not supersede the newer one.
            if places.by_number.values().any(|placed| placed.file.path == file.path && !placed.is_told) {
                continue;
            }
            let base = base_of(running().map_err(|error| error.to_string())?.as_ref(), &file.path);
            let file = outbox.pin(id, &file, base, system_time()).map_err(|error| error.to_string())?;
            places.by_number.insert(number, Placed::of(id, file));
        }
        Ok(())
    }

    /// Reads the verdicts on what stands in a place.
    async fn learn(&self, follows: &Follows, places: &mut Places) -> Result<(), String> {
        let stream = self.link.jetstream().get_stream_no_info(self.prefix.bucket_stream(Bucket::Verdict)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let mut ended = Vec::new();
        for (number, placed) in &mut places.by_number {
            // A verdict that was there and is not any more means that NATS lost the two.
            placed.is_told = false;
            let Some(bytes) = self.verdict(&stream, *number).await? else { continue };
            let Ok(verdict) = Verdict::open(&bytes, &follows.key) else { continue };
            if (verdict.log_id, &verdict.node, verdict.id) != (follows.log_id, &self.node, placed.id) {
                continue;
            }
            (placed.is_told, placed.again_after) = (true, PUT_AGAIN_AFTER);
            let is_final = verdict.is_final();
            let past = PastProposal { id: placed.id, path: placed.file.path.clone(), verdict };
            places.history.note(&self.layout, past).map_err(|error| error.to_string())?;
            if is_final {
                ended.push((*number, placed.id));
            }
        }
        for (number, id) in ended {
            failpoints::PROPOSAL_TOLD.reached();
            Outbox::of(&self.layout).remove(id).map_err(|error| error.to_string())?;
            failpoints::PROPOSAL_REMOVED.reached();
            self.clear(number).await?;
            places.by_number.remove(&number);
        }
        Ok(())
    }

    async fn verdict(&self, stream: &Stream<()>, number: usize) -> Result<Option<Bytes>, String> {
        let read = stream.direct_get_last_for_subject(self.subject(Bucket::Verdict, number));
        match timeout(ANSWER_WITHIN, read).await {
            Ok(Ok(message)) if message.headers.get("KV-Operation").is_none() => Ok(Some(message.payload)),
            Ok(Ok(_)) => Ok(None),
            Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("NATS did not answer within 5 s: may this user read its verdicts?".to_owned()),
        }
    }

    async fn put(
        &self,
        number: usize,
        placed: &Placed,
        follows: &Follows,
        (boot_no, seq): (u64, u64),
    ) -> Result<(), String> {
        let file = &placed.file;
        let none = ProposalBase { position: schema::position::Position::ZERO, digest: None };
        let message = ProposalMessage {
            v: ProposalMessage::NEWEST,
            log_id: follows.log_id,
            node: self.node.clone(),
            boot_no,
            seq,
            id: placed.id,
            withdrawn: file.withdrawn,
            path: file.path.clone(),
            media_type: file.media_type.clone(),
            content: file.bytes()?,
            base: file.base.unwrap_or(none),
            reason: file.reason.clone(),
            at: file.at.unwrap_or_default(),
        };
        let message = message.write();
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, Statement::Proposal.sign(&self.say, &message));
        self.publish(number, headers, message.into()).await?;
        failpoints::PROPOSAL_PUT.reached();
        Ok(())
    }

    async fn clear(&self, number: usize) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert("KV-Operation", "DEL");
        self.publish(number, headers, Bytes::new()).await
    }

    async fn publish(&self, number: usize, headers: HeaderMap, payload: Bytes) -> Result<(), String> {
        let subject = self.subject(Bucket::Proposed, number);
        let stored = async {
            let sent = self.link.jetstream().publish_with_headers(subject, headers, payload).await;
            sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        };
        match timeout(ANSWER_WITHIN, stored).await {
            Ok(stored) => stored.map(|_| ()),
            Err(_) => Err("NATS did not answer within 5 s: may this user propose?".to_owned()),
        }
    }

    fn subject(&self, bucket: Bucket, number: usize) -> String {
        self.prefix.bucket_subject(bucket, &format!("{}.p{number}", self.node))
    }
}
