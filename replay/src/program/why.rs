//! `headwater-replay why`: the events that a node's file or a job follows from, or that keep it away, with who caused them and
//! their reasons. Its JSON is that of `GET /v1/why/…`, with the reports that the log holds in place of the present report.

use std::collections::BTreeMap;
use std::path::PathBuf;

use projections::configuration::{Configuration, NotedReport};
use projections::render::render;
use replay::explain::{Derivation, DerivedFile, ExplainError, explain_file, explain_job};
use schema::event::Event;
use schema::id::{JobId, NodeId};
use schema::position::Position;
use schema::report::RecordRef;
use schema::terminal;
use serde_json::{Value, json};

use super::content;
use super::output::{RunError, print, print_json, table};
use super::state_at::StateOptions;

/// The file or the job to explain.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["node", "job"])]
pub(crate) struct WhyCommand {
    /// The node whose file it is.
    #[arg(long, value_name = "ID", requires = "path", conflicts_with = "job")]
    node: Option<NodeId>,

    /// The file's path: a document's, or `jobs/<id>.json`.
    #[arg(long, value_name = "PATH", requires = "node")]
    path: Option<String>,

    /// The job whose spec it is.
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,

    #[command(flatten)]
    past: StateOptions,
}

impl WhyCommand {
    pub(crate) fn json(&self) -> bool {
        self.past.options.how.json
    }
}

/// Prints the explanation.
pub(crate) fn run(why: &WhyCommand) -> Result<(), RunError> {
    let state = why.past.state()?;
    let (of, answer) = asked(why, &state)?;
    let causes = causes(&why.past.options.files, &answer)?;
    let runs = why.node.as_ref().map(|node| Runs::of(&state, node));
    match why.json() {
        true => {
            let mut shown = to_json(of, &answer, &causes);
            if let Some(runs) = runs {
                shown["desired"] = json!(runs.desired);
                shown["noted"] = runs.to_json();
            }
            print_json(&shown)
        }
        false => {
            let runs = runs.map(|runs| runs.to_text()).unwrap_or_default();
            print(&format!("{}{runs}", to_text(&of, &answer, &causes, state.position())))
        }
    }
}

/// The record of a node, and the reports of it that the log holds.
struct Runs<'a> {
    desired: Option<RecordRef>,
    noted: Option<&'a NotedReport>,
}

impl<'a> Runs<'a> {
    fn of(state: &'a Configuration, node: &NodeId) -> Self {
        let desired = render(state, node);
        let desired = desired.map(|desired| RecordRef { position: desired.cause.position, digest: desired.digest });
        Self { desired, noted: state.reports().get(node) }
    }

    fn to_json(&self) -> Value {
        self.noted.map_or(Value::Null, |noted| {
            let mut shown = json!(*noted.summary);
            shown["position"] = json!(noted.position);
            shown["at"] = json!(noted.at);
            shown
        })
    }

    fn to_text(&self) -> String {
        let Some(noted) = self.noted else {
            return "This is what was desired. The log has no report of the node.\n".into();
        };
        let runs = match noted.summary.running {
            None => "it ran nothing".into(),
            Some(running) if Some(running.digest) == self.desired.map(|desired| desired.digest) => "it ran that".into(),
            Some(running) => format!("it ran something else, of position {}", running.position),
        };
        let failed = noted.summary.failed.as_ref().map_or_else(String::new, |failed| {
            let words = [failed.code.as_deref(), failed.detail.as_deref()].into_iter().flatten().collect::<Vec<_>>();
            format!(", and position {} had failed: {}", failed.record.position, terminal::line(&words.join(": ")))
        });
        format!("This is what was desired. As the node said last, at position {}, {runs}{failed}.\n", noted.position)
    }
}

/// The subject of the question, and the answer.
fn asked(why: &WhyCommand, state: &Configuration) -> Result<(Value, Derivation), RunError> {
    let (of, answer) = match (&why.node, &why.path, &why.job) {
        (Some(node), Some(path), _) => (json!({"node": node, "path": path}), explain_file(state, node, path)),
        (_, _, Some(job)) => (json!({ "job": job }), explain_job(state, job)),
        _ => return Err(RunError::Usage("give --node and --path, or --job".into())),
    };
    let unknown = |unknown: ExplainError| RunError::Nothing(format!("{unknown} at position {}", state.position()));
    Ok((of, answer.map_err(unknown)?))
}

fn causes(files: &[PathBuf], answer: &Derivation) -> Result<BTreeMap<Position, Event>, RunError> {
    content::events(files, answer.reasons.iter().map(|reason| reason.position).collect())
}

fn to_json(of: Value, answer: &Derivation, causes: &BTreeMap<Position, Event>) -> Value {
    let because = answer.reasons.iter().filter_map(|reason| {
        let Event { position, event_id, command_id, entity, version, event_type, actor, at, reason: said, .. } =
            causes.get(&reason.position)?;
        Some(json!({
            "part": reason.part.name(), "position": position, "event_id": event_id, "command_id": command_id,
            "entity": entity, "version": version, "type": event_type, "actor": actor, "at": at, "reason": said,
        }))
    });
    let found = answer.found.as_ref().map(
        |DerivedFile { kind, digest, size, source, mode }| json!({"kind": kind, "digest": digest, "size": size, "source": source, "mode": mode}),
    );
    let mut shown = of;
    shown["found"] = json!(found);
    shown["because"] = because.collect();
    shown["more"] = json!(answer.more);
    shown
}

fn to_text(of: &Value, answer: &Derivation, causes: &BTreeMap<Position, Event>, position: Position) -> String {
    let text = |name: &str| of[name].as_str().unwrap_or_default();
    let what = match of["job"].as_str() {
        Some(job) => format!("job {job}"),
        None => format!("{} on node {}", terminal::line(text("path")), text("node")),
    };
    let is = match &answer.found {
        Some(DerivedFile { digest, size, .. }) => format!("is {} ({size} bytes)", digest.short()),
        None => "is not there".into(),
    };
    let mut rows = vec![["POSITION", "AT", "ACTOR", "PART", "TYPE", "ENTITY", "REASON"].map(String::from).to_vec()];
    rows.extend(answer.reasons.iter().filter_map(|reason| {
        let event = causes.get(&reason.position)?;
        let said = event.reason.clone().unwrap_or_default();
        let texts =
            [event.position.to_string(), event.at.to_string(), event.actor.to_string(), reason.part.name().into()];
        Some(texts.into_iter().chain([event.event_type.clone(), event.entity.to_string(), said]).collect())
    }));
    let more = if answer.more == 0 { String::new() } else { format!("and {} more\n", answer.more) };
    format!("{what} {is} at position {position}, because of\n{}{more}", table(&rows))
}
