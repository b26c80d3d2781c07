//! Answers one request of a node: a command, which is decided like one that came over HTTP, or a query for the node's own jobs.

use std::time::Duration;

use projections::configuration::Configuration;
use projections::refusal::Refusal;
use schema::answer::Answer;
use schema::entity::{Actor, Entity};
use schema::id::NodeId;
use schema::position::Position;
use schema::request::Request;
use schema::rpc::{RpcError, RpcOutcome, RpcReply, RpcRequest, RpcVerb, claims_digest, read_request, request_id};
use tokio::time::timeout;

use crate::event_log::{EventLog, SubmitError};

/// How long a decision may take.
const DECIDED_WITHIN: Duration = Duration::from_secs(10);
/// How long a query waits for the position that it asks for.
const POSITION_WAIT: Duration = Duration::from_secs(4);

/// Answers a request of `node`.
pub(super) async fn answer(source: &dyn EventLog, verb: RpcVerb, node: NodeId, bytes: &[u8]) -> RpcReply {
    let answered = match read_request(verb, &node, bytes) {
        Ok(RpcRequest::Command(id, request)) => command(source, Actor::Node(node), Some(id), request).await,
        Ok(RpcRequest::ListClaims(position)) => mine(source, &node, position).await,
        Err(fault) => Err(fault),
    };
    reply(source, bytes, answered)
}

/// The reply to a request, whatever became of it.
pub(crate) fn reply(
    source: &dyn EventLog,
    bytes: &[u8],
    answered: Result<(Position, RpcOutcome), RpcError>,
) -> RpcReply {
    match answered {
        Ok((position, done)) => {
            RpcReply { v: 1, log_id: source.log_id(), position, result: Some(done), error: None, id: request_id(bytes) }
        }
        Err(fault) => failed(source, bytes, fault),
    }
}

/// The reply to a request that failed.
pub(super) fn failed(source: &dyn EventLog, request: &[u8], fault: RpcError) -> RpcReply {
    let position = source.view().position();
    RpcReply { v: 1, log_id: source.log_id(), position, result: None, error: Some(fault), id: request_id(request) }
}

/// Appends a request of one command.
pub(crate) async fn command(
    source: &dyn EventLog,
    actor: Actor,
    key: Option<String>,
    request: Request,
) -> Result<(Position, RpcOutcome), RpcError> {
    let submitted = source.submit(request, actor, key);
    let late = |_| RpcError::new(RpcError::UNAVAILABLE, "", "the log takes too long; ask again under the same id");
    let Answer { position, results, .. } = timeout(DECIDED_WITHIN, submitted).await.map_err(late)?.map_err(refused)?;
    let outcome = results.into_iter().next().expect("BUG: a request of one command has one result");
    Ok((position, outcome.into()))
}

async fn mine(source: &dyn EventLog, node: &NodeId, at_least: Position) -> Result<(Position, RpcOutcome), RpcError> {
    if timeout(POSITION_WAIT, source.reached(at_least)).await.is_err() {
        let detail = format!("position {at_least} is not reached yet");
        return Err(RpcError::new(RpcError::NOT_REACHED, "min_position", detail));
    }
    let view = source.view();
    let done = claimed_jobs(&view, node).map_err(|refusal| fault(&refusal, refusal.field()))?;
    Ok((view.position(), done))
}

/// All jobs that a node has claimed.
fn claimed_jobs(view: &Configuration, node: &NodeId) -> Result<RpcOutcome, Refusal> {
    match view.nodes().get(node) {
        None => return Err(Refusal::UnknownReference { field: "runtime", entity: node.into() }),
        Some(known) if known.retired => return Err(Refusal::RetiredRuntime(node.clone())),
        Some(_) => {}
    }
    let entity = Entity::runtime(node);
    let jobs: Vec<_> = view.jobs().held_by(node).filter_map(|(job, _)| view.leased(job, false)).collect();
    let digest = Some(claims_digest(&jobs));
    Ok(RpcOutcome { version: view.version(&entity), entity, changed: false, jobs: Some(jobs), digest })
}

fn refused(error: SubmitError) -> RpcError {
    let detail = error.to_string();
    match error {
        SubmitError::Refused(refused) => fault(&refused.refusal, &refused.field()),
        SubmitError::KeyReused => RpcError::new(RpcError::ID_REUSED, "id", "this id was used for another request"),
        SubmitError::Busy => RpcError::new(RpcError::OVERLOADED, "", "too many commands are waiting"),
        // No request of a node has a plan.
        SubmitError::PlanChanged
        | SubmitError::ClockAhead(_)
        | SubmitError::Unstorable(_)
        | SubmitError::Unavailable(_) => RpcError::new(RpcError::UNAVAILABLE, "", detail),
    }
}

fn fault(refusal: &Refusal, field: &str) -> RpcError {
    RpcError::new(refusal.code().as_str(), field, refusal.to_string())
}
