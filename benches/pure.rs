//! What a change of one document for one node, or of one component for its jobs, costs the pure rooms, in a small fleet
//! and in a large one: decide, fold and render must not look at the rest of it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use projections::configuration::Configuration;
use projections::render::render;
use projections::request::{RequestContext, decide_request};
use schema::command::{Command, Content, EnrolNode, Merge, PutDocument};
use schema::document_mode::DocumentMode;
use schema::entity::Actor;
use schema::id::{CommandId, JobId, LogId, NodeId};
use schema::instant::Instant;
use schema::labels::Labels;
use schema::request::Request;
use schema::target::{Selector, Target};
use serde_json::{Value, json};
use uuid::Uuid;

/// Fleets to compare.
const NODES: [u32; 3] = [100, 1_000, 10_000];

fn node(number: u32) -> NodeId {
    format!("node-{number}").parse().expect("an id")
}

fn envelope(number: u128) -> RequestContext {
    RequestContext {
        log_id: LogId::from(Uuid::from_u128(1)),
        command_id: CommandId::from(Uuid::from_u128(number)),
        actor: Actor::Install,
        entropy: [7; 16],
        clock: Instant::from_unix_micros(1_700_000_000_000_000),
    }
}

/// A document for one host, chosen by its label.
fn put(number: u32, round: u64) -> Command {
    Command::PutDocument(PutDocument {
        id: format!("doc-{number}").parse().expect("an id"),
        path: "etc/detector.json".parse().expect("a path"),
        media_type: "application/json".parse().expect("a media type"),
        content: Content::new(format!("{{\"round\": {round}}}").into_bytes()).expect("small content").into(),
        target: Target::Selector(Selector {
            match_labels: [("host".to_owned(), number.to_string())].into(),
            match_expressions: Vec::new(),
        }),
        priority: 0,
        merge: Merge::Replace,
        mode: DocumentMode::Plain,
        rollout: None,
    })
}

/// A fleet in which every node has a document of its own, beside ten for all.
fn fleet(nodes: u32) -> Configuration {
    let mut state = Configuration::default();
    for number in 0..nodes {
        let labels = Labels::from([("host", number.to_string()), ("site", "lund".to_owned())]);
        let commands = [Command::EnrolNode(EnrolNode { id: node(number), labels, keys: None }), put(number, 0)];
        let request = Request::of(commands);
        state = decide_request(&state, &envelope(number.into()), &request).expect("accepted").configuration;
    }
    state
}

fn one_document_of_one_node(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one document of one node: decide, fold, render");
    for nodes in NODES {
        let state = fleet(nodes);
        let number = nodes / 2;
        let mut round = 0;
        group.bench_function(BenchmarkId::from_parameter(nodes), |bencher| {
            bencher.iter(|| {
                round += 1;
                let request = Request::of([put(number, round)]);
                let decided = decide_request(&state, &envelope(round.into()), &request).expect("accepted");
                assert_eq!(decided.affected.len(), 1);
                black_box(render(&decided.configuration, &node(number)))
            });
        });
    }
    group.finish();
}

/// Attestations to compare.
const ATTESTATIONS: [u32; 3] = [100, 1_000, 10_000];
/// Attestations of one assessment, which covers one component.
const OF_ONE: u32 = 10;

fn read(commands: Vec<Value>) -> Request {
    Request::read(json!({ "commands": commands }).to_string().as_bytes()).expect("a request")
}

fn component(number: u32, round: u64) -> Value {
    json!({"type": "define_component", "id": format!("component-{number}"), "title": "A component",
        "properties": {"round": round.to_string()}, "labels": {"host": number.to_string(), "site": "lund"}})
}

/// A plan in which every component has an assessment of its own, found by its label, of ten attestations.
fn plan(attestations: u32) -> Configuration {
    let control = json!({"type": "define_control", "id": "control", "title": "A control"});
    let first = read(vec![control]);
    let mut state = decide_request(&Configuration::default(), &envelope(0), &first).expect("accepted").configuration;
    for number in 0..attestations / OF_ONE {
        let assessment = format!("assessment-{number}");
        let mut commands = vec![
            component(number, 0),
            json!({"type": "define_assessment", "id": assessment, "title": "An assessment", "control": "control",
                "component_selector": {"match_labels": {"host": number.to_string(), "site": "lund"}},
                "schedule": "0 * * * *"}),
        ];
        commands.extend((0..OF_ONE).map(|index| {
            json!({"type": "define_attestation", "id": format!("attestation-{number}-{index}"),
                "assessment": assessment, "title": "An attestation", "provider": {"name": "probe"}})
        }));
        let (request, envelope) = (read(commands), envelope(u128::from(number) + 1));
        state = decide_request(&state, &envelope, &request).expect("accepted").configuration;
    }
    state
}

fn one_component_of_ten_jobs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one component of ten jobs: decide, fold, render their specs");
    for attestations in ATTESTATIONS {
        let state = plan(attestations);
        let number = attestations / OF_ONE / 2;
        let jobs: Vec<JobId> = (0..OF_ONE)
            .map(|index| format!("attestation-{number}-{index}").parse().expect("an id"))
            .map(|attestation| JobId::derived(&attestation))
            .collect();
        let mut round = 0;
        group.bench_function(BenchmarkId::from_parameter(attestations), |bencher| {
            bencher.iter(|| {
                round += 1;
                let request = read(vec![component(number, round)]);
                let decided = decide_request(&state, &envelope(round.into()), &request).expect("accepted");
                let specs = jobs.iter().map(|job| decided.configuration.spec(job).expect("there is a job").digest);
                black_box(specs.collect::<Vec<_>>())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_document_of_one_node, one_component_of_ten_jobs);
criterion_main!(benches);
