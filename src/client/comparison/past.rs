//! Two states of the log, as the server compares them.

use program::output;
use schema::id::NodeId;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::Error;
use crate::api_client::{ApiClient, with_query};
use crate::get::table::{Column, ColumnStyle, format_table, format_value};
use crate::get::terminal_width;
use crate::url_path;

const COLUMNS: [Column; 3] = [
    Column { head: "CHANGED", places: &["/node"], style: ColumnStyle::Whole },
    Column { head: "BEFORE", places: &["/before"], style: ColumnStyle::Digest },
    Column { head: "AFTER", places: &["/after"], style: ColumnStyle::Digest },
];

/// Two states of the log.
pub(super) struct PastStates<'a> {
    pub(super) client: &'a ApiClient,
    pub(super) from: String,
    pub(super) to: Option<String>,
    pub(super) json: bool,
}

impl PastStates<'_> {
    fn parameters(&self) -> Vec<(&str, &str)> {
        [("from", self.from.as_str())].into_iter().chain(self.to.as_deref().map(|to| ("to", to))).collect()
    }

    /// Prints the nodes whose files differ.
    pub(super) async fn print_fleet(&self) -> Result<bool, Error> {
        if self.json {
            let changes: Vec<Box<RawValue>> = self.client.list("/v1/diff/fleet", &self.parameters()).await?;
            let texts: Vec<&str> = changes.iter().map(|change| change.get()).collect();
            output::json(&format!("[{}]", texts.join(",")))?;
            return Ok(!changes.is_empty());
        }
        let changes: Vec<Value> = self.client.list("/v1/diff/fleet", &self.parameters()).await?;
        if !changes.is_empty() {
            output::text(&format_table(&COLUMNS, &changes, terminal_width()))?;
        }
        Ok(!changes.is_empty())
    }

    /// Prints the files of a node that differ, with the differences of their texts.
    pub(super) async fn print_node(&self, node: &NodeId) -> Result<bool, Error> {
        let text: Box<RawValue> =
            self.client.get(&with_query(&format!("/v1/diff/nodes/{node}"), &self.parameters())).await?;
        let compared: Value = serde_json::from_str(text.get()).expect("BUG: what was read as JSON is JSON");
        let files = compared["files"].as_array().map_or(&[][..], Vec::as_slice);
        if self.json {
            output::json(text.get())?;
            return Ok(!files.is_empty());
        }
        // The newest state may go on meanwhile: all files are compared at the positions of the first answer.
        let [from, to] = ["from", "to"].map(|name| format_value(&compared[name]));
        for file in files {
            self.print_file(node, file, &[("from", &from), ("to", &to)]).await?;
        }
        Ok(!files.is_empty())
    }

    async fn print_file(&self, node: &NodeId, file: &Value, positions: &[(&str, &str)]) -> Result<(), Error> {
        let name = file["path"].as_str().unwrap_or_default();
        let path = format!("/v1/diff/nodes/{node}/files/{}", url_path::segments(name));
        let compared: Value = self.client.get(&with_query(&path, positions)).await?;
        output::text(&match compared["unified"].as_str() {
            Some(unified) if !unified.is_empty() => unified.to_owned(),
            _ => without_text(&format!("a/{name}"), &format!("b/{name}"), &file["before"], &file["after"]),
        })?;
        Ok(())
    }
}

/// What is said of files that are too large, no text, or equal as text.
pub(super) fn without_text(one: &str, other: &str, before: &Value, after: &Value) -> String {
    format!("--- {one}\n+++ {other}\n{} -> {}\n", described(before), described(after))
}

fn described(file: &Value) -> String {
    match file {
        Value::Null => "no file".to_owned(),
        file => {
            let mode = file["mode"]
                .as_str()
                .filter(|mode| *mode != "644")
                .map(|_| format!(", mode {}", format_value(&file["mode"])));
            let (size, digest) = (format_value(&file["size"]), format_value(&file["digest"]));
            format!("{size} B, sha256 {digest}{}", mode.unwrap_or_default())
        }
    }
}
