//! What an administrator does about a node or a job that is not converged.

use super::awaited_entity::AwaitedEntity;
use super::awaited_kind::AwaitedKind;

/// One sentence; none if it is on its way.
pub(super) fn advice(kind: AwaitedKind, entity: &AwaitedEntity) -> Option<String> {
    match kind {
        AwaitedKind::Node => of_node(entity),
        AwaitedKind::Job => of_job(entity),
    }
}

fn of_job(job: &AwaitedEntity) -> Option<String> {
    let id = &job.id;
    match (job.state(), job.code()) {
        (None, _) => Some("define its attestation, or correct the id: `headwater get jobs` shows all".to_owned()),
        (Some("failed"), _) => Some(format!("`headwater events --entity job/{id} --json` has the evidence of the run")),
        (_, "unclaimed") => Some("start a runtime whose labels fit its attestation's runtime_selector".to_owned()),
        _ => None,
    }
}

fn of_node(node: &AwaitedEntity) -> Option<String> {
    let id = &node.id;
    let text = match (node.state(), node.code()) {
        (None, _) => "enrol it with the command `enrol_node`, or correct the id".to_owned(),
        (Some("failed"), code) if is_the_operators_no(code) => {
            format!("correct the document that it is about, or the machine and then `headwater retry {id}`")
        }
        (Some("failed"), _) => format!(
            "the node tries again by itself: remove the cause, and wait again; `headwater edge status` on {id} says more"
        ),
        (Some("refused"), "bad_signature" | "missing_signature") => format!(
            "compare the key that {id} trusts with `signing_key` of `headwater get log`: somebody else wrote the record, or the node \
             belongs to another server"
        ),
        (Some("refused"), "other_log") => {
            "if a new log was begun on purpose, run `headwater edge accept-log` with its id on the node".to_owned()
        }
        (Some("refused"), "older_position" | "same_position_other_content") => {
            "the log has lost its end, for example because its database was restored: `headwater recover` says more"
                .to_owned()
        }
        (Some("refused"), "newer_format") => "upgrade the agent on the node".to_owned(),
        (Some("refused"), _) => format!("`headwater edge status` on {id} says what to do"),
        (Some("offline"), _) => "look at the machine and its link; it goes on running what it runs".to_owned(),
        (Some("unknown"), _) => "start its agent, or check the agent's id and its URL of NATS".to_owned(),
        (Some("duplicate"), _) => "stop one of the two agents".to_owned(),
        (Some("ahead"), _) => {
            "the log has lost its end, for example because its database was restored: `headwater recover` says more"
                .to_owned()
        }
        (Some("drifted"), _) => {
            "the agent repairs it within 30 s, unless it was started with --on-drift report".to_owned()
        }
        _ => return None,
    };
    Some(text)
}

/// Whether the node's check or hook said no, or did so before.
fn is_the_operators_no(code: &str) -> bool {
    matches!(code, "check_rejected" | "check_timed_out" | "apply_rejected" | "apply_timed_out" | "rejected")
}
