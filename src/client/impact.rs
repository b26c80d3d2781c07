//! `headwater impact`: what a request changed, as tables for people or as the server's JSON.

use api::path::IMPACT;
use clap::Args;
use schema::id::CommandId;
use schema::position::Position;
use serde_json::Value;

use crate::get::table::{self, Column, ColumnStyle, format_value};
use crate::get::{Error, QueryOptions, terminal_width};

/// Nodes that are named in a line; more are only counted.
const NAMED_MAX: usize = 20;

const EVENTS: [Column; 4] = [
    Column { head: "POSITION", places: &["/position"], style: ColumnStyle::Number },
    Column { head: "EVENT", places: &["/type"], style: ColumnStyle::Whole },
    Column { head: "ENTITY", places: &["/entity"], style: ColumnStyle::Whole },
    Column { head: "VERSION", places: &["/version"], style: ColumnStyle::Number },
];
const CHANGES: [Column; 3] = [
    Column { head: "CHANGED", places: &["/node", "/job"], style: ColumnStyle::Whole },
    Column { head: "BEFORE", places: &["/before"], style: ColumnStyle::Digest },
    Column { head: "AFTER", places: &["/after"], style: ColumnStyle::Digest },
];

/// Which request.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A request's id is in the answer to it and in each of its events: see `headwater events --json` and
`headwater why … --json`. The position of any of its events will do, too.")]
pub struct Options {
    /// The request's id, a UUID, or the position of one of its events.
    #[arg(value_name = "COMMAND_ID|POSITION", value_parser = request)]
    request: String,

    #[command(flatten)]
    query: QueryOptions,
}

/// A request as a URL names it.
pub(crate) fn request(text: &str) -> Result<String, String> {
    let position = text.parse().map(|position: u64| Position::from(position).to_string());
    let id = || text.parse().map(|id: CommandId| id.to_string());
    position.or_else(|_| id()).map_err(|_| "it is neither a request's UUID nor a position".to_owned())
}

/// Prints what the request changed.
///
/// # Errors
/// If the server refuses or can't be reached, or the output can't be written.
pub async fn run(options: Options) -> Result<(), Error> {
    options.query.print(&format!("{IMPACT}/{}", options.request), outline).await
}

fn outline(impact: &Value) -> String {
    let list = |name: &str| impact[name].as_array().cloned().unwrap_or_default();
    let member = |name: &str| format_value(&impact[name]);
    let reason = impact["reason"].as_str().map_or_else(String::new, |_| format!(": \"{}\"", member("reason")));
    let mut text = format!("request {} by {} at {}{reason}\n\n", member("command_id"), member("actor"), member("at"));
    text.push_str(&table::format_table(&EVENTS, &list("events"), terminal_width()));
    for (name, none) in [("nodes", "no node holds anything else"), ("jobs", "no job's spec is another")] {
        text.push('\n');
        match list(name) {
            changes if changes.is_empty() => text.push_str(&format!("{none}\n")),
            changes => text.push_str(&table::format_table(&CHANGES, &changes, terminal_width())),
        }
    }
    match list("unchanged") {
        nodes if nodes.is_empty() => {}
        nodes if nodes.len() > NAMED_MAX => {
            text.push_str(&format!("\n{} more nodes are concerned and hold what they held\n", nodes.len()));
        }
        nodes => {
            text.push_str(&format!("\nconcerned, and hold what they held: {}\n", format_value(&Value::Array(nodes))))
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_is_named_by_its_id_or_by_a_position() {
        let id = "01999999-0000-7000-8000-000000000001";
        for (text, named) in [(id, id), ("7", "7"), ("007", "7")] {
            assert_eq!(request(text).as_deref(), Ok(named));
        }
        for none in ["", "-1", "7/8", "x"] {
            assert!(request(none).is_err(), "{none}");
        }
    }

    #[test]
    fn what_changed_and_what_did_not_are_told_apart() {
        let digest = "0123456789abcdef";
        let impact = json!({"command_id": "c", "actor": "ann", "at": "then", "reason": "why\nnot",
            "events": [{"position": 4, "type": "DocumentPut", "entity": "document/d", "version": 1}],
            "nodes": [{"node": "n-1", "before": null, "after": digest}], "unchanged": ["n-2", "n-3"], "jobs": []});
        let text = outline(&impact);
        assert!(text.starts_with("request c by ann at then: \"why not\"\n"), "{text}");
        assert!(text.contains("n-1      -       0123456789ab\n"), "{text}");
        assert!(text.contains("no job's spec is another\n"), "{text}");
        assert!(text.ends_with("hold what they held: n-2,n-3\n"), "{text}");
        let many = json!({"unchanged": (0..30).map(|number| format!("n-{number}")).collect::<Vec<_>>()});
        assert!(outline(&many).ends_with("30 more nodes are concerned and hold what they held\n"));
    }
}
