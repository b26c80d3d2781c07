//! `headwater why`: the events that a node's file or a job follows from, or that keep it away, as a table for people or as the
//! server's JSON.

use clap::{Args, Subcommand};
use schema::id::Id;
use schema::terminal;
use serde_json::Value;

use crate::get::table::{self, Column, ColumnStyle, format_value};
use crate::get::{Error, QueryOptions, terminal_width};
use crate::url_path;

const COLUMNS: [Column; 8] = [
    Column { head: "PART", places: &["/part"], style: ColumnStyle::Whole },
    Column { head: "POSITION", places: &["/position"], style: ColumnStyle::Number },
    Column { head: "AT", places: &["/at"], style: ColumnStyle::Whole },
    Column { head: "EVENT", places: &["/type"], style: ColumnStyle::Whole },
    Column { head: "ENTITY", places: &["/entity"], style: ColumnStyle::Whole },
    Column { head: "VERSION", places: &["/version"], style: ColumnStyle::Number },
    Column { head: "ACTOR", places: &["/actor"], style: ColumnStyle::Whole },
    Column { head: "REASON", places: &["/reason"], style: ColumnStyle::Long },
];

/// What to explain.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  headwater why node node-1 etc/motd            what it follows from, what lost
  headwater why node node-1 etc/motd --at 120   the same, as of position 120
  headwater why job 0198b0a2-…                  definitions, claim and last run

Parts: put, accepted, proposed, enrolled and labelled made it so, or in a rollout staged, released, opened and promoted;
overrode lost to it; unfit, left, withdrawn and retired keep it away; attestation, assessment, control, component and
respecified are what a job's spec follows from; made, claimed, waits, completed, renewed and removed say what became
of the job.")]
pub struct Options {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Clone, Debug, Subcommand)]
enum Subject {
    /// Why a node has what it has at a path, or has nothing there
    Node {
        /// The node.
        #[arg(value_name = "NODE")]
        node: Id,
        /// The file's path, or jobs/<id>.json.
        #[arg(value_name = "PATH")]
        path: String,
        #[command(flatten)]
        query: QueryOptions,
    },
    /// Why a job has its spec, and which runtime has it
    Job {
        /// The job.
        #[arg(value_name = "JOB")]
        job: Id,
        #[command(flatten)]
        query: QueryOptions,
    },
}

/// Prints the explanation.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let (path, query, what) = match options.subject {
        Subject::Node { node, path, query } => (
            format!("/v1/why/nodes/{node}/{}", url_path::segments(&path)),
            query,
            format!("{} on {node}", terminal::line(&path)),
        ),
        Subject::Job { job, query } => (format!("/v1/why/jobs/{job}"), query, format!("job {job}")),
    };
    query.print(&path, |why| outline(&what, why)).await
}

/// What was explained and the events that it follows from; for a file also what the node runs.
fn outline(what: &str, why: &Value) -> String {
    let found = &why["found"];
    let mut text = match found.is_null() {
        true => format!("{what}: nothing, because\n\n"),
        false => format!("{what}: {}, because\n\n", format_file(found)),
    };
    let reasons = why["because"].as_array().map_or(&[][..], Vec::as_slice);
    text.push_str(&table::format_table(&COLUMNS, reasons, terminal_width()));
    text.push_str(&format_proposal(reasons));
    if let Some(more @ 1..) = why["more"].as_u64() {
        text.push_str(&format!("and {more} more\n"));
    }
    if let Some(rollout) = why["awaits"].as_str().map(terminal::line) {
        text.push_str(&format!(
            "\nRollout {rollout} changes this and has not released the node yet: `headwater rollout get {rollout}` shows what it waits for.\n"
        ));
    }
    // An older server does not say what the node runs.
    if !why["runs"].is_null() {
        text.push_str(&format!("\nThis is desired. {}\n", format_running(why)));
    }
    text
}

/// A sentence about the proposal that the file comes from, if it comes from one.
fn format_proposal(reasons: &[Value]) -> String {
    let of = |part: &str| reasons.iter().find(|reason| reason["part"] == part);
    let (Some(accepted), Some(proposed)) = (of("accepted"), of("proposed")) else { return String::new() };
    let text = |reason: &Value, name: &str| format_value(&reason[name]);
    let [entity, node] = [text(accepted, "entity"), text(proposed, "actor")];
    let id = entity.split_once('/').map_or(entity.as_str(), |(_, id)| id);
    let node = node.split_once('/').map_or(node.as_str(), |(_, node)| node);
    let (by, position) = (text(accepted, "actor"), text(accepted, "position"));
    format!("\nproposal {id} of node {node}, accepted by {by} at {position}\n")
}

fn format_file(found: &Value) -> String {
    let (size, source) = (format_value(&found["size"]), format_value(&found["source"]["entity"]));
    let mode = if found["mode"] == "755" { ", mode 755" } else { "" };
    format!("{size} B from {source}{mode}, sha256 {}", format_value(&found["digest"]))
}

/// What the node runs at the path, and its state.
fn format_running(why: &Value) -> String {
    let state = match &why["reason"] {
        Value::Null => format_value(&why["state"]),
        reason => format!("{}: {}", format_value(&why["state"]), table::format_reason(reason)),
    };
    let heard = why["silence_ms"]
        .as_u64()
        .map_or_else(String::new, |silence| format!(", heard {} ago", table::format_ago(silence)));
    let (running, file) = (&why["running"], &why["runs"]["file"]);
    let runs = match (why["runs"]["known"] == true, running.is_null()) {
        (false, true) => "What the node runs is not known".to_owned(),
        (false, false) => {
            format!("What it runs (position {}) is no record of this log", format_value(&running["position"]))
        }
        (true, true) => "The node runs nothing yet".to_owned(),
        (true, false) if file == &why["found"] => {
            format!("The node runs it (position {})", format_value(&running["position"]))
        }
        (true, false) => {
            let other = if file.is_null() { "nothing there".to_owned() } else { format_file(file) };
            format!("The node runs something else (position {}): {other}", format_value(&running["position"]))
        }
    };
    format!("{runs}.\nState: {state}{heard}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_there_and_what_is_not_are_told_with_their_reasons() {
        let reason = json!({"part": "put", "position": 3, "at": "2026-01-01T00:00:00.000000Z", "type": "DocumentPut",
            "entity": "document/motd", "version": 1, "actor": "ann", "reason": "a\u{1b}[2Jgreeting"});
        let found = json!({"kind": "document", "digest": "5f", "size": 4, "source": {"entity": "document/motd"}});
        let there = outline("etc/motd on n-1", &json!({"found": found, "because": [reason], "more": 0}));
        let lines: Vec<&str> = there.lines().collect();
        assert_eq!(lines[0], "etc/motd on n-1: 4 B from document/motd, sha256 5f, because");
        assert!(lines[2].starts_with("PART") && lines[3].starts_with("put "), "{there}");
        assert!(!there.contains('\u{1b}'));
        let awaits = outline("a on n-1", &json!({"found": found, "because": [], "more": 0, "awaits": "r-1"}));
        assert!(awaits.contains("\nRollout r-1 changes this and has not released the node yet"), "{awaits}");
        let gone = outline("job x", &json!({"found": null, "because": [], "more": 7}));
        assert!(gone.starts_with("job x: nothing, because\n") && gone.ends_with("and 7 more\n"));
    }

    #[test]
    fn a_file_that_was_proposed_names_who_proposed_and_who_accepted() {
        let reason = |part: &str, position: u64, actor: &str| json!({"part": part, "position": position, "entity": "proposal/p-1", "actor": actor});
        let because = [reason("put", 813, "ann"), reason("accepted", 812, "ann"), reason("proposed", 7, "node/n-1")];
        let told = outline("a on n-1", &json!({"found": {"size": 1}, "because": because}));
        assert!(told.ends_with("\nproposal p-1 of node n-1, accepted by ann at 812\n"), "{told}");
        assert_eq!(format_proposal(&because[..1]), "");
    }

    #[test]
    fn what_runs_is_told_apart_from_what_is_desired() {
        let file = |digest: &str| json!({"digest": digest, "size": 4, "source": {"entity": "document/motd"}});
        let why = |state: &str, reason: Value, running: Value, known: bool, runs: Value| {
            let why = json!({"found": file("5f"), "because": [], "state": state, "reason": reason, "silence_ms": 3_000,
                "running": running, "runs": {"known": known, "file": runs}});
            outline("etc/motd on n-1", &why)
        };
        let record_ref = || json!({"position": 9, "digest": "00"});
        let failed = json!({"code": "check_failed", "detail": "too\u{1b}high"});
        for (told, expected) in [
            (
                why("converged", json!(null), record_ref(), true, file("5f")),
                "The node runs it (position 9).\nState: converged, heard 3 s ago\n",
            ),
            (
                why("failed", failed, record_ref(), true, file("6e")),
                "something else (position 9): 4 B from document/motd, sha256 6e.\n\
                 State: failed: check_failed: too\u{fffd}high, heard 3 s ago\n",
            ),
            (
                why("progressing", json!(null), record_ref(), true, json!(null)),
                "something else (position 9): nothing there.\nState: progressing, heard 3 s ago\n",
            ),
            (
                why("progressing", json!(null), json!(null), true, json!(null)),
                "The node runs nothing yet.\nState: progressing, heard 3 s ago\n",
            ),
            (
                why("unknown", json!(null), json!(null), false, json!(null)),
                "What the node runs is not known.\nState: unknown, heard 3 s ago\n",
            ),
            (
                why("progressing", json!(null), record_ref(), false, json!(null)),
                "What it runs (position 9) is no record of this log.\nState: progressing, heard 3 s ago\n",
            ),
        ] {
            assert!(told.ends_with(expected), "{told}");
        }
    }
}
