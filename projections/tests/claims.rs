//! Laws of jobs and claims that hold for every history.

mod plain;

use std::collections::BTreeMap;

use projections::configuration::Configuration;
use projections::render::render;
use projections::request::{RequestContext, decide_request};
use proptest::prelude::*;
use schema::answer::Answer;
use schema::change::Change;
use schema::command::{ClaimJobs, Command};
use schema::desired::EntryKind;
use schema::digest::Digest;
use schema::event::Event;
use schema::id::JobId;
use schema::request::Request;

use histories::acts::{Act, beginning, envelope, history, run};
use plain::Plain;

/// The jobs that a claim must give, found by trying all in the order in which they wait.
fn due(state: &Configuration, claim: &ClaimJobs) -> Vec<JobId> {
    let labels = &state.nodes()[&claim.runtime].labels;
    let fits = |job: &projections::jobs::Job| {
        state.compliance().attestations()[&job.attestation].said.runtime_selector.matches(labels)
    };
    let waiting = state.jobs().waiting().filter(|(_, job)| fits(job));
    waiting.map(|(id, _)| id.clone()).take(claim.limit as usize).collect()
}

fn specs(state: &Configuration) -> BTreeMap<JobId, Vec<u8>> {
    state.jobs().all().keys().map(|id| (id.clone(), state.spec(id).unwrap().bytes.to_vec())).collect()
}

/// Every spec rendered from nothing that was remembered.
fn folded(events: &[Event]) -> Configuration {
    let mut state = Configuration::default();
    for event in events {
        state.fold(event, &event.change().unwrap());
    }
    state
}

fn answers_what_the_log_says(before: &Configuration, request: &Request, answer: &Answer, events: &[Event]) {
    let claimed = |event: &Event| match event.change().unwrap() {
        Change::JobClaimed(claimed) => Some((JobId::from(event.entity.id.clone()), claimed)),
        _ => None,
    };
    let mut logged = events.iter().filter_map(claimed);
    for (ask, result) in request.commands.iter().zip(&answer.results) {
        let Command::ClaimJobs(claim) = &ask.command else { continue };
        let jobs = result.jobs.as_ref().unwrap();
        assert!(jobs.len() <= claim.limit as usize);
        if request.commands.len() == 1 {
            let given: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
            assert_eq!(given, due(before, claim), "exactly those that are due, in their order");
        }
        for job in jobs {
            let (id, claimed) = logged.next().unwrap();
            assert_eq!((&job.id, job.token, job.spec_digest), (&id, claimed.token, claimed.spec_digest));
            assert_eq!((&claimed.runtime, claimed.lease_s), (&claim.runtime, job.lease_s));
            let spec = job.spec.as_ref().unwrap().to_string();
            assert_eq!(Digest::of(spec.as_bytes()), job.spec_digest, "the spec is the one that the digest names");
        }
    }
    assert_eq!(logged.next(), None, "no claim is kept back");
}

fn records_hold_what_is_claimed(state: &Configuration) {
    for id in state.nodes().keys() {
        let manifest = render(state, id).unwrap();
        let entries = manifest.pieces.iter().filter(|piece| piece.entry.kind == EntryKind::Job);
        let written: BTreeMap<String, Digest> =
            entries.map(|piece| (piece.entry.path.clone(), piece.entry.digest)).collect();
        let held = state.jobs().held_by(id);
        let claimed: BTreeMap<String, Digest> =
            held.map(|(job, _)| (format!("jobs/{job}.json"), state.spec(job).unwrap().digest)).collect();
        assert_eq!(written, claimed, "{id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases(2_000, 10_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_job_has_two_holders_none_is_lost_and_every_answer_is_what_the_log_says(acts in history()) {
        let run = run(&acts);
        let mut plain = Plain::default();
        for (before, request, decided) in &run.decided {
            decided.events.iter().for_each(|event| plain.take(event));
            plain.is(&decided.configuration);
            answers_what_the_log_says(before, request, &decided.answer, &decided.events);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn specs_are_the_same_whenever_they_are_rendered(acts in history()) {
        let run = run(&acts);
        for (_, _, decided) in &run.decided {
            // Renders and remembers, so that what went stale would be seen.
            specs(&decided.configuration);
        }
        let (state, anew) = (&run.state, folded(&run.events()));
        prop_assert_eq!(state, &anew);
        prop_assert_eq!(specs(state), specs(&anew));
    }

    #[test]
    fn whose_record_changes_is_touched_and_holds_exactly_its_jobs(acts in history()) {
        let run = run(&acts);
        for (before, _, decided) in &run.decided {
            records_hold_what_is_claimed(&decided.configuration);
            for id in before.nodes().keys() {
                let (was, is) = (render(before, id), render(&decided.configuration, id));
                prop_assert!(decided.affected.contains(id) || was == is, "{}", id);
            }
        }
    }

    #[test]
    fn a_changed_component_changes_only_the_specs_that_contain_it(acts in history()) {
        for (before, request, decided) in run(&acts).decided {
            let [ask] = &request.commands[..] else { continue };
            let (Command::DefineComponent(id, _) | Command::RemoveComponent(id)) = &ask.command else { continue };
            let contains = |spec: &[u8]| {
                let spec: serde_json::Value = serde_json::from_slice(spec).unwrap();
                spec["component-ids"].as_array().unwrap().iter().any(|component| component == id.as_str())
            };
            let (was, is) = (specs(&before), specs(&decided.configuration));
            for (job, after) in &is {
                let concerned = contains(&was[job]) || contains(after);
                prop_assert!(concerned || was[job] == *after);
                let moved = decided.configuration.jobs().all()[job].cause != before.jobs().all()[job].cause;
                prop_assert_eq!(moved, concerned && !decided.events.is_empty());
            }
        }
    }
}

#[test]
fn what_is_removed_and_added_again_gives_the_same_bytes() {
    let Act::Ask(commands) = beginning().remove(0) else { unreachable!() };
    let first = decide_request(&Configuration::default(), &envelope(0), &Request::of(commands.clone())).unwrap();
    let removals =
        (0..4).map(|index| Command::RemoveAttestation(format!("attestation{index}").parse().unwrap())).chain([
            Command::RemoveAssessment("assessment0".parse().unwrap()),
            Command::RemoveControl("control0".parse().unwrap()),
        ]);
    let gone = decide_request(&first.configuration, &envelope(1), &Request::of(removals)).unwrap();
    assert!(gone.configuration.jobs().all().is_empty());
    let back = decide_request(&gone.configuration, &envelope(2), &Request::of(commands)).unwrap();
    assert_eq!(specs(&first.configuration), specs(&back.configuration));
    assert_eq!(specs(&first.configuration).len(), 4);
}

#[test]
fn a_token_follows_from_the_request_and_from_bytes_that_nobody_knows() {
    let Act::Ask(commands) = beginning().remove(0) else { unreachable!() };
    let state = decide_request(&Configuration::default(), &envelope(0), &Request::of(commands)).unwrap().configuration;
    let claim = Request::of([Command::ClaimJobs(ClaimJobs { runtime: "n0".parse().unwrap(), limit: 1, lease_s: 300 })]);
    let token = |envelope: &RequestContext| {
        let decided = decide_request(&state, envelope, &claim).unwrap();
        decided.answer.results[0].jobs.as_ref().unwrap()[0].token
    };
    assert_eq!(token(&envelope(1)), token(&envelope(1)));
    let guessed = RequestContext { entropy: [9; 16], ..envelope(1) };
    assert_ne!(token(&envelope(1)), token(&guessed), "the request's id alone does not tell");
    assert_ne!(token(&envelope(1)), token(&RequestContext { entropy: envelope(1).entropy, ..envelope(2) }));
}
