//! What nodes were heard to say, and what of that is worth a line in the log.
//!
//! The newest report of each node counts. A change is due at once, and then at most once a second for the same node: what
//! comes in between is replaced by what is newest when the second is over, so nothing that lasts is lost. Mere heartbeats
//! are never due. Time comes in as an argument; nothing here waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use projections::configuration::Configuration;
use schema::id::{LogId, NodeId};
use schema::position::Position;
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
    state.nodes().contains_key(node) && state.is_news(node, summary)
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

    /// The highest position of a log that any node has seen, by its own word.
    #[must_use]
    pub fn highest_seen(&self, log_id: LogId) -> Option<Position> {
        let reports = self.pages.values().map(|page| &page.report);
        let of_log = reports.filter(|report| report.log_id == Some(log_id));
        of_log.filter_map(|report| report.seen).map(|seen| seen.position).max()
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

#[cfg(test)]
mod tests {
    use super::*;
    use schema::digest::Digest;
    use schema::report::Mark;

    fn node(name: &str) -> NodeId {
        name.parse().expect("an id")
    }

    fn report(name: &str, running: u64) -> Reported {
        let mark = Mark { position: running.into(), digest: Digest::of(&running.to_be_bytes()) };
        Reported {
            v: 1,
            log_id: None,
            node: node(name),
            boot: "b".into(),
            boot_no: None,
            seq: 1,
            seen: None,
            attempt: None,
            running: Some(mark),
            last_good: None,
            rejected: Vec::new(),
            drift: Vec::new(),
            runtime: false,
            proof: None,
            warnings: Vec::new(),
            agent: "test".into(),
            at: schema::instant::Instant::default(),
        }
    }

    /// A notebook, what was noted out of it, and a clock.
    struct Scene {
        notebook: Notebook,
        noted: BTreeMap<NodeId, Summary>,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            Self { notebook: Notebook::default(), noted: BTreeMap::new(), now: Instant::now() }
        }

        fn pass(&mut self, ms: u64) {
            self.now += Duration::from_millis(ms);
        }

        fn hear(&mut self, name: &str, running: u64) {
            self.notebook.hear(node(name), report(name, running), self.now, Duration::ZERO);
        }

        fn give(&mut self) -> Due {
            let Self { notebook, noted, now } = self;
            notebook.due(*now, |node, summary| noted.get(node) != Some(summary))
        }

        /// What is noted now, by node and what it runs.
        fn note(&mut self) -> Vec<(String, u64)> {
            let mut lines = Vec::new();
            while let Due::Change(node, summary) = self.give() {
                lines.push((node.to_string(), summary.running.map_or(0, |running| running.position.get())));
                self.noted.insert(node, summary);
            }
            lines
        }
    }

    #[test]
    fn a_change_is_due_at_once_and_a_heartbeat_never() {
        let mut scene = Scene::new();
        assert_eq!(scene.give(), Due::Nothing);
        scene.hear("a", 1);
        assert_eq!(scene.note(), [("a".to_string(), 1)]);
        for _ in 0..10 {
            scene.pass(10_000);
            scene.hear("a", 1);
            assert_eq!(scene.note(), []);
        }
    }

    #[test]
    fn a_node_gets_one_line_a_second_and_the_newest_one_wins() {
        let mut scene = Scene::new();
        scene.hear("a", 1);
        scene.note();
        scene.pass(10);
        scene.hear("a", 2);
        scene.hear("a", 3);
        scene.hear("b", 1);
        assert_eq!(scene.note(), [("b".to_string(), 1)], "others don't wait for it");
        let Due::At(at) = scene.give() else { panic!("a is waiting") };
        assert_eq!(at - scene.now, Duration::from_millis(990));
        scene.pass(990);
        assert_eq!(scene.note(), [("a".to_string(), 3)]);
    }

    #[test]
    fn what_came_and_went_within_the_second_is_not_noted() {
        let mut scene = Scene::new();
        scene.hear("a", 1);
        scene.note();
        scene.hear("a", 2);
        scene.hear("a", 1);
        scene.pass(2_000);
        assert_eq!(scene.note(), []);
    }

    #[test]
    fn a_change_that_could_not_be_noted_comes_again() {
        let mut scene = Scene::new();
        scene.hear("a", 1);
        assert!(matches!(scene.give(), Due::Change(..)));
        scene.notebook.again(&node("a"), scene.now);
        assert_eq!(scene.give(), Due::At(scene.now + BETWEEN_CHANGES));
        scene.pass(1_000);
        assert_eq!(scene.note(), [("a".to_string(), 1)]);
    }

    #[test]
    fn silence_counts_from_when_the_report_was_written() {
        let mut scene = Scene::new();
        scene.notebook.hear(node("a"), report("a", 1), scene.now, Duration::from_secs(40));
        scene.pass(2_000);
        let silence = |scene: &Scene| scene.notebook.heard(&node("a"), scene.now).map(|heard| heard.silence);
        assert_eq!(silence(&scene), Some(Duration::from_secs(42)));
        scene.notebook.forget(&node("a"));
        assert_eq!(silence(&scene), None);
        assert_eq!(scene.give(), Due::Nothing, "what is forgotten waits for nothing");
    }

    #[test]
    fn strangers_have_no_history() {
        let summary = Summary::from(&report("a", 1));
        assert!(!is_news(&Configuration::default(), &node("a"), &summary));
    }
}
