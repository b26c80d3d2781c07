//! Two nodes at one state of the log: which files only one has, and which differ.

use std::collections::BTreeMap;

use api::log::LogStatus;
use api::path::LOG;
use api::query::AT;
use program::output;
use schema::id::NodeId;
use serde_json::{Value, json};

use super::error::Error;
use super::past::without_text;
use super::text_diff::{TEXT_BYTES_MAX, unified};
use crate::api_client::{ApiClient, with_query};
use crate::url_path;

/// Two nodes.
pub(super) struct NodePair<'a> {
    pub(super) client: &'a ApiClient,
    pub(super) one: NodeId,
    pub(super) other: NodeId,
    pub(super) at: Option<String>,
    pub(super) json: bool,
}

/// A file at a path on each of the two nodes; null where there is none.
type FilePair<'a> = [Option<&'a Value>; 2];

impl NodePair<'_> {
    /// Prints the files that differ.
    pub(super) async fn print(&self) -> Result<bool, Error> {
        let (client, at) = (self.client, self.state().await?);
        let [one, other] = [node_at(client, &self.one, &at).await?, node_at(client, &self.other, &at).await?];
        let files = differing(&one, &other);
        if self.json {
            let rows =
                files.iter().map(|(path, [before, after])| json!({"path": path, "before": before, "after": after}));
            let report = json!({"nodes": [self.one, self.other], "files": rows.collect::<Vec<_>>()});
            output::json(&report.to_string())?;
            return Ok(!files.is_empty());
        }
        for (path, pair) in &files {
            output::text(&self.file(path, pair, &at).await?)?;
        }
        Ok(!files.is_empty())
    }

    /// The state that both nodes and all their files are read at: it must be one, also if the log goes on meanwhile.
    async fn state(&self) -> Result<String, Error> {
        match &self.at {
            Some(at) => Ok(at.clone()),
            None => Ok(self.client.get::<LogStatus>(LOG).await?.position.to_string()),
        }
    }

    /// What differs in a file, as text where that is possible.
    async fn file(&self, path: &str, pair: &FilePair<'_>, at: &str) -> Result<String, Error> {
        let client = self.client;
        let [one, other] = [&self.one, &self.other].map(|node| format!("{node}/{path}"));
        let is_small = |file: &&Value| file["size"].as_u64().is_some_and(|size| size <= TEXT_BYTES_MAX);
        let text = match pair.iter().flatten().all(is_small) {
            false => None,
            true => {
                let before = bytes(client, &self.one, path, pair[0], at).await?;
                let after = bytes(client, &self.other, path, pair[1], at).await?;
                unified([&one, &other], [&before, &after]).filter(|text| !text.is_empty())
            }
        };
        let [before, after] = pair.map(|file| file.cloned().unwrap_or_default());
        Ok(text.unwrap_or_else(|| without_text(&one, &other, &before, &after)))
    }
}

async fn node_at(client: &ApiClient, node: &NodeId, at: &str) -> Result<Value, Error> {
    Ok(client.get(&with_query(&format!("/v1/nodes/{node}"), &[(AT, at)])).await?)
}

/// The bytes of a file; none if there is no file.
async fn bytes(
    client: &ApiClient,
    node: &NodeId,
    path: &str,
    file: Option<&Value>,
    at: &str,
) -> Result<Vec<u8>, Error> {
    if file.is_none() {
        return Ok(Vec::new());
    }
    let path = format!("/v1/nodes/{node}/files/{}", url_path::segments(path));
    Ok(client.get_bytes(&with_query(&path, &[(AT, at)])).await?)
}

/// The files that only one of the nodes has, or that have other contents or modes, by path. Jobs belong to a node and are no files to compare.
fn differing<'a>(one: &'a Value, other: &'a Value) -> BTreeMap<&'a str, FilePair<'a>> {
    let mut files = BTreeMap::<&str, FilePair<'_>>::new();
    for (side, node) in [one, other].into_iter().enumerate() {
        for entry in node["desired"]["entries"].as_array().into_iter().flatten().filter(|entry| entry["kind"] != "job")
        {
            files.entry(entry["path"].as_str().unwrap_or_default()).or_default()[side] = Some(entry);
        }
    }
    // An older server does not say the mode, because there was only one.
    let what = |file: Option<&'a Value>| file.map(|file| (&file["digest"], file["mode"].as_str().unwrap_or("644")));
    files.retain(|_, [one, other]| what(*one) != what(*other));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_compared_by_path_and_content_and_jobs_are_not() {
        let node = |entries: &[(&str, &str, &str)]| {
            let entry =
                |(kind, path, digest): &(&str, &str, &str)| json!({"kind": kind, "path": path, "digest": digest});
            json!({"desired": {"entries": entries.iter().map(entry).collect::<Vec<_>>()}})
        };
        let one =
            node(&[("document", "a", "1"), ("document", "b", "1"), ("document", "c", "1"), ("job", "jobs/x", "1")]);
        let other = node(&[("document", "a", "1"), ("document", "b", "2"), ("document", "d", "1")]);
        let files = differing(&one, &other);
        let sides: Vec<(&str, [bool; 2])> =
            files.iter().map(|(path, pair)| (*path, pair.map(|file| file.is_some()))).collect();
        assert_eq!(sides, [("b", [true, true]), ("c", [true, false]), ("d", [false, true])]);
        assert!(differing(&one, &one).is_empty());
        let program =
            json!({"desired": {"entries": [{"kind": "document", "path": "a", "digest": "1", "mode": "755"}]}});
        let plain = node(&[("document", "a", "1")]);
        assert_eq!(differing(&program, &plain).len(), 1);
    }
}
