//! The report of a node: what it runs, what it tried, and what failed or drifted.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::desired::{Cause, Desired};
use crate::digest::Digest;
use crate::id::{LogId, NodeId};
use crate::instant::Instant;
use crate::limit::{PATH_BYTES_MAX, RECORD_BYTES_MAX};
use crate::position::Position;
use crate::seal::{PublicKey, SignedRecord};
use crate::variant::UnknownVariantName;
use crate::wire::WireRecord;

/// A reference to a desired record: its position and the digest of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct RecordRef {
    /// The position of the record.
    pub position: Position,
    /// The digest of its entries.
    pub digest: Digest,
}

/// A node's report, written on change and every 10 s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Reported {
    /// The format of the report.
    pub v: u16,
    /// The log that the node has pinned; none before its first record.
    #[serde(default)]
    pub log_id: Option<LogId>,
    /// The node that reports.
    pub node: NodeId,
    /// The id of the boot, which the agent makes anew at each start.
    pub boot: String,
    /// The number of the boot: how often an agent was started in the folder of the node, this start included. It orders the boots of
    /// a node, because clocks may be wrong. Older agents have none, nor does an agent whose disk was full when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_no: Option<u64>,
    /// The number of the report within its boot, from 1.
    pub seq: u64,
    /// The newest record that the node has accepted.
    #[serde(default)]
    pub seen: Option<RecordRef>,
    /// The last attempt to apply a record, finished or not.
    #[serde(default)]
    pub attempt: Option<Attempt>,
    /// The record whose generation is in force.
    #[serde(default)]
    pub running: Option<RecordRef>,
    /// The last record that was applied with success.
    #[serde(default)]
    pub last_good: Option<RecordRef>,
    /// Records that the check or the hook rejected; the node does not try them again.
    #[serde(default)]
    pub rejected: Vec<RecordRef>,
    /// Paths below `current` that differ from what was applied.
    #[serde(default)]
    pub drift: Vec<String>,
    /// Whether the agent is also an assessment runtime. Only such a report renews the claims of the node.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub runtime: bool,
    /// The signed record at `seen`, as long as NATS holds an older one for the node, or none: it proves that the log came
    /// so far once, whatever a database that was put back says. `seen` itself is nobody's word but the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "json-schema", schemars(skip))]
    pub proof: Option<SignedRecord>,
    /// Problems that an operator should fix, although the record was applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ReportWarning>,
    /// The name and the version of the agent, such as `headwater/0.1.0`.
    pub agent: String,
    /// The time by the clock of the node, which may be wrong: nothing is decided by it.
    pub at: Instant,
}

impl Desired {
    /// The record as a report refers to it.
    #[must_use]
    pub const fn record_ref(&self) -> RecordRef {
        RecordRef { position: self.position, digest: self.digest }
    }
}

impl WireRecord for Reported {
    const WHAT: &'static str = "report";
}

impl Reported {
    /// A report in the newest format that says nothing yet, under number 0 of this boot, at the Unix epoch.
    #[must_use]
    pub fn blank(node: NodeId, boot: String, agent: String) -> Self {
        Self {
            v: Self::NEWEST,
            log_id: None,
            node,
            boot,
            boot_no: None,
            seq: 0,
            seen: None,
            attempt: None,
            running: None,
            last_good: None,
            rejected: Vec::new(),
            drift: Vec::new(),
            runtime: false,
            proof: None,
            warnings: Vec::new(),
            agent,
            at: Instant::default(),
        }
    }

    /// The number of the report, if its boot has one.
    #[must_use]
    pub fn sent(&self) -> Option<SentNumber> {
        self.boot_no.map(|boot_no| SentNumber { boot_no, seq: self.seq })
    }

    /// What runs and is good: the last good, or what a node that names none says to have applied.
    #[must_use]
    pub fn good(&self) -> Option<RecordRef> {
        let applied = self.attempt.as_ref().filter(|attempt| attempt.state == AttemptState::Applied);
        self.last_good.or(applied.map(Attempt::record_ref))
    }

    /// Truncates the report to the limits of what a server keeps in memory: a node may send as much as NATS accepts. The proof
    /// is dropped; read it before with [`Reported::proven_cause`].
    pub fn truncate(&mut self) {
        self.proof = None;
        shorten(&mut self.boot, NAME_BYTES_MAX);
        shorten(&mut self.agent, NAME_BYTES_MAX);
        if let Some(attempt) = &mut self.attempt {
            attempt.code.iter_mut().for_each(|code| shorten(code, PATH_BYTES_MAX));
            attempt.detail.iter_mut().for_each(|detail| shorten(detail, DETAIL_BYTES_MAX));
        }
        // The latest stand last.
        self.rejected.drain(..self.rejected.len().saturating_sub(REJECTED_MAX));
        self.rejected.shrink_to_fit();
        self.drift.truncate(DRIFT_PATHS_MAX);
        self.drift.shrink_to_fit();
        self.drift.iter_mut().for_each(|path| shorten(path, PATH_BYTES_MAX));
        self.warnings.truncate(WARNINGS_MAX);
        self.warnings.shrink_to_fit();
        for ReportWarning { code, detail } in &mut self.warnings {
            shorten(code, PATH_BYTES_MAX);
            shorten(detail, DETAIL_BYTES_MAX);
        }
    }

    /// The event that the report proves a log to have had: only what that log's key signed, for the node itself, counts.
    #[must_use]
    pub fn proven_cause(&self, log_id: LogId, key: &PublicKey) -> Option<Cause> {
        let record = Desired::read(key.open(self.proof.as_ref()?).ok()?).ok()?;
        (record.log_id == log_id && record.node == self.node).then_some(record.cause)
    }
}

/// The attempt to apply a record, and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Attempt {
    /// The position of the record that is tried.
    pub position: Position,
    /// The digest of the entries of that record.
    pub digest: Digest,
    /// How far the attempt came.
    pub state: AttemptState,
    /// The stable code of the failure or the refusal.
    #[serde(default)]
    pub code: Option<String>,
    /// The failure or the refusal in words, for people.
    #[serde(default)]
    pub detail: Option<String>,
    /// When the attempt reached its state, by the clock of the node.
    pub at: Instant,
}

impl Attempt {
    /// The record that was tried.
    #[must_use]
    pub const fn record_ref(&self) -> RecordRef {
        RecordRef { position: self.position, digest: self.digest }
    }
}

/// A problem on the node that an operator should fix, although the record was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ReportWarning {
    /// The stable code.
    pub code: String,
    /// The warning in words, with what to do.
    pub detail: String,
}

open_enum! {
    /// How far an attempt came. Failed: it was tried. Refused: nothing was touched. A state of a newer agent is neither, and no
    /// end: the node is still at it for all that an older reader can tell.
    pub enum AttemptState {
        /// The agent fetches missing content from NATS.
        Fetching = "fetching",
        /// The content is complete, and has the digests of the record.
        Verified = "verified",
        /// The `--check` command of the operator runs.
        Checking = "checking",
        /// The agent switches to the new generation and runs the `--apply` command of the operator.
        Applying = "applying",
        /// The generation is in force, and the `--apply` command succeeded.
        Applied = "applied",
        /// The attempt failed; what ran before is in force.
        Failed = "failed",
        /// The agent refused the record, and changed nothing.
        Refused = "refused",
    }
}

/// Bytes of a report: the largest record as its proof, a hundred paths, and the rest beside them.
pub const REPORT_BYTES_MAX: usize = RECORD_BYTES_MAX + 64 * 1024;
/// Paths of drift that a report is heard with.
pub const DRIFT_PATHS_MAX: usize = 100;
/// Paths of drift that are kept in the log for one report: enough to see what was touched. A node whose drift changes all the
/// time writes so many of them with each line.
pub const DRIFT_PATHS_KEPT: usize = 16;
/// Bytes of a failure's detail, or a warning's.
pub const DETAIL_BYTES_MAX: usize = 4 * 1024;
/// Rejected records that a report is heard with, the latest.
pub const REJECTED_MAX: usize = 32;
/// Warnings that a report is heard with.
pub const WARNINGS_MAX: usize = 8;
/// Bytes of what names a boot, and of what names the agent and its version.
pub const NAME_BYTES_MAX: usize = 128;

/// The part of a report that is history and not a heartbeat: what runs, what failed, what drifted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ReportSummary {
    /// The record whose generation is in force.
    pub running: Option<RecordRef>,
    /// The last attempt, if it failed or was refused.
    pub failed: Option<FailedAttempt>,
    /// Paths below `current` that differ, the first 16; older events have up to a hundred.
    pub drift: Vec<String>,
    /// The last record that was good, where that is not the one that runs; null if none was good yet. An event that has this member
    /// is of the second format of its type.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(feature = "json-schema", schemars(with = "Option<RecordRef>"))]
    pub good: Option<Option<RecordRef>>,
    /// The number of the report, where the node signed it: no report with a lower one counts after it. An event that has this member
    /// is of the third format of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentNumber>,
}

/// The number of what a node says: first its boot, then what it said in it. No clock is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct SentNumber {
    /// The number of the boot.
    pub boot_no: u64,
    /// The number within the boot.
    pub seq: u64,
}

/// A member that is there, be it null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<RecordRef>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ReportSummary {
    /// The last record that was applied with success: in the first format, the running one.
    #[must_use]
    pub fn good(&self) -> Option<RecordRef> {
        self.good.unwrap_or(self.running)
    }

    /// Whether two reports say the same, whatever their numbers.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self { running, failed, drift, good, sent: _ } = self;
        (running, failed, drift, good) == (&other.running, &other.failed, &other.drift, &other.good)
    }
}

/// An attempt that failed or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct FailedAttempt {
    /// The record that was tried.
    #[serde(flatten)]
    pub record: RecordRef,
    /// Whether it was refused (nothing was touched) or failed.
    pub state: AttemptState,
    /// The stable code of the failure or the refusal.
    pub code: Option<String>,
    /// The failure or the refusal in words: at most 4 KiB.
    pub detail: Option<String>,
}

impl From<&Reported> for ReportSummary {
    fn from(report: &Reported) -> Self {
        let ended_badly = |attempt: &&Attempt| matches!(attempt.state, AttemptState::Failed | AttemptState::Refused);
        Self {
            running: report.running,
            failed: report.attempt.as_ref().filter(ended_badly).map(|attempt| FailedAttempt {
                record: attempt.record_ref(),
                state: attempt.state,
                code: attempt.code.as_deref().map(|text| truncate_text(text, PATH_BYTES_MAX)),
                detail: attempt.detail.as_deref().map(|text| truncate_text(text, DETAIL_BYTES_MAX)),
            }),
            drift: report.drift.iter().take(DRIFT_PATHS_KEPT).map(|path| truncate_text(path, PATH_BYTES_MAX)).collect(),
            good: Some(report.good()).filter(|good| *good != report.running),
            sent: None,
        }
    }
}

/// Text from a node as the log can store it: at most `bytes_max` bytes, and U+FFFD in place of U+0000, which PostgreSQL refuses.
#[must_use]
pub fn truncate_text(text: &str, bytes_max: usize) -> String {
    let cut = |text: &str| (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let mut kept = text[..cut(text)].replace('\0', "\u{fffd}");
    kept.truncate(cut(&kept));
    kept.shrink_to_fit();
    kept
}

fn shorten(text: &mut String, bytes_max: usize) {
    *text = truncate_text(text, bytes_max);
}
