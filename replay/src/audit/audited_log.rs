//! The log as far as it was audited, and what the next header, event and checkpoint have to agree with.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use projections::fold::AffectedNodes;
use schema::digest::Digest;
use schema::entity::Kind;
use schema::id::LogId;
use schema::position::Position;
use schema::seal::PublicKey;

use super::prepared::UnusableEvent;
use super::totals::AuditTotals;
use crate::checkpoint::Checkpoint;
use crate::event_error::EventError;
use crate::file::body::ExportHeader;
use crate::finding::Finding;
use crate::log::{Follower, OpenedEvent};
use crate::plan_check::PlannedRequest;

/// The log up to the last event that was accepted.
#[derive(Debug)]
pub(super) struct AuditedLog {
    pub(super) id: LogId,
    pub(super) key: PublicKey,
    pub(super) follower: Follower,
    /// The present request, if it may have come with a plan.
    pub(super) planned: Option<PlannedRequest>,
    pub(super) blobs: BTreeMap<Digest, HeldContent>,
    /// Checkpoints whose event is still to come, in order.
    pub(super) ahead: VecDeque<Checkpoint>,
    /// The size of the last checkpoint in this part.
    pub(super) noted: Option<Position>,
    pub(super) to: Position,
}

/// A content of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldContent {
    pub(super) size: u64,
    pub(super) named: bool,
}

impl AuditedLog {
    pub(super) fn new(id: LogId, key: PublicKey) -> Self {
        Self {
            id,
            key,
            follower: Follower::new(id),
            planned: None,
            blobs: BTreeMap::new(),
            ahead: VecDeque::new(),
            noted: None,
            to: Position::ZERO,
        }
    }

    pub(super) fn next(&self) -> Position {
        self.follower.position().next()
    }

    pub(super) fn begin(&mut self, header: &ExportHeader, key: &PublicKey) -> Result<(), Finding> {
        let next = self.next();
        let wrong =
            |code, what: &str, expected: String, found: String| Err(Finding::new(next, code, what, expected, found));
        if header.log_id != self.id {
            return wrong("other_log", "the file is of another log", self.id.to_string(), header.log_id.to_string());
        }
        if *key != self.key {
            let (expected, found) = (hex::encode(self.key.as_bytes()), hex::encode(key.as_bytes()));
            return wrong("key", "the file has another key than the one before it", expected, found);
        }
        if header.from != next {
            let what = "the file does not begin where the log before it ends: give all exports in their order";
            return wrong("gap", what, next.to_string(), header.from.to_string());
        }
        if header.to < self.follower.position() {
            return wrong(
                "end",
                "the file ends before it begins",
                format!("{} or more", header.from),
                header.to.to_string(),
            );
        }
        if header.frontier != self.follower.frontier().roots() {
            let shown = |roots: &[Digest]| roots.iter().map(Digest::short).collect::<Vec<_>>().join(" ");
            let what = "the file goes on from another tree";
            return wrong("edge", what, shown(self.follower.frontier().roots()), shown(&header.frontier));
        }
        (self.to, self.noted) = (header.to, None);
        Ok(())
    }

    pub(super) fn open(&self, note: &str) -> Result<Checkpoint, Finding> {
        Checkpoint::open(note.as_bytes(), self.id, &self.key).map_err(|bad| {
            let expected = format!("a note that {} signed", hex::encode(self.key.as_bytes()));
            Finding::new(self.next(), "checkpoint", "a checkpoint is none of this log", expected, bad)
        })
    }

    pub(super) fn unfit(&self, unfit: &UnusableEvent) -> Finding {
        let next = self.next();
        match unfit {
            UnusableEvent::Event(fault) => {
                let (event, fault) = &**fault;
                // An event in the wrong place is named as such, whatever else is wrong with it.
                match event.position == next {
                    true => Finding::fault(next, event, fault),
                    false => Finding::fault(next, event, &EventError::Gap { found: event.position }),
                }
            }
            UnusableEvent::Row(why) => {
                Finding::new(next, "row", "the event can't be read", "an entity and an actor", why)
            }
        }
    }

    pub(super) fn keeps_plan(&mut self, opened: &OpenedEvent, affected: &AffectedNodes) -> Result<(), Finding> {
        let event = opened.event();
        match &mut self.planned {
            Some(planned) => {
                planned.check(opened, self.follower.configuration())?;
                planned.take(event, affected);
                Ok(())
            }
            None if event.entity.kind == Kind::Plan => {
                let what = "an event about a plan does not end a request";
                Err(Finding::new(event.position, "plan", what, "other events of the request before it", "none"))
            }
            None => Ok(()),
        }
    }

    pub(super) fn has_content(&mut self, opened: &OpenedEvent) -> Result<(), Finding> {
        let Some(named) = opened.change().content() else { return Ok(()) };
        let (position, entity) = (opened.event().position, &opened.event().entity);
        match self.blobs.get_mut(&named.digest) {
            Some(held) if held.size == named.size => {
                held.named = true;
                Ok(())
            }
            Some(held) => {
                let what = format!("the content of {entity} has another size");
                Err(Finding::new(position, "size", what, named.size, held.size))
            }
            None => {
                let what = format!("the content of {entity} is not in the file before it");
                Err(Finding::new(position, "blob", what, named.digest, "no such content"))
            }
        }
    }

    /// Compares the tree with the checkpoints that are about it as it is now.
    pub(super) fn reached(&mut self, tally: &mut AuditTotals) -> Result<(), Finding> {
        let size = self.follower.position();
        while self.ahead.front().is_some_and(|checkpoint| checkpoint.position == size) {
            let Some(checkpoint) = self.ahead.pop_front() else { break };
            let root = self.follower.frontier().root();
            if checkpoint.root != root {
                let since = tally.signed.map_or(Position::ZERO, |signed| signed.position).next();
                return Err(Finding::root(since.min(size), size, checkpoint.root, root));
            }
            // A part may begin with the checkpoint that the part before it ended with, and one may be known from elsewhere.
            if tally.signed.is_none_or(|signed| signed.position < size) {
                tally.checkpoints += 1;
            }
            tally.signed = Some(checkpoint);
        }
        Ok(())
    }
}
