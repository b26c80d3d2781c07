//! Named places at which a test may end this process, as a kill at that very moment would.
//!
//! What always holds: a place is between two steps of append, relay, publish, apply or report; all of them stand here; and
//! a build without debug assertions, such as a release, has nothing of it. A process looks only if [`FILE`] names a file for it,
//! and ends at the place whose name is in that file, which it removes first: so it ends once, and starts again as it was.

use std::fmt;

/// The variable that names the file.
pub const FILE: &str = "HEADWATER_FAULT_POINT";

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failpoint(&'static str);

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Failpoint = Failpoint($text);)*

        /// Every place.
        pub const ALL: &[Failpoint] = &[$($name),*];
    };
}

points! {
    /// Requests were taken from the queue.
    APPEND_TAKEN = "append.taken";
    /// The head row's lock is held.
    APPEND_LOCKED = "append.locked";
    /// The batch is decided.
    APPEND_DECIDED = "append.decided";
    /// A request was decided ahead, while the transaction before its own is on its way.
    APPEND_AHEAD = "append.ahead";
    /// It is committed, and nobody knows.
    APPEND_COMMITTED = "append.committed";
    /// The callers were answered.
    APPEND_ANSWERED = "append.answered";
    /// The slot is held.
    RELAY_TAKEN = "relay.taken";
    /// Transactions came in.
    RELAY_RECEIVED = "relay.received";
    /// They are folded.
    RELAY_FOLDED = "relay.folded";
    /// They are published.
    RELAY_PUBLISHED = "relay.published";
    /// They are acknowledged.
    RELAY_ACKNOWLEDGED = "relay.acknowledged";
    /// Objects are put.
    PUBLISH_BLOBS = "publish.blobs";
    /// Records are set.
    PUBLISH_RECORDS = "publish.records";
    /// Events are in the stream.
    PUBLISH_EVENTS = "publish.events";
    /// The streams are there.
    REPAIR_STREAMS = "repair.streams";
    /// What NATS holds was read back.
    REPAIR_READ = "repair.read";
    /// Records are as they must be.
    REPAIR_RECORDS = "repair.records";
    /// The stream is filled.
    REPAIR_EVENTS = "repair.events";
    /// A record is accepted, and the floor raised.
    APPLY_ACCEPTED = "apply.accepted";
    /// Its content is in the cache.
    APPLY_FETCHED = "apply.fetched";
    /// Its tree is written beside.
    APPLY_WRITTEN = "apply.written";
    /// The operator's check has passed.
    APPLY_CHECKED = "apply.checked";
    /// The link points to it.
    APPLY_SWITCHED = "apply.switched";
    /// The operator's hook has run.
    APPLY_HOOKED = "apply.hooked";
    /// It is what was last good.
    APPLY_SETTLED = "apply.settled";
    /// A node has reported.
    REPORT_STORED = "report.stored";
    /// The reconciler has heard of a change.
    REPORT_HEARD = "report.heard";
    /// The change is in the log.
    REPORT_NOTED = "report.noted";
    /// What a node asked is decided, and not answered.
    ASKED_DECIDED = "asked.decided";
}

impl Failpoint {
    /// Ends the process here, if this is the place. Nothing in a build without debug assertions.
    #[inline]
    pub fn reached(self) {
        #[cfg(debug_assertions)]
        armed::end_at(self);
    }

    /// Its name.
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

    pub(super) fn end_at(point: Failpoint) {
        static PLACE: OnceLock<Option<PathBuf>> = OnceLock::new();
        let Some(file) = PLACE.get_or_init(|| std::env::var_os(FILE).map(PathBuf::from)) else { return };
        if std::fs::read_to_string(file).is_ok_and(|name| name == point.name()) && std::fs::remove_file(file).is_ok() {
            // Nothing is written any more, as nothing would be.
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
