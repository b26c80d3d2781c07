//! Advice of `edge status`: what the operator of a node should do about each thing that is wrong.
//!
//! Invariants: where the agent recovers by itself, the advice says so; no advice weakens what a node trusts.

use schema::report::{Attempt, AttemptState};

use crate::inspection::{FolderInspection, WriteBlocker};

/// One or two sentences for each problem, the most important first; empty if there is none.
#[must_use]
pub fn advice(inspection: &FolderInspection) -> Vec<String> {
    let all = [
        of_the_agent(inspection),
        of_nats(inspection),
        of_the_disk(inspection),
        of_the_attempt(inspection),
        of_what_runs(inspection),
        of_drift(inspection),
    ];
    all.into_iter().flatten().collect()
}

fn of_the_agent(inspection: &FolderInspection) -> Option<String> {
    let (node, dir) = (&inspection.node, inspection.dir.display());
    match inspection.agent_is_running {
        Some(true) => None,
        Some(false) => Some(format!(
            "No agent works in this folder: nothing newer is applied, and no drift is repaired. Start its service, or \
             `headwater edge --node {node} --dir {dir} …`."
        )),
        None => Some("Whether an agent works here can't be told: you may not read the file `lock`.".to_owned()),
    }
}

fn of_nats(inspection: &FolderInspection) -> Option<String> {
    let node = &inspection.node;
    inspection.nats_refused.as_ref().map(|note| {
        format!(
            "{}: what runs stays, nothing newer arrives, and what the node says is not heard. Either the node was barred, or the log has other \
             keys for it, or none. Ask the operator of the server, with that key (`headwater get nodes {node}`). A barred node comes back with \
             a new folder and a token made for it (`headwater edge join`).",
            note.meaning()
        )
    })
}

fn of_the_disk(inspection: &FolderInspection) -> Option<String> {
    let dir = inspection.dir.display();
    inspection.unwritable.map(|unwritable| match unwritable {
        WriteBlocker::Full => {
            format!("The disk of {dir} is full: nothing newer can be accepted (disk_full). Make room.")
        }
        WriteBlocker::ReadOnly => format!("The disk of {dir} is mounted read-only: nothing newer can be accepted."),
    })
}

fn of_the_attempt(inspection: &FolderInspection) -> Option<String> {
    let node = &inspection.node;
    if let Some(rejected) = inspection.rejection_of_seen() {
        let whose = if rejected.code.starts_with("check") { "check" } else { "apply hook" };
        return Some(format!(
            "The {whose} of this node rejected what the server desires, and the same content is not tried again. Correct \
             what its output names: either the documents, whose next content is tried by itself, or this machine, and then \
             send the command {{\"type\": \"retry_node\", \"id\": \"{node}\"}} to the server."
        ));
    }
    let attempt = inspection.attempt.as_ref()?;
    match attempt.state {
        AttemptState::Refused => Some(of_a_refusal(attempt, inspection)),
        AttemptState::Failed => Some(of_a_failure(attempt).to_owned()),
        _ => None,
    }
}

fn of_a_refusal(attempt: &Attempt, inspection: &FolderInspection) -> String {
    match attempt.code.as_deref().unwrap_or_default() {
        "missing_signature" | "bad_signature" => "The record that NATS holds for this node is not signed by the key that the \
            node trusts. Compare that key with `signing_key` of `GET /v1/log`: if they are the same, somebody else wrote the \
            record, and the server writes it anew; if not, this folder belongs to another server and needs a new --dir."
            .to_owned(),
        "other_log" => "The server has another log than the one this node follows; the text of the attempt names both. If \
            the operator of the server says that a new log was begun, stop the agent, run `headwater edge accept-log LOG_ID \
            --dir DIR` with the id that they give you, and start the agent again; what runs stays meanwhile."
            .to_owned(),
        "older_position" | "same_position_other_content" => {
            let floor = inspection.seen.map_or(0, |seen| seen.position.get());
            format!(
                "The server offers an older or another history than the one this node has seen up to position {floor}: its \
                 log has lost its end, for example because its database was restored from a backup. Ask the operator of \
                 the server; the node goes on when the log has passed position {floor}."
            )
        }
        "planted_path" => "Something lies in this folder where the agent's own folders belong; the text of the attempt names \
            it. Take it away, and the agent goes on."
            .to_owned(),
        "newer_format" => "The server is newer than this agent. Bring `headwater` on this node up to date.".to_owned(),
        _ => "The record from the server is not valid, so nothing was touched. Ask the operator of the server, with the code \
            and the text of the attempt."
            .to_owned(),
    }
}

fn of_a_failure(attempt: &Attempt) -> &'static str {
    match attempt.code.as_deref().unwrap_or_default() {
        "disk_full" => "The disk is full. Make room; the agent tries again by itself.",
        "disk_failed" => {
            "The disk, or who owns the folder, says no: the text of the attempt names the place. The agent tries \
            again by itself."
        }
        "no_trusted_key" => {
            "The node does not know which key to trust. Start the agent with --trust and the `signing_key` of \
            `GET /v1/log`."
        }
        "drift_returns" => {
            "What runs is changed again after each repair; the text of the attempt names the places. Find what writes there. \
            Repairs go on, with pauses of up to 5 minutes."
        }
        "nats_unreachable" => "Content is missing, and NATS is not there. The agent tries again by itself.",
        _ => {
            "The agent tries again by itself, at least every 10 s. If that does not help, ask the operator of the \
            server, with the code and the text of the attempt."
        }
    }
}

fn of_what_runs(inspection: &FolderInspection) -> Option<String> {
    if let (None, Some(log), Some(_)) = (inspection.seen, inspection.log_id, &inspection.running) {
        let waits = format!("The node waits for the first record of log {log}; what runs came from the log before it.");
        return (!inspection.is_refusing()).then_some(waits);
    }
    if inspection.seen.is_none() {
        return (!inspection.is_refusing()).then(|| {
            format!(
                "No record was ever accepted. Is {} enrolled, and does the agent reach NATS? Its output says so.",
                inspection.node
            )
        });
    }
    let has_a_reason = inspection.rejection_of_seen().is_some()
        || inspection.attempt.as_ref().is_some_and(|attempt| attempt.state != AttemptState::Applied);
    if has_a_reason || (inspection.runs_what_was_seen() && inspection.is_settled()) {
        return None;
    }
    Some(match inspection.agent_is_running {
        Some(true) => "What was last seen is being applied. Look again in a moment.".to_owned(),
        _ => "What was last seen has not come to its end. The agent takes it up when it is started.".to_owned(),
    })
}

fn of_drift(inspection: &FolderInspection) -> Option<String> {
    let Some(drift) = &inspection.drift else {
        return Some(
            "What runs can't be compared with its signed record. The next record that differs brings both anew."
                .to_owned(),
        );
    };
    (!drift.is_empty()).then(|| {
        "Files were changed by hand. The agent repairs them within 30 s while it runs, unless it was started with \
         --on-drift report; what should stay belongs into a document at the server."
            .to_owned()
    })
}
