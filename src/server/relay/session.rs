//! What a relay waits for while it holds the slot.

use std::time::Duration;

use bus::connect::Link;
use program::failpoints;
use program::tasks::resume_panic;
use replay::reverify::ReverifyError;
use schema::event::Event;
use schema::position::Position;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;
use wal::Error as WalError;
use wal::tail::{Batch, Receipt, Tail};

use crate::publish::foreign_writes::RecordWrite;
use crate::publish::publisher::Publisher;
use crate::publish::signature_check::HeldRecord;

use super::log_check::{FollowerRequest, LogCheck};

/// How often the relay looks whether somebody else wrote to NATS, and whether the slot skipped anything.
const INSPECT_EVERY: Duration = Duration::from_secs(5);
/// How often the relay signs a checkpoint of what was published since.
const SIGN_EVERY: Duration = Duration::from_secs(5);

/// The slot is held for as long as this lives, and the log is checked beside the work.
pub(super) struct Session {
    tail: Tail,
    /// Transactions that came in and are not acknowledged.
    receipt: Option<Receipt>,
    check: AbortOnDropHandle<ReverifyError>,
    follower_requests: mpsc::Receiver<FollowerRequest>,
    reconnects: watch::Receiver<u64>,
    inspection: Interval,
    signature: Interval,
}

/// What the relay has to act on.
pub(super) enum Trigger {
    /// Whole transactions came through the slot.
    Transactions(Vec<Event>),
    /// Somebody wrote to the bucket of desired records: the relay itself, or somebody else.
    RecordWritten(RecordWrite),
    /// The connection to NATS was lost and is back.
    NatsReturned,
    InspectionDue,
    SignatureDue,
    /// The event stream, to which somebody else wrote, can be repaired a step further.
    StreamRepairDue,
    /// Records were in NATS before with a wrong signature; here they have the right one.
    Resigned(Vec<HeldRecord>),
    /// Objects that hold content in plain are needed by nobody.
    SweepDue,
    /// The check of the log asks what the relay has folded.
    FollowerWanted(FollowerRequest),
    /// The check found the log changed.
    DifferenceFound(ReverifyError),
}

impl Session {
    pub(super) fn start(tail: Tail, check: LogCheck, link: &Link) -> Self {
        let (asks, follower_requests) = mpsc::channel(1);
        let check = AbortOnDropHandle::new(tokio::spawn(check.run(asks)));
        let mut reconnects = link.ups();
        reconnects.mark_unchanged();
        let (inspection, signature) = (every(INSPECT_EVERY), every(SIGN_EVERY));
        Self { tail, receipt: None, check, follower_requests, reconnects, inspection, signature }
    }

    /// Waits for whatever comes first.
    pub(super) async fn next_trigger(
        &mut self,
        writes: &mut mpsc::Receiver<RecordWrite>,
        signature_wanted: &Notify,
        publisher: &Publisher,
    ) -> Result<Trigger, WalError> {
        Ok(tokio::select! {
            batch = self.tail.next() => {
                let Batch { events, receipt } = batch?;
                self.receipt = Some(receipt);
                Trigger::Transactions(events)
            }
            Some(write) = writes.recv() => Trigger::RecordWritten(write),
            Ok(()) = self.reconnects.changed() => Trigger::NatsReturned,
            _ = self.inspection.tick() => Trigger::InspectionDue,
            _ = self.signature.tick() => Trigger::SignatureDue,
            () = signature_wanted.notified() => Trigger::SignatureDue,
            () = publisher.stream_repair_due() => Trigger::StreamRepairDue,
            records = publisher.resigned() => Trigger::Resigned(records),
            () = publisher.sweep_due() => Trigger::SweepDue,
            Some(request) = self.follower_requests.recv() => Trigger::FollowerWanted(request),
            found = &mut self.check => Trigger::DifferenceFound(resume_panic(found)),
        })
    }

    /// Acknowledges the transactions that came in last, if they are not yet: all that follows from them is public.
    pub(super) fn acknowledge(&mut self, published: Position) {
        if let Some(receipt) = self.receipt.take() {
            failpoints::RELAY_PUBLISHED.reached();
            self.tail.acknowledge(receipt);
            failpoints::RELAY_ACKNOWLEDGED.reached();
            metrics::position_acknowledged(published);
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
