//! Named failpoints at which a test can kill this process.
//!
//! Each is between two steps of append, relay, publish, apply or report, and all are listed here. A build without debug
//! assertions, such as a release, has none. If the variable [`FILE`] names a file, the process kills itself at the failpoint
//! whose name the file holds. It removes the file first, so the restarted process passes the failpoint.

use std::fmt;

/// The variable that names the file.
pub const FILE: &str = "HEADWATER_FAULT_POINT";

/// A place in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failpoint(&'static str);

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Failpoint = Failpoint($text);)*

        /// Every failpoint.
        pub const ALL: &[Failpoint] = &[$($name),*];
    };
}

points! {
    /// After requests were taken from the queue.
    APPEND_TAKEN = "append.taken";
    /// The head row's lock is held.
    APPEND_LOCKED = "append.locked";
    /// The batch is decided.
    APPEND_DECIDED = "append.decided";
    /// A speculative batch is decided while the transaction before it is in flight.
    APPEND_AHEAD = "append.ahead";
    /// The batch is committed, and no caller has an answer.
    APPEND_COMMITTED = "append.committed";
    /// The callers were answered.
    APPEND_ANSWERED = "append.answered";
    /// The slot is held.
    RELAY_TAKEN = "relay.taken";
    /// Transactions came in.
    RELAY_RECEIVED = "relay.received";
    /// The transactions are folded.
    RELAY_FOLDED = "relay.folded";
    /// The transactions are published.
    RELAY_PUBLISHED = "relay.published";
    /// The transactions are acknowledged to PostgreSQL.
    RELAY_ACKNOWLEDGED = "relay.acknowledged";
    /// Blobs are in the object store.
    PUBLISH_BLOBS = "publish.blobs";
    /// Records are in their bucket.
    PUBLISH_RECORDS = "publish.records";
    /// Events are in the stream.
    PUBLISH_EVENTS = "publish.events";
    /// Streams and buckets exist.
    REPAIR_STREAMS = "repair.streams";
    /// The content of NATS was read.
    REPAIR_READ = "repair.read";
    /// Records are repaired.
    REPAIR_RECORDS = "repair.records";
    /// The event stream is filled.
    REPAIR_EVENTS = "repair.events";
    /// A record is accepted, and the floor raised.
    APPLY_ACCEPTED = "apply.accepted";
    /// The record's content is in the cache.
    APPLY_FETCHED = "apply.fetched";
    /// The generation is written.
    APPLY_WRITTEN = "apply.written";
    /// The operator's check has passed.
    APPLY_CHECKED = "apply.checked";
    /// `current` points to the generation.
    APPLY_SWITCHED = "apply.switched";
    /// The operator's apply hook has run.
    APPLY_HOOKED = "apply.hooked";
    /// The generation is stored as last good.
    APPLY_SETTLED = "apply.settled";
    /// NATS has acknowledged a node's report.
    REPORT_STORED = "report.stored";
    /// The reconciler has received a change.
    REPORT_HEARD = "report.heard";
    /// The change is in the log.
    REPORT_NOTED = "report.noted";
    /// A proposal is in NATS.
    PROPOSAL_PUT = "proposal.put";
    /// The final verdict on a proposal is noted.
    PROPOSAL_TOLD = "proposal.told";
    /// The proposal has left the outbox.
    PROPOSAL_REMOVED = "proposal.removed";
    /// A connection to NATS is let in no more, and not cut yet.
    CUT_JUDGED = "cut.judged";
    /// A node's request is decided, and not answered.
    ASKED_DECIDED = "asked.decided";
}

impl Failpoint {
    /// Kills the process if the test chose this failpoint. Does nothing in a build without debug assertions.
    #[inline]
    pub fn reached(self) {
        #[cfg(debug_assertions)]
        armed::end_at(self);
    }

    /// The name that a test writes into the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Failpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    use rustix::process::{Signal, getpid, kill_process};

    use super::{FILE, Failpoint};

    pub(super) fn end_at(failpoint: Failpoint) {
        static PLACE: OnceLock<Option<PathBuf>> = OnceLock::new();
        let Some(file) = PLACE.get_or_init(|| std::env::var_os(FILE).map(PathBuf::from)) else { return };
        if std::fs::read_to_string(file).is_ok_and(|name| name == failpoint.name())
            && std::fs::remove_file(file).is_ok()
        {
            // SIGKILL is delivered asynchronously; nothing more may be written until then.
            let _ends = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_place_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
