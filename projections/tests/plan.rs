//! The laws of a node's plan.

use projections::plan::{ActualState, FetchedContent, RejectedAttempt, Step, plan, repair};
use proptest::prelude::*;
use schema::desired::{Cause, Desired, Entry, EntryKind, Source, digest_of};
use schema::digest::Digest;
use schema::document_mode::DocumentMode;
use schema::entity::Entity;
use schema::position::{Position, Version};
use schema::variant::UnknownVariantName;
use uuid::Uuid;

fn entry(path: &str, content: &[u8], inline: bool) -> Entry {
    let kind = if path.starts_with("jobs/") { EntryKind::Job } else { EntryKind::Document };
    let entity: Entity = "document/d".parse().unwrap();
    Entry {
        path: path.into(),
        kind,
        media_type: "text/plain".into(),
        size: content.len() as u64,
        digest: Digest::of(content),
        inline: inline.then(|| content.to_vec()),
        source: Source { entity, version: Version::from(1), position: Position::from(1) },
        mode: DocumentMode::Plain,
    }
}

fn want(position: u64, entries: Vec<Entry>) -> Desired {
    let digest = digest_of(entries.iter().map(Entry::digested));
    let position = Position::from(position);
    let cause = Cause { position, event_id: Uuid::from_u128(1).into(), command_id: Uuid::from_u128(2).into() };
    let (node, log_id) = ("n-1".parse().unwrap(), Uuid::from_u128(9).into());
    Desired { v: 1, log_id, node, position, digest, retry: Position::ZERO, retired: false, entries, cause }
}

fn empty_hands() -> ActualState {
    ActualState {
        node: "n-1".parse().unwrap(),
        log_id: None,
        floor: None,
        running: None,
        last_good: None,
        rejected: vec![],
        checks: false,
        hooks: false,
    }
}

/// A node on which `want` is in force and good.
fn holding(want: &Desired) -> ActualState {
    let record_ref = Some(want.record_ref());
    ActualState {
        log_id: Some(want.log_id),
        floor: record_ref,
        running: record_ref,
        last_good: record_ref,
        ..empty_hands()
    }
}

fn refusal(have: &ActualState, want: &Desired) -> &'static str {
    plan(have, want).expect_err("a refusal").code()
}

#[test]
fn a_first_record_is_accepted_fetched_written_switched_and_settled() {
    let large = entry("b", b"large", false);
    let fetch = Step::Fetch(vec![FetchedContent { digest: large.digest, size: 5 }]);
    let want = want(1, vec![entry("a", b"small", true), large.clone(), Entry { path: "c".into(), ..large }]);
    let steps = [Step::Accept, fetch.clone(), Step::Write, Step::Switch, Step::Settle];
    assert_eq!(plan(&empty_hands(), &want).unwrap(), steps, "one fetch for content that two entries name");
    let hooked = ActualState { checks: true, hooks: true, ..empty_hands() };
    let steps = [Step::Accept, fetch, Step::Check, Step::Write, Step::Switch, Step::Hook, Step::Settle];
    assert_eq!(plan(&hooked, &want).unwrap(), steps);
}

#[test]
fn what_is_in_force_needs_nothing() {
    let want = want(4, vec![entry("a", b"x", true)]);
    assert_eq!(plan(&holding(&want), &want).unwrap(), []);
}

#[test]
fn a_higher_position_with_the_same_digest_only_raises_the_floor() {
    let old = want(4, vec![entry("a", b"x", true)]);
    let new = want(5, old.entries.clone());
    assert_eq!(plan(&holding(&old), &new).unwrap(), [Step::Accept]);
}

#[test]
fn an_unfinished_attempt_is_taken_up_again() {
    let (old, new) = (want(4, vec![entry("a", b"x", true)]), want(5, vec![entry("a", b"y", true)]));
    let accepted = ActualState { floor: Some(new.record_ref()), ..holding(&old) };
    assert_eq!(plan(&accepted, &new).unwrap(), [Step::Write, Step::Switch, Step::Settle]);
    let switched = ActualState { running: Some(new.record_ref()), ..accepted };
    assert_eq!(plan(&switched, &new).unwrap(), [Step::Write, Step::Switch, Step::Settle]);
}

#[test]
fn drift_is_put_right_without_asking_the_check_again() {
    let want = want(4, vec![entry("a", b"x", true)]);
    let have = ActualState { checks: true, hooks: true, ..holding(&want) };
    assert_eq!(repair(&have, &want).unwrap(), [Step::Write, Step::Switch, Step::Hook, Step::Settle]);
    let damaged = Desired { digest: Digest::of(b"other"), ..want };
    assert_eq!(repair(&have, &damaged).expect_err("a refusal").code(), "wrong_digest");
}

#[test]
fn a_rejected_digest_waits_for_another_digest_or_a_retry() {
    let good = want(4, vec![entry("a", b"good", true)]);
    let bad = Desired { retry: Position::from(2), ..want(5, vec![entry("a", b"bad", true)]) };
    let rejection = RejectedAttempt { digest: bad.digest, retry: bad.retry };
    let have = ActualState { floor: Some(bad.record_ref()), rejected: vec![rejection], ..holding(&good) };
    assert_eq!(plan(&have, &bad).unwrap(), [Step::LeaveRejected]);
    let in_force = ActualState { running: Some(bad.record_ref()), ..have.clone() };
    assert_eq!(plan(&in_force, &bad).unwrap(), [Step::Restore, Step::LeaveRejected], "killed before it went back");
    let again = Desired { position: Position::from(6), ..bad.clone() };
    assert_eq!(plan(&have, &again).unwrap(), [Step::Accept, Step::LeaveRejected]);
    let retried = Desired { retry: Position::from(6), ..again };
    assert_eq!(plan(&have, &retried).unwrap()[..2], [Step::Accept, Step::Write]);
    let other = want(7, vec![entry("a", b"better", true)]);
    assert_eq!(plan(&have, &other).unwrap()[..2], [Step::Accept, Step::Write]);
    let back = want(7, good.entries.clone());
    assert_eq!(plan(&have, &back).unwrap(), [Step::Accept], "what runs is what is wanted");
}

#[test]
fn a_retired_node_holds_an_empty_tree() {
    let held = want(4, vec![entry("a", b"x", true)]);
    let retired = Desired { retired: true, ..want(5, vec![]) };
    assert_eq!(plan(&holding(&held), &retired).unwrap(), [Step::Accept, Step::Write, Step::Switch, Step::Settle]);
    let full = Desired { retired: true, ..want(5, vec![entry("a", b"x", true)]) };
    assert_eq!(refusal(&holding(&held), &full), "retired_with_entries");
}

#[test]
fn another_node_another_log_and_the_past_are_refused() {
    let held = want(4, vec![entry("a", b"x", true)]);
    let have = holding(&held);
    let other = |f: &dyn Fn(&mut Desired)| {
        let mut want = want(5, vec![entry("a", b"y", true)]);
        f(&mut want);
        refusal(&have, &want)
    };
    assert_eq!(other(&|want| want.node = "n-2".parse().unwrap()), "other_node");
    assert_eq!(other(&|want| want.log_id = Uuid::from_u128(8).into()), "other_log");
    assert_eq!(other(&|want| want.position = Position::from(3)), "older_position");
    assert_eq!(other(&|want| want.position = Position::from(4)), "same_position_other_content");
    assert_eq!(other(&|want| want.position = Position::ZERO), "no_position");
    let older = want(3, held.entries.clone());
    assert_eq!(refusal(&have, &older), "older_position", "even with the content that runs");
}

#[test]
fn a_manifest_that_is_not_what_it_says_is_refused() {
    let with = |entries| refusal(&empty_hands(), &want(1, entries));
    for path in ["", "/a", "../a", "a/../b", "a//b", "a/.", "jobs", "jobs2/../x", "a\\b", "a\n"] {
        let document = Entry { kind: EntryKind::Document, ..entry(path, b"x", true) };
        assert_eq!(with(vec![document]), "invalid_path", "{path}");
    }
    for path in ["jobs/.json", "jobs/a/b.json", "jobs/../a.json", "jobs/a", "a.json", "jobs/..json"] {
        let job = Entry { kind: EntryKind::Job, ..entry(path, b"x", true) };
        assert_eq!(with(vec![job]), "invalid_path", "{path}");
    }
    assert_eq!(with(vec![entry("b", b"x", true), entry("a", b"x", true)]), "unsorted_entries");
    assert_eq!(with(vec![entry("a", b"x", true), entry("a", b"x", true)]), "unsorted_entries");
    let nested = ["a", "a-b", "a/b"].map(|path| entry(path, b"x", true)).to_vec();
    assert_eq!(with(nested), "nested_path");
    assert_eq!(with(vec![Entry { size: 5 << 20, ..entry("a", b"x", false) }]), "too_large");
    assert_eq!(with(vec![Entry { size: 2, ..entry("a", b"x", true) }]), "wrong_inline");
    assert_eq!(with(vec![Entry { inline: Some(b"y".to_vec()), ..entry("a", b"x", true) }]), "wrong_inline");
    let many = (0..1_001).map(|n| entry(&format!("{n:04}"), b"x", true)).collect();
    assert_eq!(with(many), "too_many_entries");
    let claimed = Desired { digest: Digest::of(b"other"), ..want(1, vec![entry("a", b"x", true)]) };
    assert_eq!(refusal(&empty_hands(), &claimed), "wrong_digest");
}

#[test]
fn a_record_with_a_kind_of_entry_that_only_newer_programs_know_is_refused_and_what_runs_stays() {
    let held = want(4, vec![entry("a", b"x", true)]);
    let unknown = EntryKind::from("secret".parse::<UnknownVariantName>().unwrap());
    for path in ["a", "secrets/a", "../a"] {
        let newer = want(5, vec![Entry { kind: unknown, ..entry(path, b"y", true) }]);
        assert_eq!(refusal(&holding(&held), &newer), "newer_format", "{path}");
        let text = plan(&holding(&held), &newer).unwrap_err().to_string();
        assert!(text.contains("secret") && text.contains(path), "{text}");
    }
    // What runs was written by a newer program: it is not put right by one that does not know what it is.
    let running = want(5, vec![Entry { kind: unknown, ..entry("a", b"y", true) }]);
    assert_eq!(repair(&holding(&running), &running).map_err(|refused| refused.code()), Err("newer_format"));
    let next = want(6, vec![entry("a", b"z", true)]);
    assert!(plan(&holding(&held), &next).is_ok(), "the next record that is understood is tried");
}

#[test]
fn jobs_and_documents_live_side_by_side() {
    let entries = vec![entry("a/b", b"x", true), entry("jobs/j-1.json", b"{}", true), entry("jobs2", b"x", true)];
    assert!(plan(&empty_hands(), &want(1, entries)).is_ok());
}

/// Does what a plan says, the way an agent does; `passes` is what check and hook say.
fn follow(have: &mut ActualState, want: &Desired, passes: bool) {
    let Ok(steps) = plan(have, want) else { return };
    for step in steps {
        match step {
            Step::Accept => (have.floor, have.log_id) = (Some(want.record_ref()), Some(want.log_id)),
            Step::Check if !passes => {
                return have.rejected.push(RejectedAttempt { digest: want.digest, retry: want.retry });
            }
            Step::Switch => have.running = Some(want.record_ref()),
            Step::Settle => have.last_good = have.running,
            _ => {}
        }
    }
}

prop_compose! {
    fn any_want()(position in 0_u64..6, content in 0_u8..3, retry in 0_u64..3, log in 8_u128..10, damaged in 0_u8..8)
        -> (Desired, bool) {
        let mut want = want(position, vec![entry("a", &[content], true), entry("b/c", &[content], false)]);
        want.log_id = Uuid::from_u128(log).into();
        want.retry = Position::from(retry);
        match damaged {
            0 => want.digest = Digest::of(b"other"),
            1 => want.entries[0].path = "../a".into(),
            2 => want.entries[0].inline = Some(vec![9]),
            3 => want.entries.swap(0, 1),
            _ => return (want, true),
        }
        (want, false)
    }
}

proptest! {
    #[test]
    fn the_floor_never_falls_and_nothing_runs_that_was_not_verified(
        records in prop::collection::vec((any_want(), any::<bool>()), 1..40), checks in any::<bool>(),
    ) {
        let mut have = ActualState { checks, ..empty_hands() };
        let mut whole = std::collections::BTreeSet::new();
        for ((want, is_whole), passes) in records {
            let before = have.clone();
            if is_whole {
                whole.insert(want.digest);
            }
            follow(&mut have, &want, passes);
            prop_assert!(is_whole || have == before, "a damaged record changes nothing");
            prop_assert!(before.floor.map(|record_ref| record_ref.position) <= have.floor.map(|record_ref| record_ref.position));
            prop_assert!(before.log_id.is_none() || before.log_id == have.log_id, "a log is pinned once");
            prop_assert!(have.running.is_none_or(|record_ref| whole.contains(&record_ref.digest)));
            prop_assert!(have.running.map(|record_ref| record_ref.position) <= have.floor.map(|record_ref| record_ref.position));
            let again = plan(&have, &want);
            follow(&mut have, &want, passes);
            let settled = [Ok(vec![]), Ok(vec![Step::LeaveRejected])];
            prop_assert!(again.is_err() || settled.contains(&again), "a second time there is nothing to do: {again:?}");
        }
    }
}
