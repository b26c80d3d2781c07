//! What a change of one document for one node costs the pure rooms, in a small fleet and in a large one: decide, fold and
//! render must not look at the rest of the fleet.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use projections::configuration::Configuration;
use projections::render::render;
use projections::request::{Envelope, decide_request};
use schema::command::{Command, Content, Merge, PutDocument};
use schema::entity::Actor;
use schema::id::{CommandId, LogId, NodeId};
use schema::instant::Instant;
use schema::request::Request;
use schema::target::{Labels, Selector, Target};
use uuid::Uuid;

/// Fleets to compare.
const NODES: [u32; 3] = [100, 1_000, 10_000];

fn node(number: u32) -> NodeId {
    format!("node-{number}").parse().expect("an id")
}

fn label(key: &str, value: String) -> Labels {
    [(key.to_owned(), value)].into()
}

fn envelope(number: u128) -> Envelope {
    Envelope {
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
        content: Content::new(format!("{{\"round\": {round}}}").into_bytes()).expect("small content"),
        target: Target::Selector(Selector {
            match_labels: label("host", number.to_string()),
            match_expressions: Vec::new(),
        }),
        priority: 0,
        merge: Merge::Replace,
    })
}

/// A fleet in which every node has a document of its own, beside ten for all.
fn fleet(nodes: u32) -> Configuration {
    let mut state = Configuration::default();
    for number in 0..nodes {
        let mut labels = label("host", number.to_string());
        labels.insert("site".into(), "lund".into());
        let commands = [Command::EnrolNode(node(number), labels), put(number, 0)];
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
                assert_eq!(decided.touched.len(), 1);
                black_box(render(&decided.configuration, &node(number)))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_document_of_one_node);
criterion_main!(benches);
