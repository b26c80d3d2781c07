//! `headwater why`: the events that a node's file or a job follows from, or that keep it away, as a table for people or as
//! the door's JSON.

use clap::{Args, Subcommand};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schema::id::Id;
use schema::terminal;
use serde_json::Value;

use crate::get::table::{self, Column, Look, said};
use crate::get::{Error, How, width};

/// What is spelt otherwise in a segment of a URL: all but what RFC 3986 leaves unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const COLUMNS: [Column; 8] = [
    Column { head: "PART", places: &["/part"], look: Look::Whole },
    Column { head: "POSITION", places: &["/position"], look: Look::Number },
    Column { head: "AT", places: &["/at"], look: Look::Whole },
    Column { head: "EVENT", places: &["/type"], look: Look::Whole },
    Column { head: "ENTITY", places: &["/entity"], look: Look::Whole },
    Column { head: "VERSION", places: &["/version"], look: Look::Number },
    Column { head: "ACTOR", places: &["/actor"], look: Look::Whole },
    Column { head: "REASON", places: &["/reason"], look: Look::Long },
];

/// What to explain.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
  headwater why node node-1 etc/motd               the document, what made the node match, what it overrode
  headwater why node node-1 etc/motd --at 120      the same, as of position 120
  headwater why job 0198b0a2-…                     the definitions, the claim and the last run

Parts: put, enrolled and labelled made it so; overrode lost to it; unfit, left and retired keep it away; attestation,
assessment, control, component and respecified are what a job's spec follows from; made, claimed, waits, completed,
renewed and removed say what became of the job.")]
pub struct Options {
    #[command(subcommand)]
    of: Of,
}

/// Of what.
#[derive(Clone, Debug, Subcommand)]
enum Of {
    /// Why a node has what it has at a path, or has nothing there
    Node {
        /// Which node.
        #[arg(value_name = "NODE")]
        node: Id,
        /// The file's path, or jobs/<id>.json.
        #[arg(value_name = "PATH")]
        path: String,
        #[command(flatten)]
        how: How,
    },
    /// Why a job is what it is, and with whom it is
    Job {
        /// Which job.
        #[arg(value_name = "JOB")]
        job: Id,
        #[command(flatten)]
        how: How,
    },
}

/// Explains it.
///
/// # Errors
/// If the door refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    let (path, how, what) = match options.of {
        Of::Node { node, path, how } => {
            let segments: Vec<String> =
                path.split('/').map(|segment| utf8_percent_encode(segment, SEGMENT).to_string()).collect();
            (
                format!("/v1/why/nodes/{node}/{}", segments.join("/")),
                how,
                format!("{} on {node}", terminal::line(&path)),
            )
        }
        Of::Job { job, how } => (format!("/v1/why/jobs/{job}"), how, format!("job {job}")),
    };
    how.tell(&path, |why| outline(&what, why)).await
}

/// What it is, and what it follows from.
fn outline(what: &str, why: &Value) -> String {
    let found = &why["found"];
    let mut text = match found.is_null() {
        true => format!("{what}: nothing, because\n\n"),
        false => {
            let (size, source) = (said(&found["size"]), said(&found["source"]["entity"]));
            format!("{what}: {size} B from {source}, sha256 {}, because\n\n", said(&found["digest"]))
        }
    };
    let reasons = why["because"].as_array().map_or(&[][..], Vec::as_slice);
    text.push_str(&table::written(&COLUMNS, reasons, width()));
    if let Some(more @ 1..) = why["more"].as_u64() {
        text.push_str(&format!("and {more} more\n"));
    }
    text
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
        let gone = outline("job x", &json!({"found": null, "because": [], "more": 7}));
        assert!(gone.starts_with("job x: nothing, because\n") && gone.ends_with("and 7 more\n"));
    }
}
