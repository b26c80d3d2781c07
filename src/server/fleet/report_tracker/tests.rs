//! What of all that nodes say comes to be in the log, and when.

use projections::request::{RequestContext, decide_request};
use schema::command::{Command, EnrolNode};
use schema::desired::digest_of;
use schema::digest::Digest;
use schema::entity::Actor;
use schema::report::{Attempt, AttemptState, RecordRef};
use schema::request::Request;
use uuid::Uuid;

use crate::fleet::rate_limit::{EVENT_EVERY_MAX, EVENT_EVERY_MIN};

use super::*;

fn node(name: &str) -> NodeId {
    name.parse().expect("an id")
}

fn report(name: &str, running: u64) -> Reported {
    let running = Some(RecordRef { position: running.into(), digest: Digest::of(&running.to_be_bytes()) });
    Reported { seq: 1, running, ..Reported::blank(node(name), "b".into(), "test".into()) }
}

/// A tracker, what was noted out of it, and a clock.
struct Scene {
    tracker: ReportTracker,
    noted: BTreeMap<NodeId, ReportSummary>,
    /// The position of every node's record.
    record: u64,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { tracker: ReportTracker::default(), noted: BTreeMap::new(), record: 0, now: Instant::now() }
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn hear(&mut self, name: &str, running: u64) {
        self.say(report(name, running));
    }

    fn say(&mut self, report: Reported) {
        self.tracker.hear(report.node.clone(), report, self.now, Duration::ZERO, ReportOrigin::default());
    }

    fn give(&mut self) -> NextChange {
        let Self { tracker, noted, record, now } = self;
        tracker.next(*now, |node, said| (noted.get(node) != Some(said)).then_some((*record).into()))
    }

    /// What is noted now, by node.
    fn lines(&mut self) -> Vec<(String, ReportSummary)> {
        let mut lines = Vec::new();
        while let NextChange::Append(node, summary) = self.give() {
            lines.push((node.to_string(), summary.clone()));
            self.noted.insert(node, summary);
        }
        lines
    }

    /// The same, and of it what runs.
    fn note(&mut self) -> Vec<(String, u64)> {
        let running = |summary: ReportSummary| summary.running.map_or(0, |running| running.position.get());
        self.lines().into_iter().map(|(node, summary)| (node, running(summary))).collect()
    }
}

#[test]
fn a_change_is_due_at_once_and_a_heartbeat_never() {
    let mut scene = Scene::new();
    assert_eq!(scene.give(), NextChange::Nothing);
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
    let NextChange::At(at) = scene.give() else { panic!("a is waiting") };
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
    assert!(matches!(scene.give(), NextChange::Append(..)));
    scene.tracker.retry(&node("a"), scene.now);
    assert_eq!(scene.give(), NextChange::At(scene.now + EVENT_EVERY_MIN));
    scene.pass(1_000);
    assert_eq!(scene.note(), [("a".to_string(), 1)]);
}

#[test]
fn silence_counts_from_when_the_report_was_written() {
    let mut scene = Scene::new();
    scene.tracker.hear(node("a"), report("a", 1), scene.now, Duration::from_secs(40), ReportOrigin::default());
    scene.pass(2_000);
    let silence = |scene: &Scene| scene.tracker.heard(&node("a"), scene.now).map(|heard| heard.silence);
    assert_eq!(silence(&scene), Some(Duration::from_secs(42)));
    scene.tracker.forget(&node("a"));
    assert_eq!(silence(&scene), None);
    assert_eq!(scene.give(), NextChange::Nothing, "what is forgotten waits for nothing");
}

#[test]
fn strangers_have_no_history() {
    let summary = ReportSummary::from(&report("a", 1));
    assert_eq!(noteworthy(&Configuration::default(), &node("a"), &summary), None);
}

fn drifted(path: &str) -> Reported {
    Reported { drift: vec![path.into()], ..report("a", 1) }
}

fn good(running: u64) -> Reported {
    let said = report("a", running);
    Reported { last_good: said.running, ..said }
}

fn failed(position: u64) -> Reported {
    let (digest, state) = (Digest::of(&position.to_be_bytes()), AttemptState::Failed);
    let (code, detail, at) = (None, None, schema::instant::Instant::default());
    let attempt = Attempt { position: position.into(), digest, state, code, detail, at };
    Reported { attempt: Some(attempt), ..good(1) }
}

#[test]
fn who_repeats_itself_is_noted_less_and_less_often() {
    let mut scene = Scene::new();
    let mut gaps = Vec::new();
    let mut last = scene.now;
    for tenth in 0..36_000 {
        scene.say(drifted(&format!("files/{tenth}")));
        if !scene.lines().is_empty() {
            gaps.push((scene.now - last).as_secs());
            last = scene.now;
        }
        scene.pass(100);
    }
    assert_eq!(gaps, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300]);
}

#[test]
fn the_first_failed_and_the_first_good_of_a_record_are_noted_at_once() {
    let mut scene = Scene::new();
    scene.record = 7;
    for tenth in 0..6_000 {
        scene.say(drifted(&format!("files/{tenth}")));
        scene.lines();
        scene.pass(100);
    }
    scene.pass(1_000);
    scene.say(failed(7));
    assert_eq!(scene.lines().len(), 1, "the first failed");
    scene.pass(1_000);
    scene.say(good(7));
    assert_eq!(scene.lines().len(), 1, "the first good");
    for again in [failed(7), good(7), failed(8), good(8), good(6)] {
        scene.pass(1_000);
        scene.say(again);
        assert_eq!(scene.lines(), [], "the second of either, and what is no record of the node");
    }
    scene.record = 9;
    scene.say(good(9));
    assert_eq!(scene.lines().len(), 1, "the next record");
}

#[test]
fn a_node_that_lags_is_believed_once_for_each_new_record() {
    let mut scene = Scene::new();
    let mut noted = 0;
    for record in 10..1_000 {
        scene.record = record;
        scene.say(good(record - 5));
        noted += scene.lines().len();
        scene.pass(1_000);
    }
    assert!(noted > 100, "{noted}");
    let mut forged = 0;
    for position in 1..1_000 {
        scene.say(good(position));
        forged += scene.lines().len();
        scene.pass(1_000);
    }
    assert!(forged < 20, "no record is new, so all of these count: {forged}");
}

/// Whatever a node says and whenever: what the log takes of it is bounded, and what lasts is in it.
#[test]
fn a_line_in_five_minutes_and_ten_more_is_all_that_a_node_gets_beside_what_is_new_of_its_records() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut scene = Scene::new();
        let (mut firsts, mut counted, mut last, mut before) = (BTreeSet::new(), Vec::new(), None, None);
        for step in 0..1_500 {
            scene.pass([20, 900, 1_500, 30_000, 400_000][random.usize(0..5)] * random.u64(1..3));
            if random.u8(0..30) == 0 {
                scene.record += 10;
            }
            let (record, said) = (scene.record, random.u8(0..4));
            let report = match said {
                0 => failed(record),
                1 => good(record),
                2 => good(record + random.u64(1..9)),
                _ => drifted(&format!("files/{step}")),
            };
            let lines = scene.lines().len();
            assert!(lines <= 1, "seed {seed}");
            last = if lines == 1 { Some(scene.now) } else { last };
            // What was the first of its record may have waited for its second.
            match before.filter(|first: &(u8, u64)| first.0 < 2 && !firsts.contains(first)) {
                Some(first) => drop((lines == 1).then(|| firsts.insert(first))),
                None => counted.extend((lines == 1).then_some(scene.now)),
            }
            before = Some((said, record));
            scene.say(report);
            let is_first = said < 2 && record > 0 && !firsts.contains(&(said, record));
            let is_free = last.is_none_or(|last| scene.now >= last + EVENT_EVERY_MIN);
            let lines = scene.lines().len();
            if is_first && is_free {
                assert_eq!(lines, 1, "seed {seed}, step {step}: at once");
                firsts.insert((said, record));
            } else if !is_first {
                counted.extend((lines == 1).then_some(scene.now));
            }
            assert!(lines == 0 || is_free, "seed {seed}, step {step}: a second lies between two lines");
            last = if lines == 1 { Some(scene.now) } else { last };
        }
        for (first, from) in counted.iter().enumerate() {
            for (after, to) in counted.iter().enumerate().skip(first + 1) {
                let most = 10 + (*to - *from).as_secs() / EVENT_EVERY_MAX.as_secs();
                assert!((after - first) as u64 <= most, "seed {seed}");
            }
        }
        scene.pass(300_000);
        scene.lines();
        let heard = scene.tracker.heard(&node("a"), scene.now).expect("it was heard");
        assert_eq!(scene.noted[&node("a")], ReportSummary::from(&*heard.report), "seed {seed}: what lasts is noted");
    }
}

/// The state after this request.
fn asked(state: &Configuration, request: &Request) -> Configuration {
    let envelope = RequestContext {
        log_id: Uuid::nil().into(),
        command_id: Uuid::now_v7().into(),
        actor: Actor::Install,
        entropy: [7; 16],
        clock: schema::instant::Instant::default(),
    };
    decide_request(state, &envelope, request).expect("it is accepted").configuration
}

#[test]
fn of_a_retired_node_only_that_it_runs_nothing_is_noted_and_once() {
    let node = node("a");
    let nothing = RecordRef { position: 2.into(), digest: digest_of([]) };
    let empty = Reported { running: Some(nothing), last_good: Some(nothing), ..report("a", 1) };
    let says = |report: &Reported| ReportSummary::from(report);
    let labels = schema::labels::Labels::default();
    let enrolled = asked(
        &Configuration::default(),
        &Request::of([Command::EnrolNode(EnrolNode { id: node.clone(), labels, keys: None })]),
    );
    let noted = |state: &Configuration, report: &Reported| {
        asked(state, &Request::of([Command::NoteReport(node.clone(), says(report))]))
    };
    let running = noted(&enrolled, &good(1));
    let retired = asked(&running, &Request::of([Command::RetireNode(node.clone())]));
    for other in [good(2), failed(2), drifted("files/x"), Reported { drift: vec!["x".into()], ..empty.clone() }] {
        assert!(noteworthy(&running, &node, &says(&other)).is_some(), "{other:?}");
        assert_eq!(noteworthy(&retired, &node, &says(&other)), None, "{other:?}");
    }
    assert!(noteworthy(&retired, &node, &says(&empty)).is_some());
    let over = noted(&retired, &empty);
    assert_eq!(over.reports()[&node].summary.running, Some(nothing));
    let again = Reported { running: None, last_good: None, ..empty };
    assert_eq!(noteworthy(&over, &node, &says(&again)), None, "that is known");
}
