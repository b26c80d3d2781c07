//! `headwater edge propose` and `headwater edge proposals`: both work on the folder alone, whether an agent runs or not.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use program::clock::system_time;
use program::exit::CommandFailure;
use program::output;
use schema::command::{Content, MediaType, Propose};
use schema::desired::{Desired, EntryKind};
use schema::id::ProposalId;
use schema::path::DocumentPath;
use schema::terminal;
use serde_json::json;
use uuid::Uuid;

use crate::access_note::AccessNote;
use crate::folder_reader;
use crate::layout::Layout;
use crate::node_state::NodeState;
use crate::options::{ProposalsOptions, ProposeOptions};
use crate::outbox::{Outbox, OutboxFile, base_of, id_after};
use crate::proposal_history::ProposalHistory;
use crate::regular_file;

/// Puts a file into the outbox.
pub(crate) fn propose(options: &ProposeOptions) -> Result<(), CommandFailure> {
    let (layout, state) = node_of(&options.dir)?;
    let bytes = regular_file::read(&options.replace)
        .map_err(|error| CommandFailure::refused(format!("{}: {error}", options.replace.display())))?;
    let running = running(&layout, &state);
    let base = base_of(running.as_ref(), options.path.as_str());
    let media_type = options.media_type.clone().unwrap_or_else(|| media_type(running.as_ref(), &options.path, &bytes));
    let waiting = Outbox::of(&layout).list().map_err(CommandFailure::unreachable)?.proposals;
    let past = ProposalHistory::read(&layout).proposals;
    let uuid = id_after(Uuid::now_v7(), waiting.iter().map(|(id, _)| *id).chain(past.iter().map(|past| past.id)));
    // What the log would refuse is refused here.
    let content = Content::new(bytes.clone()).map_err(CommandFailure::refused)?;
    let (node, path) = (state.node.clone(), options.path.clone());
    let propose = Propose { node, uuid, path, media_type: media_type.clone(), content, base };
    propose.checked().map_err(CommandFailure::refused)?;
    let (content, content_base64) = match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
    };
    let file = OutboxFile {
        path: options.path.as_str().to_owned(),
        media_type: media_type.as_str().to_owned(),
        content,
        content_base64,
        withdrawn: false,
        reason: options.reason.clone(),
        base: Some(base),
        at: Some(system_time()),
    };
    file.checked().map_err(CommandFailure::refused)?;
    Outbox::of(&layout).add(uuid, &file).map_err(CommandFailure::unreachable)?;
    let id = ProposalId::derived(&state.node, uuid);
    let waits = match AccessNote::read(&layout) {
        None => "it waits in the outbox until an administrator decides".to_owned(),
        Some(note) => format!(
            "it waits in the outbox and is not sent for now: {}. It is sent when the node is let in again; headwater edge status says what to \
             do about it",
            note.meaning()
        ),
    };
    output::text(&format!("proposed as {id}; {waits}\nheadwater edge proposals shows what became of it\n"))?;
    Ok(())
}

/// Prints what waits and what became of the others.
pub(crate) fn print(options: &ProposalsOptions) -> Result<(), CommandFailure> {
    let (layout, state) = node_of(&options.dir)?;
    let listing = Outbox::of(&layout).list().map_err(CommandFailure::unreachable)?;
    let history = ProposalHistory::read(&layout);
    let mut rows = Vec::new();
    for past in &history.proposals {
        let verdict = &past.verdict;
        let why =
            verdict.reason.as_deref().or(verdict.detail.as_deref()).or(verdict.code.as_deref()).unwrap_or_default();
        rows.push((past.id, past.path.clone(), verdict.state.name().to_owned(), why.to_owned()));
    }
    for (id, file) in listing.proposals {
        if rows.iter().all(|(known, ..)| *known != id) {
            let (path, state) = match &file {
                Ok(file) => (file.path.clone(), "waiting".to_owned()),
                Err(error) => (String::new(), format!("unreadable: {error}")),
            };
            rows.push((id, path, state, String::new()));
        }
    }
    let id = |uuid| ProposalId::derived(&state.node, uuid);
    if options.json {
        let shown = rows.iter().map(
            |(uuid, path, state, why)| json!({"id": id(*uuid), "uuid": uuid, "path": path, "state": state, "why": why}),
        );
        output::json(&serde_json::Value::from_iter(shown).to_string())?;
        return Ok(());
    }
    let mut text = format!("{:36}  {:10}  PATH  WHY\n", "ID", "STATE");
    for (uuid, path, state, why) in &rows {
        let (path, why) = (terminal::line(path), terminal::line(why));
        writeln!(text, "{:36}  {state:10}  {path}  {why}", id(*uuid).as_str()).expect("BUG: a String takes any text");
    }
    output::text(&text)?;
    Ok(())
}

fn node_of(dir: &Path) -> Result<(Layout, NodeState), CommandFailure> {
    let layout = Layout::of(dir.to_owned());
    match folder_reader::read_state(&layout).map_err(CommandFailure::unreachable)? {
        Some(state) => Ok((layout, state)),
        None => Err(CommandFailure::unreachable(format!("{} is no node's folder", dir.display()))),
    }
}

fn running(layout: &Layout, state: &NodeState) -> Option<Desired> {
    let running = folder_reader::read_running(layout, state).ok()??;
    folder_reader::read_record(layout, state, running).ok()
}

/// That of the file that the node has; else what its bytes look like.
fn media_type(running: Option<&Desired>, path: &DocumentPath, bytes: &[u8]) -> MediaType {
    let entries = running.into_iter().flat_map(|record| &record.entries);
    let mut documents = entries.filter(|entry| entry.kind == EntryKind::Document && entry.path == path.as_str());
    let had = documents.next().and_then(|entry| entry.media_type.parse().ok());
    let looks = match std::str::from_utf8(bytes) {
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => "application/json",
        Ok(_) => "text/plain",
        Err(_) => "application/octet-stream",
    };
    had.unwrap_or_else(|| looks.parse().expect("BUG: these are media types"))
}
