//! Renders a [`FolderInspection`] as text and as JSON.
//!
//! Invariant: text of hooks, records and file names contains no control characters when it is printed.

use std::fmt::{self, Display, Write as _};

use schema::report::{Attempt, AttemptState, RecordRef};
use schema::terminal;
use serde_json::{Value, json};

use crate::advice::advice;
use crate::inspection::FolderInspection;
use crate::node_state::{PinnedKey, RejectedDigest};

/// How many paths are listed one by one.
const PLACES_MAX: usize = 20;

/// One object with all fields, the verdict and the advice.
#[must_use]
pub fn render_json(inspection: &FolderInspection) -> Value {
    let mut all = json!(inspection);
    if let Some(fields) = all.as_object_mut() {
        fields.insert("is_well".to_owned(), inspection.is_well().into());
        fields.insert("advice".to_owned(), advice(inspection).into());
    }
    all
}

/// Lines of a name and a value, then the verdict and the advice.
#[must_use]
pub fn render_text(inspection: &FolderInspection) -> String {
    let mut page = TextPage::default();
    page.line("node", format!("{}, in {}", inspection.node, inspection.dir.display()));
    page.line("agent", agent(inspection.agent_is_running));
    if let Some(note) = &inspection.nats_refused {
        page.line("nats", format!("refuses {} since {}", note.identity, note.since));
    }
    page.line("log", or(inspection.log_id, "none yet"));
    page.line(
        "key",
        or(inspection.key.as_ref().map(PinnedKey::hex), "none yet; the first that is found is trusted for ever"),
    );
    page.line("runs", runs(inspection));
    page.line("last seen", seen(inspection));
    page.line("last try", inspection.attempt.as_ref().map_or_else(|| "none".to_owned(), describe_attempt));
    page.line("last good", or(inspection.last_good.map(describe_record), "nothing"));
    inspection.rejected.iter().rev().for_each(|rejected| page.line("rejected", describe_rejection(rejected)));
    page.line("drift", drift(inspection));
    inspection
        .warnings
        .iter()
        .for_each(|warning| page.line("warning", format!("{}: {}", warning.code, warning.detail)));
    if inspection.proposals_waiting > 0 {
        let waiting = counted(inspection.proposals_waiting as u64, "file");
        page.line("proposed", format!("{waiting} without a final verdict; headwater edge proposals lists them"));
    }
    page.line("kept", kept(inspection));
    page.verdict(inspection);
    page.0
}

/// Names are in the first 11 columns; further lines of a value stand below its first one.
#[derive(Default)]
struct TextPage(String);

impl TextPage {
    fn line(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        let mut name = name;
        for line in value.lines() {
            let _ = writeln!(self.0, "{name:<11}{}", terminal::line(line));
            name = "";
        }
    }

    fn verdict(&mut self, inspection: &FolderInspection) {
        let verdict = if inspection.is_well() {
            "All is well: what runs is what was last seen, and nothing was changed by hand."
        } else {
            "Something is not as it should be."
        };
        let _ = writeln!(self.0, "\n{verdict}");
        for what in advice(inspection) {
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

fn runs(inspection: &FolderInspection) -> String {
    let Some(running) = &inspection.running else { return "nothing".to_owned() };
    let not_yet = if inspection.is_settled() { "" } else { "\nit has not come to be good yet" };
    let files = counted(running.files, "file");
    format!(
        "{}, {files}, in force since {}\n{}{not_yet}",
        describe_record(running.record_ref),
        running.since,
        running.tree.display()
    )
}

fn seen(inspection: &FolderInspection) -> String {
    let Some(seen) = inspection.seen else { return "nothing".to_owned() };
    let what = if inspection.runs_what_was_seen() { "what runs" } else { "not what runs" };
    format!("{}: {what}", describe_record(seen))
}

fn describe_attempt(attempt: &Attempt) -> String {
    let record_ref = describe_record(RecordRef { position: attempt.position, digest: attempt.digest });
    let how = match attempt.state {
        AttemptState::Applied => "applied",
        AttemptState::Failed => "failed",
        AttemptState::Refused => "refused, nothing was touched",
        _ => "not at its end",
    };
    let code = attempt.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    let detail = attempt.detail.as_deref().map(|detail| format!("\n{detail}")).unwrap_or_default();
    format!("{record_ref}: {how}{code}, at {}{detail}", attempt.at)
}

fn describe_rejection(rejected: &RejectedDigest) -> String {
    let record_ref = describe_record(RecordRef { position: rejected.position, digest: rejected.digest });
    let how = "tried again when its content differs, or after the command retry_node";
    format!("{record_ref}: {}, at {}\n{}\n{how}", rejected.code, rejected.at, rejected.detail)
}

fn drift(inspection: &FolderInspection) -> String {
    let Some(places) = &inspection.drift else {
        return format!("can't be told: {}", inspection.drift_unknown.as_deref().unwrap_or_default());
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

fn kept(inspection: &FolderInspection) -> String {
    let kept = &inspection.kept;
    format!(
        "{} ({}), {} in the cache ({})",
        counted(kept.generations, "generation"),
        Bytes(kept.generation_bytes),
        counted(kept.blobs, "large content"),
        Bytes(kept.blob_bytes)
    )
}

fn describe_record(record_ref: RecordRef) -> String {
    format!("position {}, digest {}", record_ref.position, record_ref.digest.short())
}

fn or(found: Option<impl Display>, otherwise: &str) -> String {
    found.map_or_else(|| otherwise.to_owned(), |found| found.to_string())
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Prints a size as `1.5 kB`.
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
