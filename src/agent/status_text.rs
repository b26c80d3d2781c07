//! A survey in plain words, and as JSON.
//!
//! What always holds: what a program or a file wrote can't speak to the terminal.

use std::fmt::{self, Display, Write as _};

use schema::report::{Attempt, AttemptState, RecordRef};
use schema::terminal;
use serde_json::{Value, json};

use crate::advice::advice;
use crate::inspection::FolderInspection;
use crate::node_state::{PinnedKey, RejectedDigest};

/// Places that are listed one by one.
const PLACES_MAX: usize = 20;

/// All of it as JSON, with the verdict and what to do.
#[must_use]
pub fn json(survey: &FolderInspection) -> Value {
    let mut all = json!(survey);
    if let Some(fields) = all.as_object_mut() {
        fields.insert("is_well".to_owned(), survey.is_well().into());
        fields.insert("advice".to_owned(), advice(survey).into());
    }
    all
}

/// All of it as text.
#[must_use]
pub fn text(survey: &FolderInspection) -> String {
    let mut page = Page::default();
    page.line("node", format!("{}, in {}", survey.node, survey.dir.display()));
    page.line("agent", agent(survey.agent_is_running));
    page.line("log", or(survey.log_id, "none yet"));
    page.line(
        "key",
        or(survey.key.as_ref().map(PinnedKey::hex), "none yet; the first that is found is trusted for ever"),
    );
    page.line("runs", runs(survey));
    page.line("last seen", seen(survey));
    page.line("last try", survey.attempt.as_ref().map_or_else(|| "none".to_owned(), tried));
    page.line("last good", or(survey.last_good.map(shown), "nothing"));
    survey.rejected.iter().rev().for_each(|rejected| page.line("rejected", said_no(rejected)));
    page.line("drift", drift(survey));
    survey.warnings.iter().for_each(|warning| page.line("warning", format!("{}: {}", warning.code, warning.detail)));
    page.line("kept", kept(survey));
    page.verdict(survey);
    page.0
}

/// Lines of a name and what there is to say, further lines of which stand below each other.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, said: impl Display) {
        let said = said.to_string();
        let mut name = name;
        for line in said.lines() {
            let _ = writeln!(self.0, "{name:<11}{}", terminal::line(line));
            name = "";
        }
    }

    fn verdict(&mut self, survey: &FolderInspection) {
        let verdict = if survey.is_well() {
            "All is well: what runs is what was last seen, and nothing was changed by hand."
        } else {
            "Something is not as it should be."
        };
        let _ = writeln!(self.0, "\n{verdict}");
        for what in advice(survey) {
            let _ = writeln!(self.0, "- {}", terminal::line(&what));
        }
    }
}

fn agent(is_running: Option<bool>) -> &'static str {
    match is_running {
        Some(true) => "works in this folder",
        Some(false) => "does not run",
        None => "can't be told",
    }
}

fn runs(survey: &FolderInspection) -> String {
    let Some(running) = &survey.running else { return "nothing".to_owned() };
    let not_yet = if survey.is_settled() { "" } else { "\nit has not come to be good yet" };
    let files = counted(running.files, "file");
    format!("{}, {files}, in force since {}\n{}{not_yet}", shown(running.mark), running.since, running.tree.display())
}

fn seen(survey: &FolderInspection) -> String {
    let Some(seen) = survey.seen else { return "nothing".to_owned() };
    let what = if survey.runs_what_was_seen() { "what runs" } else { "not what runs" };
    format!("{}: {what}", shown(seen))
}

fn tried(attempt: &Attempt) -> String {
    let mark = shown(RecordRef { position: attempt.position, digest: attempt.digest });
    let how = match attempt.state {
        AttemptState::Applied => "applied",
        AttemptState::Failed => "failed",
        AttemptState::Refused => "refused, nothing was touched",
        _ => "not at its end",
    };
    let code = attempt.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    let detail = attempt.detail.as_deref().map(|detail| format!("\n{detail}")).unwrap_or_default();
    format!("{mark}: {how}{code}, at {}{detail}", attempt.at)
}

fn said_no(rejected: &RejectedDigest) -> String {
    let mark = shown(RecordRef { position: rejected.position, digest: rejected.digest });
    let how = "tried again when its content differs, or after the command retry_node";
    format!("{mark}: {}, at {}\n{}\n{how}", rejected.code, rejected.at, rejected.detail)
}

fn drift(survey: &FolderInspection) -> String {
    let Some(places) = &survey.drift else {
        return format!("can't be told: {}", survey.drift_unknown.as_deref().unwrap_or_default());
    };
    if places.is_empty() {
        return "none".to_owned();
    }
    let mut said = format!("{} not as the signed record says:", counted(places.len() as u64, "place"));
    for place in places.iter().take(PLACES_MAX) {
        let _ = write!(said, "\n{}", terminal::line(place));
    }
    if let more @ 1.. = places.len().saturating_sub(PLACES_MAX) {
        let _ = write!(said, "\nand {more} more");
    }
    said
}

fn kept(survey: &FolderInspection) -> String {
    let kept = &survey.kept;
    format!(
        "{} ({}), {} in the cache ({})",
        counted(kept.generations, "generation"),
        Bytes(kept.generation_bytes),
        counted(kept.blobs, "large content"),
        Bytes(kept.blob_bytes)
    )
}

fn shown(mark: RecordRef) -> String {
    format!("position {}, digest {}", mark.position, mark.digest.short())
}

fn or(found: Option<impl Display>, otherwise: &str) -> String {
    found.map_or_else(|| otherwise.to_owned(), |found| found.to_string())
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A size as people read it.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["kB", "MB", "GB", "TB"];
        let unit = units.iter().zip([1_000, 1_000_000, 1_000_000_000, 1_000_000_000_000_u64]);
        match unit.rev().find(|(_, size)| self.0 >= *size) {
            Some((unit, size)) => write!(f, "{}.{} {unit}", self.0 / size, self.0 % size / (size / 10)),
            None => write!(f, "{} B", self.0),
        }
    }
}
