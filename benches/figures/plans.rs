//! Requests that come with a plan: what insisting on it costs where the log waits, and what making and applying plans takes.

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use lab::dev;
use projections::configuration::Configuration;
use projections::expectation::{Expectation, PlanCondition, decide_on_condition};
use projections::request::{RequestContext, decide_request};
use schema::entity::Actor;
use schema::id::{CommandId, LogId};
use schema::instant::Instant;
use schema::limit::COMMANDS_MAX;
use schema::request::Request;
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::times::{median, millis, range};
use crate::{Figure, Result, fsync};

/// Nodes that one document reaches.
const NODES: usize = 10_000;
const PAIRS: usize = 15;
/// Documents of the manifests, and nodes that they are for.
const DOCUMENTS: usize = 1_000;
const NODES_OF_MANIFESTS: usize = 100;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let mut figures = conditions();
    figures.extend(longest_steps());
    figures.extend(manifests().await?);
    Ok(figures)
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

/// A request of any size: it is read in parts of what one request takes.
fn request(commands: impl IntoIterator<Item = Value>) -> Request {
    let mut all = Request::of([]);
    for some in commands.into_iter().collect::<Vec<_>>().chunks(COMMANDS_MAX) {
        let text = json!({"commands": some}).to_string();
        all.commands.extend(Request::read(text.as_bytes()).expect("a request").commands);
    }
    all
}

fn put(id: &str, content: usize) -> Value {
    json!({"type": "put_document", "id": id, "path": format!("etc/{id}"), "media_type": "text/plain", "content": content.to_string(),
        "target": {"all": true}, "priority": 0})
}

/// A fleet of nodes, each with ten documents.
fn fleet(nodes: usize) -> Configuration {
    let enrol = |number: usize| json!({"type": "enrol_node", "id": format!("n-{number}"), "labels": {}});
    let documents = (0..10).map(|number| put(&format!("base-{number}"), 0));
    let mut state = Configuration::default();
    for (number, some) in documents.chain((0..nodes).map(enrol)).collect::<Vec<_>>().chunks(COMMANDS_MAX).enumerate() {
        let envelope = envelope(1_000 + number as u128);
        state = decide_request(&state, &envelope, &request(some.to_vec())).expect("accepted").configuration;
    }
    state
}

/// Deciding one document for many nodes at the head, with and without a plan, in turn.
fn conditions() -> Vec<Figure> {
    let state = fleet(NODES);
    let asked = request([put("motd", 1)]);
    let decided = decide_request(&state, &envelope(2), &asked).expect("accepted");
    let planned = PlanCondition::Expected(Arc::new(Expectation::of(&state, &decided)));
    // Somebody else's change came in between, of another path of one of the nodes.
    let mut other = put("other", 1);
    other["target"] = json!({"nodes": ["n-17"]});
    let moved = decide_request(&state, &envelope(3), &request([other])).expect("accepted").configuration;
    let timed = |condition: &PlanCondition| {
        let mut head = moved.clone();
        let began = Clock::now();
        black_box(decide_on_condition(&mut head, &envelope(2), &asked, condition)).expect("it comes out so");
        millis(began.elapsed())
    };
    let (mut plain, mut with_plan): (Vec<f64>, Vec<f64>) =
        (0..PAIRS).map(|_| (timed(&PlanCondition::None), timed(&planned))).unzip();
    let ratios: Vec<f64> = plain.iter().zip(&with_plan).map(|(plain, planned)| planned / plain).collect();
    let beside = format!("{:.2} ms without; ratios {}", median(&mut plain), range(&ratios, 2));
    let mut sorted = ratios.clone();
    vec![
        Figure::new(
            format!("decide one document for {} nodes, with a plan", decided.affected.len()),
            format!("{:.2} ms", median(&mut with_plan)),
            beside,
        ),
        Figure::new("the same against deciding it without", format!("{:.2} times", median(&mut sorted)), ""),
    ]
}

/// How long the log waits for the largest requests.
fn longest_steps() -> Vec<Figure> {
    let state = fleet(NODES_OF_MANIFESTS);
    [200, 1_000, 5_000]
        .into_iter()
        .map(|count| {
            // A node has at most a thousand files: what is more is for nodes that are not there yet.
            let command = |number: usize| {
                let mut put = put(&format!("d-{number}"), number);
                if number >= 900 {
                    put["target"] = json!({"nodes": [format!("later-{number}")]});
                }
                put
            };
            let asked = request((0..count).map(command));
            let timed = |_| {
                let mut head = state.clone();
                let began = Clock::now();
                black_box(decide_on_condition(&mut head, &envelope(2), &asked, &PlanCondition::None))
                    .expect("accepted");
                millis(began.elapsed())
            };
            let mut times: Vec<f64> = (0..PAIRS).map(timed).collect();
            let spread = range(&times, 1);
            Figure::new(
                format!("decide {count} documents for {NODES_OF_MANIFESTS} nodes"),
                format!("{:.1} ms", median(&mut times)),
                spread,
            )
        })
        .collect()
}

/// What a person waits for, from the start of the program to its end.
async fn manifests() -> Result<Vec<Figure>> {
    let folder = tempfile::TempDir::new()?;
    // PostgreSQL's account may enter it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_headwater"));
    let dir = folder.path().join("dev");
    let running = dev::start(dev::Options { dir, nodes: 0, program: Some(program), ..dev::Options::default() }).await?;
    let disk = fsync::median(folder.path())?;
    let manifests = write_manifests(folder.path())?;
    let nodes = |number: usize| format!("---\nkind: node\nid: n-{number}\nlabels: {{}}\n");
    let fleet = folder.path().join("nodes.yaml");
    fs::write(&fleet, (0..NODES_OF_MANIFESTS).map(nodes).collect::<String>())?;
    run(&running.json, &["apply", "--yes", "-f"], &fleet, 0).await?;
    let planned = run(&running.json, &["plan", "-f"], &manifests, 1).await?;
    let applied = run(&running.json, &["apply", "--yes", "-f"], &manifests, 0).await?;
    let unchanged = run(&running.json, &["apply", "--yes", "-f"], &manifests, 0).await?;
    running.stop().await;
    let beside = format!("fsync {:.2} ms", millis(disk));
    let row = |what: String, took: Duration| Figure::new(what, format!("{:.0} ms", millis(took)), &beside);
    Ok(vec![
        row(format!("plan of {DOCUMENTS} new documents for {NODES_OF_MANIFESTS} nodes"), planned),
        row("apply of them: two dry runs, and the request".to_owned(), applied),
        row("apply of them again: nothing changes".to_owned(), unchanged),
    ])
}

/// A bundle that fits one request: its documents and its assignment.
fn write_manifests(folder: &Path) -> Result<PathBuf> {
    let dir = folder.join("manifests");
    fs::create_dir(&dir)?;
    fs::write(dir.join("bundle.yaml"), "kind: bundle\nid: b\ndefaults: {priority: 0, target: {all: true}}\n")?;
    for number in 0..DOCUMENTS - 1 {
        let text = format!("kind: document\nid: d-{number}\npath: etc/{number}\ncontent: 'number {number}'\n");
        fs::write(dir.join(format!("{number}.yaml")), text)?;
    }
    Ok(dir)
}

async fn run(dev: &dev::DevJson, words: &[&str], path: &Path, expected: i32) -> Result<Duration> {
    let began = Clock::now();
    let ended = Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(words)
        .arg(path)
        .env("HEADWATER_URL", &dev.http)
        .env("HEADWATER_TOKEN", &dev.tokens.admin)
        .output()
        .await?;
    match ended.status.code() == Some(expected) {
        true => Ok(began.elapsed()),
        false => Err(format!("{words:?} {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr)).into()),
    }
}
