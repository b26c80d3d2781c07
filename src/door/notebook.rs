//! What nodes were heard to say, and what of that is worth a line in the log.
//!
//! The newest report of each node counts. A change is due at once, and then at most once a second for the same node: what
//! comes in between is replaced by what is newest when the second is over, so nothing that lasts is lost. Mere heartbeats
//! are never due. Time comes in as an argument; nothing here waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use projections::configuration::Configuration;
use schema::id::NodeId;
use schema::report::{Reported, Summary};
use tokio::time::Instant;

/// Between two lines of one node.
pub const BETWEEN_CHANGES: Duration = Duration::from_secs(1);

/// A node's newest report.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// What it said.
    pub report: Arc<Reported>,
    /// How long ago.
    pub silence: Duration,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// Note this.
    Change(NodeId, Summary),
    /// Nothing before then.
    At(Instant),
    /// Nothing until somebody is heard.
    Nothing,
}

/// Whether noting this would say anything that the log does not say already. Nodes that were never enrolled have no
/// history, however much they talk.
#[must_use]
pub fn is_news(state: &Configuration, node: &NodeId, summary: &Summary) -> bool {
    state.nodes().contains_key(node) && state.reports().get(node).is_none_or(|noted| *noted.summary != *summary)
}

/// The notes.
#[derive(Debug, Default)]
pub struct Notebook {
    pages: BTreeMap<NodeId, Page>,
    /// Whom to look at, and when.
    queue: BTreeSet<(Instant, NodeId)>,
}

#[derive(Debug)]
struct Page {
    report: Arc<Reported>,
    heard: Instant,
    /// How old the report was then.
    age: Duration,
    /// When a change was last given out.
    given: Option<Instant>,
    /// When the page is looked at, if it waits for that.
    queued: Option<Instant>,
}

impl Notebook {
    /// A node is heard at `now`, with a report that is `age` old already.
    pub fn hear(&mut self, node: NodeId, report: Reported, now: Instant, age: Duration) {
        let (given, queued) = self.pages.get(&node).map_or((None, None), |page| (page.given, page.queued));
        self.pages.insert(node.clone(), Page { report: Arc::new(report), heard: now, age, given, queued });
        self.queue(&node, now);
    }

    /// A node's report is gone.
    pub fn forget(&mut self, node: &NodeId) {
        if let Some(queued) = self.pages.remove(node).and_then(|page| page.queued) {
            self.queue.remove(&(queued, node.clone()));
        }
    }

    /// A change that was given out could not be noted: it is due again, later.
    pub fn again(&mut self, node: &NodeId, now: Instant) {
        if let Some(page) = self.pages.get_mut(node) {
            page.given = Some(now);
            self.queue(node, now);
        }
    }

    /// The newest report of a node.
    #[must_use]
    pub fn heard(&self, node: &NodeId, now: Instant) -> Option<Heard> {
        self.pages.get(node).map(|page| page.shown(now))
    }

    /// The newest reports of all nodes.
    #[must_use]
    pub fn all(&self, now: Instant) -> BTreeMap<NodeId, Heard> {
        self.pages.iter().map(|(node, page)| (node.clone(), page.shown(now))).collect()
    }

    /// The next change that is due at `now`.
    pub fn due(&mut self, now: Instant, is_news: impl Fn(&NodeId, &Summary) -> bool) -> Due {
        loop {
            let Some((at, node)) = self.queue.first() else { return Due::Nothing };
            if *at > now {
                return Due::At(*at);
            }
            let node = node.clone();
            self.queue.pop_first();
            let page = self.pages.get_mut(&node).expect("BUG: who waits has a page");
            page.queued = None;
            let summary = Summary::from(&*page.report);
            if is_news(&node, &summary) {
                page.given = Some(now);
                return Due::Change(node, summary);
            }
        }
    }

    fn queue(&mut self, node: &NodeId, now: Instant) {
        let page = self.pages.get_mut(node).expect("BUG: who waits has a page");
        if page.queued.is_none() {
            let at = page.given.map_or(now, |given| now.max(given + BETWEEN_CHANGES));
            page.queued = Some(at);
            self.queue.insert((at, node.clone()));
        }
    }
}

impl Page {
    fn shown(&self, now: Instant) -> Heard {
        let silence = now.saturating_duration_since(self.heard) + self.age;
        Heard { report: Arc::clone(&self.report), silence }
    }
}
