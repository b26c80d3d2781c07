//! Answers one request of a node: a command, which is decided like one that came over HTTP, or a query for the node's own jobs.

use std::time::Duration;

use projections::configuration::Configuration;
use projections::refusal::Refusal;
use schema::answer::Answer;
use schema::entity::{Actor, Entity};
use schema::id::NodeId;
use schema::position::Position;
use schema::request::Request;
use schema::rpc::{Asked, Done, Fault, Reply, Verb, digest_of, id_of, read};
use tokio::time::timeout;

use crate::event_log::{EventLog, SubmitError};

/// How long a decision may take.
const DECIDED_WITHIN: Duration = Duration::from_secs(10);
/// How long a query waits for the position that it asks for.
const POSITION_WAIT: Duration = Duration::from_secs(4);

/// Answers a request of `node`.
pub(super) async fn answer(source: &dyn EventLog, verb: Verb, node: NodeId, bytes: &[u8]) -> Reply {
    let answered = match read(verb, &node, bytes) {
        Ok(Asked::Command(id, request)) => command(source, node, id, request).await,
        Ok(Asked::Mine(position)) => mine(source, &node, position).await,
        Err(fault) => Err(fault),
    };
    match answered {
        Ok((position, done)) => {
            Reply { v: 1, log_id: source.log_id(), position, result: Some(done), error: None, id: id_of(bytes) }
        }
        Err(fault) => failed(source, bytes, fault),
    }
}

/// The reply to a request that failed.
pub(super) fn failed(source: &dyn EventLog, request: &[u8], fault: Fault) -> Reply {
    let position = source.view().position();
    Reply { v: 1, log_id: source.log_id(), position, result: None, error: Some(fault), id: id_of(request) }
}

async fn command(source: &dyn EventLog, node: NodeId, id: String, request: Request) -> Result<(Position, Done), Fault> {
    let submitted = source.submit(request, Actor::Node(node), Some(id));
    let late = |_| Fault::new(Fault::UNAVAILABLE, "", "the log takes too long; ask again under the same id");
    let Answer { position, results, .. } = timeout(DECIDED_WITHIN, submitted).await.map_err(late)?.map_err(refused)?;
    let outcome = results.into_iter().next().expect("BUG: a request of one command has one result");
    Ok((position, outcome.into()))
}

async fn mine(source: &dyn EventLog, node: &NodeId, at_least: Position) -> Result<(Position, Done), Fault> {
    if timeout(POSITION_WAIT, source.reached(at_least)).await.is_err() {
        let detail = format!("position {at_least} is not reached yet");
        return Err(Fault::new(Fault::NOT_REACHED, "min_position", detail));
    }
    let view = source.view();
    let done = claimed_jobs(&view, node).map_err(|refusal| fault(&refusal, refusal.field()))?;
    Ok((view.position(), done))
}

/// All jobs that a node has claimed.
fn claimed_jobs(view: &Configuration, node: &NodeId) -> Result<Done, Refusal> {
    match view.nodes().get(node) {
        None => return Err(Refusal::UnknownReference { field: "runtime", entity: node.into() }),
        Some(known) if known.retired => return Err(Refusal::RetiredRuntime(node.clone())),
        Some(_) => {}
    }
    let entity = Entity::runtime(node);
    let jobs: Vec<_> = view.jobs().held_by(node).filter_map(|(job, _)| view.leased(job, false)).collect();
    let digest = Some(digest_of(&jobs));
    Ok(Done { version: view.version(&entity), entity, changed: false, jobs: Some(jobs), digest })
}

fn refused(error: SubmitError) -> Fault {
    let detail = error.to_string();
    match error {
        SubmitError::Refused(refused) => fault(&refused.refusal, &refused.field()),
        SubmitError::KeyReused => Fault::new(Fault::ID_REUSED, "id", "this id was used for another request"),
        SubmitError::Busy => Fault::new(Fault::OVERLOADED, "", "too many commands are waiting"),
        SubmitError::ClockAhead(_) | SubmitError::Unstorable(_) | SubmitError::Unavailable(_) => {
            Fault::new(Fault::UNAVAILABLE, "", detail)
        }
    }
}

fn fault(refusal: &Refusal, field: &str) -> Fault {
    Fault::new(refusal.code(), field, refusal.to_string())
}
