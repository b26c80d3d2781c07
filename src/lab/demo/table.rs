//! The table of nodes, 79 columns wide.

use schema::instant::Instant;
use schema::position::Position;
use schema::terminal;

use super::node::DemoNode;
use super::screen::{Screen, Style};

/// Names and widths; numbers are aligned to the right.
const COLUMNS: [(&str, usize); 8] = [
    ("NODE", 8),
    ("INSTRUMENT", 11),
    ("STATE", 12),
    ("POSITION", 8),
    ("  DESIRED", 11),
    ("  RUNNING", 11),
    ("FILES", 5),
    ("TOOK", 9),
];
/// How many digits of a digest are shown.
const DIGEST_DIGITS: usize = 8;

/// The state of the log when a step started.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepStart {
    /// The last position before the step.
    pub(super) position: Position,
    /// Time of the step's first event.
    pub(super) at: Instant,
}

pub(super) fn head(screen: &Screen) -> String {
    let names = COLUMNS.map(|(name, _)| name.to_owned());
    screen.paint(Style::Dim, &format!("  {}", cells(names).concat().trim_end()))
}

/// The row of a node, marked if its record is newer than the step's start.
pub(super) fn row(screen: &Screen, node: &DemoNode, since: StepStart) -> String {
    let moved = node.desired.position > since.position;
    let took = node.applied_at().filter(|_| moved).map_or_else(|| "-".to_owned(), |at| milliseconds(since.at, at));
    let digest =
        |record_ref: schema::report::RecordRef| format!("  {}", &record_ref.digest.to_string()[..DIGEST_DIGITS]);
    let row = cells([
        node.id.to_string(),
        terminal::line(node.labels.get("instrument").unwrap_or_default()),
        terminal::line(node.state),
        node.desired.position.to_string(),
        digest(node.desired),
        node.running().map_or_else(|| "  -".to_owned(), digest),
        node.file_count().to_string(),
        took,
    ]);
    let style = match node.state {
        "converged" => Style::Green,
        "progressing" => Style::Yellow,
        "unknown" => Style::Dim,
        _ => Style::Red,
    };
    let mut text = String::from(if moved { "> " } else { "  " });
    for (index, cell) in row.iter().enumerate() {
        let style = match index {
            2 => style,
            3 if moved => Style::Bold,
            _ => Style::Plain,
        };
        text.push_str(&screen.paint(style, cell));
    }
    text
}

fn cells(texts: [String; COLUMNS.len()]) -> [String; COLUMNS.len()] {
    let mut index = 0;
    texts.map(|text| {
        let (name, width) = COLUMNS[index];
        index += 1;
        match name {
            "POSITION" | "FILES" | "TOOK" => format!("{text:>width$}"),
            _ => format!("{text:width$}"),
        }
    })
}

fn milliseconds(from: Instant, to: Instant) -> String {
    // All processes have the same clock, but it may be set meanwhile.
    let micros = to.unix_micros().saturating_sub(from.unix_micros()).max(0);
    format!("{} ms", micros / 1_000)
}
