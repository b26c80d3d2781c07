//! `headwater-replay show`: what a node held or a job was at a moment, byte for byte as the node got it.

use projections::configuration::Configuration;
use projections::render::{Manifest, ManifestEntry, render};
use schema::digest::Digest;
use schema::id::{JobId, NodeId};
use serde_json::{Value, json};

use super::content;
use super::output::{RunError, print, print_bytes, print_json, table};
use super::state_at::StateOptions;

/// The node, the file or the job to show.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["node", "job"])]
pub(crate) struct ShowCommand {
    /// The node.
    #[arg(long, value_name = "ID", conflicts_with = "job")]
    node: Option<NodeId>,

    /// One path of it, whose bytes are printed as they are: a document's, or `jobs/<id>.json`.
    #[arg(long, value_name = "PATH", requires = "node")]
    path: Option<String>,

    /// A job, whose spec is printed.
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,

    #[command(flatten)]
    past: StateOptions,
}

impl ShowCommand {
    pub(crate) fn json(&self) -> bool {
        self.past.options.how.json
    }
}

/// Prints it.
pub(crate) fn run(show: &ShowCommand) -> Result<(), RunError> {
    let (state, json) = (show.past.state()?, show.json());
    match (&show.node, &show.path, &show.job) {
        (Some(node), Some(path), _) => show_path(show, &manifest(&state, node)?, path),
        (Some(node), None, _) => show_node(&manifest(&state, node)?, json),
        (None, _, Some(job)) => show_job(&state, job, json),
        (None, _, None) => Err(RunError::Usage("give --node or --job".into())),
    }
}

/// The record of a node.
pub(crate) fn manifest(state: &Configuration, node: &NodeId) -> Result<Manifest, RunError> {
    let unknown = || RunError::Nothing(format!("there is no node {node} at position {}", state.position()));
    render(state, node).ok_or_else(unknown)
}

fn show_path(show: &ShowCommand, manifest: &Manifest, path: &str) -> Result<(), RunError> {
    let piece = manifest.pieces.iter().find(|piece| piece.entry.path == path);
    let missing = || RunError::Nothing(format!("node {} has no `{path}` then", manifest.node));
    let piece = piece.ok_or_else(missing)?;
    let bytes = bytes_of(show, piece)?;
    match show.json() {
        true => print_json(&with_content(piece, &bytes)),
        false => print_bytes(&bytes),
    }
}

fn bytes_of(show: &ShowCommand, piece: &ManifestEntry) -> Result<Vec<u8>, RunError> {
    if let Some(content) = &piece.content {
        return Ok(content.to_vec());
    }
    let mut bytes = Vec::new();
    content::bring(&show.past.options.files, [piece.entry.digest].into(), |_, found| {
        bytes = found.to_vec();
        Ok(())
    })?;
    Ok(bytes)
}

fn with_content(piece: &ManifestEntry, bytes: &[u8]) -> Value {
    let mut shown = json!(piece.entry);
    match std::str::from_utf8(bytes) {
        Ok(text) => shown["content"] = json!(text),
        Err(_) => shown["content_hex"] = json!(hex::encode(bytes)),
    }
    shown
}

fn show_node(manifest: &Manifest, json: bool) -> Result<(), RunError> {
    if json {
        let entries: Vec<_> = manifest.pieces.iter().map(|piece| &piece.entry).collect();
        return print_json(&json!({
            "node": manifest.node, "position": manifest.cause.position, "digest": manifest.digest, "retry": manifest.retry,
            "retired": manifest.retired, "cause": manifest.cause, "entries": entries,
        }));
    }
    let mut rows = vec![["PATH", "BYTES", "DIGEST", "FROM", "POSITION"].map(String::from).to_vec()];
    rows.extend(manifest.pieces.iter().map(|piece| {
        let entry = &piece.entry;
        let source = &entry.source;
        let from = format!("{} v{}", source.entity, source.version);
        [entry.path.clone(), entry.size.to_string(), entry.digest.short(), from, source.position.to_string()].to_vec()
    }));
    let retired = if manifest.retired { ", retired" } else { "" };
    print(&format!(
        "node {} at position {}{retired}, digest {}\n",
        manifest.node, manifest.cause.position, manifest.digest
    ))?;
    print(&table(&rows))
}

fn show_job(state: &Configuration, id: &JobId, json: bool) -> Result<(), RunError> {
    let unknown = || RunError::Nothing(format!("there is no job {id} at position {}", state.position()));
    let job = state.jobs().all().get(id).ok_or_else(unknown)?;
    let spec = state.spec(id).ok_or_else(unknown)?;
    if !json {
        return print_bytes(&spec.bytes);
    }
    let digest: Digest = spec.digest;
    let claim = job.claim.as_ref().map(|claim| json!({"runtime": claim.runtime, "position": claim.position}));
    let value: Value = serde_json::from_slice(&spec.bytes).unwrap_or_default();
    print_json(&json!({
        "id": id, "attestation": job.attestation, "digest": digest, "spec": value, "claim": claim, "source": job.source,
        "cause": job.cause,
    }))
}
