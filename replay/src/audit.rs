//! The audit of an export: all parts of a file are checked against each other, and against the key that the auditor
//! trusts.
//!
//! Blocks are [prepared](PreparedBlock) each by itself, in any order and on any number of threads; an [`Audit`] then takes them
//! in the order of the file. Its memory is the folded state, and a digest for each content.
//!
//! Always: events that were accepted without a finding are gapless, sealed and in order, have their references and content,
//! and are those that every checkpoint so far was signed over. An audit ends with its first finding.

mod audited_log;
mod prepared;
mod totals;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use projections::configuration::Configuration;
use projections::fold::AffectedNodes;
use schema::digest::Digest;
use schema::id::LogId;
use schema::position::Position;
use schema::seal::PublicKey;

use self::audited_log::{AuditedLog, HeldContent};
pub use self::prepared::{HashedContent, PreparedBlock, UnusableEvent};
pub use self::totals::AuditTotals;
use crate::file::body::ExportHeader;
use crate::finding::Finding;
use crate::log::OpenedEvent;
use crate::plan_check::PlannedRequest;
use crate::tree::Frontier;

/// An audit of one log, of which any number of files are the parts.
#[derive(Debug)]
pub struct Audit {
    trusted: Option<PublicKey>,
    /// Whether the end of the log may be one that nobody signed.
    may_end_unsigned: bool,
    known: Vec<String>,
    log: Option<AuditedLog>,
    tally: AuditTotals,
}

impl Audit {
    /// An audit that has read nothing yet. Without a trusted key the key of the file is used: that shows only that the file is
    /// consistent in itself.
    #[must_use]
    pub fn new(trusted: Option<PublicKey>) -> Self {
        Self { trusted, may_end_unsigned: false, known: Vec::new(), log: None, tally: AuditTotals::default() }
    }

    /// Accepts a log whose last events no checkpoint covers. Their leaves need no key, so anybody could have written them.
    #[must_use]
    pub fn allowing_an_unsigned_end(self) -> Self {
        Self { may_end_unsigned: true, ..self }
    }

    /// Requires that the log agrees with a checkpoint that the auditor got elsewhere, and is no shorter.
    #[must_use]
    pub fn with_known_checkpoint(mut self, note: String) -> Self {
        self.known.push(note);
        self
    }

    /// The state so far; nothing before the first part.
    #[must_use]
    pub fn configuration(&self) -> Option<&Configuration> {
        self.log.as_ref().map(|log| log.follower.configuration())
    }

    /// The last event so far.
    #[must_use]
    pub fn position(&self) -> Position {
        self.log.as_ref().map(|log| log.follower.position()).unwrap_or_default()
    }

    /// The id and the public key of the log; none before the first part.
    #[must_use]
    pub fn log(&self) -> Option<(LogId, &PublicKey)> {
        self.log.as_ref().map(|log| (log.id, &log.key))
    }

    /// The totals so far.
    #[must_use]
    pub fn tally(&self) -> &AuditTotals {
        &self.tally
    }

    /// The tree so far.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.log.as_ref().map_or_else(|| Frontier::default().root(), |log| log.follower.frontier().root())
    }

    /// Begins a part: the first one with the first event, each other where the one before it ended.
    ///
    /// # Errors
    /// If the part is of another log, or does not go on from the part before it.
    pub fn begin(&mut self, header: &ExportHeader) -> Result<(), Finding> {
        let next = self.position().next();
        let key = PublicKey::from_bytes(&header.public_key).map_err(|_| {
            Finding::new(next, "key", "the header has no public key", "an Ed25519 key", "32 other bytes")
        })?;
        if let Some(trusted) = self.trusted.as_ref().filter(|trusted| **trusted != key) {
            let what = "the log is signed with another key than the trusted one";
            return Err(Finding::new(next, "key", what, hex::encode(trusted.as_bytes()), hex::encode(key.as_bytes())));
        }
        let log = match self.log.take() {
            Some(log) => self.log.insert(log),
            None => {
                let log = AuditedLog::new(header.log_id, key.clone());
                let log = self.log.insert(log);
                for note in &self.known {
                    log.ahead.push_back(log.open(note)?);
                }
                log.ahead.make_contiguous().sort_by_key(|checkpoint| checkpoint.position);
                log
            }
        };
        log.begin(header, &key)
    }

    /// Checks contents.
    ///
    /// # Errors
    /// If a content has another digest than the file states.
    pub fn blobs(&mut self, contents: &[HashedContent]) -> Result<(), Finding> {
        let log = begun(&mut self.log);
        for content in contents {
            let HashedContent { named, digest, size } = *content;
            if named != digest {
                return Err(Finding::new(log.next(), "blob", "the bytes of a content are others", named, digest));
            }
            if log.blobs.insert(digest, HeldContent { size, named: false }).is_none() {
                self.tally.blobs += 1;
                self.tally.blob_bytes += size;
            }
        }
        Ok(())
    }

    /// Checks checkpoints.
    ///
    /// # Errors
    /// If one is not signed by the log's key, stands in the wrong place, is no larger than the one before it, or was signed
    /// over another tree.
    pub fn checkpoints(&mut self, notes: &[String]) -> Result<(), Finding> {
        let log = begun(&mut self.log);
        for note in notes {
            let checkpoint = log.open(note)?;
            if checkpoint.position < log.follower.position() || checkpoint.position > log.to {
                let expected = format!("one about {} to {}", log.follower.position(), log.to);
                let what = "a checkpoint stands where it does not belong";
                return Err(Finding::new(log.next(), "checkpoint", what, expected, checkpoint.position));
            }
            // Each note costs a signature's check and is counted, so one that is repeated would say that more was signed.
            if let Some(before) = log.noted.replace(checkpoint.position).filter(|before| *before >= checkpoint.position)
            {
                let what = "a checkpoint is no larger than the one before it in the file";
                let expected = format!("one about more than {before} events");
                return Err(Finding::new(log.next(), "checkpoint", what, expected, checkpoint.position));
            }
            let after = log.ahead.partition_point(|other| other.position <= checkpoint.position);
            log.ahead.insert(after, checkpoint);
        }
        log.reached(&mut self.tally)
    }

    /// Checks and folds the next event, and returns the nodes that it affects.
    ///
    /// # Errors
    /// If the event does not follow from everything before it.
    pub fn event(&mut self, event: &Result<OpenedEvent, UnusableEvent>) -> Result<AffectedNodes, Finding> {
        let log = begun(&mut self.log);
        let next = log.next();
        if next > log.to {
            return Err(Finding::new(next, "end", "there are more events than the header says", log.to, next));
        }
        let opened = match event {
            Ok(opened) => opened,
            Err(unfit) => return Err(log.unfit(unfit)),
        };
        if opened.event().ordinal == 1 {
            log.planned = PlannedRequest::begun_by(opened, log.follower.configuration());
        }
        let affected = log.follower.advance_opened(opened);
        let affected = affected.map_err(|found| Finding::fault(found.position, opened.event(), &found.fault))?;
        log.keeps_plan(opened, &affected)?;
        log.has_content(opened)?;
        log.reached(&mut self.tally)?;
        Ok(affected)
    }

    /// Ends a part.
    ///
    /// # Errors
    /// If an event, a content or a checkpoint is missing or superfluous.
    pub fn end(&mut self) -> Result<(), Finding> {
        let log = begun(&mut self.log);
        let (next, last) = (log.next(), log.follower.position());
        if last != log.to {
            return Err(Finding::new(next, "end", "the events end before the header says", log.to, last));
        }
        if !log.follower.is_between_requests() {
            return Err(Finding::new(
                next,
                "torn_request",
                "the file ends within a request",
                "its other events",
                "the end",
            ));
        }
        match log.blobs.iter().find(|(_, held)| !held.named) {
            Some((digest, _)) => {
                let what = "there is a content that no event names";
                Err(Finding::new(next, "blob", what, "nothing that nobody speaks of", digest))
            }
            None => Ok(()),
        }
    }

    /// Ends the audit, after the last part.
    ///
    /// # Errors
    /// If the log is shorter than a checkpoint that the auditor got elsewhere, or the trusted key signed for a part of it only.
    pub fn finish(&self) -> Result<(), Finding> {
        let (next, last) = (self.position().next(), self.position());
        let ahead = self.log.as_ref().and_then(|log| log.ahead.back());
        if let Some(known) = ahead {
            let what = "the log was longer when a checkpoint was signed that is known from elsewhere";
            return Err(Finding::new(next, "cut", what, known.position, last));
        }
        let signed = self.tally.signed.map(|signed| signed.position);
        match (&self.trusted, signed) {
            (Some(_), None) => {
                let what = "no checkpoint vouches for any of it";
                Err(Finding::new(1.into(), "unsigned", what, "a checkpoint that the trusted key signed", "none"))
            }
            (Some(_), Some(signed)) if signed < last && !self.may_end_unsigned => {
                let what = "no checkpoint vouches for the log from here on: anybody could have written it";
                let expected = format!("a checkpoint of {last} events");
                Err(Finding::new(signed.next(), "unsigned", what, expected, format!("one of {signed}")))
            }
            _ => Ok(()),
        }
    }
}

fn begun(log: &mut Option<AuditedLog>) -> &mut AuditedLog {
    log.as_mut().expect("BUG: a part begins with its header")
}
